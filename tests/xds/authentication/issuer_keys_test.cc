#include "xds/authentication/issuer_keys.h"

#include <gmock/gmock.h>

#include "common/status.h"
#include "tests/common/certificates.h"
#include "tests/xds/authentication/tokens.h"

namespace portolan::xds {
namespace {

using ::testing::HasSubstr;

class IssuerKeysTest : public ::testing::Test {
 protected:
  void Load(const std::string& text) {
    auto loaded = IssuerKeys::Load(files.WriteText("keys", text));
    ASSERT_TRUE(loaded.ok()) << loaded.status();
    keys = *std::move(loaded);
  }
  // "NAMESPACE/POD", or why not.
  std::string Verified(const std::string& token) {
    std::string result;
    keys->Verify(token, [&](const absl::StatusOr<PodIdentity>& found) {
      EXPECT_TRUE(found.ok() || absl::IsUnauthenticated(found.status()));
      result =
          found.ok() ? found->name_space + "/" + found->pod : std::string(Message(found.status()));
    });
    return result;
  }
  std::string Fault(const std::string& text) {
    return std::string(Message(ParseIssuerKeys(text).status()));
  }
  static std::string Jwks(std::vector<nlohmann::json> keys) {
    return nlohmann::json({{"keys", std::move(keys)}}).dump();
  }

  portolan::test::PemFiles files;
  const test::Issuer rsa{test::Issuer::kRsa, "rsa"};
  const test::Issuer ec{test::Issuer::kEc, "ec"};
  std::unique_ptr<IssuerKeys> keys;
};

TEST_F(IssuerKeysTest, KeysInPemVerify) {
  Load("# of the API server\n" + rsa.Pem() + ec.Pem());
  EXPECT_EQ(Verified(rsa.Token("shop", "cart-0")), "shop/cart-0");
  EXPECT_EQ(Verified(ec.Token("shop", "cart-1")), "shop/cart-1");
}

TEST_F(IssuerKeysTest, KeysInAJwksVerify) {
  Load(Jwks({{{"kty", "OKP"}, {"crv", "Ed25519"}, {"x", "AA"}}, rsa.Jwk(), ec.Jwk()}));
  EXPECT_EQ(Verified(rsa.Token("shop", "cart-0")), "shop/cart-0");
  EXPECT_EQ(Verified(ec.Token("shop", "cart-1")), "shop/cart-1");
}

TEST_F(IssuerKeysTest, AnotherIssuersTokenIsRefused) {
  Load(rsa.Pem() + ec.Pem());
  for (const auto kind : {test::Issuer::kRsa, test::Issuer::kEc}) {
    EXPECT_EQ(Verified(test::Issuer(kind).Token()), "the token is signed by no known issuer");
  }
}

TEST_F(IssuerKeysTest, AChangedTokenIsRefused) {
  Load(ec.Pem());
  const std::string token = ec.Token("shop", "cart-0");
  const std::string other = ec.Token("shop", "cart-1");
  const std::string mixed = other.substr(0, other.rfind('.')) + token.substr(token.rfind('.'));
  EXPECT_EQ(Verified(mixed), "the token is signed by no known issuer");
  EXPECT_EQ(Verified(token.substr(0, token.rfind('.') + 1)),
            "the token is signed by no known issuer");
}

// RFC 8725, 2.1: the header is the sender's.
TEST_F(IssuerKeysTest, AnAlgorithmOfTheTokensChoiceIsRefused) {
  Load(rsa.Pem() + ec.Pem());
  for (const char* algorithm : {"none", "HS256", "RS512"}) {
    EXPECT_EQ(Verified(rsa.Sign(test::Issuer::Payload(), algorithm)),
              "the token is signed neither by RS256 nor by ES256");
  }
  EXPECT_EQ(Verified(rsa.Sign(test::Issuer::Payload(), "ES256")),
            "the token is signed by no known issuer");
}

TEST_F(IssuerKeysTest, AnAudienceOfOthersIsRefused) {
  Load(ec.Pem());
  nlohmann::json payload = test::Issuer::Payload();
  payload["aud"] = {"other"};
  EXPECT_EQ(Verified(ec.Sign(payload)), "the token is not for the audience portolan");
}

TEST_F(IssuerKeysTest, NewKeysCountAtOnceAndUnusableOnesLeaveTheOldInForce) {
  Load(ec.Pem());
  EXPECT_EQ(Verified(rsa.Token()), "the token is signed by no known issuer");
  files.WriteText("keys", Jwks({rsa.Jwk(), ec.Jwk()}));
  EXPECT_EQ(Verified(rsa.Token()), "default/web-0");
  files.WriteText("keys", "rubbish");
  EXPECT_EQ(Verified(rsa.Token()), "default/web-0");
}

TEST_F(IssuerKeysTest, WhatIsNoKeyIsSaid) {
  EXPECT_EQ(Fault("rubbish"), "no public key, neither PEM nor JWKS");
  EXPECT_EQ(Fault("{"), "is no JWKS: an object with a list of \"keys\"");
  EXPECT_EQ(Fault("{\"keys\":[]}"), "no public key, neither PEM nor JWKS");
  EXPECT_EQ(Fault("{\"keys\":[{\"kty\":\"RSA\"}]}"),
            "key 1 is neither RSA of 2048 bits or more nor P-256");
  EXPECT_EQ(Fault("{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"AA\",\"y\":\"AA\"}]}"),
            "keys[0] is no EC key");
  EXPECT_EQ(Message(IssuerKeys::Load("/none").status()), "/none: No such file or directory");
  EXPECT_THAT(Message(IssuerKeys::Load(files.WriteText("keys", "x")).status()),
              HasSubstr(files.folder() + "/keys: no public key"));
}

}  // namespace
}  // namespace portolan::xds

#include "xds/authentication/token_claims.h"

#include <gmock/gmock.h>

#include "common/status.h"
#include "tests/xds/authentication/tokens.h"

namespace portolan::xds {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

const test::Issuer& TheIssuer() {
  static const test::Issuer issuer(test::Issuer::kEc);
  return issuer;
}

TEST(TokenClaims, SayWhatTheTokenSaysOfItself) {
  const std::string token = TheIssuer().Token("shop", "cart-7");
  const auto claims = ParseTokenClaims(token);
  ASSERT_TRUE(claims.ok()) << claims.status();
  EXPECT_EQ(claims->algorithm, "ES256");
  EXPECT_EQ(claims->key_id, "key-1");
  EXPECT_EQ(claims->signature.size(), 64u);
  EXPECT_EQ(claims->signed_part, token.substr(0, token.rfind('.')));
  EXPECT_EQ(claims->issuer, "https://kubernetes.default.svc.cluster.local");
  EXPECT_THAT(claims->audiences, ElementsAre("portolan"));
  EXPECT_EQ(claims->name_space, "shop");
  EXPECT_EQ(claims->pod, "cart-7");
  EXPECT_EQ(claims->pod_uid, "p-cart-7");
  EXPECT_GT(claims->expires, absl::Now() + absl::Minutes(59));
  EXPECT_TRUE(CheckClaims(*claims).ok());
}

TEST(TokenClaims, BytesThatAreNoTokenAreRefused) {
  const std::string good = TheIssuer().Token();
  for (const std::string& token :
       {std::string(), std::string("a.b"), std::string("..."), good + ".x", "!" + good,
        test::Base64Url("[]") + "." + test::Base64Url("{}") + ".",
        test::Base64Url("{}") + "." + test::Base64Url("{") + ".",
        test::Base64Url("{}") + ". " + test::Base64Url("{}") + "."}) {
    EXPECT_EQ(ParseTokenClaims(token).status().code(), absl::StatusCode::kUnauthenticated) << token;
  }
  EXPECT_THAT(Message(ParseTokenClaims(std::string(20000, 'a')).status()), HasSubstr("too long"));
}

std::string FaultOf(const nlohmann::json& payload) {
  const std::string token = TheIssuer().Sign(payload);
  const auto claims = ParseTokenClaims(token);
  EXPECT_TRUE(claims.ok()) << claims.status();
  return std::string(Message(CheckClaims(*claims)));
}

TEST(TokenClaims, WhatCouldNotBeGoodIsSaidToItsHolder) {
  nlohmann::json payload = test::Issuer::Payload();
  payload["aud"] = "portolan";
  EXPECT_EQ(FaultOf(payload), "");
  payload["aud"] = {"https://kubernetes.default.svc", "other"};
  EXPECT_EQ(FaultOf(payload), "the token is not for the audience portolan");
  payload = test::Issuer::Payload();
  payload["exp"] = absl::ToUnixSeconds(absl::Now()) - 60;
  EXPECT_EQ(FaultOf(payload), "the token has expired");
  payload["exp"] = "tomorrow";
  EXPECT_EQ(FaultOf(payload), "the token has expired");
  payload = test::Issuer::Payload();
  payload["nbf"] = absl::ToUnixSeconds(absl::Now()) + 60;
  EXPECT_EQ(FaultOf(payload), "the token is not valid yet");
  // As the token in a Secret of before Kubernetes 1.24.
  payload = test::Issuer::Payload();
  payload["kubernetes.io"].erase("pod");
  EXPECT_EQ(FaultOf(payload), "the token is bound to no pod: it has to be a projected one");
  payload["kubernetes.io"] = "x";
  EXPECT_EQ(FaultOf(payload), "the token is bound to no pod: it has to be a projected one");
}

}  // namespace
}  // namespace portolan::xds

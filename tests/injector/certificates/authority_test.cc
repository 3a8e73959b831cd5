#include "injector/certificates/authority.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/x509v3.h>

#include "common/openssl.h"
#include "tests/common/certificates.h"

namespace portolan::injector {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

const absl::Time kNow = absl::FromUnixSeconds(1'800'000'000);
constexpr absl::Duration kDay = absl::Hours(24);

KeyPair Authority(absl::Time now = kNow) { return *MakeAuthority(365 * kDay, now); }

ServerNames Names() {
  return NamesOfService("portolan-injector", "portolan-system", "cluster.local");
}

Certificate Read(const KeyPair& pair) { return Certificate::ReadAll(pair.certificate)->front(); }

X509Ptr ReadX509(const KeyPair& pair) {
  const BioPtr reader = PemReader(pair.certificate);
  return X509Ptr(PEM_read_bio_X509(reader.get(), nullptr, nullptr, nullptr));
}

// As an API server verifies a webhook: for its name, at that time, by these CAs.
int Verify(const KeyPair& server, const std::string& bundle, const std::string& name,
           absl::Time at) {
  X509_STORE* store = X509_STORE_new();
  const BioPtr reader = PemReader(bundle);
  while (X509* ca = PEM_read_bio_X509(reader.get(), nullptr, nullptr, nullptr)) {
    X509_STORE_add_cert(store, ca);
    X509_free(ca);
  }
  X509_STORE_CTX* context = X509_STORE_CTX_new();
  const X509Ptr own = ReadX509(server);
  X509_STORE_CTX_init(context, store, own.get(), nullptr);
  X509_VERIFY_PARAM* wanted = X509_STORE_CTX_get0_param(context);
  X509_VERIFY_PARAM_set1_host(wanted, name.data(), name.size());
  X509_VERIFY_PARAM_set_time(wanted, absl::ToTimeT(at));
  X509_STORE_CTX_set_purpose(context, X509_PURPOSE_SSL_SERVER);
  X509_VERIFY_PARAM_set_flags(wanted, X509_V_FLAG_X509_STRICT);
  X509_verify_cert(context);
  const int fault = X509_STORE_CTX_get_error(context);
  X509_STORE_CTX_free(context);
  X509_STORE_free(store);
  return fault;
}

TEST(Authority, WhatItSignsIsVerifiedByItAndByNoOther) {
  const KeyPair ca = Authority();
  const KeyPair other = Authority();
  const KeyPair server = *SignServer(ca, Names(), 30 * kDay, kNow);
  constexpr char kName[] = "portolan-injector.portolan-system.svc";
  EXPECT_EQ(Verify(server, ca.certificate, kName, kNow), X509_V_OK);
  EXPECT_EQ(Verify(server, other.certificate + ca.certificate, kName, kNow), X509_V_OK);
  EXPECT_NE(Verify(server, other.certificate, kName, kNow), X509_V_OK);
  EXPECT_EQ(Verify(server, ca.certificate, "elsewhere.portolan-system.svc", kNow),
            X509_V_ERR_HOSTNAME_MISMATCH);
  EXPECT_TRUE(Read(server).IsSignedBy(Read(ca)));
  EXPECT_FALSE(Read(server).IsSignedBy(Read(other)));
}

TEST(Authority, AServerIsKnownByAllNamesOfItsService) {
  const Certificate server = Read(*SignServer(Authority(), Names(), 30 * kDay, kNow));
  for (const char* name : {"portolan-injector", "portolan-injector.portolan-system",
                           "portolan-injector.portolan-system.svc",
                           "portolan-injector.portolan-system.svc.cluster.local"}) {
    EXPECT_TRUE(server.IsFor(name)) << name;
  }
  EXPECT_FALSE(server.IsFor("portolan-injector.other.svc"));
}

TEST(Authority, AClockThatIsSlowTakesItToo) {
  const KeyPair ca = Authority();
  const KeyPair server = *SignServer(ca, Names(), 30 * kDay, kNow);
  EXPECT_EQ(Verify(server, ca.certificate, Names().dns_names[0], kNow - absl::Minutes(4)),
            X509_V_OK);
}

TEST(Authority, ItSignsServersAloneAndNoOtherCa) {
  const KeyPair ca = Authority();
  const KeyPair server = *SignServer(ca, Names(), 30 * kDay, kNow);
  EXPECT_TRUE(Read(ca).is_authority());
  EXPECT_FALSE(Read(server).is_authority());
  EXPECT_EQ(X509_get_pathlen(ReadX509(ca).get()), 0);
  EXPECT_EQ(X509_get_extended_key_usage(ReadX509(server).get()), uint32_t{XKU_SSL_SERVER});
  EXPECT_EQ(X509_get_key_usage(ReadX509(ca).get()), uint32_t{KU_KEY_CERT_SIGN | KU_CRL_SIGN});
  // What a server signs is worth nothing.
  const KeyPair below = *SignServer(server, Names(), kDay, kNow);
  EXPECT_NE(Verify(below, server.certificate + ca.certificate, Names().dns_names[0], kNow),
            X509_V_OK);
}

TEST(Authority, NothingOutlivesItsCa) {
  const KeyPair ca = *MakeAuthority(10 * kDay, kNow);
  EXPECT_EQ(Read(*SignServer(ca, Names(), 30 * kDay, kNow)).expires(), kNow + 10 * kDay);
}

TEST(Authority, SerialNumbersAndKeysAreNeverTheSame) {
  const KeyPair one = Authority(), other = Authority();
  EXPECT_NE(one.key, other.key);
  EXPECT_NE(ASN1_INTEGER_cmp(X509_get0_serialNumber(ReadX509(one).get()),
                             X509_get0_serialNumber(ReadX509(other).get())),
            0);
}

TEST(Authority, AServersCertificateIsRenewedWhenTwoThirdsAreOver) {
  const KeyPair ca = Authority();
  const KeyPair server = *SignServer(ca, Names(), 30 * kDay, kNow);
  EXPECT_THAT(ServerFault(server, ca, Names(), kNow), IsEmpty());
  EXPECT_THAT(ServerFault(server, ca, Names(), kNow + 19 * kDay), IsEmpty());
  EXPECT_THAT(ServerFault(server, ca, Names(), kNow + 21 * kDay), HasSubstr("two thirds"));
}

TEST(Authority, WhatCannotBeServedIsSignedAnewAndTheReasonSaid) {
  const KeyPair ca = Authority();
  const KeyPair server = *SignServer(ca, Names(), 30 * kDay, kNow);
  const auto fault = [&](const KeyPair& held) { return ServerFault(held, ca, Names(), kNow); };
  EXPECT_THAT(fault({}), HasSubstr("no certificate in PEM"));
  EXPECT_THAT(fault({"rubbish", server.key}), HasSubstr("no certificate in PEM"));
  EXPECT_THAT(fault({server.certificate.substr(0, 300), server.key}), HasSubstr("certificate 1"));
  EXPECT_THAT(fault({server.certificate, "rubbish"}), HasSubstr("its key"));
  EXPECT_THAT(fault({server.certificate, ca.key}), HasSubstr("another certificate's"));
  EXPECT_THAT(ServerFault(server, ca, Names(), kNow + 31 * kDay), HasSubstr("expired at 2027"));
  EXPECT_THAT(ServerFault(server, ca, Names(), kNow - kDay), HasSubstr("begins at"));
  EXPECT_THAT(ServerFault(server, Authority(), Names(), kNow), HasSubstr("another CA"));
  EXPECT_THAT(
      ServerFault(server, ca, NamesOfService("portolan-injector", "elsewhere", "c.local"), kNow),
      HasSubstr("it is not for portolan-injector.elsewhere.svc"));
}

TEST(Certificate, OfABundleWhatComesBeforeRubbishIsSalvaged) {
  const KeyPair one = Authority(), other = Authority();
  const std::string torn = one.certificate + other.certificate.substr(0, 200);
  EXPECT_FALSE(Certificate::ReadAll(torn).ok());
  ASSERT_EQ(Certificate::Salvage(torn).size(), 1u);
  EXPECT_EQ(Certificate::Salvage(torn)[0], Read(one));
  EXPECT_EQ(Read(one).Pem(), one.certificate);
}

}  // namespace
}  // namespace portolan::injector

// What the server shows to who connects, seen by OpenSSL.
#include <gmock/gmock.h>
#include <openssl/ssl.h>

#include "tests/common/certificates.h"
#include "tests/xds/serving/delta_server.h"

namespace portolan::xds {
namespace {

using test::Identity;
using test::MakeIdentity;

// The public key of the certificate shown on `port`, PEM; empty if there was no handshake.
std::string KeyShownOn(uint16_t port, int version = TLS1_3_VERSION) {
  std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> context(SSL_CTX_new(TLS_client_method()),
                                                            SSL_CTX_free);
  SSL_CTX_set_security_level(context.get(), 0);  // or OpenSSL itself would not try TLS 1.1
  SSL_CTX_set_min_proto_version(context.get(), version);
  SSL_CTX_set_max_proto_version(context.get(), version);
  const unsigned char h2[] = "\x02h2";
  SSL_CTX_set_alpn_protos(context.get(), h2, 3);
  std::unique_ptr<BIO, decltype(&BIO_free_all)> connection(BIO_new_ssl_connect(context.get()),
                                                           BIO_free_all);
  BIO_set_conn_hostname(connection.get(), fmt::format("127.0.0.1:{}", port).c_str());
  if (BIO_do_handshake(connection.get()) != 1) return {};
  SSL* ssl = nullptr;
  BIO_get_ssl(connection.get(), &ssl);
  BIO* out = BIO_new(BIO_s_mem());
  PEM_write_bio_PUBKEY(out, X509_get0_pubkey(SSL_get0_peer_certificate(ssl)));
  return test::TakeText(out);
}

std::string KeyOf(const Identity& identity) {
  BIO* out = BIO_new(BIO_s_mem());
  PEM_write_bio_PUBKEY(out, identity.key.get());
  return test::TakeText(out);
}

class ServerOverTls : public testing::Test {
 protected:
  void SetUp() override {
    const SocketAddress any_port = *SocketAddress::Parse("127.0.0.1:0");
    auto started = Server::Start(
        {.listen = {any_port, any_port}, .identifier = "test", .identity = test::Unchecked(first)},
        cache.current());
    ASSERT_TRUE(started.ok()) << started.status();
    server = *std::move(started);
  }

  const Identity ca = MakeIdentity("ca", nullptr);
  const Identity first = MakeIdentity("control", &ca, "IP:127.0.0.1");
  ResourceCache cache;
  std::unique_ptr<Server> server;
};

TEST_F(ServerOverTls, ANewCertificateIsShownOnEveryPortFromThenOn) {
  for (const SocketAddress& at : server->listening()) EXPECT_EQ(KeyShownOn(at.port), KeyOf(first));
  for (int i = 0; i < 3; ++i) {
    const Identity next = MakeIdentity("control", &ca, "IP:127.0.0.1");
    server->SetIdentity(test::Unchecked(next));
    for (const SocketAddress& at : server->listening()) EXPECT_EQ(KeyShownOn(at.port), KeyOf(next));
  }
}

TEST_F(ServerOverTls, AKeyOfAnotherCertificateLeavesTheOneBeforeInForce) {
  TlsIdentity mixed = test::Unchecked(first);
  mixed.key = test::KeyPem(ca);
  server->SetIdentity(mixed);
  EXPECT_EQ(KeyShownOn(server->listening()[0].port), KeyOf(first));
}

TEST_F(ServerOverTls, VersionsBelowTls12AreRefused) {
  const uint16_t port = server->listening()[0].port;
  EXPECT_EQ(KeyShownOn(port, TLS1_1_VERSION), "");
  EXPECT_EQ(KeyShownOn(port, TLS1_2_VERSION), KeyOf(first));
  EXPECT_EQ(KeyShownOn(port, TLS1_3_VERSION), KeyOf(first));
}

}  // namespace
}  // namespace portolan::xds

#include "dns/upstream/tls.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/status.h"
#include "tests/dns/upstream/tls_world.h"
#include "tests/dns/upstream/upstream_fixture.h"

namespace portolan::dns::upstream {
namespace {

using test::Client;
using test::Identity;
using test::MakeIdentity;
using test::MakeQuery;
using test::Metric;
using test::Servers;
using test::TlsServer;
using ::testing::HasSubstr;
using wire::type::kA;

class Tls : public test::AskingUpstreams {
 protected:
  std::shared_ptr<const TlsTrust> Trust() {
    auto trust = TlsTrust::Load({.certificate = "", .key = "", .ca = files_.Write("ca", ca_)});
    EXPECT_TRUE(trust.ok()) << trust.status();
    return *std::move(trust);
  }
  ServerSetConfig Config(std::vector<ServerConfig> servers) {
    ServerSetConfig config{std::move(servers)};
    config.options.trust = Trust();
    return config;
  }
  // Asks the server under `name`; the reply's Extended DNS Error, "ok" for an answer.
  std::string Outcome(TlsServer& server, const std::string& name) {
    Upstream upstream(loop_);
    Servers servers(Config({server.Config(name)}), upstream);
    Client& client = clients_.Make(MakeQuery("x.example", kA, test::kEdns));
    Ask(upstream, servers, client);
    for (const char* reason : {"untrusted", "expired", "wrong_name", "handshake"}) {
      if (Metric(upstream, "portolan_upstream_tls_failures_total", reason) > 0) reason_ = reason;
    }
    return client.rcode() == 0 && client.answers() == 1 ? "ok" : client.error();
  }

  static constexpr char kUnverified[] = "23 no upstream could be verified over TLS";

  test::PemFiles files_;
  Identity ca_ = MakeIdentity("a CA", nullptr);
  Identity named_ = MakeIdentity("x", &ca_, "DNS:dns.example");
  std::string reason_;
};

TEST_F(Tls, QuestionsGoOverOneVerifiedConnection) {
  TlsServer server(loop_, named_);
  Upstream upstream(loop_);
  Servers servers(Config({server.Config("dns.example")}), upstream);
  for (const char* name : {"a.example", "b.example", "c.example"}) {
    Client& client = clients_.Make(MakeQuery(name, kA));
    Ask(upstream, servers, client);
    EXPECT_EQ(client.answers(), 1);
  }
  EXPECT_EQ(server.accepted, 1u);
  EXPECT_EQ(server.asked_name, "dns.example");
  EXPECT_EQ(Metric(servers, "coredns_proxy_conn_cache_hits_total", "tcp-tls"), 2u);
}

TEST_F(Tls, WithoutANameTheAddressIsVerified) {
  const Identity numbered = MakeIdentity("x", &ca_, "IP:127.0.0.1");
  TlsServer right(loop_, numbered);
  EXPECT_EQ(Outcome(right, ""), "ok");
  TlsServer wrong(loop_, named_);
  EXPECT_EQ(Outcome(wrong, ""), kUnverified);
  EXPECT_EQ(reason_, "wrong_name");
}

TEST_F(Tls, AServerThatCannotBeVerifiedIsAFailedServer) {
  TlsServer misnamed(loop_, named_);
  EXPECT_EQ(Outcome(misnamed, "other.example"), kUnverified);
  EXPECT_EQ(reason_, "wrong_name");
  const Identity stranger = MakeIdentity("another CA", nullptr);
  const Identity foreign = MakeIdentity("x", &stranger, "DNS:dns.example");
  TlsServer untrusted(loop_, foreign);
  EXPECT_EQ(Outcome(untrusted, "dns.example"), kUnverified);
  EXPECT_EQ(reason_, "untrusted");
  const Identity old = MakeIdentity("x", &ca_, "DNS:dns.example", 0);
  TlsServer expired(loop_, old);
  EXPECT_EQ(Outcome(expired, "dns.example"), kUnverified);
  EXPECT_EQ(reason_, "expired");
  for (const TlsServer* server : {&misnamed, &untrusted, &expired}) {
    EXPECT_TRUE(server->queries.empty()) << "nothing is asked of a server that is not verified";
  }
}

TEST_F(Tls, APlainServerIsNotAskedInTheClear) {
  Upstream upstream(loop_);
  ServerConfig plain(a_.address);
  plain.tls = true;
  Servers servers(Config({plain}), upstream);
  Client& client = clients_.Make(MakeQuery("x.example", kA));
  upstream.Ask(servers, client.exchange());
  test::RunUntil(
      loop_, [&] { return client.done(); }, absl::Milliseconds(500));
  EXPECT_TRUE(a_.udp_queries.empty());
  EXPECT_TRUE(a_.tcp_queries.empty());
}

TEST_F(Tls, OldProtocolsAreRefused) {
  TlsServer server(loop_, named_);
  SSL_CTX_set_min_proto_version(server.context(), TLS1_VERSION);
  SSL_CTX_set_max_proto_version(server.context(), TLS1_1_VERSION);
  EXPECT_EQ(Outcome(server, "dns.example"), kUnverified);
  EXPECT_EQ(reason_, "handshake");
}

TEST_F(Tls, SessionsAreResumed) {
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    TlsServer server(loop_, named_);
    SSL_CTX_set_max_proto_version(server.context(), version);
    Upstream upstream(loop_);
    ServerSetConfig config = Config({server.Config("dns.example")});
    config.options.streams.expire = absl::ZeroDuration();
    Servers servers(config, upstream);
    for (const char* name : {"a.example", "b.example"}) {
      Client& client = clients_.Make(MakeQuery(name, kA));
      Ask(upstream, servers, client);
      EXPECT_EQ(client.answers(), 1);
    }
    EXPECT_EQ(server.accepted, 2u);
    EXPECT_EQ(Metric(servers, "portolan_upstream_tls_handshakes_total", "resumed"), 1u) << version;
  }
}

TEST_F(Tls, AClientCertificateIsShown) {
  TlsServer server(loop_, named_);
  SSL_CTX_set_verify(server.context(), SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  X509_STORE_add_cert(SSL_CTX_get_cert_store(server.context()), ca_.certificate.get());
  const Identity pod = MakeIdentity("pod", &ca_);
  Upstream upstream(loop_);
  ServerSetConfig config = Config({server.Config("dns.example")});
  config.options.trust = *TlsTrust::Load({.certificate = files_.Write("cert", pod),
                                          .key = files_.WriteKey("key", pod),
                                          .ca = files_.Write("ca", ca_)});
  Servers servers(config, upstream);
  Client& client = clients_.Make(MakeQuery("x.example", kA));
  Ask(upstream, servers, client);
  EXPECT_EQ(client.answers(), 1);
}

TEST_F(Tls, AClosedConnectionIsReplacedUnderTheQuestion) {
  TlsServer server(loop_, named_);
  Upstream upstream(loop_);
  Servers servers(Config({server.Config("dns.example")}), upstream);
  Ask(upstream, servers, clients_.Make(MakeQuery("a.example", kA)));
  server.CloseAll();
  Client& client = clients_.Make(MakeQuery("b.example", kA));
  EXPECT_LT(Ask(upstream, servers, client), absl::Milliseconds(250));
  EXPECT_EQ(client.answers(), 1);
}

TEST_F(Tls, FilesThatCannotBeUsedAreErrorsThatNameThem) {
  const auto error = [](const TlsFiles& files) {
    return std::string(Message(TlsTrust::Load(files).status()));
  };
  EXPECT_THAT(error({"", "", "/nonexistent/ca"}), HasSubstr("CA file /nonexistent/ca: "));
  const std::string ca = files_.Write("ca", ca_);
  const std::string text = files_.WriteText("text", "no certificate");
  EXPECT_THAT(error({text, "", ca}), HasSubstr("certificate " + text));
  const std::string certificate = files_.Write("cert", named_);
  EXPECT_THAT(error({certificate, files_.WriteKey("key", ca_), ca}), HasSubstr("key "));
}

}  // namespace
}  // namespace portolan::dns::upstream

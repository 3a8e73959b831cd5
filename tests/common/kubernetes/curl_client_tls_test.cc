// Requests over TLS and HTTP/2, nghttpx being the server.
#include <gmock/gmock.h>

#include "common/kubernetes/curl_client.h"
#include "tests/common/certificates.h"
#include "tests/common/kubernetes/api_calls.h"
#include "tests/common/kubernetes/raw_server.h"

namespace portolan {
namespace {

using portolan::test::AwaitClose;
using portolan::test::CertificatePem;
using portolan::test::Identity;
using portolan::test::KeyPem;
using portolan::test::MakeIdentity;
using portolan::test::Nghttpx;
using portolan::test::PemFiles;
using portolan::test::RawServer;
using portolan::test::SendAll;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr char kForLoopback[] = "IP:127.0.0.1,DNS:api.example";

// A watch that says one word and then nothing, and any other request answered at once.
bool WatchOrAnswer(int fd, const std::string& head) {
  if (head.find("watch") == std::string::npos) {
    SendAll(fd, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}");
    return true;
  }
  SendAll(fd, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n");
  AwaitClose(fd);
  return false;
}

class ApiOverTls : public test::ApiCalls {
 protected:
  void StartServer(const Identity& shown, std::vector<std::string> more = {}) {
    server = std::make_unique<Nghttpx>(backend.port(), files.Write("tls.crt", shown),
                                       files.WriteKey("tls.key", shown), std::move(more));
    access.server = server->url();
    access.ca = CertificatePem(ca);
    access.ca_origin = "/tls/ca.crt";
  }
  std::string Fault(const Identity& shown) {
    StartServer(shown);
    return FaultNow();
  }
  // Without the server's address, which comes first.
  std::string FaultNow() {
    const std::string fault = Fetch({.target = "/"}).fault();
    EXPECT_THAT(fault, StartsWith(access.server + ": "));
    return fault.substr(std::min(fault.size(), access.server.size() + 2));
  }
  test::Call& Watch() {
    return Start({.target = "/?watch=true",
                  .timeout = absl::InfiniteDuration(),
                  .silence = absl::InfiniteDuration()});
  }
  bool AllSaid(const std::string& word) const {
    return std::all_of(calls.begin(), calls.end(),
                       [&](const test::Call& call) { return call.body == word; });
  }

  const Identity ca = MakeIdentity("ca", nullptr);
  const Identity good = MakeIdentity("api", &ca, kForLoopback);
  PemFiles files;
  RawServer backend{WatchOrAnswer};
  std::unique_ptr<Nghttpx> server;
};

TEST_F(ApiOverTls, ManyWatchesAndRequestsShareOneHttp2Connection) {
  StartServer(good);
  for (int i = 0; i < 40; ++i) Watch();
  RunUntil([&] { return AllSaid("first"); });
  for (int i = 0; i < 5; ++i) EXPECT_EQ(Fetch({.target = "/"}).body, "{}");
  EXPECT_EQ(Metric("portolan_kubernetes_connections_total"), 1);
  EXPECT_THAT(backend.requests().at(0), HasSubstr(" HTTP/1.1\r\n"));
  EXPECT_THAT(backend.requests().at(0), HasSubstr("\r\nVia: 2 nghttpx\r\n"));
}

TEST_F(ApiOverTls, WithoutHttp2EachWatchHasAConnection) {
  StartServer(good, {"--npn-list=http/1.1"});
  for (int i = 0; i < 3; ++i) Watch();
  RunUntil([&] { return AllSaid("first"); });
  EXPECT_EQ(Metric("portolan_kubernetes_connections_total"), 3);
}

TEST_F(ApiOverTls, AWatchThatIsCancelledLeavesTheOthersTheirConnection) {
  StartServer(good);
  test::Call& first = Watch();
  test::Call& second = Watch();
  RunUntil([&] { return AllSaid("first"); });
  first.exchange.reset();
  EXPECT_EQ(Fetch({.target = "/"}).body, "{}");
  EXPECT_FALSE(second.ended());
  EXPECT_EQ(Metric("portolan_kubernetes_connections_total"), 1);
}

TEST_F(ApiOverTls, ACutConnectionEndsAllThatWereOnItAndTheNextIsANewOne) {
  StartServer(good);
  test::Call& first = Watch();
  test::Call& second = Watch();
  RunUntil([&] { return AllSaid("first"); });
  server->Kill();
  RunUntil([&] { return first.ended() && second.ended(); });
  EXPECT_THAT(first.fault(), StartsWith(access.server + ": the connection was lost: "));
  StartServer(good);
  EXPECT_EQ(Fetch({.target = "/"}).body, "{}");
}

// A machine that is gone answers nothing; a stopped process's kernel even acknowledges.
TEST_F(ApiOverTls, AConnectionThatFellSilentIsNotUsedAgain) {
  StartServer(good);
  test::Call& patient = Watch();
  RunUntil([&] { return patient.body == "first"; });
  const std::string stopped = access.server;
  server->Signal(SIGSTOP);
  const test::Call& call = Fetch({.target = "/", .timeout = absl::Milliseconds(300)});
  EXPECT_EQ(call.fault(), stopped + ": not done within 300ms");
  // It shared the silence.
  RunUntil([&] { return patient.ended(); });
  server->Signal(SIGCONT);
  EXPECT_EQ(Fetch({.target = "/"}).body, "{}");
  EXPECT_EQ(Metric("portolan_kubernetes_connections_total"), 2);
}

TEST_F(ApiOverTls, ASilentWatchEndsAloneWhereOthersAreHeard) {
  StartServer(good);
  test::Call& patient = Watch();
  test::Call& impatient = Start({.target = "/?watch=true",
                                 .timeout = absl::InfiniteDuration(),
                                 .silence = absl::Milliseconds(300)});
  RunUntil([&] { return patient.body == "first" && impatient.body == "first"; });
  while (!impatient.ended()) Fetch({.target = "/"});
  EXPECT_EQ(impatient.fault(), access.server + ": nothing came for 300ms");
  EXPECT_EQ(Fetch({.target = "/"}).body, "{}");
  EXPECT_FALSE(patient.ended());
  EXPECT_EQ(Metric("portolan_kubernetes_connections_total"), 1);
}

TEST_F(ApiOverTls, AWrongCaIsNamed) {
  const Identity other_ca = MakeIdentity("other", nullptr);
  EXPECT_THAT(Fault(MakeIdentity("api", &other_ca, kForLoopback)),
              StartsWith("its certificate is signed by none of the CAs in /tls/ca.crt: "));
}

TEST_F(ApiOverTls, AnExpiredCertificateIsSaidToBe) {
  EXPECT_EQ(Fault(MakeIdentity("api", &ca, kForLoopback, 0)),
            "its certificate is not valid now: certificate has expired");
}

TEST_F(ApiOverTls, ACertificateForAnotherNameIsSaidToBe) {
  EXPECT_THAT(Fault(MakeIdentity("api", &ca, "DNS:api.example")),
              StartsWith("its certificate is for another name: "));
}

TEST_F(ApiOverTls, TlsServerNameSaysWhatTheCertificateIsFor) {
  const Identity named = MakeIdentity("api", &ca, "DNS:api.example");
  StartServer(named);
  access.tls_server_name = "api.example";
  const test::Call& call = Fetch({.target = "/x?a=%2F"});
  EXPECT_EQ(call.body, "{}") << call.fault();
  EXPECT_THAT(backend.requests().at(0),
              AllOf(StartsWith("GET /x?a=%2F "),
                    HasSubstr(fmt::format("Host: 127.0.0.1:{}\r\n", server->port()))));
  access.tls_server_name = "other.example";
  EXPECT_THAT(Fetch({.target = "/"}).fault(), HasSubstr("for another name"));
}

TEST_F(ApiOverTls, VerificationCanBeTurnedOff) {
  const Identity other_ca = MakeIdentity("other", nullptr);
  StartServer(MakeIdentity("api", &other_ca, ""));
  access.ca.clear();
  access.verified = false;
  EXPECT_EQ(Fetch({.target = "/"}).body, "{}");
}

TEST_F(ApiOverTls, AClientCertificateIsShownAndANewOneMakesANewConnection) {
  const Identity client_ca = MakeIdentity("client-ca", nullptr);
  StartServer(good, {"--verify-client",
                     "--verify-client-cacert=" + files.Write("client-ca.crt", client_ca)});
  EXPECT_THAT(Fetch({.target = "/"}).fault(), StartsWith(access.server + ": "));
  for (int i = 0; i < 2; ++i) {
    const Identity me = MakeIdentity("me", &client_ca);
    access.client_certificate = CertificatePem(me);
    access.client_key = KeyPem(me);
    const double before = Metric("portolan_kubernetes_connections_total");
    const test::Call& call = Fetch({.target = "/"});
    EXPECT_EQ(call.body, "{}") << call.fault();
    EXPECT_EQ(Metric("portolan_kubernetes_connections_total"), before + 1);
  }
  access.client_key = KeyPem(client_ca);
  access.client_certificate = CertificatePem(good);
  EXPECT_THAT(Fetch({.target = "/"}).fault(),
              HasSubstr("the client certificate or its key cannot be used"));
}

TEST_F(ApiOverTls, AProxyIsAskedForTheServer) {
  StartServer(good);
  RawServer proxy(portolan::test::ConnectProxy());
  access.proxy = proxy.url();
  access.authorization = "Bearer secret";
  const test::Call& call = Fetch({.target = "/"});
  EXPECT_EQ(call.body, "{}") << call.fault();
  EXPECT_EQ(call.heads, 1);
  EXPECT_THAT(proxy.requests().at(0),
              StartsWith(fmt::format("CONNECT 127.0.0.1:{} HTTP/1.1\r\n", server->port())));
  EXPECT_EQ(proxy.requests().at(0).find("secret"), std::string::npos);
  calls.clear();
  client.reset();
}

TEST_F(ApiOverTls, APortThatSpeaksNoTlsIsSaidToBe) {
  access.server = fmt::format("https://127.0.0.1:{}", backend.port());
  access.ca = CertificatePem(ca);
  EXPECT_EQ(FaultNow(), "what it speaks is not TLS");
}

TEST_F(ApiOverTls, CasThatAreNoneAreSaidToBe) {
  StartServer(good);
  access.ca = "rubbish";
  EXPECT_THAT(FaultNow(), StartsWith("the CAs in /tls/ca.crt cannot be used: "));
}

}  // namespace
}  // namespace portolan

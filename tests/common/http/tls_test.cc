#include "common/http/tls.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <csignal>
#include <cstdio>
#include <optional>
#include <string>
#include <utility>

#include "common/http/server.h"
#include "tests/common/certificates.h"
#include "tests/common/http/served.h"
#include "tests/common/http/tls_client.h"

namespace portolan::http {
namespace {

using test::Identity;
using test::MakeIdentity;
using test::Unchecked;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr std::string_view kGet = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
constexpr std::string_view kLastGet = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

std::string OutputOf(const std::string& command) {
  FILE* pipe = popen(command.c_str(), "r");
  std::array<char, 4096> buffer{};
  std::string out;
  while (fgets(buffer.data(), buffer.size(), pipe) != nullptr) out += buffer.data();
  pclose(pipe);
  return out;
}

class Https : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { signal(SIGPIPE, SIG_IGN); }  // for the client's OpenSSL

  Server::Options With(Server::Options options) const {
    options.tls = Unchecked(identity);
    return options;
  }
  static Server::Options Short() {
    Server::Options options;
    options.timeouts.handshake = absl::Milliseconds(80);
    options.timeouts.idle = absl::Milliseconds(80);
    return options;
  }
  static void Routes(Server& server) {
    server.Get(
        "/", [](const Request&, Responder responder) { responder.Send(TextResponse(200, "ok")); });
    server.Post("/echo", [](const Request& request, Responder responder) {
      responder.Send(TextResponse(200, request.body));
    });
  }
  static std::string Metrics(Served& served) {
    MetricsPage page;
    page.AddSource([&](MetricFamilies& families) {
      served.On([&](Server& server) {
        server.AddMetrics(families);
        return 0;
      });
    });
    return page.Render();
  }
  static testing::AssertionResult Counts(Served& served, const std::string& line) {
    for (int i = 0; i < 1000; ++i) {
      if (Metrics(served).find(line + "\n") != std::string::npos) {
        return testing::AssertionSuccess();
      }
      usleep(2000);
    }
    return testing::AssertionFailure() << line << " is not in\n" << Metrics(served);
  }
  static std::string Handshakes(std::string_view result, int n) {
    return "portolan_http_handshakes_total{server=\"test\",result=\"" + std::string(result) +
           "\"} " + std::to_string(n);
  }

  Identity identity = MakeIdentity("first", nullptr, "IP:127.0.0.1");
};

TEST_F(Https, Tls12And13AreServedAndNothingBelow) {
  Served served(Routes, With({}));
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    TlsClient client(served.address(), {.alpn = {}, .version = version});
    ASSERT_TRUE(client.Handshake()) << TlsClient::error();
    client.Send(kLastGet);
    EXPECT_THAT(client.Read(), AllOf(StartsWith("HTTP/1.1 200 "), EndsWith("ok\n")));
  }
  TlsClient old(served.address(), {.alpn = {}, .version = TLS1_1_VERSION});
  EXPECT_FALSE(old.Handshake());
  EXPECT_THAT(TlsClient::error(), HasSubstr("protocol version"));
  EXPECT_TRUE(Counts(served, Handshakes("http/1.1", 2)));
  EXPECT_TRUE(Counts(served, Handshakes("failed", 1)));
}

TEST_F(Https, AClientThatSpeaksNoVersionOfHttpIsRefused) {
  Served served(Routes, With({}));
  const auto chosen = [&](std::string_view alpn) {
    TlsClient client(served.address(), {.alpn = alpn});
    return client.Handshake() ? client.alpn() : TlsClient::error();
  };
  EXPECT_EQ(chosen("http/1.1"), "http/1.1");
  EXPECT_EQ(chosen("http/1.1,h2"), "h2");
  EXPECT_EQ(chosen("spdy/3,http/1.1"), "http/1.1");
  EXPECT_EQ(chosen(""), "");
  EXPECT_THAT(chosen("spdy/3"), HasSubstr("no application protocol"));
}

TEST_F(Https, ManyRequestsOfAnySizeGoOverOneConnection) {
  Server::Options options;
  options.limits.body_bytes = 4 << 20;
  Served served(Routes, With(options));
  TlsClient client(served.address());
  ASSERT_TRUE(client.Handshake());
  for (const size_t size : {0, 1, 16384, 16385, 3000000}) {
    client.Send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: " + std::to_string(size) +
                "\r\n\r\n" + std::string(size, 'x'));
    EXPECT_EQ(BodyOf(client.Read(size == 0 ? "\r\n\r\n\n" : "x\n")).size(), size + 1);
  }
}

TEST_F(Https, ReadsTheSameWhereverTheBytesAreSplit) {
  Served served(Routes, With({}));
  // A relay that passes on one byte at a time.
  TlsClient client(served.address());
  BIO* to_server = BIO_new(BIO_s_mem());
  BIO* from_server = BIO_new(BIO_s_mem());
  SSL_set_bio(client.ssl(), from_server, to_server);
  SSL_set_connect_state(client.ssl());
  const auto pass_on = [&] {
    char byte;
    while (BIO_read(to_server, &byte, 1) == 1) client.raw().Send({&byte, 1});
  };
  const auto take = [&] {
    char buffer[4096];
    const ssize_t n = recv(client.raw().fd(), buffer, sizeof buffer, 0);
    if (n > 0) BIO_write(from_server, buffer, static_cast<int>(n));
    return n > 0;
  };
  while (SSL_do_handshake(client.ssl()) != 1) {
    pass_on();
    ASSERT_TRUE(take());
  }
  client.Send(kLastGet);
  pass_on();
  std::string got;
  char buffer[4096];
  while (take()) {
    for (int n; (n = SSL_read(client.ssl(), buffer, sizeof buffer)) > 0;) got.append(buffer, n);
  }
  EXPECT_THAT(got, EndsWith("ok\n"));
}

TEST_F(Https, AnEndIsSaidSoThatNobodyTakesACutForOne) {
  Served served(Routes, With({}));
  TlsClient client(served.address());
  SSL_clear_options(client.ssl(), SSL_OP_IGNORE_UNEXPECTED_EOF);
  ASSERT_TRUE(client.Handshake());
  client.Send(kLastGet);
  EXPECT_THAT(client.Read(), EndsWith("ok\n"));  // and no <error>
}

TEST_F(Https, AnswersAPeerThatHasEndedItsSide) {
  Served served(Routes, With({}));
  TlsClient client(served.address());
  ASSERT_TRUE(client.Handshake());
  client.Send(kGet);
  client.End();
  EXPECT_THAT(client.Read(), EndsWith("ok\n"));
}

TEST_F(Https, AHandshakeThatDragsOnIsTimedOut) {
  Served served(Routes, With(Short()));
  Client slow(served.address());
  const std::string hello("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11);
  slow.Send(hello);
  int sent = 0;
  pollfd readable{slow.fd(), POLLIN, 0};
  while (sent < 200 && poll(&readable, 1, 20) == 0) {
    slow.Send("x");
    ++sent;
  }
  EXPECT_LT(sent, 200);
  Client silent(served.address());
  EXPECT_EQ(silent.Read(), "");
  EXPECT_TRUE(Counts(
      served, "portolan_http_rejected_total{server=\"test\",reason=\"handshake_timeout\"} 2"));
}

TEST_F(Https, HalfAHandshakeIsCounted) {
  Served served(Routes, With({}));
  {
    Client client(served.address());
    client.Send("\x16\x03\x01");
  }
  EXPECT_TRUE(Counts(served, Handshakes("gone", 1)));
  EXPECT_TRUE(served.Until([](Server& server) { return server.connection_count() == 0; }));
}

TEST_F(Https, GarbageEndsTheConnectionAndPlainHttpIsToldWhatThePortSpeaks) {
  Served served(Routes, With({}));
  Client garbage(served.address());
  garbage.Send(std::string(100, '\x80'));
  EXPECT_THAT(garbage.Read(), ::testing::AnyOf("", StartsWith("\x15")));  // perhaps an alert
  Client plain(served.address());
  plain.Send(kGet);
  EXPECT_THAT(plain.Read(), AllOf(StartsWith("HTTP/1.1 400 "), HasSubstr("HTTPS")));
  EXPECT_TRUE(Counts(served, Handshakes("failed", 2)));
}

TEST_F(Https, ADamagedRecordEndsTheConnection) {
  Server::Options options;
  options.timeouts.linger = absl::Milliseconds(10);
  Served served(Routes, With(options));
  TlsClient client(served.address());
  ASSERT_TRUE(client.Handshake());
  client.raw().Send(std::string("\x17\x03\x03\x00\x20", 5) + std::string(32, 'x'));
  EXPECT_THAT(client.Read(), HasSubstr("<error>"));
  EXPECT_TRUE(served.Until([](Server& server) { return server.connection_count() == 0; }));
}

TEST_F(Https, RenegotiationIsRefused) {
  Served served(Routes, With({}));
  TlsClient client(served.address(), {.alpn = {}, .version = TLS1_2_VERSION});
  ASSERT_TRUE(client.Handshake());
  SSL_renegotiate(client.ssl());
  EXPECT_NE(SSL_do_handshake(client.ssl()), 1);
}

TEST_F(Https, APeerThatDoesNotReadIsHeldBackThenClosed) {
  int answered = 0;
  Served served(
      [&](Server& server) {
        server.Get("/", [&](const Request&, Responder responder) {
          ++answered;
          responder.Send(TextResponse(200, std::string(1 << 20, 'x')));
        });
      },
      With(Short()));
  TlsClient client(served.address());
  ASSERT_TRUE(client.Handshake());
  for (int i = 0; i < 100; ++i) client.Send(kGet);
  ASSERT_TRUE(served.Until([](Server& server) { return server.connection_count() == 0; }));
  EXPECT_LT(served.On([&](Server&) { return answered; }), 50);
}

TEST_F(Https, NewConnectionsAreShownTheNewIdentityAndOldOnesStay) {
  Served served(Routes, With({}));
  TlsClient before(served.address());
  ASSERT_TRUE(before.Handshake());
  EXPECT_TRUE(before.Sees(identity.certificate.get()));

  const Identity next = MakeIdentity("second", nullptr, "IP:127.0.0.1");
  EXPECT_TRUE(served.On([&](Server& server) { return server.SetIdentity(Unchecked(next)); }).ok());
  TlsClient after(served.address());
  ASSERT_TRUE(after.Handshake());
  EXPECT_TRUE(after.Sees(next.certificate.get()));
  before.Send(kLastGet);
  EXPECT_THAT(before.Read(), EndsWith("ok\n"));

  TlsIdentity torn = Unchecked(next);
  torn.key = test::KeyPem(identity);
  const absl::Status refused = served.On([&](Server& server) { return server.SetIdentity(torn); });
  EXPECT_THAT(refused.ToString(), HasSubstr("key"));
  TlsClient still(served.address());
  ASSERT_TRUE(still.Handshake());
  EXPECT_TRUE(still.Sees(next.certificate.get()));
}

TEST_F(Https, AChainIsShownWhole) {
  const Identity leaf = MakeIdentity("leaf", &identity, "IP:127.0.0.1");
  TlsIdentity both = Unchecked(leaf);
  both.certificates += test::CertificatePem(identity);
  Server::Options options;
  options.tls = both;
  Served served(Routes, options);
  TlsClient client(served.address());
  ASSERT_TRUE(client.Handshake());
  EXPECT_EQ(sk_X509_num(SSL_get_peer_cert_chain(client.ssl())), 2);
}

TEST_F(Https, AnIdentityThatCannotBeUsedIsAnErrorBeforeAnythingListens) {
  EventLoop loop;
  Server::Options options{.name = "bad", .listen = {*SocketAddress::Parse("127.0.0.1:0")}};
  options.tls = TlsIdentity{"", "", absl::InfiniteFuture()};
  EXPECT_THAT(Server::Listen(loop, options).status().ToString(), HasSubstr("certificate"));
  options.tls = Unchecked(identity);
  options.tls->certificates += "-----BEGIN CERTIFICATE-----\nrubbish\n-----END CERTIFICATE-----\n";
  EXPECT_THAT(Server::Listen(loop, options).status().ToString(), HasSubstr("certificate"));
  options.tls = Unchecked(identity);
  options.tls->key.clear();
  EXPECT_THAT(Server::Listen(loop, options).status().ToString(), HasSubstr("key"));
}

TEST_F(Https, ConnectionsInTheirHandshakeMakeRoom) {
  Server::Options options;
  options.max_connections = 2;
  Served served(Routes, With(options));
  Client first(served.address());
  Client second(served.address());
  ASSERT_TRUE(served.Until([](Server& server) { return server.connection_count() == 2; }));
  TlsClient third(served.address());
  ASSERT_TRUE(third.Handshake());
  third.Send(kLastGet);
  EXPECT_THAT(third.Read(), EndsWith("ok\n"));
  EXPECT_EQ(first.Read(), "");
}

TEST_F(Https, CurlOpensslAndPythonAreServed) {
  if (system("{ command -v curl && command -v openssl && command -v python3; } >/dev/null") != 0) {
    GTEST_SKIP() << "not all are here";
  }
  Served served(Routes, With({}));
  test::PemFiles files;
  const std::string ca = files.Write("ca.crt", identity);
  const std::string at = served.address().ToString();
  EXPECT_EQ(OutputOf("head -c 300000 /dev/zero | curl -sS --http1.1 --noproxy '*' --cacert " + ca +
                     " --data-binary @- -H 'Expect: 100-continue' -o /dev/null -w '%{http_code} "
                     "%{size_download}' https://" +
                     at + "/echo"),
            "200 300001");
  const std::string client = "openssl s_client -connect " + at + " -CAfile " + ca +
                             " -verify_return_error -verify_ip 127.0.0.1 </dev/null 2>&1 ";
  EXPECT_THAT(OutputOf(client + "-tls1_3"), HasSubstr("Verify return code: 0 (ok)"));
  EXPECT_THAT(OutputOf(client + "-tls1_2"), HasSubstr("Verify return code: 0 (ok)"));
  EXPECT_THAT(OutputOf(client + "-tls1_1 -cipher ALL:@SECLEVEL=0"), HasSubstr("protocol version"));
  EXPECT_THAT(
      OutputOf("python3 -c \"import ssl, urllib.request as u; print(u.urlopen('https://" + at +
               "/', context=ssl.create_default_context(cafile='" + ca + "')).read())\" 2>&1"),
      HasSubstr("b'ok\\n'"));
}

}  // namespace
}  // namespace portolan::http

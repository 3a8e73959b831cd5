// HTTP/2 through the server: ALPN, deadlines, the end, and clients that are not ours.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <csignal>
#include <cstdio>
#include <optional>
#include <string>

#include "common/http/server.h"
#include "tests/common/certificates.h"
#include "tests/common/http/http2_client.h"
#include "tests/common/http/served.h"
#include "tests/common/http/tls_client.h"

namespace portolan::http {
namespace {

using ::testing::HasSubstr;

std::string OutputOf(const std::string& command) {
  FILE* pipe = popen(command.c_str(), "r");
  std::array<char, 4096> buffer{};
  std::string out;
  while (fgets(buffer.data(), buffer.size(), pipe) != nullptr) out += buffer.data();
  pclose(pipe);
  return out;
}

bool Here(const std::string& program) {
  return system(("command -v " + program + " >/dev/null").c_str()) == 0;
}

class Https2 : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { signal(SIGPIPE, SIG_IGN); }  // for the client's OpenSSL

  void Serve(Server::Options options) {
    options.tls = test::Unchecked(identity_);
    served_.emplace(
        [this](Server& server) {
          server.Get("/", [](const Request&, Responder responder) {
            responder.Send(TextResponse(200, "ok"));
          });
          server.Post("/size", [](const Request& request, Responder responder) {
            responder.Send(TextResponse(200, std::to_string(request.body.size())));
          });
          server.Get("/big", [](const Request&, Responder responder) {
            responder.Send(TextResponse(200, std::string(1 << 20, 'x')));
          });
          server.Get("/later", [this](const Request&, Responder responder) { kept_ = responder; });
        },
        options);
    tls_.emplace(served_->address(), TlsClient::Options{.alpn = "h2", .version = 0});
    ASSERT_TRUE(tls_->Handshake());
    ASSERT_EQ(tls_->alpn(), "h2");
  }

  // Until the server has nothing more to say for now and `done`, or it has ended the connection.
  template <typename Done>
  bool Talk(Done done) {
    for (int i = 0; i < 10000 && !done(); ++i) {
      const std::string out = client_.TakeOutput();
      if (!out.empty()) tls_->Send(out);
      pollfd readable{tls_->raw().fd(), POLLIN, 0};
      if (SSL_pending(tls_->ssl()) == 0 && poll(&readable, 1, 10) != 1) continue;
      char buffer[16384];
      const int n = SSL_read(tls_->ssl(), buffer, sizeof buffer);
      if (n <= 0) {
        ended_ = true;
        return done();
      }
      client_.Receive({buffer, static_cast<size_t>(n)});
    }
    return done();
  }
  bool Answered(int32_t id) {
    return Talk([&] { return client_.answer(id).closed; });
  }
  bool Ended() {
    return Talk([&] { return ended_; });
  }

  std::string url() const { return "https://" + served_->address().ToString(); }

  test::Identity identity_ = test::MakeIdentity("server", nullptr, "IP:127.0.0.1");
  std::optional<Responder> kept_;
  std::optional<Served> served_;
  std::optional<TlsClient> tls_;
  Http2Client client_;
  bool ended_ = false;
};

TEST_F(Https2, AnswersManyRequestsOnOneConnection) {
  Serve({});
  const int32_t later = client_.Ask("GET", "/later");
  for (int i = 0; i < 200; ++i) {
    const int32_t id = client_.Ask("POST", "/size", {}, Http2Client::Body{"four", true, {}});
    ASSERT_TRUE(Answered(id));
    EXPECT_EQ(client_.answer(id).body, "4\n");
  }
  served_->On([&](Server&) {
    kept_->Send(TextResponse(200, "at last"));
    return 0;
  });
  ASSERT_TRUE(Answered(later));
  EXPECT_EQ(client_.answer(later).body, "at last\n");
  const int32_t big = client_.Ask("GET", "/big");
  ASSERT_TRUE(Answered(big));
  EXPECT_EQ(client_.answer(big).body.size(), (1u << 20) + 1);
}

TEST_F(Https2, ASilentPeerIsBidGoodbye) {
  Server::Options options;
  options.timeouts.idle = absl::Milliseconds(80);
  Serve(options);
  const int32_t id = client_.Ask("GET", "/");
  ASSERT_TRUE(Answered(id));
  EXPECT_TRUE(Ended());
  ASSERT_TRUE(client_.goaway());
  EXPECT_EQ(client_.goaway()->last, id);
}

TEST_F(Https2, AConnectionThatSaysNothingIsTimedOut) {
  Server::Options options;
  options.timeouts.header = absl::Milliseconds(80);
  Serve(options);
  tls_->Send("PRI * HT");
  tls_->Read();  // SETTINGS, GOAWAY, the end
  EXPECT_TRUE(served_->Until([](Server& server) { return server.connection_count() <= 1; }));
}

TEST_F(Https2, ABodyThatDoesNotArriveIsTimedOutAndTheOthersAreNot) {
  Server::Options options;
  options.timeouts.body = absl::Milliseconds(80);
  Serve(options);
  const int32_t slow = client_.Ask("POST", "/size", {}, Http2Client::Body{"a", false, {}});
  const int32_t later = client_.Ask("GET", "/later");
  ASSERT_TRUE(Answered(slow));
  EXPECT_EQ(client_.answer(slow).status, 408);
  served_->On([&](Server&) {
    kept_->Send(TextResponse(200, "late"));
    return 0;
  });
  ASSERT_TRUE(Answered(later));
  EXPECT_EQ(client_.answer(later).status, 200);
}

TEST_F(Https2, AHandlerThatNeverAnswersIsA503HoweverBusyTheConnectionIs) {
  Server::Options options;
  options.timeouts.answer = absl::Milliseconds(80);
  Serve(options);
  const int32_t forgotten = client_.Ask("GET", "/later");
  while (!client_.answer(forgotten).closed) ASSERT_TRUE(Answered(client_.Ask("GET", "/")));
  EXPECT_EQ(client_.answer(forgotten).status, 503);
}

TEST_F(Https2, APeerThatAllowsNothingIsClosed) {
  Server::Options options;
  options.timeouts.idle = absl::Milliseconds(80);
  Serve(options);
  client_.SetInitialWindow(0);
  client_.Ask("GET", "/big");
  EXPECT_TRUE(Ended());
}

TEST_F(Https2, ADrainedConnectionIsAnsweredThenGone) {
  bool gone = false;
  Serve({});
  const int32_t first = client_.Ask("GET", "/");
  ASSERT_TRUE(Answered(first));
  served_->On([&](Server& server) {
    server.Drain(absl::Milliseconds(50), [&] { gone = true; });
    return 0;
  });
  const int32_t second = client_.Ask("GET", "/");
  ASSERT_TRUE(Answered(second));
  EXPECT_EQ(client_.answer(second).body, "ok\n");
  EXPECT_TRUE(Ended());
  tls_->raw().ShutdownWrite();
  EXPECT_TRUE(served_->Until([&](Server&) { return gone; }));
}

TEST_F(Https2, CurlIsServed) {
  if (!Here("curl")) GTEST_SKIP() << "no curl here";
  Server::Options options;
  options.limits.body_bytes = 3 << 20;
  Serve(options);
  const std::string curl = "curl -sS --http2 --noproxy '*' -k -w ' %{http_version} %{http_code}' ";
  EXPECT_EQ(OutputOf("head -c 3000000 /dev/zero | " + curl + "--data-binary @- " + url() + "/size"),
            "3000000\n 2 200");
  EXPECT_THAT(
      OutputOf("head -c 5000000 /dev/zero | " + curl + "--data-binary @- " + url() + "/size"),
      HasSubstr("larger than 3145728 bytes\n 2 413"));
  EXPECT_EQ(OutputOf(curl + "-I -o /dev/null " + url() + "/"), " 2 200");
  EXPECT_EQ(OutputOf(curl + "-o /dev/null " + url() + "/big " + url() + "/nothing"),
            " 2 200no such page\n 2 404");
}

TEST_F(Https2, NghttpAndH2loadAreServed) {
  if (!Here("nghttp") || !Here("h2load")) GTEST_SKIP() << "no nghttp2-client here";
  Serve({});
  EXPECT_THAT(OutputOf("nghttp -nvsy --no-verify-peer " + url() + "/big " + url() + "/ 2>&1"),
              testing::AllOf(HasSubstr("The negotiated protocol: h2"), HasSubstr(":status: 200")));
  EXPECT_THAT(OutputOf("h2load -n 3000 -c 3 -m 50 " + url() + "/ 2>&1"),
              HasSubstr("3000 succeeded, 0 failed, 0 errored, 0 timeout"));
  EXPECT_THAT(OutputOf("h2load --h1 -n 3000 -c 3 -m 5 " + url() + "/ 2>&1"),
              HasSubstr("3000 succeeded, 0 failed, 0 errored, 0 timeout"));
}

}  // namespace
}  // namespace portolan::http

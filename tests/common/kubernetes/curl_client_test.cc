// Requests over plain HTTP/1.1, and what a server can do to them.
#include "common/kubernetes/curl_client.h"

#include <gmock/gmock.h>

#include "tests/common/kubernetes/api_calls.h"
#include "tests/common/kubernetes/raw_server.h"

namespace portolan {
namespace {

using portolan::test::AwaitClose;
using portolan::test::RawServer;
using portolan::test::SendAll;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

RawServer::Serve Always(const std::string& answer) {
  return [answer](int fd, const std::string&) {
    SendAll(fd, answer);
    return true;
  };
}

std::string Ok(const std::string& body) {
  return fmt::format(
      "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{}",
      body.size(), body);
}

class Api : public test::ApiCalls {
 protected:
  RawServer& Serve(RawServer::Serve serve) {
    server = std::make_unique<RawServer>(std::move(serve));
    access.server = server->url();
    return *server;
  }
  void TearDown() override {
    test::ApiCalls::TearDown();
    server.reset();
  }

  std::unique_ptr<RawServer> server;
};

TEST_F(Api, ARequestSaysWhoAsksAndTakesJsonAndGzip) {
  Serve(Always(Ok("{}")));
  access.authorization = "Bearer abc";
  const test::Call& call = Fetch({.target = "/api/v1/services?limit=500&continue=a%2Fb"});
  EXPECT_TRUE(call.end->ok()) << call.fault();
  EXPECT_EQ(call.heads, 1);
  EXPECT_EQ(call.head.status, 200);
  EXPECT_EQ(call.head.content_type, "application/json");
  EXPECT_EQ(call.body, "{}");
  EXPECT_THAT(
      server->requests().at(0),
      AllOf(StartsWith("GET /api/v1/services?limit=500&continue=a%2Fb HTTP/1.1\r\n"),
            HasSubstr("User-Agent: portolan-control/test\r\n"),
            HasSubstr("Authorization: Bearer abc\r\n"), HasSubstr("Accept: application/json\r\n"),
            HasSubstr("Accept-Encoding: gzip\r\n")));
}

TEST_F(Api, ABodyIsSentAsItStands) {
  Serve(Always("HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n"));
  const std::string body(2 << 20, '{');
  EXPECT_EQ(Fetch({.method = "POST", .target = "/x", .body = body}).head.status, 201);
  const std::string request = server->requests().at(0);
  EXPECT_TRUE(request.ends_with("\r\n\r\n" + body));
  EXPECT_THAT(request.substr(0, 500), AllOf(StartsWith("POST /x "), Not(HasSubstr("Expect")),
                                            HasSubstr("Content-Type: application/json\r\n")));
}

TEST_F(Api, AnyStatusIsAnAnswerAndRetryAfterIsRead) {
  Serve(
      Always("HTTP/1.1 429 Too Many Requests\r\nRetry-After: 7\r\nContent-Type: text/plain\r\n"
             "Content-Length: 4\r\n\r\nbusy"));
  const test::Call& call = Fetch({.target = "/"});
  EXPECT_TRUE(call.end->ok());
  EXPECT_EQ(call.head.status, 429);
  EXPECT_EQ(call.head.retry_after, absl::Seconds(7));
  EXPECT_EQ(call.body, "busy");
  EXPECT_EQ(Metric("portolan_kubernetes_requests_total", "4xx"), 1);
}

TEST_F(Api, A401IsToldToWhoeverKeepsTheCredentials) {
  Serve(Always("HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n"));
  EXPECT_EQ(Fetch({.target = "/"}).head.status, 401);
  EXPECT_EQ(source_->refusals, 1);
}

TEST_F(Api, AnInterimAnswerIsNoHead) {
  Serve(Always("HTTP/1.1 103 Early Hints\r\nRetry-After: 7\r\n\r\n" + Ok("{}")));
  const test::Call& call = Fetch({.target = "/"});
  EXPECT_EQ(call.heads, 1);
  EXPECT_EQ(call.head.status, 200);
  EXPECT_EQ(call.head.retry_after, std::nullopt);
}

TEST_F(Api, AGzippedBodyArrivesUnpacked) {
  using namespace std::string_literals;
  const std::string packed =
      "\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\xab\x56\xca\xce\xcc\x4b\x51\xb2\x52\x0a\x4e\x2d\x2a"
      "\xcb\x4c\x4e\xf5\xc9\x2c\x2e\x51\xaa\x05\x00\xab\xeb\xf9\x90\x16\x00\x00\x00"s;
  Serve(
      Always(fmt::format("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\n\r\n",
                         packed.size()) +
             packed));
  const test::Call& call = Fetch({.target = "/"});
  EXPECT_EQ(call.fault(), "");
  EXPECT_EQ(call.body, "{\"kind\":\"ServiceList\"}");
}

TEST_F(Api, OneConnectionServesOneRequestAfterTheOther) {
  Serve(Always(Ok("{}")));
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(Fetch({.target = "/"}).end->ok());
  EXPECT_EQ(server->connections(), 1);
}

TEST_F(Api, AStreamIsHandedOnAsItComes) {
  Serve([](int fd, const std::string&) {
    SendAll(fd, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n");
    AwaitClose(fd);
    return false;
  });
  test::Call& call = Start({.target = "/?watch=true", .timeout = absl::InfiniteDuration()});
  RunUntil([&] { return call.body == "one"; });
  EXPECT_FALSE(call.ended());
}

TEST_F(Api, AStreamWithoutItsEndIsAnError) {
  Serve([](int fd, const std::string&) {
    SendAll(fd, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n");
    return false;
  });
  const test::Call& call = Fetch({.target = "/"});
  EXPECT_EQ(call.body, "one");
  EXPECT_THAT(call.fault(), StartsWith(access.server + ": the connection was lost: "));
  EXPECT_EQ(Metric("portolan_kubernetes_requests_total", "failed"), 1);
}

TEST_F(Api, AnExchangeMayBeDestroyedInAnyOfItsCalls) {
  Serve([](int fd, const std::string&) {
    SendAll(fd, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n");
    SendAll(fd, "3\r\ntwo\r\n0\r\n\r\n");
    return true;
  });
  for (auto at : {&test::Call::on_head, &test::Call::on_bytes, &test::Call::on_end}) {
    test::Call& call = Start({.target = "/"});
    bool was_called = false;
    call.*at = [&] {
      was_called = true;
      call.exchange.reset();
    };
    RunUntil([&] { return was_called; });
    EXPECT_TRUE(Fetch({.target = "/"}).end->ok());
    EXPECT_EQ(call.ended(), at == &test::Call::on_end);
  }
  EXPECT_EQ(Metric("portolan_kubernetes_requests_total", "cancelled"), 2);
}

TEST_F(Api, ARequestMayBeStartedInAnyCallOfAnother) {
  Serve(Always(Ok("{}")));
  test::Call& first = Start({.target = "/"});
  int started = 0;
  first.on_head = first.on_bytes = first.on_end = [&] {
    ++started;
    Start({.target = "/next"});
  };
  RunUntil([&] {
    return calls.size() == 4 &&
           std::all_of(calls.begin(), calls.end(), [](const auto& call) { return call.ended(); });
  });
  EXPECT_EQ(started, 3);
}

TEST_F(Api, ACancelledRequestIsHeardOfNoMore) {
  Serve(Always(Ok("{}")));
  test::Call& cancelled = Start({.target = "/"});
  cancelled.exchange.reset();
  EXPECT_TRUE(Fetch({.target = "/"}).end->ok());
  EXPECT_EQ(cancelled.heads, 0);
  EXPECT_FALSE(cancelled.ended());
}

TEST_F(Api, ALateAnswerIsGivenUp) {
  Serve([](int fd, const std::string&) {
    AwaitClose(fd);
    return false;
  });
  const test::Call& call = Fetch({.target = "/", .timeout = absl::Milliseconds(50)});
  EXPECT_EQ(call.end->code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(call.fault(), access.server + ": not done within 50ms");
}

TEST_F(Api, ASilentStreamIsGivenUpAndOneThatTricklesIsNot) {
  Serve([](int fd, const std::string& head) {
    SendAll(fd, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    for (int i = 0; i < 12 && head.starts_with("GET /trickle"); ++i) {
      SendAll(fd, "1\r\nx\r\n");
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
    if (head.starts_with("GET /trickle")) SendAll(fd, "0\r\n\r\n");
    return true;
  });
  const absl::Duration silence = absl::Milliseconds(300);
  test::Call& trickles =
      Start({.target = "/trickle", .timeout = absl::InfiniteDuration(), .silence = silence});
  const test::Call& silent =
      Fetch({.target = "/", .timeout = absl::InfiniteDuration(), .silence = silence});
  EXPECT_EQ(silent.fault(), access.server + ": nothing came for 300ms");
  RunUntil([&] { return trickles.ended(); });
  EXPECT_TRUE(trickles.end->ok()) << trickles.fault();
  EXPECT_EQ(trickles.body, "xxxxxxxxxxxx");
}

TEST_F(Api, AHeadOfAMegabyteIsRefused) {
  std::string head = "HTTP/1.1 200 OK\r\n";
  for (int i = 0; i < 1024; ++i) head += fmt::format("X-{}: {}\r\n", i, std::string(1000, 'x'));
  Serve(Always(head + "Content-Length: 0\r\n\r\n"));
  EXPECT_EQ(Fetch({.target = "/"}).fault(),
            access.server + ": its answer has a head of more than 64 KB");
}

TEST_F(Api, TrailersAreNoHead) {
  Serve(
      Always("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: Retry-After\r\n\r\n"
             "2\r\n{}\r\n0\r\nRetry-After: 9\r\n\r\n"));
  const test::Call& call = Fetch({.target = "/"});
  EXPECT_EQ(call.heads, 1);
  EXPECT_EQ(call.body, "{}");
}

TEST_F(Api, AServerThatIsNotThereIsNamed) {
  uint16_t port = 0;
  portolan::test::ListenOnLoopback(port).Reset();
  access.server = fmt::format("http://127.0.0.1:{}", port);
  EXPECT_EQ(Fetch({.target = "/"}).fault(), access.server + ": Connection refused");
  access.server = "http://no-such-host.invalid:80";
  EXPECT_THAT(Fetch({.target = "/"}).fault(), HasSubstr("no-such-host.invalid"));
}

}  // namespace
}  // namespace portolan

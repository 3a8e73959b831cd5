#include "common/http/server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "tests/common/http/served.h"

namespace portolan::http {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

constexpr std::string_view kGet = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

Handler Say(std::string line) {
  return [line = std::move(line)](const Request&, Responder responder) {
    responder.Send(TextResponse(200, line));
  };
}

void SayOk(Server& server) { server.Get("/", Say("ok")); }

Server::Options Short() {
  Server::Options options;
  options.timeouts = {.idle = absl::Milliseconds(80),
                      .header = absl::Milliseconds(80),
                      .body = absl::Milliseconds(80),
                      .answer = absl::Milliseconds(80),
                      .linger = absl::Milliseconds(200)};
  return options;
}

TEST(HttpServer, RoutesByTheMostSpecificPath) {
  Served served([](Server& server) {
    server.Get("/a", Say("exact"));
    server.Get("/*", Say("root"));
    server.Get("/a/*", Say("below"));
    server.Get("/a/b/*", Say("deep"));
  });
  const auto body = [&](std::string_view path) {
    return BodyOf(Fetch(served.address(), "GET", path));
  };
  EXPECT_EQ(body("/a"), "exact\n");
  EXPECT_EQ(body("/a/x"), "below\n");
  EXPECT_EQ(body("/a/b/x"), "deep\n");
  EXPECT_EQ(body("/other"), "root\n");
}

TEST(HttpServer, UnknownPathsAndMethodsAreToldApart) {
  Served served([](Server& server) {
    server.Get("/both", Say("got"));
    server.Post("/both", Say("posted"));
    server.Post("/quit", Say("quit"));
  });
  EXPECT_THAT(Fetch(served.address(), "GET", "/none"), StartsWith("HTTP/1.1 404 "));
  EXPECT_THAT(Fetch(served.address(), "GET", "/quit"),
              AllOf(StartsWith("HTTP/1.1 405 "), HasSubstr("Allow: POST\r\n")));
  EXPECT_THAT(Fetch(served.address(), "DELETE", "/both"), HasSubstr("Allow: GET, HEAD, POST\r\n"));
  EXPECT_THAT(Fetch(served.address(), "HEAD", "/both"),
              AllOf(StartsWith("HTTP/1.1 200 "), EndsWith("\r\n\r\n")));
  EXPECT_THAT(Fetch(served.address(), "POST", "/both"), EndsWith("posted\n"));
}

TEST(HttpServer, KeepsAConnectionAliveAndAnswersPipelinedRequestsInOrder) {
  Served served([](Server& server) {
    server.Get("/*", [](const Request& request, Responder responder) {
      responder.Send(TextResponse(200, "[" + request.path + "]"));
    });
  });
  Client client(served.address());
  client.Send("GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n");
  const std::string both = client.Read("[/2]\n");
  EXPECT_LT(both.find("[/1]"), both.find("[/2]"));
  client.Send("GET /3 HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_THAT(client.Read("[/3]\n"), StartsWith("HTTP/1.1 200 "));
}

TEST(HttpServer, AHandlerMayAnswerLater) {
  std::optional<Responder> kept;
  Served served([&](Server& server) {
    server.Get("/later", [&](const Request&, Responder responder) { kept = std::move(responder); });
    server.Get("/now", [&](const Request&, Responder responder) {
      responder.Send(TextResponse(200, "now"));
      if (kept) kept->Send(TextResponse(200, "later"));
      kept.reset();
    });
  });
  Client client(served.address());
  // The second request waits for the first one's answer.
  client.Send("GET /later HTTP/1.1\r\nHost: a\r\n\r\nGET /now HTTP/1.1\r\nHost: a\r\n\r\n");
  ASSERT_TRUE(served.Until([&](Server&) { return kept.has_value(); }));
  Fetch(served.address(), "GET", "/now");
  const std::string both = client.Read("now\n");
  EXPECT_LT(both.find("later\n"), both.find("now\n"));
}

TEST(HttpServer, AnAnswerToAPeerThatIsGoneIsDropped) {
  std::optional<Responder> kept;
  Served served([&](Server& server) {
    server.Get("/", [&](const Request&, Responder responder) { kept = std::move(responder); });
  });
  {
    Client client(served.address());
    client.Send(kGet);
    ASSERT_TRUE(served.Until([&](Server&) { return kept.has_value(); }));
    const linger reset{1, 0};
    setsockopt(client.fd(), SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
  }
  ASSERT_TRUE(served.Until([](Server& server) { return server.connection_count() == 0; }));
  served.On([&](Server&) {
    kept->Send(TextResponse(200, "late"));
    kept.reset();
    return 0;
  });
}

TEST(HttpServer, AForgottenAnswerIsA500) {
  Served served([](Server& server) { server.Get("/", [](const Request&, const Responder&) {}); });
  EXPECT_THAT(Fetch(served.address(), "GET", "/"), StartsWith("HTTP/1.1 500 "));
}

TEST(HttpServer, AnswersAPeerThatHasShutItsSendingSide) {
  Served served(SayOk);
  Client client(served.address());
  client.Send(kGet);
  client.ShutdownWrite();
  EXPECT_THAT(client.Read(), EndsWith("ok\n"));
}

TEST(HttpServer, SlowLorisIsTimedOut) {
  Served served(SayOk, Short());
  Client client(served.address());
  client.Send("GET / HTTP/1.1\r\nHost: a\r\n");
  // A byte every 20 ms does not move the deadline: the answer comes while they still arrive.
  int sent = 0;
  pollfd readable{client.fd(), POLLIN, 0};
  while (sent < 200 && poll(&readable, 1, 20) == 0) {
    client.Send("x");
    ++sent;
  }
  EXPECT_LT(sent, 200);
  EXPECT_THAT(client.Read(), StartsWith("HTTP/1.1 408 "));
}

TEST(HttpServer, ABodyThatDoesNotArriveIsTimedOut) {
  Served served([](Server& server) { server.Post("/", Say("ok")); }, Short());
  Client client(served.address());
  client.Send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab");
  EXPECT_THAT(client.Read(), StartsWith("HTTP/1.1 408 "));
}

TEST(HttpServer, IdleConnectionsAreClosed) {
  Served served(SayOk, Short());
  Client silent(served.address());
  EXPECT_EQ(silent.Read(), "");
  Client used(served.address());
  used.Send(kGet);
  EXPECT_THAT(used.Read(), EndsWith("ok\n"));
}

TEST(HttpServer, AHandlerThatNeverAnswersIsA503) {
  std::optional<Responder> kept;
  Served served(
      [&](Server& server) {
        server.Get("/", [&](const Request&, Responder responder) { kept = std::move(responder); });
      },
      Short());
  EXPECT_THAT(Fetch(served.address(), "GET", "/"), StartsWith("HTTP/1.1 503 "));
  served.On([&](Server&) {
    kept.reset();
    return 0;
  });
}

TEST(HttpServer, APeerThatDoesNotReadIsHeldBackThenClosed) {
  int answered = 0;
  Server::Options options = Short();
  Served served(
      [&](Server& server) {
        server.Get("/", [&](const Request&, Responder responder) {
          ++answered;
          responder.Send(TextResponse(200, std::string(1 << 20, 'x')));
        });
      },
      options);
  Client client(served.address());
  for (int i = 0; i < 100; ++i) client.Send(kGet);
  // The kernel's buffers take some; the rest is not even produced.
  ASSERT_TRUE(served.Until([](Server& server) { return server.connection_count() == 0; }));
  EXPECT_LT(served.On([&](Server&) { return answered; }), 50);
}

TEST(HttpServer, TheReasonOfARefusalReachesAPeerThatGoesOnSending) {
  Served served([](Server& server) { server.Post("/", Say("ok")); });
  Client client(served.address());
  client.Send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4000000\r\n\r\n");
  client.Send(std::string(4000000, 'x'));
  client.ShutdownWrite();
  EXPECT_THAT(client.Read(), StartsWith("HTTP/1.1 413 "));
}

TEST(HttpServer, BeyondItsConnectionsTheLongestIdleMakesRoom) {
  Server::Options options;
  options.max_connections = 2;
  Served served(SayOk, options);
  Client first(served.address());
  first.Send(kGet);
  EXPECT_THAT(first.Read("ok\n"), StartsWith("HTTP/1.1 200 "));
  Client second(served.address());
  second.Send(kGet);
  EXPECT_THAT(second.Read("ok\n"), StartsWith("HTTP/1.1 200 "));
  Client third(served.address());
  third.Send(kGet);
  EXPECT_THAT(third.Read("ok\n"), StartsWith("HTTP/1.1 200 "));
  EXPECT_EQ(first.Read(), "");
  second.Send(kGet);
  EXPECT_THAT(second.Read("ok\n"), StartsWith("HTTP/1.1 200 "));
}

TEST(HttpServer, BusyConnectionsAreNotEvicted) {
  Server::Options options;
  options.max_connections = 1;
  Served served(SayOk, options);
  Client busy(served.address());
  busy.Send("GET / HTT");
  ASSERT_TRUE(served.Until([](Server& server) { return server.connection_count() > 0; }));
  usleep(20000);  // until its bytes are read
  Client refused(served.address());
  EXPECT_THAT(refused.Read(), ::testing::AnyOf("", "<reset>"));
  busy.Send("P/1.1\r\nHost: a\r\n\r\n");
  EXPECT_THAT(busy.Read("ok\n"), StartsWith("HTTP/1.1 200 "));
}

TEST(HttpServer, AForeignPageCannotReachALoopbackListener) {
  Server::Options options;
  options.audience = Audience::kThisMachine;
  Served served(SayOk, options);
  const auto with = [&](std::string_view host, std::string_view fields) {
    return Fetch(served.address(), "GET", "/", fields, host).substr(9, 3);
  };
  EXPECT_EQ(with("evil.example", ""), "403");
  EXPECT_EQ(with("127.0.0.1:15000", ""), "200");
  EXPECT_EQ(with("localhost:15000", "Origin: http://localhost:15000\r\n"), "200");
  EXPECT_EQ(with("localhost:15000", "Origin: http://evil.example\r\n"), "403");
  EXPECT_EQ(with("localhost:15000", "Origin: null\r\n"), "403");
}

TEST(HttpServer, AGateIsAskedBeforeAnythingIsSaid) {
  std::optional<Admitted> kept;
  Server::Options options;
  options.admit = [&](const Request& request, Admitted done) {
    if (request.path == "/later") {
      kept = std::move(done);
    } else {
      done(request.FindHeader("authorization") ? std::optional<Response>()
                                               : TextResponse(401, "who are you?"));
    }
  };
  Served served(
      [](Server& server) {
        SayOk(server);
        server.Get("/later", Say("late"));
      },
      options);
  EXPECT_THAT(Fetch(served.address(), "GET", "/"), StartsWith("HTTP/1.1 401 "));
  EXPECT_THAT(Fetch(served.address(), "GET", "/nothing"), StartsWith("HTTP/1.1 401 "));
  EXPECT_THAT(Fetch(served.address(), "GET", "/", "Authorization: x\r\n"), EndsWith("ok\n"));
  EXPECT_THAT(Fetch(served.address(), "GET", "/nothing", "Authorization: x\r\n"),
              StartsWith("HTTP/1.1 404 "));
  Client client(served.address());
  client.Send("GET /later HTTP/1.1\r\nHost: a\r\n\r\n");
  ASSERT_TRUE(served.Until([&](Server&) { return kept.has_value(); }));
  served.On([&](Server&) {
    (*kept)(std::nullopt);
    return 0;
  });
  EXPECT_THAT(client.Read("late\n"), StartsWith("HTTP/1.1 200 "));
}

TEST(HttpServer, AGateThatForgetsARequestLetsNobodyIn) {
  Server::Options options;
  options.admit = [](const Request&, const Admitted&) {};
  Served served(SayOk, options);
  EXPECT_THAT(Fetch(served.address(), "GET", "/"), StartsWith("HTTP/1.1 500 "));
}

TEST(HttpServer, FieldsOfEveryAnswerGiveWayToTheHandlers) {
  Server::Options options;
  options.fields = {{"Cache-Control", "no-store"}, {"Referrer-Policy", "no-referrer"}};
  Served served(
      [](Server& server) {
        server.Get("/", [](const Request&, Responder responder) {
          Response response = TextResponse(200, "ok");
          response.headers = {{"cache-control", "no-cache"}};
          responder.Send(response);
        });
        server.Get("/stream", [](const Request&, Responder responder) {
          responder.Begin(TextResponse(200, "begun"), nullptr);
        });
      },
      options);
  EXPECT_THAT(Fetch(served.address(), "GET", "/"),
              AllOf(HasSubstr("cache-control: no-cache\r\n"), Not(HasSubstr("no-store")),
                    HasSubstr("Referrer-Policy: no-referrer\r\n")));
  EXPECT_THAT(Fetch(served.address(), "GET", "/nothing"), HasSubstr("Cache-Control: no-store\r\n"));
  EXPECT_THAT(Fetch(served.address(), "GET", "/stream"), HasSubstr("Cache-Control: no-store\r\n"));
}

TEST(HttpServer, OneServerHandlesWhatAnotherDoes) {
  Served first([](Server& server) {
    server.Get("/shared", Say("shared"));
    server.Get("/*", Say("root"));
  });
  std::unique_ptr<Server> second;
  const SocketAddress address = first.On([&](Server& server) {
    second = *Server::Listen(first.loop(),
                             {.name = "second", .listen = {*SocketAddress::Parse("127.0.0.1:0")}});
    second->RouteAs(server);
    second->Get("/own", Say("own"));
    return second->addresses().front();
  });
  EXPECT_THAT(Fetch(address, "GET", "/shared"), EndsWith("shared\n"));
  EXPECT_THAT(Fetch(address, "GET", "/own"), EndsWith("own\n"));
  EXPECT_THAT(Fetch(address, "GET", "/else"), EndsWith("root\n"));
  EXPECT_THAT(Fetch(first.address(), "GET", "/own"), EndsWith("root\n"));
  first.On([&](Server&) {
    second.reset();
    return 0;
  });
}

TEST(HttpServer, StopListeningKeepsWhatIsConnected) {
  Served served(SayOk);
  Client client(served.address());
  client.Send(kGet);
  client.Read("ok\n");
  served.On([](Server& server) {
    server.StopListening();
    return 0;
  });
  client.Send(kGet);
  EXPECT_THAT(client.Read("ok\n"), StartsWith("HTTP/1.1 200 "));
}

// Without a request that fails, what the end of a server looks like.
class Leaving : public ::testing::Test {
 protected:
  void Drain(absl::Duration grace) {
    served_.On([&](Server& server) {
      server.Drain(grace, [this] { gone_ = true; });
      return 0;
    });
  }
  bool Gone() {
    return served_.Until([&](Server&) { return gone_; });
  }

  bool gone_ = false;
  std::optional<Responder> kept_;
  Served served_{[this](Server& server) {
    SayOk(server);
    server.Get("/later", [this](const Request&, Responder responder) { kept_ = responder; });
  }};
};

TEST_F(Leaving, ConnectionsGoWithTheirNextAnswer) {
  Client idle(served_.address());
  idle.Send(kGet);
  EXPECT_THAT(idle.Read("ok\n"), Not(HasSubstr("Connection: close")));
  Drain(absl::Hours(1));
  idle.Send(kGet);
  EXPECT_THAT(idle.Read(), AllOf(HasSubstr("Connection: close\r\n"), EndsWith("ok\n")));
  EXPECT_FALSE(served_.On([&](Server&) { return gone_; }));
}

TEST_F(Leaving, NewConnectionsAreTakenUntilClientsKnow) {
  Drain(absl::Hours(1));
  Client late(served_.address());
  late.Send(kGet);
  EXPECT_THAT(late.Read(), AllOf(HasSubstr("Connection: close\r\n"), EndsWith("ok\n")));
}

TEST_F(Leaving, WhatIsUnderWayIsAnsweredWhatIsIdleIsClosed) {
  Client idle(served_.address());
  idle.Send(kGet);
  idle.Read("ok\n");
  Client waiting(served_.address());
  waiting.Send("GET /later HTTP/1.1\r\nHost: a\r\n\r\n");
  ASSERT_TRUE(served_.Until([&](Server&) { return kept_.has_value(); }));
  Drain(absl::ZeroDuration());
  EXPECT_EQ(idle.Read(), "");
  idle.ShutdownWrite();
  ASSERT_TRUE(served_.Until([](Server& server) { return server.connection_count() == 1; }));
  EXPECT_FALSE(served_.On([&](Server&) {
    const bool before = gone_;
    kept_->Send(TextResponse(200, "late"));
    return before;
  }));
  EXPECT_THAT(waiting.Read(), EndsWith("late\n"));
  waiting.ShutdownWrite();
  EXPECT_TRUE(Gone());
}

TEST_F(Leaving, WithNobodyThereItIsGoneAtOnce) {
  Drain(absl::ZeroDuration());
  EXPECT_TRUE(Gone());
}

TEST(HttpServer, ARequestThatHasArrivedWhenTheGraceEndsIsAnswered) {
  Server::Options options;
  Served served(SayOk, options);
  Client client(served.address());
  client.Send(kGet);
  client.Read("ok\n");
  served.On([&](Server& server) {
    // Unread yet: the loop is here.
    client.Send(kGet);
    server.Drain(absl::ZeroDuration(), [] {});
    return 0;
  });
  EXPECT_THAT(client.Read(), EndsWith("ok\n"));
}

TEST(HttpServer, APeerThatNeverEndsDoesNotKeepAServerFromLeaving) {
  bool gone = false;
  Served served(SayOk, Short());
  Client slow(served.address());
  slow.Send("GET / HTTP/1.1\r\n");
  ASSERT_TRUE(served.Until([](Server& server) { return server.connection_count() == 1; }));
  served.On([&](Server& server) {
    server.Drain(absl::ZeroDuration(), [&] { gone = true; });
    return 0;
  });
  EXPECT_TRUE(served.Until([&](Server&) { return gone; }));
}

TEST(HttpServer, AnAddressInUseIsAnErrorThatNamesIt) {
  EventLoop loop;
  auto first =
      Server::Listen(loop, {.name = "one", .listen = {*SocketAddress::Parse("127.0.0.1:0")}});
  ASSERT_TRUE(first.ok());
  auto second = Server::Listen(loop, {.name = "two", .listen = (*first)->addresses()});
  ASSERT_FALSE(second.ok());
  EXPECT_THAT(second.status().ToString(), HasSubstr((*first)->addresses()[0].ToString()));
}

TEST(HttpServer, CurlIsServed) {
  if (system("command -v curl >/dev/null") != 0) GTEST_SKIP() << "no curl here";
  Served served([](Server& server) {
    server.Post("/*", [](const Request& request, Responder responder) {
      responder.Send(TextResponse(200, std::to_string(request.body.size())));
    });
  });
  const std::string command =
      "head -c 300000 /dev/zero | curl -sS --noproxy '*' --data-binary @- -H 'Expect: 100-continue'"
      " -H 'Transfer-Encoding: chunked' " +
      served.url() + "/a " + served.url() + "/b";
  FILE* pipe = popen(command.c_str(), "r");
  std::array<char, 256> buffer{};
  std::string out;
  while (fgets(buffer.data(), buffer.size(), pipe) != nullptr) out += buffer.data();
  EXPECT_EQ(pclose(pipe), 0);
  EXPECT_EQ(out, "300000\n300000\n");
}

TEST(HttpServer, CountsWhatItDoes) {
  Served served(SayOk);
  Fetch(served.address(), "GET", "/");
  Client bad(served.address());
  bad.Send("\x16\x03");
  bad.Read();
  bad.ShutdownWrite();
  ASSERT_TRUE(served.Until([](Server& server) { return server.connection_count() == 0; }));
  MetricsPage page;
  page.AddSource([&](MetricFamilies& families) {
    served.On([&](Server& server) {
      server.AddMetrics(families);
      return 0;
    });
  });
  const std::string text = page.Render();
  EXPECT_THAT(text, HasSubstr("portolan_http_requests_total{server=\"test\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("{server=\"test\",outcome=\"accepted\"} 2\n"));
  EXPECT_THAT(text, HasSubstr("{server=\"test\",reason=\"malformed\"} 1\n"));
}

}  // namespace
}  // namespace portolan::http

// Answers that are sent piece by piece, through the server.
#include "common/http/stream.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <cstdio>
#include <optional>
#include <string>
#include <utility>

#include "common/http/server.h"
#include "tests/common/certificates.h"
#include "tests/common/http/served.h"

namespace portolan::http {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr std::string_view kStream = "GET /stream HTTP/1.1\r\nHost: a\r\n\r\n";

// Keeps the last stream that was begun.
class Streams : public ::testing::Test {
 protected:
  void Serve(Server::Options options = {}) {
    served_.emplace(
        [this](Server& server) {
          server.Get("/", [](const Request&, Responder responder) {
            responder.Send(TextResponse(200, "ok"));
          });
          server.Get("/stream", [this](const Request&, Responder responder) {
            stream_ = responder.Begin(TextResponse(200, "begun"), [this] { ++gone_; });
          });
        },
        std::move(options));
  }

  template <typename F>
  auto OnStream(F task) {
    return served_->On([&](Server&) { return task(stream_); });
  }
  void Send(std::string_view bytes) {
    OnStream([&](Stream& stream) {
      stream.Send(bytes);
      return 0;
    });
  }
  bool Gone() {
    return served_->Until([this](Server&) { return gone_ == 1; });
  }

  Stream stream_;
  int gone_ = 0;
  std::optional<Served> served_;
};

Server::Options Short() {
  Server::Options options;
  options.timeouts.idle = absl::Milliseconds(80);
  options.timeouts.answer = absl::Milliseconds(80);
  options.timeouts.linger = absl::Milliseconds(80);
  return options;
}

TEST_F(Streams, PiecesArriveAsTheyAreSentAndTheEndIsNoLoss) {
  Serve();
  Client client(served_->address());
  client.Send(kStream);
  EXPECT_THAT(client.Read("begun\n\r\n"), HasSubstr("Transfer-Encoding: chunked"));
  Send("one");
  EXPECT_THAT(client.Read("one\r\n"), EndsWith("3\r\none\r\n"));
  EXPECT_TRUE(OnStream([](Stream& stream) { return stream.open(); }));
  OnStream([](Stream& stream) {
    stream.End();
    return 0;
  });
  EXPECT_EQ(client.Read("0\r\n\r\n"), "0\r\n\r\n");
  client.Send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_THAT(client.Read("ok\n"), StartsWith("HTTP/1.1 200 "));
  EXPECT_EQ(gone_, 0);
}

TEST_F(Streams, SilenceIsNoTimeout) {
  Serve(Short());
  Client client(served_->address());
  client.Send(kStream);
  client.Read("begun\n\r\n");
  pollfd readable{client.fd(), POLLIN, 0};
  EXPECT_EQ(poll(&readable, 1, 300), 0);
  Send("still here");
  EXPECT_THAT(client.Read("here\r\n"), EndsWith("still here\r\n"));
}

TEST_F(Streams, APeerThatGoesIsTold) {
  Serve();
  {
    Client client(served_->address());
    client.Send(kStream);
    client.Read("begun\n\r\n");
  }
  EXPECT_TRUE(Gone());
  EXPECT_FALSE(OnStream([](Stream& stream) { return stream.open(); }));
  Send("late");
}

TEST_F(Streams, APeerThatReadsNothingIsEndedAndWhatWaitsIsKnown) {
  Serve(Short());
  Client client(served_->address());
  client.Send(kStream);
  client.Read("begun\n\r\n");
  size_t unsent = 0;
  for (int i = 0; i < 1000 && unsent == 0; ++i) {
    Send(std::string(100000, 'x'));
    unsent = OnStream([](Stream& stream) { return stream.unsent(); });
  }
  EXPECT_GT(unsent, 0u);
  EXPECT_TRUE(Gone());
  EXPECT_EQ(OnStream([](Stream& stream) { return stream.unsent(); }), 0u);
}

TEST_F(Streams, NobodyIsCalledWhoHasLetGo) {
  Serve();
  Client client(served_->address());
  client.Send(kStream);
  client.Read("begun\n\r\n");
  served_->On([&](Server& server) {
    server.Drain(absl::ZeroDuration(), [] {});
    return 0;
  });
  OnStream([](Stream& stream) {
    stream = Stream();
    return 0;
  });
  EXPECT_EQ(client.Read(), "0\r\n\r\n");
}

TEST_F(Streams, AServerThatLeavesEndsThem) {
  Serve();
  Client client(served_->address());
  client.Send(kStream);
  client.Read("begun\n\r\n");
  bool left = false;
  served_->On([&](Server& server) {
    server.Drain(absl::ZeroDuration(), [&] { left = true; });
    return 0;
  });
  EXPECT_EQ(client.Read(), "0\r\n\r\n");
  client.ShutdownWrite();
  EXPECT_TRUE(served_->Until([&](Server&) { return left; }));
  EXPECT_EQ(gone_, 1);
}

TEST_F(Streams, TheyDoNotKeepOrdinaryRequestsOut) {
  Server::Options options;
  options.max_connections = 1;
  Serve(options);
  Client listener(served_->address());
  listener.Send(kStream);
  listener.Read("begun\n\r\n");
  Client ordinary(served_->address());
  ordinary.Send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_THAT(ordinary.Read("ok\n"), StartsWith("HTTP/1.1 200 "));
  EXPECT_EQ(listener.Read(), "");
  EXPECT_TRUE(Gone());
}

std::string OutputOf(const std::string& command) {
  FILE* pipe = popen(command.c_str(), "r");
  std::array<char, 4096> buffer{};
  std::string out;
  while (fgets(buffer.data(), buffer.size(), pipe) != nullptr) out += buffer.data();
  pclose(pipe);
  return out;
}

// Three pieces and the end, each from a turn of the loop of its own.
class ThreePieces {
 public:
  void Begin(EventLoop& loop, Responder responder) {
    stream_ = responder.Begin(TextResponse(200, "0"), nullptr);
    timer_ = loop.AddTimer([this] { Next(); });
    Next();
  }

 private:
  void Next() {
    if (++sent_ > 3) return stream_.End();
    stream_.Send(std::to_string(sent_) + "\n");
    timer_.Start(absl::Milliseconds(5));
  }

  int sent_ = 0;
  Stream stream_;
  EventLoop::Timer timer_;
};

TEST(StreamClients, CurlAndNghttpReadThem) {
  if (system("command -v curl >/dev/null") != 0) GTEST_SKIP() << "no curl here";
  const test::Identity identity = test::MakeIdentity("server", nullptr, "IP:127.0.0.1");
  for (const bool tls : {false, true}) {
    std::optional<ThreePieces> pieces;
    std::atomic<EventLoop*> loop = nullptr;
    Server::Options options;
    if (tls) options.tls = test::Unchecked(identity);
    Served served(
        [&](Server& server) {
          server.Get("/", [&](const Request&, Responder responder) {
            pieces.emplace().Begin(*loop, std::move(responder));
          });
        },
        options);
    loop = &served.loop();
    const std::string url = (tls ? "https://" : "http://") + served.address().ToString() + "/";
    const std::string curl = "curl -sSkN --noproxy '*' -w '%{http_version}' ";
    EXPECT_EQ(OutputOf(curl + "--http1.1 " + url), "0\n1\n2\n3\n1.1");
    // Its ALPN would be http/1.0, which is refused.
    if (!tls) {
      EXPECT_EQ(OutputOf(curl + "--http1.0 " + url), "0\n1\n2\n3\n1.1");
    }
    EXPECT_EQ(OutputOf(curl + "--http1.1 -I -o /dev/null " + url), "1.1");
    EXPECT_EQ(OutputOf(curl + "--http2 " + url), tls ? "0\n1\n2\n3\n2" : "0\n1\n2\n3\n1.1");
    if (tls && system("command -v nghttp >/dev/null") == 0) {
      EXPECT_EQ(OutputOf("nghttp -y --no-verify-peer " + url), "0\n1\n2\n3\n");
    }
    served.On([&](Server&) {
      pieces.reset();
      return 0;
    });
  }
}

}  // namespace
}  // namespace portolan::http

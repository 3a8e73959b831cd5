// --watch: the program itself, looking again when it is told to.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <atomic>
#include <fstream>
#include <string>
#include <thread>

#include "common/fd.h"
#include "ctl/event_stream.h"
#include "tests/common/http/served.h"
#include "tests/ctl/invoke.h"

namespace portolan::ctl {
namespace {

using ::testing::HasSubstr;

// A listing that has one name more each time it is asked for.
class GrowingNames {
 public:
  std::string url() const { return served_.url(); }

 private:
  std::atomic<int> asked_ = 0;
  http::Served served_{[this](http::Server& server) {
    server.Get("/api/v1/names", [this](const http::Request&, http::Responder responder) {
      std::string names;
      ++asked_;
      for (int i = 1; i <= asked_; ++i) {
        names += std::string(names.empty() ? "" : ",") + R"({"name": "name-)" + std::to_string(i) +
                 R"("})";
      }
      http::Response response;
      response.body = R"({"names": [)" + names + "]}";
      responder.Send(response);
    });
  }};
};

TEST(Watch, LooksAgainWhereThereAreNoEventsAndEndsWithCtrlC) {
  GrowingNames names;
  const Ran ran = Invoke("names --watch --server " + names.url(), "timeout -s INT 3 ");
  EXPECT_THAT(ran.output, HasSubstr("name-1"));
  EXPECT_THAT(ran.output, HasSubstr("name-2"));
  // The heading and what was shown are not shown again.
  EXPECT_EQ(ran.output.find("NAMESPACE"), ran.output.rfind("NAMESPACE"));
  EXPECT_EQ(ran.output.find("name-1"), ran.output.rfind("name-1"));
}

TEST(Watch, CtrlCIsNoFailure) {
  GrowingNames names;
  const Ran ran =
      Invoke("names --watch --server " + names.url(), "timeout --preserve-status -s INT 1 ");
  EXPECT_EQ(ran.status, 0) << ran.output;
}

TEST(Watch, AFirstLookThatFailsEndsIt) {
  EXPECT_EQ(Invoke("names --watch --server http://127.0.0.1:1").status, 1);
}

// Events by hand: what the control plane's stream looks like on the wire. `refusals`: so many
// connections are refused first.
class Events {
 public:
  explicit Events(std::string body, int refusals = 0) : body_(std::move(body)) {
    thread_ = std::thread([this, refusals] {
      for (int i = 0; i < refusals; ++i) {
        Answer("HTTP/1.1 401 Unauthorized\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
      }
      Answer("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n" + body_);
    });
  }
  ~Events() {
    shutdown(listening_.get(), SHUT_RDWR);
    thread_.join();
  }
  std::string url() const {
    sockaddr_in address{};
    socklen_t length = sizeof address;
    getsockname(listening_.get(), reinterpret_cast<sockaddr*>(&address), &length);
    return "http://127.0.0.1:" + std::to_string(ntohs(address.sin_port));
  }

 private:
  static int Listening() {
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address);
    listen(fd, 1);
    return fd;
  }

  // Until the other side closes.
  void Answer(const std::string& answer) {
    const int fd = accept(listening_.get(), nullptr, nullptr);
    const Fd peer(fd);
    if (fd >= 0) send(fd, answer.data(), answer.size(), MSG_NOSIGNAL);
    char byte = 0;
    while (fd >= 0 && recv(fd, &byte, 1, 0) > 0) {
    }
  }

  const Fd listening_{Listening()};
  const std::string body_;
  std::thread thread_;
};

TEST(EventStream, WakesWithAChangeAndNotWithHelloOrAComment) {
  Events changed("event: hello\ndata: {}\n\n: \n\nevent: change\ndata: {\"many\": true}\n\n");
  EventStream stream({.server = changed.url()});
  EXPECT_EQ(stream.Wait(absl::Seconds(20)), EventStream::Woken::kChange);
  EXPECT_EQ(stream.Wait(absl::Milliseconds(100)), EventStream::Woken::kTime);
  Events refused("event: change\ndata: {}\n\n", 1);
  EventStream patient({.server = refused.url()});
  auto woken = EventStream::Woken::kTime;
  for (int i = 0; i < 20 && woken == EventStream::Woken::kTime; ++i) {
    woken = patient.Wait(EventStream::kWithoutEvents);
  }
  EXPECT_EQ(woken, EventStream::Woken::kChange);
  Events quiet("event: hello\ndata: {}\n\n: \n\n");
  EventStream waiting({.server = quiet.url()});
  EXPECT_EQ(waiting.Wait(absl::Milliseconds(200)), EventStream::Woken::kTime);
}

}  // namespace
}  // namespace portolan::ctl

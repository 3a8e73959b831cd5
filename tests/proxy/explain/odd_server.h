// A DNS server on loopback that knows backend.svc..., denies the rest, and says nothing to names
// with "silent" in them. Before each reply it sends a short one, and one of another id.
#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <array>
#include <string>

#include "common/event_loop.h"
#include "common/fd.h"
#include "common/ip.h"

namespace portolan::proxy {

class OddServer {
 public:
  explicit OddServer(EventLoop& loop) {
    fd_ = Fd(socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(bind(fd_.get(), reinterpret_cast<sockaddr*>(&to), sizeof to), 0);
    watch_ = loop.AddWatch(fd_.get(), EventLoop::Interest::kRead, [this] { OnReadable(); });
  }
  SocketAddress address() const {
    sockaddr_in at{};
    socklen_t size = sizeof at;
    getsockname(fd_.get(), reinterpret_cast<sockaddr*>(&at), &size);
    return *SocketAddress::From(reinterpret_cast<sockaddr*>(&at), size);
  }

  // The reply to a question; empty: none.
  static std::string ReplyTo(const std::string& message) {
    const std::string question = message.substr(12);
    if (question.find("silent") != question.npos) return {};
    const bool known = question.find(
                           "\x07"
                           "backend\x03svc") != question.npos;
    // The header and the question alone; an answer where the name is known.
    std::string reply = message.substr(0, 12 + question.find('\0') + 5);
    reply[2] = '\x81';
    reply[3] = known ? '\x80' : '\x83';
    reply[7] = known ? '\x01' : '\x00';
    reply[11] = '\x00';
    if (known) reply += std::string("\xc0\x0c\0\x01\0\x01\0\0\0\x1e\0\x04\x0a\x2b\0\x7b", 16);
    return reply;
  }

  int questions = 0;

 private:
  void OnReadable() {
    std::array<char, 512> bytes;
    sockaddr_storage from{};
    socklen_t from_size = sizeof from;
    while (true) {
      const ssize_t size = recvfrom(fd_.get(), bytes.data(), bytes.size(), 0,
                                    reinterpret_cast<sockaddr*>(&from), &from_size);
      if (size < 12) return;
      ++questions;
      const std::string reply = ReplyTo({bytes.data(), static_cast<size_t>(size)});
      if (reply.empty()) continue;
      std::string other_id = reply;
      other_id[0] = static_cast<char>(~other_id[0]);
      for (const std::string& what : {std::string("short"), other_id, reply}) {
        sendto(fd_.get(), what.data(), what.size(), 0, reinterpret_cast<sockaddr*>(&from),
               from_size);
      }
    }
  }

  Fd fd_;
  EventLoop::Watch watch_;
};

}  // namespace portolan::proxy

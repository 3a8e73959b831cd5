// Servers on loopback that do to a client what no proper server would.
#pragma once

#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <functional>
#include <list>
#include <mutex>
#include <set>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "common/fd.h"
#include "common/ip.h"

namespace portolan::test {

inline Fd ListenOnLoopback(uint16_t& port) {
  Fd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_storage address{};
  socklen_t length = SocketAddress::Parse("127.0.0.1:0")->ToSockaddr(&address);
  bind(fd.get(), reinterpret_cast<sockaddr*>(&address), length);
  listen(fd.get(), 128);
  getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address), &length);
  port = SocketAddress::From(reinterpret_cast<sockaddr*>(&address), length)->port;
  return fd;
}

inline Fd ConnectToLoopback(uint16_t port) {
  Fd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_storage address{};
  const socklen_t length = SocketAddress{*IpAddress::Parse("127.0.0.1"), port}.ToSockaddr(&address);
  if (connect(fd.get(), reinterpret_cast<sockaddr*>(&address), length) != 0) fd.Reset();
  return fd;
}

inline void SendAll(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (n <= 0) return;
    bytes.remove_prefix(static_cast<size_t>(n));
  }
}

// Blocks until the peer has closed.
inline void AwaitClose(int fd) {
  char block[4096];
  while (recv(fd, block, sizeof block, 0) > 0) {
  }
}

// Plain HTTP/1.1, each connection on a thread of its own: `serve` gets each request, its body
// included, and writes what it likes. A connection ends when serve returns false.
class RawServer {
 public:
  using Serve = std::function<bool(int fd, const std::string& request)>;

  explicit RawServer(Serve serve) : serve_(std::move(serve)), listener_(ListenOnLoopback(port_)) {
    accepting_ = std::thread([this] { Accept(); });
  }
  ~RawServer() {
    shutdown(listener_.get(), SHUT_RDWR);
    accepting_.join();
    {
      std::lock_guard lock(mutex_);
      for (const int fd : open_) shutdown(fd, SHUT_RDWR);
    }
    for (std::thread& thread : threads_) thread.join();
  }

  uint16_t port() const { return port_; }
  std::string url() const { return "http://127.0.0.1:" + std::to_string(port_); }
  int connections() const { return connections_; }
  std::vector<std::string> requests() const {
    std::lock_guard lock(mutex_);
    return requests_;
  }

 private:
  void Accept() {
    for (;;) {
      const int fd = accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC);
      if (fd < 0) return;
      ++connections_;
      std::lock_guard lock(mutex_);
      open_.insert(fd);
      threads_.emplace_back([this, fd] { Talk(fd); });
    }
  }
  // Beyond the last byte where it is not all there.
  static size_t EndOfRequest(const std::string& received) {
    const size_t head = received.find("\r\n\r\n");
    if (head == std::string::npos) return received.size() + 1;
    const size_t length = received.find("Content-Length: ");
    return head + 4 + (length < head ? std::stoul(received.substr(length + 16)) : 0);
  }
  void Talk(int fd) {
    std::string received;
    for (bool go_on = true; go_on;) {
      // A TLS client is told as a plain server would.
      if (received.starts_with('\x16')) {
        SendAll(fd, "HTTP/1.0 400 Bad Request\r\n\r\n");
        break;
      }
      const size_t end = EndOfRequest(received);
      if (end <= received.size()) {
        const std::string request = received.substr(0, end);
        received.erase(0, end);
        {
          std::lock_guard lock(mutex_);
          requests_.push_back(request);
        }
        go_on = serve_(fd, request);
        continue;
      }
      char block[4096];
      const ssize_t n = recv(fd, block, sizeof block, 0);
      if (n <= 0) break;
      received.append(block, static_cast<size_t>(n));
    }
    std::lock_guard lock(mutex_);
    open_.erase(fd);
    close(fd);
  }

  const Serve serve_;
  uint16_t port_ = 0;
  Fd listener_;
  std::atomic<int> connections_{0};
  mutable std::mutex mutex_;
  std::set<int> open_;
  std::vector<std::string> requests_;
  std::list<std::thread> threads_;
  std::thread accepting_;
};

// A proxy of its own process, for TLS with HTTP/2 (by ALPN) in front of a RawServer.
class Nghttpx {
 public:
  Nghttpx(uint16_t backend, const std::string& certificate, const std::string& key,
          std::vector<std::string> more = {}) {
    { const Fd chosen = ListenOnLoopback(port_); }
    std::vector<std::string> argv = {"/usr/sbin/nghttpx",
                                     "--conf=/dev/null",
                                     "--single-process",
                                     "--no-ocsp",
                                     "--log-level=FATAL",
                                     "--errorlog-file=/dev/null",
                                     "--accesslog-file=",
                                     "--frontend=127.0.0.1," + std::to_string(port_),
                                     "--backend=127.0.0.1," + std::to_string(backend)};
    argv.insert(argv.end(), more.begin(), more.end());
    argv.insert(argv.end(), {key, certificate});
    std::vector<char*> pointers;
    for (std::string& word : argv) pointers.push_back(word.data());
    pointers.push_back(nullptr);
    EXPECT_EQ(posix_spawn(&pid_, pointers[0], nullptr, nullptr, pointers.data(), environ), 0)
        << "Debian's package nghttp2-proxy has it";
    for (int i = 0; i < 500 && !ConnectToLoopback(port_).valid(); ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
  }
  ~Nghttpx() { Kill(); }

  void Signal(int signal) { kill(pid_, signal); }
  void Kill() {
    if (pid_ < 0) return;
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
    pid_ = -1;
  }
  std::string url(const std::string& host = "127.0.0.1") const {
    return "https://" + host + ":" + std::to_string(port_);
  }
  uint16_t port() const { return port_; }

 private:
  uint16_t port_ = 0;
  pid_t pid_ = -1;
};

// A proxy that knows CONNECT alone; what it was asked for is in its requests().
inline RawServer::Serve ConnectProxy() {
  return [](int fd, const std::string& request) {
    const size_t colon = request.find(':');
    const Fd target =
        ConnectToLoopback(static_cast<uint16_t>(std::stoi(request.substr(colon + 1))));
    SendAll(fd, "HTTP/1.1 200 Connection established\r\nX-Proxy: yes\r\n\r\n");
    std::array<pollfd, 2> ends = {pollfd{fd, POLLIN, 0}, pollfd{target.get(), POLLIN, 0}};
    char block[16384];
    while (poll(ends.data(), ends.size(), -1) > 0) {
      for (size_t i = 0; i < ends.size(); ++i) {
        if (ends[i].revents == 0) continue;
        const ssize_t n = recv(ends[i].fd, block, sizeof block, 0);
        if (n <= 0) return false;
        SendAll(ends[1 - i].fd, {block, static_cast<size_t>(n)});
      }
    }
    return false;
  };
}

}  // namespace portolan::test

// A server on a loop and thread of its own, and a blocking client, for tests.
#pragma once

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <functional>
#include <future>
#include <iostream>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <utility>

#include "common/event_loop.h"
#include "common/fd.h"
#include "common/http/server.h"

namespace portolan::http {

class Served {
 public:
  // Listens on 127.0.0.1, any port; `setup` adds the routes.
  explicit Served(const std::function<void(Server&)>& setup, Server::Options options = {}) {
    options.name = "test";
    options.listen = {*SocketAddress::Parse("127.0.0.1:0")};
    auto listening = Server::Listen(loop_, std::move(options));
    if (!listening.ok()) {
      std::cerr << listening.status().ToString() << "\n";
      std::abort();
    }
    server_ = std::move(*listening);
    address_ = server_->addresses().front();
    setup(*server_);
    thread_ = std::thread([this] { loop_.Run(); });
  }
  ~Served() {
    loop_.Post([this] { server_.reset(); });
    loop_.Stop();
    thread_.join();
  }

  EventLoop& loop() { return loop_; }
  const SocketAddress& address() const { return address_; }
  std::string url() const { return "http://" + address_.ToString(); }

  // Runs `task` on the loop and waits for what it returns.
  template <typename F>
  auto On(F task) {
    std::promise<decltype(task(*server_))> promise;
    loop_.Post([&] { promise.set_value(task(*server_)); });
    return promise.get_future().get();
  }

  // Returns when `holds(server)`, asked on the loop, is true; false after 10 s without.
  template <typename F>
  bool Until(F holds) {
    for (int i = 0; i < 5000; ++i) {
      if (On(holds)) return true;
      usleep(2000);
    }
    return false;
  }

 private:
  EventLoop loop_;
  std::unique_ptr<Server> server_;
  SocketAddress address_;
  std::thread thread_;
};

class Client {
 public:
  explicit Client(const SocketAddress& address) {
    sockaddr_storage storage;
    const socklen_t length = address.ToSockaddr(&storage);
    fd_ = Fd(socket(storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (connect(fd_.get(), reinterpret_cast<sockaddr*>(&storage), length) != 0) std::abort();
  }

  void Send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t n = send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (n <= 0) return;
      bytes.remove_prefix(static_cast<size_t>(n));
    }
  }
  void ShutdownWrite() { shutdown(fd_.get(), SHUT_WR); }

  // Reads until the peer closes, or until `until` was read, at most 10 s without a byte.
  std::string Read(std::string_view until = {}) {
    std::string got;
    while (until.empty() || got.find(until) == std::string::npos) {
      pollfd readable{fd_.get(), POLLIN, 0};
      if (poll(&readable, 1, 10000) != 1) return got + "<timeout>";
      char buffer[65536];
      const ssize_t n = recv(fd_.get(), buffer, sizeof buffer, 0);
      if (n < 0) return got + "<reset>";
      if (n == 0) return got;
      got.append(buffer, static_cast<size_t>(n));
    }
    return got;
  }

  int fd() const { return fd_.get(); }

 private:
  Fd fd_;
};

// The whole answer to one request on a connection of its own.
inline std::string Fetch(const SocketAddress& address, std::string_view method,
                         std::string_view target, std::string_view more_fields = {},
                         std::string_view host = "localhost") {
  Client client(address);
  client.Send(std::string(method) + " " + std::string(target) + " HTTP/1.1\r\nHost: " +
              std::string(host) + "\r\nConnection: close\r\n" + std::string(more_fields) + "\r\n");
  return client.Read();
}

inline std::string BodyOf(const std::string& answer) {
  const size_t end = answer.find("\r\n\r\n");
  return end == std::string::npos ? std::string() : answer.substr(end + 4);
}

}  // namespace portolan::http

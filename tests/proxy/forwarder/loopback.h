// Real sockets on loopback around a Forwarder on a thread of its own: a client dials the forwarder,
// which is told by the test what the client "really" dialled.
#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "common/event_loop.h"
#include "common/fd.h"
#include "common/guarded.h"
#include "common/log.h"
#include "proxy/forwarder/forwarder.h"
#include "tests/common/at.h"
#include "tests/common/run_on_loop.h"

namespace portolan::proxy {

inline bool Eventually(const std::function<bool()>& holds) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (std::chrono::steady_clock::now() < end) {
    if (holds()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return holds();
}

// A blocking socket that gives up after ten seconds, so that a broken forwarder fails a test and
// does not hang it.
inline Fd NewSocket(const IpAddress& ip) {
  Fd fd(socket(ip.is_v4() ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const timeval patience{.tv_sec = 10, .tv_usec = 0};
  setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  return fd;
}

inline int ConnectTo(const Fd& fd, const SocketAddress& address) {
  sockaddr_storage storage;
  const socklen_t length = address.ToSockaddr(&storage);
  return connect(fd.get(), reinterpret_cast<sockaddr*>(&storage), length);
}

inline Fd Dial(const SocketAddress& address) {
  Fd fd = NewSocket(address.ip);
  EXPECT_EQ(ConnectTo(fd, address), 0) << strerror(errno);
  return fd;
}

inline bool SendAll(const Fd& fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = send(fd.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (n <= 0) return false;
    bytes.remove_prefix(n);
  }
  return true;
}

// What came until the stream ended, and how it ended: 0 by a FIN, else errno.
struct Received {
  std::string bytes;
  int error = 0;
};

inline Received ReceiveAll(const Fd& fd) {
  Received all;
  char buffer[65536];
  while (true) {
    const ssize_t n = recv(fd.get(), buffer, sizeof buffer, 0);
    if (n > 0) {
      all.bytes.append(buffer, n);
      continue;
    }
    all.error = n == 0 ? 0 : errno;
    return all;
  }
}

inline std::string Receive(const Fd& fd, size_t size) {
  std::string bytes(size, '\0');
  const ssize_t n = recv(fd.get(), bytes.data(), size, MSG_WAITALL);
  bytes.resize(std::max<ssize_t>(n, 0));
  return bytes;
}

inline void ResetAndClose(Fd& fd) {
  const linger now{.l_onoff = 1, .l_linger = 0};
  setsockopt(fd.get(), SOL_SOCKET, SO_LINGER, &now, sizeof now);
  fd.Reset();
}

// A listening socket. A connection is taken from it by Accept.
class Endpoint {
 public:
  explicit Endpoint(std::string_view ip = "127.0.0.1", int backlog = 4096)
      : fd_(NewSocket(*IpAddress::Parse(ip))) {
    sockaddr_storage storage;
    SocketAddress any{*IpAddress::Parse(ip), 0};
    socklen_t length = any.ToSockaddr(&storage);
    auto* generic = reinterpret_cast<sockaddr*>(&storage);
    EXPECT_EQ(bind(fd_.get(), generic, length), 0) << strerror(errno);
    EXPECT_EQ(listen(fd_.get(), backlog), 0);
    length = sizeof storage;
    getsockname(fd_.get(), generic, &length);
    address_ = *SocketAddress::From(generic, length);
  }

  const SocketAddress& address() const { return address_; }

  Fd Accept() {
    Fd fd(accept4(fd_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    const timeval patience{.tv_sec = 10, .tv_usec = 0};
    setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    EXPECT_TRUE(fd.valid()) << strerror(errno);
    return fd;
  }

  // Whether a connection waits to be accepted, or comes within `patience`.
  bool IsCalled(std::chrono::milliseconds patience) {
    timeval tv{.tv_sec = 0, .tv_usec = patience.count() * 1000};
    fd_set set;
    FD_ZERO(&set);
    FD_SET(fd_.get(), &set);
    return select(fd_.get() + 1, &set, nullptr, nullptr, &tv) > 0;
  }

 private:
  Fd fd_;
  SocketAddress address_;
};

// Nobody answers: a listener whose queue is full, so that the kernel drops further SYNs.
class BlackHole {
 public:
  explicit BlackHole(std::string_view ip = "127.0.0.1") : endpoint_(ip, 0) {
    for (Fd& fd : fill_) {
      fd = NewSocket(endpoint_.address().ip);
      const timeval patience{.tv_sec = 0, .tv_usec = 20'000};
      setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
      ConnectTo(fd, endpoint_.address());
    }
  }
  const SocketAddress& address() const { return endpoint_.address(); }

 private:
  Endpoint endpoint_;
  Fd fill_[3];
};

// An address on loopback where connecting is refused: bound, not listened on.
class Refusing {
 public:
  Refusing() : fd_(NewSocket({})) {
    sockaddr_storage storage;
    socklen_t length = At("127.0.0.1:0").ToSockaddr(&storage);
    auto* generic = reinterpret_cast<sockaddr*>(&storage);
    EXPECT_EQ(bind(fd_.get(), generic, length), 0);
    length = sizeof storage;
    getsockname(fd_.get(), generic, &length);
    address_ = *SocketAddress::From(generic, length);
  }
  const SocketAddress& address() const { return address_; }

 private:
  Fd fd_;
  SocketAddress address_;
};

inline ServiceExtras MaxConnections(std::string value) {
  ServiceExtras extras;
  extras.annotations = {{"portolan.dev/max-connections", std::move(value)}};
  return extras;
}

// A table with the Service default/backend at `service`, port by port of the endpoints in slices of
// their own. No endpoints: one empty slice, so that they are known to be none. `change` is made
// to the Service.
inline std::shared_ptr<const RouteTable> RoutesTo(
    const SocketAddress& service, const std::vector<SocketAddress>& endpoints,
    const std::function<void(Service&)>& change = [](Service&) {}) {
  Directory directory;
  Service object;
  object.name = {"default", "backend"};
  object.cluster_ips = {service.ip};
  object.ports = {{"", Protocol::kTcp, service.port}};
  change(object);
  directory.Put(object);
  EndpointSlice empty;
  empty.name = {"default", "backend-0"};
  empty.service = "backend";
  empty.family = service.ip.family();
  directory.Put(empty);
  int number = 0;
  for (const SocketAddress& address : endpoints) {
    EndpointSlice slice = empty;
    slice.name.name = "backend-" + std::to_string(++number);
    slice.ports = {{"", Protocol::kTcp, address.port}};
    portolan::Endpoint& endpoint = slice.endpoints.emplace_back();
    endpoint.addresses = {address.ip};
    endpoint.pod = {"default", "pod-" + std::to_string(number)};
    directory.Put(slice);
  }
  return RouteTableBuilder().Apply(directory.Commit(), EndpointsHeld::kSome);
}

class ForwarderTest : public testing::Test {
 protected:
  static constexpr const char* kService = "10.43.0.123:8080";

  static void SetUpTestSuite() { signal(SIGPIPE, SIG_IGN); }  // as main does

  ~ForwarderTest() override { StopForwarder(); }

  void StartForwarder(ForwarderOptions options = {}) {
    if (options.listen.empty()) options.listen = {At("127.0.0.1:0")};
    options.original_destination = [this](int, IpFamily) {
      return dialled_.With([](const auto& dialled) { return dialled; });
    };
    auto started = Forwarder::Start(loop_, std::move(options));
    ASSERT_TRUE(started.ok()) << started.status();
    forwarder_ = *std::move(started);
    address_ = forwarder_->addresses().front();
    counters_ = forwarder_->counters();
    spdlog::default_logger();  // made before there is a second thread, as main does
    thread_ = std::thread([this] { loop_.Run(); });
  }

  void StopForwarder() {
    if (!thread_.joinable()) return;
    loop_.Post([this] { forwarder_.reset(); });
    loop_.Stop();
    thread_.join();
  }

  // Runs `f` on the forwarder's thread and gives what it returns.
  template <typename F>
  auto OnLoop(F f) {
    return RunOnLoop(loop_, std::move(f));
  }

  void SetRoutes(std::shared_ptr<const RouteTable> routes) {
    OnLoop([&] { forwarder_->SetRoutes(std::move(routes)); });
  }

  // The Service at kService has these endpoints.
  void Serve(const std::vector<SocketAddress>& endpoints) {
    SetRoutes(RoutesTo(At(kService), endpoints));
  }

  // A client whose connection was redirected from `dialled`. The forwarder has accepted it when
  // this returns, so that the next one may dial something else.
  Fd Redirected(std::optional<SocketAddress> dialled) {
    dialled_.With([&](auto& current) { current = dialled; });
    const uint64_t before = counters_->accepted.value();
    Fd fd = Dial(address_);
    EXPECT_TRUE(Eventually([&] { return counters_->accepted.value() > before; }));
    return fd;
  }
  Fd Call() { return Redirected(At(kService)); }

  bool AllGone() {
    return Eventually([&] { return counters_->active() == 0; });
  }

  EventLoop loop_;
  Guarded<std::optional<SocketAddress>> dialled_;
  std::unique_ptr<Forwarder> forwarder_;
  std::shared_ptr<const ForwarderCounters> counters_;
  SocketAddress address_;
  std::thread thread_;
};

}  // namespace portolan::proxy

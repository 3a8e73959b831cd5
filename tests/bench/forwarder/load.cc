// Both ends of what a forwarder carries: clients that dial, and the endpoints they are carried to,
// in one thread that never sleeps, so that a slower forwarder does not pay for waking it more
// often. The endpoints live in another network namespace. Bounded by --count and --seconds. Prints
// one line of JSON.
//
//   forwarder_bench_load --mode connect --target 10.67.0.1:8080 --endpoint 10.66.1.1:8080
//                        --endpoints-netns /proc/PID/ns/net --count 20000 --connections 64
//
//   connect     connections with one exchange of 64 bytes each, closed by the client
//   request     exchanges of 64 bytes over --connections that stay open
//   bulk        --count megabytes from the endpoints to --connections clients, spread evenly
//   first-byte  as connect, one after the other, with a pause of --pause-us before each
//   hold        --count connections with one exchange each, then a line of JSON; held until stdin
//   ends
//
// Times are from dialling (connect, first-byte) or asking (request) to the whole answer.
#include <fcntl.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "common/fd.h"
#include "common/flags.h"
#include "common/ip.h"

namespace portolan::proxy::bench {
namespace {

using Clock = std::chrono::steady_clock;
constexpr size_t kMessage = 64;
constexpr size_t kMegabyte = 1024 * 1024;
constexpr size_t kChunk = 128 * 1024;
// Connections begun before those that wait have a turn.
constexpr size_t kDialledAtOnce = 256;

struct Options {
  std::vector<SocketAddress> targets, endpoints;
  std::string endpoints_netns, mode = "connect";
  size_t count = 10000, connections = 64, pause_us = 0;
  double seconds = 60;
};

// One end of a connection.
struct End {
  enum class Role { kListener, kServer, kClient };
  Role role = Role::kClient;
  Fd fd;
  bool connected = false;
  size_t received = 0;  // of the message that is due
  size_t to_send = 0;   // bulk: what an endpoint still owes
  Clock::time_point asked_at;
};

class Load {
 public:
  explicit Load(const Options& options)
      : options_(options),
        bulk_(options.mode == "bulk"),
        keeps_(options.mode == "request" || options.mode == "hold"),
        epoll_(epoll_create1(EPOLL_CLOEXEC)) {
    waits_us_.reserve(options.count);
  }

  bool Listen() {
    const Fd here(open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
    const Fd there(open(options_.endpoints_netns.c_str(), O_RDONLY | O_CLOEXEC));
    if (setns(there.get(), CLONE_NEWNET) != 0) return Failed("setns");
    for (const SocketAddress& address : options_.endpoints) {
      Fd fd = NewSocket();
      const int on = 1;
      setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
      sockaddr_storage name;
      const socklen_t length = address.ToSockaddr(&name);
      if (bind(fd.get(), reinterpret_cast<sockaddr*>(&name), length) != 0 ||
          listen(fd.get(), 4096) != 0) {
        return Failed("listen");
      }
      Add(End::Role::kListener, std::move(fd), EPOLLIN);
    }
    return setns(here.get(), CLONE_NEWNET) == 0 || Failed("setns");
  }

  void Run() {
    start_ = Clock::now();
    end_ = start_ + std::chrono::duration_cast<Clock::duration>(
                        std::chrono::duration<double>(options_.seconds));
    const size_t at_once = options_.mode == "first-byte" ? 1 : options_.connections;
    std::array<epoll_event, 256> events;
    while (done_ + failed_ < Work() && Clock::now() < end_) {
      for (size_t n = 0; open_ < at_once && dialled_ < Connections() && n < kDialledAtOnce; ++n)
        Dial();
      const int n = epoll_wait(epoll_.get(), events.data(), events.size(), 0);
      for (int i = 0; i < n; ++i) On(static_cast<End*>(events[i].data.ptr), events[i].events);
      ended_.clear();
    }
    took_ = std::chrono::duration<double>(Clock::now() - start_).count();
  }

  void Print() {
    std::sort(waits_us_.begin(), waits_us_.end());
    const auto at = [&](double share) {
      return waits_us_.empty() ? 0.0
                               : waits_us_[static_cast<size_t>(share * (waits_us_.size() - 1))];
    };
    fmt::print(
        "{{\"seconds\": {:.6f}, \"done\": {}, \"failed\": {}, \"bytes\": {}, \"p50_us\": {:.1f}, "
        "\"p99_us\": {:.1f}}}\n",
        took_, done_, failed_, bytes_, at(0.5), at(0.99));
    std::fflush(stdout);
  }

  bool good() const { return failed_ == 0 && done_ >= Work(); }

 private:
  static bool Failed(const char* what) {
    std::perror(what);
    return false;
  }

  static Fd NewSocket() {
    return Fd(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  }

  // What has to be done, and over how many connections.
  size_t Work() const { return bulk_ ? options_.connections : options_.count; }
  size_t Connections() const { return options_.mode == "request" ? options_.connections : Work(); }

  void Add(End::Role role, Fd fd, uint32_t events, Clock::time_point asked_at = {}) {
    auto* end = new End{.role = role, .fd = std::move(fd), .asked_at = asked_at};
    epoll_event event{.events = events, .data = {.ptr = end}};
    epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, end->fd.get(), &event);
  }

  void Watch(End& end, uint32_t events) {
    epoll_event event{.events = events, .data = {.ptr = &end}};
    epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, end.fd.get(), &event);
  }

  // Its memory goes once the events in hand are through.
  void Close(End& end) {
    if (end.role == End::Role::kClient) --open_;
    end.fd.Reset();
    ended_.emplace_back(&end);
  }

  void Dial() {
    const auto pause = std::chrono::microseconds(options_.pause_us);
    for (const auto until = Clock::now() + pause; Clock::now() < until;) {
    }
    Fd fd = NewSocket();
    const int on = 1;
    setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    sockaddr_storage name;
    const auto& target = options_.targets[dialled_++ % options_.targets.size()];
    const socklen_t length = target.ToSockaddr(&name);
    const auto asked_at = Clock::now();
    if (connect(fd.get(), reinterpret_cast<sockaddr*>(&name), length) != 0 &&
        errno != EINPROGRESS) {
      ++failed_;
      return;
    }
    ++open_;
    Add(End::Role::kClient, std::move(fd), EPOLLOUT, asked_at);
  }

  void On(End* end, uint32_t events) {
    if (!end->fd.valid()) return;
    switch (end->role) {
      case End::Role::kListener:
        return Accept(*end);
      case End::Role::kServer:
        return Serve(*end, events);
      case End::Role::kClient:
        return Ask(*end);
    }
  }

  void Accept(const End& listener) {
    while (true) {
      Fd fd(accept4(listener.fd.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
      if (!fd.valid()) return;
      const int on = 1;
      setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
      Add(End::Role::kServer, std::move(fd), EPOLLIN);
    }
  }

  void Serve(End& end, uint32_t events) {
    if ((events & EPOLLIN) != 0) {
      const ssize_t n = recv(end.fd.get(), scratch_.data(), kMessage - end.received, 0);
      if (n == 0 || (n < 0 && errno != EAGAIN)) return Close(end);
      end.received += static_cast<size_t>(std::max<ssize_t>(n, 0));
      if (end.received < kMessage) return;
      end.received = 0;
      if (!bulk_) {
        send(end.fd.get(), scratch_.data(), kMessage, MSG_NOSIGNAL);
        return;
      }
      end.to_send = BytesOfOne();
      Watch(end, EPOLLIN | EPOLLOUT);
    }
    if (end.to_send == 0) return;
    const ssize_t n =
        send(end.fd.get(), scratch_.data(), std::min(end.to_send, kChunk), MSG_NOSIGNAL);
    if (n > 0) end.to_send -= static_cast<size_t>(n);
    if (end.to_send == 0) Watch(end, EPOLLIN);
  }

  size_t BytesOfOne() const { return options_.count * kMegabyte / options_.connections; }

  void Ask(End& end) {
    if (!end.connected) {
      end.connected = true;
      if (keeps_) end.asked_at = Clock::now();
      if (send(end.fd.get(), scratch_.data(), kMessage, MSG_NOSIGNAL) < 0) return Fail(end);
      return Watch(end, EPOLLIN);
    }
    // MSG_TRUNC: not copied, so that the load takes less of its core.
    const ssize_t n = recv(end.fd.get(), scratch_.data(), kChunk, bulk_ ? MSG_TRUNC : 0);
    if (n < 0 && errno == EAGAIN) return;
    if (n <= 0) return Fail(end);
    bytes_ += static_cast<size_t>(n);
    end.received += static_cast<size_t>(n);
    if (end.received >= (bulk_ ? BytesOfOne() : kMessage)) Answered(end);
  }

  void Answered(End& end) {
    const auto now = Clock::now();
    waits_us_.push_back(std::chrono::duration<double, std::micro>(now - end.asked_at).count());
    ++done_;
    end.received = 0;
    if (!keeps_) return Close(end);
    if (options_.mode == "hold") {
      --open_;  // so that the next one is dialled
      return;
    }
    end.asked_at = now;
    if (send(end.fd.get(), scratch_.data(), kMessage, MSG_NOSIGNAL) < 0) Fail(end);
  }

  void Fail(End& end) {
    ++failed_;
    Close(end);
  }

  const Options& options_;
  const bool bulk_;
  const bool keeps_;  // connections stay open after an answer
  const Fd epoll_;
  std::vector<std::unique_ptr<End>> ended_;
  size_t open_ = 0, dialled_ = 0, done_ = 0, failed_ = 0, bytes_ = 0;
  std::vector<double> waits_us_;
  std::array<char, kChunk> scratch_{};
  Clock::time_point start_, end_;
  double took_ = 0;
};

int Main(int argc, const char* const* argv) {
  Options options;
  CLI::App app("Load for forwarders: clients and endpoints");
  AddFlag(app, "--target", options.targets, "what is dialled, in turn")->required();
  AddFlag(app, "--endpoint", options.endpoints, "what is listened on")->required();
  app.add_option("--endpoints-netns", options.endpoints_netns, "FILE")->required();
  app.add_option("--mode", options.mode)
      ->check(CLI::IsMember({"connect", "request", "bulk", "first-byte", "hold"}));
  app.add_option("--count", options.count)->check(CLI::Range(1, 10'000'000));
  app.add_option("--connections", options.connections)->check(CLI::Range(1, 10000));
  app.add_option("--pause-us", options.pause_us)->check(CLI::Range(0, 100'000));
  app.add_option("--seconds", options.seconds)->check(CLI::Range(0.1, 120.0));
  if (auto status = ParseFlags(app, argc, argv)) return *status;

  auto load = std::make_unique<Load>(options);
  if (!load->Listen()) return kExitFailed;
  load->Run();
  load->Print();
  if (options.mode == "hold") std::getchar();
  return load->good() ? kExitOk : kExitFailed;
}

}  // namespace
}  // namespace portolan::proxy::bench

int main(int argc, char** argv) { return portolan::proxy::bench::Main(argc, argv); }

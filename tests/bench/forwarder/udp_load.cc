// Both ends of the UDP that a forwarder carries: clients that ask, and the endpoints that send back
// what they got, in one thread that never sleeps. The endpoints live in another network namespace.
// Bounded by --count and --seconds. Prints one line of JSON.
//
//   udp_bench_load --target 10.67.250.1:8080 --endpoint 10.66.1.1:8080
//                  --endpoints-netns /proc/PID/ns/net --count 100000 --flows 64 --window 1
//
// Each flow has --window datagrams of --bytes under way. What has not come back when a flow was
// silent for 200 ms is lost, and asked again. Times are from asking to the answer.
#include <fcntl.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "common/fd.h"
#include "common/flags.h"
#include "common/ip.h"

namespace portolan::proxy::bench {
namespace {

using Clock = std::chrono::steady_clock;
constexpr size_t kBatch = 32;
constexpr size_t kMostBytes = 2048;
constexpr auto kSilence = std::chrono::milliseconds(200);

struct Options {
  std::vector<SocketAddress> targets, endpoints;
  std::string endpoints_netns;
  size_t count = 100'000, flows = 64, window = 1, bytes = 64;
  double seconds = 60;
};

struct End {
  bool client = false;
  Fd fd;
  size_t under_way = 0;
  Clock::time_point heard_at;
};

// Datagrams received together, and sent together.
struct Batch {
  Batch() {
    for (size_t i = 0; i < kBatch; ++i) {
      parts[i] = {.iov_base = data[i].data(), .iov_len = kMostBytes};
      messages[i].msg_hdr = {};
      messages[i].msg_hdr.msg_iov = &parts[i];
      messages[i].msg_hdr.msg_iovlen = 1;
    }
  }

  size_t Receive(const Fd& fd, bool with_source) {
    for (size_t i = 0; i < kBatch; ++i) {
      parts[i].iov_len = kMostBytes;
      messages[i].msg_hdr.msg_name = with_source ? &sources[i] : nullptr;
      messages[i].msg_hdr.msg_namelen = with_source ? sizeof sources[i] : 0;
    }
    const int n = recvmmsg(fd.get(), messages.data(), kBatch, MSG_DONTWAIT, nullptr);
    return static_cast<size_t>(std::max(n, 0));
  }

  void Send(const Fd& fd, size_t count) {
    const int n = sendmmsg(fd.get(), messages.data(), static_cast<unsigned>(count), MSG_DONTWAIT);
    static_cast<void>(n);  // what is not sent is lost like the rest
  }

  std::array<std::array<char, kMostBytes>, kBatch> data{};
  std::array<iovec, kBatch> parts;
  std::array<sockaddr_in, kBatch> sources;
  std::array<mmsghdr, kBatch> messages{};
};

class Load {
 public:
  explicit Load(const Options& options) : options_(options), epoll_(epoll_create1(EPOLL_CLOEXEC)) {
    waits_us_.reserve(options.count + kBatch);
  }

  bool Open() {
    const Fd here(open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
    const Fd there(open(options_.endpoints_netns.c_str(), O_RDONLY | O_CLOEXEC));
    if (setns(there.get(), CLONE_NEWNET) != 0) return Failed("setns");
    for (const SocketAddress& address : options_.endpoints) {
      if (!Add(false, address, bind)) return Failed("bind");
    }
    if (setns(here.get(), CLONE_NEWNET) != 0) return Failed("setns");
    for (size_t i = 0; i < options_.flows; ++i) {
      if (!Add(true, options_.targets[i % options_.targets.size()], connect)) {
        return Failed("connect");
      }
    }
    return true;
  }

  void Run() {
    const auto start = Clock::now();
    const auto end = start + std::chrono::duration_cast<Clock::duration>(
                                 std::chrono::duration<double>(options_.seconds));
    std::array<epoll_event, 256> events;
    auto now = start;
    for (auto& one : ends_) {
      if (one->client) Ask(*one, options_.window, now);
    }
    auto look_at = start + kSilence;
    while (done_ < options_.count && now < end) {
      const int n = epoll_wait(epoll_.get(), events.data(), events.size(), 0);
      now = Clock::now();
      for (int i = 0; i < n; ++i) On(*static_cast<End*>(events[i].data.ptr), now);
      if (now < look_at) continue;
      look_at = now + kSilence;
      AskAgain(now);
    }
    took_ = std::chrono::duration<double>(Clock::now() - start).count();
  }

  void Print() {
    std::sort(waits_us_.begin(), waits_us_.end());
    const auto at = [&](double share) {
      return waits_us_.empty() ? 0.0
                               : waits_us_[static_cast<size_t>(share * (waits_us_.size() - 1))];
    };
    fmt::print(
        "{{\"seconds\": {:.6f}, \"done\": {}, \"lost\": {}, \"p50_us\": {:.1f}, \"p99_us\": "
        "{:.1f}}}\n",
        took_, done_, lost_, at(0.5), at(0.99));
  }

  bool good() const { return done_ >= options_.count; }

 private:
  static bool Failed(const char* what) {
    std::perror(what);
    return false;
  }

  bool Add(bool client, const SocketAddress& address,
           int (*place)(int, const sockaddr*, socklen_t)) {
    ends_.push_back(std::make_unique<End>());
    End& end = *ends_.back();
    end.client = client;
    end.fd = Fd(socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    const int buffer = 4 << 20;
    setsockopt(end.fd.get(), SOL_SOCKET, SO_RCVBUFFORCE, &buffer, sizeof buffer);
    sockaddr_storage name;
    const socklen_t length = address.ToSockaddr(&name);
    epoll_event event{.events = EPOLLIN, .data = {.ptr = &end}};
    return place(end.fd.get(), reinterpret_cast<sockaddr*>(&name), length) == 0 &&
           epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, end.fd.get(), &event) == 0;
  }

  void On(End& end, Clock::time_point now) {
    const size_t received = batch_.Receive(end.fd, !end.client);
    if (!end.client) {
      for (size_t i = 0; i < received; ++i) batch_.parts[i].iov_len = batch_.messages[i].msg_len;
      return batch_.Send(end.fd, received);
    }
    for (size_t i = 0; i < received; ++i) {
      Clock::time_point asked_at;
      std::memcpy(&asked_at, batch_.data[i].data(), sizeof asked_at);
      waits_us_.push_back(std::chrono::duration<double, std::micro>(now - asked_at).count());
    }
    done_ += received;
    end.heard_at = now;
    end.under_way -= std::min(received, end.under_way);
    Ask(end, options_.window - end.under_way, now);
  }

  void Ask(End& end, size_t count, Clock::time_point now) {
    end.under_way += count;
    while (count > 0) {
      const size_t some = std::min(count, kBatch);
      for (size_t i = 0; i < some; ++i) {
        std::memcpy(batch_.data[i].data(), &now, sizeof now);
        batch_.parts[i].iov_len = options_.bytes;
        batch_.messages[i].msg_hdr.msg_name = nullptr;
        batch_.messages[i].msg_hdr.msg_namelen = 0;
      }
      batch_.Send(end.fd, some);
      count -= some;
    }
  }

  void AskAgain(Clock::time_point now) {
    for (auto& end : ends_) {
      if (!end->client || now - end->heard_at < kSilence) continue;
      lost_ += std::exchange(end->under_way, 0);
      Ask(*end, options_.window, now);
    }
  }

  const Options& options_;
  const Fd epoll_;
  std::vector<std::unique_ptr<End>> ends_;
  Batch batch_;
  size_t done_ = 0, lost_ = 0;
  std::vector<double> waits_us_;
  double took_ = 0;
};

int Main(int argc, const char* const* argv) {
  Options options;
  CLI::App app("UDP load for forwarders: clients and endpoints");
  AddFlag(app, "--target", options.targets, "what is dialled, in turn")->required();
  AddFlag(app, "--endpoint", options.endpoints, "what sends back what it gets")->required();
  app.add_option("--endpoints-netns", options.endpoints_netns, "FILE")->required();
  app.add_option("--count", options.count)->check(CLI::Range(1, 100'000'000));
  app.add_option("--flows", options.flows)->check(CLI::Range(1, 10'000));
  app.add_option("--window", options.window)->check(CLI::Range(1, 1000));
  app.add_option("--bytes", options.bytes)->check(CLI::Range(8, static_cast<int>(kMostBytes)));
  app.add_option("--seconds", options.seconds)->check(CLI::Range(0.1, 120.0));
  if (auto status = ParseFlags(app, argc, argv)) return *status;
  auto load = std::make_unique<Load>(options);
  if (!load->Open()) return kExitFailed;
  load->Run();
  load->Print();
  return load->good() ? kExitOk : kExitFailed;
}

}  // namespace
}  // namespace portolan::proxy::bench

int main(int argc, char** argv) { return portolan::proxy::bench::Main(argc, argv); }

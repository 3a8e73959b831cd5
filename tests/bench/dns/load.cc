// Asks a DNS server over UDP as fast as it answers, with a fixed number of queries outstanding, and
// checks every answer. It never sleeps: a server that is slower than another would otherwise pay
// for waking it more often. Bounded by --count and by --seconds. Prints one line of JSON.
//
//   dns_bench_load --server 127.0.0.1:5300 --count 200000 --outstanding 128 --names 2000
//                  --scenario a|nodata|nxdomain|srv|headless3|cached | --unchecked
//                  [--watch NAME]
//
// With --watch every 16th query is for the A record of NAME. Told is when its address was first
// another than in the beginning (CLOCK_MONOTONIC), and the longest wait for a reply in each
// millisecond of the run.
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <limits>
#include <memory>
#include <vector>

#include "common/fd.h"
#include "common/flags.h"
#include "common/ip.h"
#include "dns/wire/bytes.h"
#include "tests/bench/dns/names.h"

namespace portolan::dns::bench {
namespace {

using Clock = std::chrono::steady_clock;
constexpr size_t kBatch = 32;
constexpr size_t kIds = 65536;
constexpr size_t kWatchEvery = 16;
constexpr uint32_t kWatched = std::numeric_limits<uint32_t>::max();
// Without an answer for so long what is outstanding counts as lost.
constexpr auto kSilence = std::chrono::milliseconds(250);

struct Options {
  SocketAddress server;
  size_t count = 200000, outstanding = 128, names = 2000;
  double seconds = 30;
  std::string scenario = "a", watch;
  bool unchecked = false;
};

struct Result {
  size_t sent = 0, received = 0, wrong = 0, lost = 0;
  // More in the replies than in the queries.
  size_t extra_bytes = 0;
};

class Load {
 public:
  Load(const Options& options, int fd)
      : options_(options), scenario_(*ParseScenario(options.scenario)), fd_(fd) {
    for (size_t i = 0; i < options.names; ++i) queries_.push_back(MakeQuery(scenario_, i));
    if (!options.watch.empty()) watched_ = MakeQuery(options.watch);
    worst_us_.resize(static_cast<size_t>(options.seconds * 1000) + 1);
  }

  Result Run() {
    start_ = heard_ = Clock::now();
    const auto end = start_ + std::chrono::duration<double>(options_.seconds);
    while (result_.received + result_.lost < options_.count && Clock::now() < end) {
      while (outstanding_ + kBatch <= options_.outstanding && result_.sent < options_.count) Send();
      Receive();
    }
    return result_;
  }

  void PrintWatched() const {
    fmt::print(", \"start_ns\": {}, \"changed_ns\": {}, \"worst_us\": [{}]",
               start_.time_since_epoch().count(), changed_.time_since_epoch().count(),
               fmt::join(worst_us_, ","));
  }

 private:
  const std::vector<uint8_t>& QueryOf(uint32_t name) const {
    return name == kWatched ? watched_ : queries_[name];
  }

  void Send() {
    std::array<mmsghdr, kBatch> out{};
    std::array<iovec, kBatch> bytes;
    std::array<std::array<uint8_t, 128>, kBatch> copies;
    const size_t n = std::min(kBatch, options_.count - result_.sent);
    const auto now = Clock::now();
    for (size_t i = 0; i < n; ++i) {
      const auto id = static_cast<uint16_t>(next_ + i);
      const bool watch = !watched_.empty() && id % kWatchEvery == 0;
      name_of_[id] = watch ? kWatched : static_cast<uint32_t>((next_ + i) % queries_.size());
      const auto& query = QueryOf(name_of_[id]);
      std::copy(query.begin(), query.end(), copies[i].begin());
      wire::Store16(copies[i].data(), id);
      sent_at_[id] = now;
      waiting_[id] = true;
      bytes[i] = {copies[i].data(), query.size()};
      out[i].msg_hdr.msg_iov = &bytes[i];
      out[i].msg_hdr.msg_iovlen = 1;
    }
    const int sent = sendmmsg(fd_, out.data(), static_cast<unsigned>(n), 0);
    if (sent <= 0) return;
    next_ += static_cast<size_t>(sent);
    result_.sent += static_cast<size_t>(sent);
    outstanding_ += static_cast<size_t>(sent);
  }

  void Receive() {
    std::array<mmsghdr, kBatch> in{};
    std::array<iovec, kBatch> bytes;
    std::array<std::array<uint8_t, 2048>, kBatch> room;
    for (size_t i = 0; i < kBatch; ++i) {
      bytes[i] = {room[i].data(), room[i].size()};
      in[i].msg_hdr.msg_iov = &bytes[i];
      in[i].msg_hdr.msg_iovlen = 1;
    }
    const int n = recvmmsg(fd_, in.data(), kBatch, MSG_DONTWAIT, nullptr);
    const auto now = Clock::now();
    if (n > 0) heard_ = now;
    if (now - heard_ > kSilence) {
      heard_ = now;
      result_.lost += outstanding_;
      outstanding_ = 0;
      waiting_.fill(false);
    }
    for (int i = 0; i < n; ++i)
      Check({room[static_cast<size_t>(i)].data(), in[static_cast<size_t>(i)].msg_len}, now);
  }

  void Check(std::span<const uint8_t> reply, Clock::time_point now) {
    const uint16_t id = reply.size() < 12 ? 0 : wire::Load16(reply.data());
    if (reply.size() < 12 || !waiting_[id]) {
      ++result_.wrong;
      return;
    }
    const uint32_t name = name_of_[id];
    waiting_[id] = false;
    --outstanding_;
    ++result_.received;
    result_.extra_bytes += reply.size() - std::min(reply.size(), QueryOf(name).size());
    NoteWait(now, now - sent_at_[id]);
    if (name == kWatched) {
      Watch(FirstAddress(reply), now);
    } else if (!options_.unchecked && !IsRight(scenario_, name, reply)) {
      ++result_.wrong;
    }
  }

  void NoteWait(Clock::time_point now, Clock::duration wait) {
    using std::chrono::duration_cast;
    const auto ms = duration_cast<std::chrono::milliseconds>(now - start_).count();
    auto& worst = worst_us_[std::min(static_cast<size_t>(ms), worst_us_.size() - 1)];
    worst = std::max(worst, duration_cast<std::chrono::microseconds>(wait).count());
  }

  void Watch(uint32_t address, Clock::time_point now) {
    if (first_address_ == 0) first_address_ = address;
    if (address != first_address_ && changed_ == Clock::time_point()) changed_ = now;
  }

  const Options& options_;
  const Scenario scenario_;
  int fd_;
  std::vector<std::vector<uint8_t>> queries_;
  std::vector<uint8_t> watched_;
  std::array<uint32_t, kIds> name_of_{};
  std::array<Clock::time_point, kIds> sent_at_;
  std::array<bool, kIds> waiting_{};
  size_t next_ = 0, outstanding_ = 0;
  uint32_t first_address_ = 0;
  Clock::time_point start_, changed_, heard_;
  std::vector<long> worst_us_;
  Result result_;
};

int Main(int argc, const char* const* argv) {
  Options options;
  CLI::App app("Load for DNS servers");
  AddFlag(app, "--server", options.server, "ADDRESS:PORT")->required();
  app.add_option("--count", options.count);
  app.add_option("--outstanding", options.outstanding)->check(CLI::Range(32, 4096));
  app.add_option("--names", options.names)->check(CLI::Range(1, 65000));
  app.add_option("--seconds", options.seconds)->check(CLI::Range(0.1, 60.0));
  app.add_option("--scenario", options.scenario);
  app.add_option("--watch", options.watch);
  app.add_flag("--unchecked", options.unchecked);
  if (auto status = ParseFlags(app, argc, argv)) return *status;
  if (!ParseScenario(options.scenario)) {
    std::fprintf(stderr, "--scenario: unknown: %s\n", options.scenario.c_str());
    return kExitUsage;
  }

  Fd fd(socket(options.server.ip.is_v6() ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  sockaddr_storage name;
  const socklen_t length = options.server.ToSockaddr(&name);
  const int megabyte = 1 << 20;
  setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUF, &megabyte, sizeof megabyte);
  if (connect(fd.get(), reinterpret_cast<sockaddr*>(&name), length) != 0) {
    std::perror("connect");
    return kExitFailed;
  }
  auto load = std::make_unique<Load>(options, fd.get());
  const auto start = Clock::now();
  const Result r = load->Run();
  const double took = std::chrono::duration<double>(Clock::now() - start).count();
  fmt::print(
      "{{\"seconds\": {:.6f}, \"sent\": {}, \"received\": {}, \"wrong\": {}, \"lost\": {}, "
      "\"extra_bytes\": {}",
      took, r.sent, r.received, r.wrong, r.lost, r.received == 0 ? 0 : r.extra_bytes / r.received);
  if (!options.watch.empty()) load->PrintWatched();
  fmt::print("}}\n");
  return r.received == 0 || r.wrong > 0 ? kExitFailed : kExitOk;
}

}  // namespace
}  // namespace portolan::dns::bench

int main(int argc, char** argv) { return portolan::dns::bench::Main(argc, argv); }

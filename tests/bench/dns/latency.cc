// What a client waits for an answer on a machine at rest: one query at a time, with a pause before
// the next, each on the same socket. Prints one line of JSON, microseconds.
//
//   dns_bench_latency --server 127.0.0.1:5300 --scenario a --count 2000 --pause-us 1000
#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <thread>
#include <vector>

#include "common/fd.h"
#include "common/flags.h"
#include "common/ip.h"
#include "dns/wire/bytes.h"
#include "tests/bench/dns/names.h"

namespace portolan::dns::bench {
namespace {

using Clock = std::chrono::steady_clock;
constexpr int kPatienceMs = 1000;

struct Options {
  SocketAddress server;
  std::string scenario = "a";
  size_t count = 2000, names = 2000, pause_us = 1000;
  bool unchecked = false;
};

// Microseconds; nothing if there was no right answer.
std::optional<double> Ask(int fd, std::vector<uint8_t> query, size_t i, const Options& options) {
  std::array<uint8_t, 2048> reply;
  wire::Store16(query.data(), static_cast<uint16_t>(i));
  const auto start = Clock::now();
  if (send(fd, query.data(), query.size(), 0) < 0) return std::nullopt;
  const ssize_t got = recv(fd, reply.data(), reply.size(), 0);
  const double us = std::chrono::duration<double, std::micro>(Clock::now() - start).count();
  if (got < 12 || wire::Load16(reply.data()) != static_cast<uint16_t>(i)) return std::nullopt;
  const std::span<const uint8_t> bytes(reply.data(), static_cast<size_t>(got));
  if (options.unchecked) return us;
  return IsRight(*ParseScenario(options.scenario), i % options.names, bytes) ? std::optional(us)
                                                                             : std::nullopt;
}

int Main(int argc, const char* const* argv) {
  Options options;
  CLI::App app("What a client of a DNS server waits");
  AddFlag(app, "--server", options.server, "ADDRESS:PORT")->required();
  app.add_option("--scenario", options.scenario);
  app.add_option("--count", options.count)->check(CLI::Range(1, 1000000));
  app.add_option("--names", options.names)->check(CLI::Range(1, 65000));
  app.add_option("--pause-us", options.pause_us)->check(CLI::Range(0, 1000000));
  app.add_flag("--unchecked", options.unchecked);
  if (auto status = ParseFlags(app, argc, argv)) return *status;
  const auto scenario = ParseScenario(options.scenario);
  if (!scenario) return kExitUsage;

  Fd fd(socket(options.server.ip.is_v6() ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  sockaddr_storage name;
  const socklen_t length = options.server.ToSockaddr(&name);
  const timeval patience{kPatienceMs / 1000, 0};
  setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  if (connect(fd.get(), reinterpret_cast<sockaddr*>(&name), length) != 0) return kExitFailed;

  std::vector<double> waits;
  for (size_t i = 0; i < options.count; ++i) {
    std::this_thread::sleep_for(std::chrono::microseconds(options.pause_us));
    const auto us = Ask(fd.get(), MakeQuery(*scenario, i % options.names), i, options);
    if (!us) return kExitFailed;
    waits.push_back(*us);
  }
  std::sort(waits.begin(), waits.end());
  fmt::print("{{\"p50_us\": {:.1f}, \"p99_us\": {:.1f}, \"max_us\": {:.1f}}}\n",
             waits[waits.size() / 2], waits[waits.size() * 99 / 100], waits.back());
  return kExitOk;
}

}  // namespace
}  // namespace portolan::dns::bench

int main(int argc, char** argv) { return portolan::dns::bench::Main(argc, argv); }

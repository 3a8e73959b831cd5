// The table of learned addresses (proxy/policy/learned_addresses.h): whether what one thread has
// learned another ever misses, and what it costs.
//
//   learned_bench [ROUNDS [PAIRS]]
//
// In each of ROUNDS (1,000,000) one thread of a pair adds an address, tells the other by one store,
// and that looks for it: as a client that connects in the moment in which the reply arrives. PAIRS
// (2) do so at once, in one table, which overflows all the while by the limit of each name. Exit
// status 1 if any was missed.
#include <fmt/format.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include "common/monotonic.h"
#include "dns/wire/name.h"
#include "proxy/policy/learned_addresses.h"

namespace portolan::proxy {
namespace {

using Bytes = std::span<const uint8_t>;

std::string WireName(uint32_t i) {
  return *dns::wire::NameToWire("host-" + std::to_string(i) + ".example.com");
}
Bytes AsBytes(const std::string& wire) {
  return {reinterpret_cast<const uint8_t*>(wire.data()), wire.size()};
}
IpAddress Numbered(uint32_t i) {
  const uint8_t bytes[] = {static_cast<uint8_t>(i >> 24), static_cast<uint8_t>(i >> 16),
                           static_cast<uint8_t>(i >> 8), static_cast<uint8_t>(i)};
  return IpAddress::V4(bytes);
}

// Two threads on one core must let each other run.
void WaitFor(const std::atomic<uint32_t>& value, uint32_t least) {
  for (int spins = 0; value.load(std::memory_order_acquire) < least;) {
    if (++spins > 100) std::this_thread::yield();
  }
}

uint64_t RunPair(LearnedAddresses& learned, uint32_t pair, uint32_t rounds) {
  const std::string name = WireName(pair);
  std::atomic<uint32_t> added{0}, looked{0};
  std::thread worker([&] {
    for (uint32_t i = 1; i <= rounds; ++i) {
      learned.Add(AsBytes(name), Numbered(pair << 24 | i), absl::Seconds(60), Monotonic());
      added.store(i, std::memory_order_release);
      WaitFor(looked, i);
    }
  });
  uint64_t missed = 0;
  for (uint32_t i = 1; i <= rounds; ++i) {
    WaitFor(added, i);
    const auto found = learned.Find(Numbered(pair << 24 | i), Monotonic(), [&](Bytes of) {
      return std::equal(of.begin(), of.end(), AsBytes(name).begin());
    });
    if (found != 0) learned.Release(found, Monotonic());
    missed += found == 0;
    looked.store(i, std::memory_order_release);
  }
  worker.join();
  return missed;
}

uint64_t CountMissed(uint32_t rounds, uint32_t pairs) {
  LearnedAddresses learned({});
  std::atomic<uint64_t> missed{0};
  std::vector<std::thread> threads;
  for (uint32_t pair = 0; pair < pairs; ++pair) {
    threads.emplace_back([&, pair] { missed.fetch_add(RunPair(learned, pair + 1, rounds)); });
  }
  for (std::thread& thread : threads) thread.join();
  return missed.load();
}

template <typename F>
void Time(std::string_view what, uint32_t times, F&& once) {
  const auto begin = std::chrono::steady_clock::now();
  for (uint32_t i = 0; i < times; ++i) once(i);
  const std::chrono::duration<double, std::nano> took = std::chrono::steady_clock::now() - begin;
  fmt::print("{:<40} {:9.1f} ns\n", what, took.count() / times);
}

void TimeOperations() {
  constexpr uint32_t kFull = 10'000, kTimes = 200'000;
  LearnedAddresses learned({});
  const absl::Duration now = Monotonic();
  const auto any = [](Bytes) { return true; };
  std::vector<std::string> names;
  for (uint32_t i = 0; i < kFull / 10 + 100; ++i) names.push_back(WireName(i));
  const auto add = [&](uint32_t i) {
    learned.Add(AsBytes(names[i / 10 % names.size()]), Numbered(i), absl::Seconds(60),
                now + absl::Nanoseconds(i));
  };
  const auto find = [&](uint32_t i) {
    const auto found = learned.Find(Numbered(i), now, any);
    if (found != 0) learned.Release(found, now);
  };
  Time("find in an empty table", kTimes, find);
  Time("add, new", kFull, add);
  Time("add, known", kTimes, [&](uint32_t i) { add(i * 7 % kFull); });
  Time("find and release", kTimes, [&](uint32_t i) { find(i * 7 % kFull); });
  Time("find what nobody asked for", kTimes, [&](uint32_t i) { find(kFull + i); });
  Time("add, new, the table being full", 1'000, [&](uint32_t i) { add(kFull + i); });
  fmt::print("entries: {}\n", learned.size());
}

int Run(int argc, char** argv) {
  const auto rounds = static_cast<uint32_t>(argc > 1 ? std::atol(argv[1]) : 1'000'000);
  const auto pairs = static_cast<uint32_t>(argc > 2 ? std::atol(argv[2]) : 2);
  TimeOperations();
  const uint64_t missed = CountMissed(rounds, pairs);
  fmt::print("{} pairs of threads, {} rounds each: {} missed\n", pairs, rounds, missed);
  return missed == 0 ? 0 : 1;
}

}  // namespace
}  // namespace portolan::proxy

int main(int argc, char** argv) { return portolan::proxy::Run(argc, argv); }

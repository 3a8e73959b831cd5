// Whether who connects as soon as the answer is there is ever refused: --count rounds, in each of
// which a client asks for a name that nobody asked for, and dials the address in the answer at
// once. No address comes twice. Prints one line of JSON; exit status 1 if a round was refused, or
// if an address was reached that no name had led to.
//
//   learned_bench_rounds --dns 127.0.0.1:15053 --upstream 127.0.0.1:5300 --count 1000000
//
// This program is all but the sidecar: the clients, the upstream, which knows host-N.example.org
// for every N, and what answers at port 443 of every address, which are local ones. Connections are
// closed by reset, so that no port waits.
#include <fmt/format.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "common/fd.h"
#include "common/flags.h"
#include "common/ip.h"
#include "dns/wire/bytes.h"

namespace portolan::bench {
namespace {

using Clock = std::chrono::steady_clock;
using dns::wire::Store16;
using dns::wire::Store32;

constexpr uint32_t kFirstAddress = 0x0A500000;  // 10.80.0.0, of a /12
constexpr uint32_t kMostRounds = 1'000'000;
constexpr uint32_t kNeverAsked = kFirstAddress + kMostRounds;  // and those behind it
constexpr uint32_t kGuessEvery = 1000;
constexpr uint16_t kPort = 443;
constexpr size_t kHeader = 12;
constexpr std::string_view kHost = "host-";
constexpr std::string_view kZone = "\7example\3org";  // with the root label that ends it

struct Options {
  SocketAddress dns, upstream;
  uint32_t count = 20'000, clients = 2;
};

Fd Socket(int type, int patience_ms) {
  Fd fd(socket(AF_INET, type | SOCK_CLOEXEC, 0));
  const timeval patience{patience_ms / 1000, patience_ms % 1000 * 1000};
  setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  return fd;
}

template <typename F>
bool At(F call, const Fd& fd, const SocketAddress& address) {
  sockaddr_storage name;
  const socklen_t length = address.ToSockaddr(&name);
  return call(fd.get(), reinterpret_cast<sockaddr*>(&name), length) == 0;
}

void ResetWhenClosed(const Fd& fd) {
  const linger at_once{1, 0};
  setsockopt(fd.get(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
}

SocketAddress Numbered(uint32_t address) {
  std::array<uint8_t, 4> bytes;
  Store32(bytes.data(), address);
  return {IpAddress::V4(bytes), kPort};
}

std::vector<uint8_t> Question(uint32_t number) {
  const std::string label = fmt::format("{}{}", kHost, number);
  std::vector<uint8_t> query(kHeader);
  Store16(query.data(), static_cast<uint16_t>(number));
  Store16(query.data() + 2, 0x0100);  // recursion desired
  Store16(query.data() + 4, 1);
  query.push_back(static_cast<uint8_t>(label.size()));
  query.insert(query.end(), label.begin(), label.end());
  query.insert(query.end(), kZone.begin(), kZone.end());
  query.insert(query.end(), {0, 0, 1, 0, 1});  // the root, A, IN
  return query;
}

// Turns the query into its answer: an A record with the address of the name's number.
bool Answer(std::vector<uint8_t>& message) {
  const size_t at = kHeader + 1 + kHost.size();
  if (message.size() < at) return false;
  const char* digits = reinterpret_cast<const char*>(message.data()) + at;
  const char* end = reinterpret_cast<const char*>(message.data()) + kHeader + 1 + message[kHeader];
  uint32_t number = 0;
  if (end > digits + message.size() - at ||
      std::from_chars(digits, end, number).ec != std::errc()) {
    return false;
  }
  message.resize(kHeader + 1 + message[kHeader] + kZone.size() + 1 + 4);
  Store16(message.data() + 2, 0x8580);  // a response, authoritative
  Store16(message.data() + 6, 1);       // one answer, nothing behind it
  std::fill_n(message.begin() + 8, 4, uint8_t{0});
  std::array<uint8_t, 16> record{0xC0, kHeader, 0, 1, 0, 1, 0, 0, 0, 5, 0, 4};
  Store32(record.data() + 12, kFirstAddress + number);
  message.insert(message.end(), record.begin(), record.end());
  return true;
}

void ServeNames(const Fd& fd) {
  std::vector<uint8_t> message;
  for (;;) {
    message.resize(512);
    sockaddr_storage from;
    socklen_t length = sizeof from;
    const ssize_t got = recvfrom(fd.get(), message.data(), message.size(), 0,
                                 reinterpret_cast<sockaddr*>(&from), &length);
    if (got <= static_cast<ssize_t>(kHeader)) continue;
    message.resize(static_cast<size_t>(got));
    if (!Answer(message)) continue;
    sendto(fd.get(), message.data(), message.size(), 0, reinterpret_cast<sockaddr*>(&from), length);
  }
}

// One byte to each who comes. The other end closes; what is over is let go by and by.
void ServeConnections(const Fd& listener) {
  std::array<Fd, 64> held;
  for (size_t n = 0;; ++n) {
    Fd fd(accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (!fd.valid()) continue;
    ResetWhenClosed(fd);
    send(fd.get(), "!", 1, MSG_NOSIGNAL);
    held[n % held.size()] = std::move(fd);
  }
}

bool IsReached(uint32_t address) {
  const Fd fd = Socket(SOCK_STREAM, 5000);
  if (!At(connect, fd, Numbered(address))) return false;
  char byte;
  const bool reached = recv(fd.get(), &byte, 1, 0) == 1;
  ResetWhenClosed(fd);
  return reached;
}

struct Outcomes {
  std::atomic<uint32_t> next{0}, reached{0}, refused{0}, unanswered{0}, guesses{0}, guessed{0};
};

// False: not answered as it should be.
bool Ask(const Fd& fd, uint32_t number) {
  const std::vector<uint8_t> query = Question(number);
  std::array<uint8_t, 512> reply;
  std::array<uint8_t, 4> address;
  Store32(address.data(), kFirstAddress + number);
  if (send(fd.get(), query.data(), query.size(), 0) < 0) return false;
  for (;;) {
    const ssize_t got = recv(fd.get(), reply.data(), reply.size(), 0);
    if (got < 0) return false;
    if (got < 2 || !std::equal(query.begin(), query.begin() + 2, reply.begin())) continue;
    return std::search(reply.begin(), reply.begin() + got, address.begin(), address.end()) !=
           reply.begin() + got;
  }
}

void Go(const Options& options, Outcomes& outcomes) {
  const Fd fd = Socket(SOCK_DGRAM, 2000);
  if (!At(connect, fd, options.dns)) return;
  for (uint32_t number; (number = outcomes.next++) < options.count;) {
    if (number % kGuessEvery == 0) {
      ++outcomes.guesses;
      if (IsReached(kNeverAsked + number / kGuessEvery)) ++outcomes.guessed;
    }
    if (!Ask(fd, number)) {
      ++outcomes.unanswered;
    } else {
      ++(IsReached(kFirstAddress + number) ? outcomes.reached : outcomes.refused);
    }
  }
}

int Main(int argc, const char* const* argv) {
  Options options;
  CLI::App app("Asks for names and dials what they lead to, at once");
  AddFlag(app, "--dns", options.dns, "ADDRESS:PORT")->required();
  AddFlag(app, "--upstream", options.upstream, "ADDRESS:PORT, where it serves names")->required();
  app.add_option("--count", options.count)->check(CLI::Range(1u, kMostRounds));
  app.add_option("--clients", options.clients)->check(CLI::Range(1, 16));
  if (auto status = ParseFlags(app, argc, argv)) return *status;

  const Fd names = Socket(SOCK_DGRAM, 0);
  const Fd listener = Socket(SOCK_STREAM, 0);
  if (!At(bind, names, options.upstream) || !At(bind, listener, Numbered(INADDR_ANY)) ||
      listen(listener.get(), 1024) != 0) {
    std::perror("bind");
    return kExitFailed;
  }
  std::thread([&] { ServeNames(names); }).detach();
  std::thread([&] { ServeConnections(listener); }).detach();

  Outcomes outcomes;
  const auto start = Clock::now();
  std::vector<std::thread> clients;
  for (uint32_t n = 0; n < options.clients; ++n)
    clients.emplace_back(Go, std::cref(options), std::ref(outcomes));
  for (std::thread& client : clients) client.join();
  fmt::print(
      "{{\"seconds\": {:.1f}, \"reached\": {}, \"refused\": {}, \"unanswered\": {}, "
      "\"guesses\": {}, \"guessed\": {}}}\n",
      std::chrono::duration<double>(Clock::now() - start).count(), outcomes.reached.load(),
      outcomes.refused.load(), outcomes.unanswered.load(), outcomes.guesses.load(),
      outcomes.guessed.load());
  std::fflush(stdout);
  // The servers' threads end with the process.
  std::_Exit(outcomes.refused == 0 && outcomes.guessed == 0 ? kExitOk : kExitFailed);
}

}  // namespace
}  // namespace portolan::bench

int main(int argc, char** argv) { return portolan::bench::Main(argc, argv); }

// Asks a DNS server over UDP as fast as it answers, with a fixed number of queries outstanding, and
// checks every answer. Bounded by --count and by --seconds. Prints one line of JSON.
//
//   dns_bench_load --server 127.0.0.1:5300 --count 200000 --outstanding 128 [--type A|AAAA]
//                  [--expect address|nodata|nxdomain|nothing] [--names 2000]
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <vector>

#include "common/fd.h"
#include "common/flags.h"
#include "common/ip.h"
#include "dns/wire/bytes.h"
#include "dns/wire/name.h"
#include "tests/bench/dns/names.h"

namespace portolan::dns::bench {
namespace {

using Clock = std::chrono::steady_clock;
constexpr size_t kBatch = 32;
constexpr size_t kIds = 65536;
// Without an answer for so long what is outstanding counts as lost.
constexpr int kSilenceMs = 250;

struct Options {
  SocketAddress server;
  size_t count = 200000, outstanding = 128, names = 2000;
  double seconds = 30;
  std::string type = "A", expect = "address";
};

struct Result {
  size_t sent = 0, received = 0, wrong = 0, lost = 0;
};

class Load {
 public:
  Load(const Options& options, int fd) : options_(options), fd_(fd) {
    const uint16_t qtype = options.type == "AAAA" ? wire::type::kAaaa : wire::type::kA;
    for (size_t i = 0; i < options.names; ++i) {
      const std::string prefix = options.expect == "nxdomain" ? "no-" : "";
      const std::string name = *wire::NameToWire(prefix + Name(i));
      std::vector<uint8_t> query = {0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0};
      query.insert(query.end(), name.begin(), name.end());
      query.insert(query.end(), {0, static_cast<uint8_t>(qtype), 0, 1});
      queries_.push_back(std::move(query));
    }
  }

  Result Run() {
    const auto end = Clock::now() + std::chrono::duration<double>(options_.seconds);
    while (result_.received + result_.lost < options_.count && Clock::now() < end) {
      while (outstanding_ + kBatch <= options_.outstanding && result_.sent < options_.count) Send();
      Receive();
    }
    return result_;
  }

 private:
  void Send() {
    std::array<mmsghdr, kBatch> out{};
    std::array<iovec, kBatch> bytes;
    std::array<std::array<uint8_t, 128>, kBatch> copies;
    const size_t n = std::min(kBatch, options_.count - result_.sent);
    for (size_t i = 0; i < n; ++i) {
      const auto& query = queries_[(next_ + i) % queries_.size()];
      std::copy(query.begin(), query.end(), copies[i].begin());
      const auto id = static_cast<uint16_t>(next_ + i);
      wire::Store16(copies[i].data(), id);
      name_of_[id] = static_cast<uint32_t>((next_ + i) % queries_.size());
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
    pollfd readable{fd_, POLLIN, 0};
    if (poll(&readable, 1, kSilenceMs) <= 0) {
      result_.lost += outstanding_;
      outstanding_ = 0;
      waiting_.fill(false);
      return;
    }
    std::array<mmsghdr, kBatch> in{};
    std::array<iovec, kBatch> bytes;
    std::array<std::array<uint8_t, 2048>, kBatch> room;
    for (size_t i = 0; i < kBatch; ++i) {
      bytes[i] = {room[i].data(), room[i].size()};
      in[i].msg_hdr.msg_iov = &bytes[i];
      in[i].msg_hdr.msg_iovlen = 1;
    }
    const int n = recvmmsg(fd_, in.data(), kBatch, MSG_DONTWAIT, nullptr);
    for (int i = 0; i < n; ++i)
      Check({room[static_cast<size_t>(i)].data(), in[static_cast<size_t>(i)].msg_len});
  }

  void Check(std::span<const uint8_t> reply) {
    const uint16_t id = reply.size() < 12 ? 0 : wire::Load16(reply.data());
    if (reply.size() < 12 || !waiting_[id]) {
      ++result_.wrong;
      return;
    }
    waiting_[id] = false;
    --outstanding_;
    ++result_.received;
    if (!IsRight(reply, name_of_[id])) ++result_.wrong;
  }

  bool IsRight(std::span<const uint8_t> reply, size_t name) const {
    const int rcode = reply[3] & 15, answers = reply[7];
    if (options_.expect == "nothing") return true;
    if (options_.expect == "nxdomain") return rcode == 3;
    if (options_.expect == "nodata") return rcode == 0 && answers == 0;
    // One answer whose owner is a pointer, and nothing behind it, in all servers of the bench.
    const size_t at = queries_[name].size() + 12;
    return rcode == 0 && answers == 1 && reply.size() >= at + 4 &&
           wire::Load32(reply.data() + at) == Address(name);
  }

  const Options& options_;
  int fd_;
  std::vector<std::vector<uint8_t>> queries_;
  std::array<uint32_t, kIds> name_of_{};
  std::array<bool, kIds> waiting_{};
  size_t next_ = 0, outstanding_ = 0;
  Result result_;
};

int Main(int argc, const char* const* argv) {
  Options options;
  CLI::App app("Load for DNS servers");
  AddFlag(app, "--server", options.server, "ADDRESS:PORT")->required();
  app.add_option("--count", options.count);
  app.add_option("--outstanding", options.outstanding)->check(CLI::Range(32, 4096));
  app.add_option("--names", options.names)->check(CLI::Range(1, 65536));
  app.add_option("--seconds", options.seconds);
  app.add_option("--type", options.type)->check(CLI::IsMember({"A", "AAAA"}));
  app.add_option("--expect", options.expect)
      ->check(CLI::IsMember({"address", "nodata", "nxdomain", "nothing"}));
  if (auto status = ParseFlags(app, argc, argv)) return *status;

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
  std::printf(
      "{\"seconds\": %.6f, \"sent\": %zu, \"received\": %zu, \"wrong\": %zu, \"lost\": %zu}\n",
      took, r.sent, r.received, r.wrong, r.lost);
  return r.received == 0 || r.wrong > 0 ? kExitFailed : kExitOk;
}

}  // namespace
}  // namespace portolan::dns::bench

int main(int argc, char** argv) { return portolan::dns::bench::Main(argc, argv); }

// The two ends of an upstream for tests: clients that wait, and DNS servers on loopback that do as
// the test says. All on one loop, so that nothing races.
#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "absl/time/clock.h"
#include "common/event_loop.h"
#include "common/fd.h"
#include "common/ip.h"
#include "dns/exchange.h"
#include "dns/wire/bytes.h"
#include "dns/wire/message.h"
#include "dns/wire/query.h"
#include "dns/wire/reply.h"
#include "tests/dns/question.h"

namespace portolan::dns::test {

// The reply's Extended DNS Error, "22 no upstream answered"; empty without one.
inline std::string ErrorIn(std::span<const uint8_t> reply) {
  wire::MessageReader reader(reply);
  for (wire::MessageRecord record; reader.Next(record);) {
    if (record.type != wire::type::kOpt || record.rdata_bytes < 6) continue;
    const uint8_t* option = reply.data() + record.rdata_at;
    if (wire::Load16(option) != wire::kExtendedErrorOption) continue;
    return std::to_string(wire::Load16(option + 4)) + " " +
           std::string(option + 6, option + 4 + wire::Load16(option + 2));
  }
  return "";
}

// A client's question and what became of it.
class Client : public Suspended {
 public:
  Client(Bytes message, SuspendedPool& pool, size_t max_reply_bytes)
      : message_(std::move(message)) {
    EXPECT_EQ(wire::ParseQuery(message_, query_), wire::ParseOutcome::kQuery);
    exchange_.emplace(query_, SocketAddress{}, Transport::kUdp, room_, pool);
    exchange_->set_max_reply_bytes(max_reply_bytes);
  }

  Exchange& exchange() override { return *exchange_; }
  void Resume() override {
    ++resumed;
    if (on_resume) on_resume();
  }
  void Drop() override { ++dropped; }
  void Pass() override { ++passed; }
  void Retry() override { ++retried; }

  bool done() const { return resumed > 0; }
  Bytes reply() { return Bytes(exchange_->reply().begin(), exchange_->reply().end()); }
  uint16_t flags() { return wire::Load16(exchange_->reply().data() + 2); }
  uint16_t rcode() { return flags() & 15; }
  uint16_t answers() { return wire::Load16(exchange_->reply().data() + 6); }

  std::string error() { return ErrorIn(exchange_->reply()); }

  std::function<void()> on_resume;
  int resumed = 0;
  int dropped = 0;
  int passed = 0;
  int retried = 0;

 private:
  Bytes message_;
  wire::Query query_;
  std::array<uint8_t, 65535> room_;
  std::optional<Exchange> exchange_;
};

// Suspends an exchange into the client it came from.
class Clients : public SuspendedPool {
 public:
  Suspended* Suspend(Exchange& exchange) override {
    if (slots_left == 0) return nullptr;
    --slots_left;
    for (auto& client : all_) {
      if (&client->exchange() == &exchange) return client.get();
    }
    return nullptr;
  }

  Client& Make(Bytes message, size_t max_reply_bytes = 1232) {
    all_.push_back(std::make_unique<Client>(std::move(message), *this, max_reply_bytes));
    return *all_.back();
  }

  int slots_left = 1000;

 private:
  std::vector<std::unique_ptr<Client>> all_;
};

// A reply to `query` with `addresses` A records.
inline Bytes Answer(const Bytes& query, size_t addresses = 1,
                    wire::Rcode rcode = wire::Rcode::kNoError,
                    uint16_t flags = wire::flag::kRecursionAvailable) {
  wire::Query parsed;
  EXPECT_EQ(wire::ParseQuery(query, parsed), wire::ParseOutcome::kQuery);
  Bytes room(65535);
  wire::ReplyWriter writer(parsed, room, room.size());
  for (size_t i = 0; i < addresses; ++i) {
    auto rdata = writer.Add(wire::Section::kAnswer, wire::kQuestionName, wire::type::kA, 60, 4);
    rdata[0] = 192;
    rdata[1] = 0;
    rdata[2] = static_cast<uint8_t>(i >> 8);
    rdata[3] = static_cast<uint8_t>(i);
  }
  room.resize(writer.Finish(rcode, flags));
  return room;
}

// UDP and TCP on one loopback port. Answers every question with one address unless told otherwise.
class FakeServer {
 public:
  // Gives the replies to a query; none: silence.
  using Handler = std::function<std::vector<Bytes>(const Bytes& query)>;

  explicit FakeServer(EventLoop& loop) : loop_(loop) {
    // A port that is free for both.
    for (int i = 0; i < 50 && !tcp_.valid(); ++i) {
      udp_ = Bind(SOCK_DGRAM, 0);
      tcp_ = Bind(SOCK_STREAM, Port(udp_));
    }
    EXPECT_EQ(listen(tcp_.get(), 16), 0);
    address = SocketAddress{*IpAddress::Parse("127.0.0.1"), Port(udp_)};
    udp_watch_ = loop.AddWatch(udp_.get(), EventLoop::Interest::kRead, [this] { OnUdp(); });
    tcp_watch_ = loop.AddWatch(tcp_.get(), EventLoop::Interest::kRead, [this] { OnTcp(); });
    udp = [](const Bytes& query) { return std::vector<Bytes>{Answer(query)}; };
    tcp = udp;
  }

  SocketAddress address;
  Handler udp;
  Handler tcp;
  std::vector<Bytes> udp_queries;
  std::vector<uint16_t> client_ports;
  std::vector<Bytes> tcp_queries;
  int close_after = -1;  // queries over TCP
  // Who asked last over UDP, for replies from elsewhere or later.
  sockaddr_in last_client{};

  void SendUdp(const Bytes& bytes) {
    sendto(udp_.get(), bytes.data(), bytes.size(), 0,
           reinterpret_cast<const sockaddr*>(&last_client), sizeof last_client);
  }
  // On the connection accepted last.
  void SendTcp(const Bytes& reply) { SendFramed(*connections_.back(), reply); }
  size_t accepted() const { return connections_.size(); }
  size_t open_connections() const {
    return static_cast<size_t>(std::count_if(connections_.begin(), connections_.end(),
                                             [](const auto& c) { return c->fd.valid(); }));
  }
  void CloseTcp() {
    tcp_watch_ = EventLoop::Watch();
    tcp_.Reset();
  }

 private:
  static Fd Bind(int type, uint16_t port) {
    Fd fd(socket(AF_INET, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_port = htons(port);
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (bind(fd.get(), reinterpret_cast<const sockaddr*>(&at), sizeof at) != 0) return Fd();
    return fd;
  }
  static uint16_t Port(const Fd& fd) {
    sockaddr_in at{};
    socklen_t length = sizeof at;
    getsockname(fd.get(), reinterpret_cast<sockaddr*>(&at), &length);
    return ntohs(at.sin_port);
  }

  void OnUdp() {
    Bytes query(4096);
    socklen_t length = sizeof last_client;
    const ssize_t n = recvfrom(udp_.get(), query.data(), query.size(), 0,
                               reinterpret_cast<sockaddr*>(&last_client), &length);
    if (n < 0) return;
    query.resize(static_cast<size_t>(n));
    udp_queries.push_back(query);
    client_ports.push_back(ntohs(last_client.sin_port));
    for (const Bytes& reply : udp(query)) SendUdp(reply);
  }

  struct Connection {
    Fd fd;
    EventLoop::Watch watch;
    Bytes in;
  };

  void OnTcp() {
    Fd fd(accept4(tcp_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (!fd.valid()) return;
    auto connection = std::make_shared<Connection>();
    connection->fd = std::move(fd);
    connection->watch = loop_.AddWatch(connection->fd.get(), EventLoop::Interest::kRead,
                                       [this, c = connection.get()] { OnStream(*c); });
    connections_.push_back(connection);
  }

  void OnStream(Connection& c) {
    uint8_t bytes[4096];
    const ssize_t n = recv(c.fd.get(), bytes, sizeof bytes, 0);
    if (n <= 0) {
      c.watch = EventLoop::Watch();
      c.fd.Reset();
      return;
    }
    c.in.insert(c.in.end(), bytes, bytes + n);
    while (c.in.size() >= 2 && c.in.size() >= 2u + wire::Load16(c.in.data())) {
      const auto end = c.in.begin() + 2 + wire::Load16(c.in.data());
      const Bytes query(c.in.begin() + 2, end);
      c.in.erase(c.in.begin(), end);
      tcp_queries.push_back(query);
      for (const Bytes& reply : tcp(query)) SendFramed(c, reply);
      if (static_cast<int>(tcp_queries.size()) == close_after) {
        c.watch = EventLoop::Watch();
        c.fd.Reset();
        return;
      }
    }
  }

  // In two pieces, so that the reader must put them together.
  static void SendFramed(Connection& c, const Bytes& reply) {
    Bytes out(2);
    wire::Store16(out.data(), static_cast<uint16_t>(reply.size()));
    EXPECT_EQ(send(c.fd.get(), out.data(), 1, MSG_NOSIGNAL), 1);
    out.insert(out.end(), reply.begin(), reply.end());
    EXPECT_EQ(send(c.fd.get(), out.data() + 1, out.size() - 1, MSG_NOSIGNAL),
              static_cast<ssize_t>(out.size() - 1));
  }

  EventLoop& loop_;
  Fd udp_, tcp_;
  EventLoop::Watch udp_watch_, tcp_watch_;
  std::vector<std::shared_ptr<Connection>> connections_;
};

// Runs the loop until `done` or `limit` is over; looks every millisecond.
inline bool RunUntil(EventLoop& loop, const std::function<bool()>& done,
                     absl::Duration limit = absl::Seconds(3)) {
  const absl::Time end = absl::Now() + limit;
  EventLoop::Timer timer;
  timer = loop.AddTimer([&] {
    if (done() || absl::Now() >= end) {
      loop.Stop();
    } else {
      timer.Start(absl::Milliseconds(1));
    }
  });
  timer.Start(absl::ZeroDuration());
  loop.Run();
  return done();
}

}  // namespace portolan::dns::test

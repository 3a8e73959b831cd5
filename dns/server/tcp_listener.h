// DNS over TCP on one address (RFC 7766): length-framed queries, pipelined, answered out of order
// when one waits for an upstream.
//
// Bounded in every direction: connections, queries in flight on each, bytes that a slow reader
// leaves unread. A connection without traffic for `idle` is closed. The worker's thread only.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/event_loop.h"
#include "common/fd.h"
#include "common/ip.h"
#include "common/metrics.h"
#include "dns/server/query_handler.h"

namespace portolan::dns {

class TcpListener : public ReplySink {
 public:
  struct Limits {
    size_t connections = 256;
    size_t in_flight = 64;  // waiting queries on one connection; it is not read from meanwhile
    absl::Duration idle = absl::Seconds(10);  // as CoreDNS; a whole number of seconds
  };

  // `handler` outlives the listener. Port 0 takes a free one: see address().
  static absl::StatusOr<std::unique_ptr<TcpListener>> Listen(EventLoop& loop,
                                                             const SocketAddress& address,
                                                             const Limits& limits,
                                                             QueryHandler& handler);
  ~TcpListener() override;

  const SocketAddress& address() const { return address_; }

  void SendReply(const ReplyTo& to, const SocketAddress& client,
                 std::span<const uint8_t> reply) override;
  void SendStream(const ReplyTo& to, const std::shared_ptr<ReplyStream>& stream) override;
  void Forget(const ReplyTo& to) override;

  void Collect(MetricFamilies& families) const;  // any thread

 private:
  struct Connection;

  TcpListener(EventLoop& loop, Fd fd, const SocketAddress& address, const Limits& limits,
              QueryHandler& handler);

  void OnAcceptable();
  void Add(Fd fd, const SocketAddress& client);
  void OnReadable(Connection& connection);
  void OnWritable(Connection& connection);
  void OnSecond();
  // Answers the whole queries that were read, as far as the limits allow.
  void Process(Connection& connection);
  void Send(Connection& connection, std::span<const uint8_t> framed);
  // Sends of its stream what the connection takes.
  void Pump(Connection& connection);
  // Reads go on, or pause, or the connection ends, as its state wants.
  void Settle(Connection& connection);
  void Close(Connection& connection);
  Connection* Find(uint64_t id);

  EventLoop& loop_;
  Fd fd_;
  SocketAddress address_;
  const Limits limits_;
  QueryHandler& handler_;
  EventLoop::Watch watch_;
  EventLoop::Timer second_;
  bool ticking_ = false;
  uint64_t seconds_ = 0;  // since the first connection; only differences count
  uint64_t next_id_ = 1;
  absl::flat_hash_map<uint64_t, std::unique_ptr<Connection>> connections_;
  // Closed within a callback of their own; freed at the next second.
  std::vector<std::unique_ptr<Connection>> closed_;
  // The length and the longest reply.
  std::unique_ptr<uint8_t[]> reply_;

  struct {
    Counter accepted, over_limit, accept_failed, idle, oversized, slow_reader, lost;
  } counters_;
};

}  // namespace portolan::dns

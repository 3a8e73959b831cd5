// The access log: a line of JSON for each connection when it has ended, and for each that was
// refused. docs/forwarder.md lists its fields.
//
// One per worker, on its thread. It never waits and never allocates: a line for which the output
// has no room is counted and dropped.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>

#include "absl/time/time.h"
#include "common/ip.h"
#include "common/line_output.h"
#include "directory/model.h"
#include "proxy/forwarder/counters.h"

namespace portolan::proxy {

// A connection or a UDP flow. What it points at lives until Write returns.
struct AccessRecord {
  Protocol protocol = Protocol::kTcp;
  bool inbound = false;  // to the pod, by whoever `source` is
  SocketAddress source;
  std::optional<SocketAddress> dialled = {};
  const ObjectName* service = nullptr;  // null, or without a namespace: none that is known
  std::string_view port_name = {};      // of the Service
  std::optional<SocketAddress> endpoint = {};
  const ObjectName* pod = nullptr;  // null or empty: none that is known
  uint64_t bytes_up = 0;
  uint64_t bytes_down = 0;
  absl::Duration duration = absl::ZeroDuration();  // since it was accepted
  std::optional<absl::Duration> connect = {};      // until it was joined
  absl::Duration ended_ago = absl::ZeroDuration();
  uint32_t attempts = 0;
  std::string_view outcome = {};  // in the words of the metrics, WordFor
  std::string_view ended = {};    // the same; empty: it was not joined
};

class AccessLog {
 public:
  // Both outlive it.
  AccessLog(LineOutput& output, ForwarderCounters& counters);

  void Write(const AccessRecord& record);

 private:
  const std::unique_ptr<LineOutput::Writer> writer_;
  ForwarderCounters& counters_;
};

}  // namespace portolan::proxy

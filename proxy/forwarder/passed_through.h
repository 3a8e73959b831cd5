// What goes to addresses that are no Service's, by address: those that are dialled most often, in a
// fixed place of 10 KB. Counted when a connection or UDP flow ends, so that carrying it costs
// nothing more; what is open is added when somebody looks. One worker's, on its thread.
#pragma once

#include <cstdint>

#include "absl/container/flat_hash_map.h"
#include "common/ip.h"
#include "common/most_seen.h"

namespace portolan::proxy {

// To an address or a Service, over TCP and UDP.
struct FlowCounts {
  uint64_t connections = 0;  // TCP, joined
  uint64_t failures = 0;
  uint64_t bytes_up = 0;
  uint64_t bytes_down = 0;
  uint64_t udp_flows = 0;

  uint64_t times() const { return connections + failures + udp_flows; }
  void Add(const FlowCounts& more) {
    connections += more.connections;
    failures += more.failures;
    bytes_up += more.bytes_up;
    bytes_down += more.bytes_down;
    udp_flows += more.udp_flows;
  }
  friend bool operator==(const FlowCounts&, const FlowCounts&) = default;
};

class PassedThrough {
 public:
  struct View {
    absl::flat_hash_map<IpAddress, FlowCounts> by_address;
    FlowCounts others;
  };

  void Count(const IpAddress& address, const FlowCounts& ended) {
    most_dialled_.See(address.bytes(), absl::HashOf(address)).Add(ended);
  }

  // Taken for a report, so that what is dialled no more makes room.
  View TakeView() {
    View view;
    view.others = most_dialled_.others();
    most_dialled_.ForEach([&](std::span<const uint8_t> bytes, const FlowCounts& counts) {
      view.by_address[AddressOf(bytes)] = counts;
    });
    most_dialled_.Age();
    return view;
  }

 private:
  static IpAddress AddressOf(std::span<const uint8_t> bytes) {
    return bytes.size() == 4 ? IpAddress::V4(bytes.first<4>()) : IpAddress::V6(bytes.first<16>());
  }

  MostSeen<FlowCounts, 16, 32> most_dialled_;
};

}  // namespace portolan::proxy

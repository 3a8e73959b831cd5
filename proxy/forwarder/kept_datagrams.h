// Datagrams of flows that wait for the endpoints of their Service: few, bounded three times over,
// in memory that is had once.
//
// One worker's, on its thread. Times are monotonic.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <vector>

#include "absl/time/time.h"
#include "proxy/forwarder/udp_flows.h"

namespace portolan::proxy {

class KeptDatagrams {
 public:
  static constexpr size_t kMostFlows = 64;
  static constexpr size_t kMostOfFlow = 16;
  static constexpr size_t kMostBytes = 1u << 20;

  struct Flow {
    UdpFlowKey key;
    absl::Duration since;  // when its first datagram came
    size_t count = 0;
    uint32_t number = 0;  // in its datagrams
  };

  KeptDatagrams();

  // The longest waiting first.
  const std::vector<Flow>& flows() const { return flows_; }
  bool Holds(const UdpFlowKey& key) const { return Find(key) != nullptr; }

  // False, and it is not kept, if that is one too many.
  bool Keep(const UdpFlowKey& key, std::span<const std::byte> payload, absl::Duration now);

  // visit(std::span<const std::byte>) for each datagram of the flow in the order in which they
  // came. Then they are gone. REQUIRES: visit keeps none.
  template <typename F>
  void Take(const UdpFlowKey& key, F&& visit) {
    const Flow* flow = Find(key);
    if (flow == nullptr) return;
    size_t from = 0, to = 0;
    std::erase_if(datagrams_, [&](const Datagram& datagram) {
      std::byte* at = bytes_.get() + from;
      from += datagram.size;
      if (datagram.flow == flow->number) {
        visit(std::span<const std::byte>(at, datagram.size));
        return true;
      }
      std::memmove(bytes_.get() + to, at, datagram.size);
      to += datagram.size;
      return false;
    });
    used_ = to;
    flows_.erase(flows_.begin() + (flow - flows_.data()));
  }

 private:
  struct Datagram {
    uint32_t flow;
    uint32_t size;
  };

  const Flow* Find(const UdpFlowKey& key) const;

  std::vector<Flow> flows_;
  std::vector<Datagram> datagrams_;           // in order
  const std::unique_ptr<std::byte[]> bytes_;  // theirs, one behind the other
  size_t used_ = 0;
  uint32_t next_number_ = 0;
};

}  // namespace portolan::proxy

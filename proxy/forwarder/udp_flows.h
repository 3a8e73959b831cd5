// The UDP flows of one worker: found by who sends to whom, and in order of their last datagram.
//
// A flow is what one client address and port sends to one dialled address and port, and what comes
// back. It has a socket of its own, connected to one endpoint for as long as it lives. Flows live
// in a slab and are used again; the event stands in the flow, so that a flow costs no heap
// allocation but the growth of the table. On the worker's thread.
#pragma once

#include <event2/event_struct.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/time/time.h"
#include "common/fd.h"
#include "common/ip.h"
#include "proxy/forwarder/balancer.h"
#include "proxy/forwarder/routes.h"
#include "proxy/forwarder/service_metrics.h"
#include "proxy/forwarder/slab.h"
#include "proxy/policy/egress_gate.h"

namespace portolan::proxy {

class UdpForwarder;

struct UdpFlowKey {
  SocketAddress client;
  SocketAddress dialled;
  friend bool operator==(const UdpFlowKey&, const UdpFlowKey&) = default;

  template <typename H>
  friend H AbslHashValue(H h, const UdpFlowKey& key) {
    return H::combine(std::move(h), key.client, key.dialled);
  }
};

struct UdpFlow {
  UdpForwarder* owner = nullptr;
  UdpFlowKey key;
  SocketAddress endpoint;  // the dialled address when passed through
  Fd fd;
  event readable{};  // added while `fd` is open

  // When it began.
  RouteTable::Match match = RouteTable::Match::kNotAService;
  // Null when passed through. The Route is not kept alive: an idle flow must not keep an old set of
  // endpoints in memory.
  std::shared_ptr<const RouteTarget> target;
  std::weak_ptr<const Route> route;
  uint64_t routes_version = 0;   // for which `endpoint` was found right
  UsedEndpoint* used = nullptr;  // null also once it has refused
  EgressPass pass;

  const CountedService* service = nullptr;  // never null while the flow is open

  bool answered = false;
  bool answering = false;  // it has answered, or could have refused and did not
  bool refused = false;    // the next datagram goes to another endpoint
  absl::Duration opened_at;
  absl::Duration last_active;
  uint64_t bytes_up = 0;
  uint64_t bytes_down = 0;

  // Neighbours in the order of last_active.
  UdpFlow* older = nullptr;
  UdpFlow* newer = nullptr;
};

class UdpFlows {
 public:
  // Null if there is none.
  UdpFlow* Find(const UdpFlowKey& key) const;
  size_t size() const { return by_key_.size(); }

  // A flow that was not answered yet, last active at `now`. REQUIRES: there is none with this key.
  UdpFlow& Add(const UdpFlowKey& key, absl::Duration now);
  void Remove(UdpFlow& flow);

  // It was active at `now`, which is not before any other's last time.
  void Touch(UdpFlow& flow, absl::Duration now);
  void SetAnswered(UdpFlow& flow, absl::Duration now);

  // The one that was active longest ago: of those answered or of those not; of all. Null if there
  // is none.
  UdpFlow* Oldest(bool answered) const { return order_[answered ? 1 : 0].oldest; }
  UdpFlow* Oldest() const;

  template <typename F>
  void ForEach(F&& visit) const {
    for (UdpFlow* flow : by_key_) visit(*flow);
  }

 private:
  struct Order {
    UdpFlow* oldest = nullptr;
    UdpFlow* newest = nullptr;
  };
  struct Hash {
    using is_transparent = void;
    size_t operator()(const UdpFlowKey& key) const { return absl::HashOf(key); }
    size_t operator()(const UdpFlow* flow) const { return absl::HashOf(flow->key); }
  };
  struct Equal {
    using is_transparent = void;
    bool operator()(const UdpFlow* a, const UdpFlow* b) const { return a == b; }
    bool operator()(const UdpFlow* flow, const UdpFlowKey& key) const { return flow->key == key; }
  };

  void Append(UdpFlow& flow);
  void Unlink(UdpFlow& flow);

  Slab<UdpFlow> slab_;
  absl::flat_hash_set<UdpFlow*, Hash, Equal> by_key_;
  Order order_[2];  // of those not answered, and of those answered
};

}  // namespace portolan::proxy

// Where a connection to a Service address may go: the routes of all Services, and how they follow
// the directory.
//
// A RouteTable is immutable and shared by all workers. RouteTableBuilder lives on the main thread
// and derives the next table from the changes of a Directory commit; one changed Service among
// 50,000 costs microseconds, as what did not change is shared between versions. A Service of which
// no slice is held costs nothing here: that its cluster IP leads nowhere is read off the snapshot.
//
// Which endpoints are eligible is in eligible_endpoints.h, what else a Service asks in
// route_policy.h.
#pragma once

#include <array>
#include <atomic>
#include <compare>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "common/ip.h"
#include "common/shared_map.h"
#include "directory/directory.h"
#include "directory/model.h"
#include "proxy/forwarder/affinity.h"
#include "proxy/forwarder/eligible_endpoints.h"
#include "proxy/forwarder/route_policy.h"

namespace portolan::proxy {

// One port of a Service. The same object serves all addresses of the Service and outlives changes
// of its endpoints, so that state and labels kept per Service port can hang on it.
struct RouteTarget {
  ObjectName service;
  std::string port_name;
  uint16_t port = 0;
  Protocol protocol = Protocol::kTcp;

  // What all workers share, without a lock.
  struct Shared {
    std::atomic<uint32_t> connections{0};  // and UDP flows that are open
    std::array<Affinity, 2> affinity;      // of IPv4, of IPv6
    std::atomic<bool> used{false};         // by a connection or flow since TakeUse
  };
  const std::unique_ptr<Shared> shared = std::make_unique<Shared>();

  // Counts a connection; false, and nothing is counted, where `most` (0: any number) are open.
  bool Enter(uint32_t most) const {
    if (!shared->used.load(std::memory_order_relaxed)) {
      shared->used.store(true, std::memory_order_relaxed);
    }
    const uint32_t before = shared->connections.fetch_add(1, std::memory_order_relaxed);
    if (most == 0 || before < most) return true;
    Leave();
    return false;
  }
  void Leave() const { shared->connections.fetch_sub(1, std::memory_order_relaxed); }

  // Whether there is a connection or was one since this was last called, or session affinity still
  // binds the next one.
  bool TakeUse(absl::Duration affinity, absl::Duration now) const;
};

// A Service port in one address family, dialled at a cluster IP or at an external address.
struct Route {
  std::shared_ptr<const RouteTarget> target;
  RoutePolicy policy;
  // Eligible ones in order of slice name, each address once.
  std::vector<RouteEndpoint> endpoints;
  // None is eligible here because of internalTrafficPolicy Local, and other nodes have some.
  bool elsewhere_only = false;
  // Whether the directory holds any slice of the Service; see EndpointsHeld.
  bool slices_held = false;
  std::vector<std::shared_ptr<const EndpointSlice>> slices;
};

// What it means that the directory holds no slice of a Service.
enum class EndpointsHeld {
  // Never in sync so far, or endpoints are had on demand: nothing is known of it. A set that is
  // held and empty says that there are none.
  kSome,
  kAll,  // the control plane has said that there are none
};

class RouteTable {
 public:
  enum class Match {
    kNotAService,       // pass through to the dialled address
    kNoSuchPort,        // a ClusterIP, but none of its ports
    kEndpointsUnknown,  // a Service whose endpoints are not held: pass through
    kNoEndpoints,       // the control plane said that there is none to connect to
    kNoLocalEndpoints,  // internalTrafficPolicy Local, and there are some on other nodes alone
    kEndpoints,
  };
  struct Lookup {
    Match match = Match::kNotAService;
    // Valid as long as the table lives. Set for kEndpoints.
    const std::shared_ptr<const Route>* route = nullptr;
    // Whose address was dialled. Set for all but kNotAService.
    const ObjectName* service = nullptr;
  };

  RouteTable();

  // An unknown port is kNoSuchPort on a ClusterIP only, as in kube-proxy: external and
  // load-balancer addresses may be those of a machine that serves other ports itself.
  Lookup Find(const SocketAddress& dialled, Protocol protocol) const;

  // What it was made from.
  const Snapshot& snapshot() const { return *snapshot_; }

  // RouteTarget::TakeUse of any port of the Service.
  bool TakeUse(const Service& service, absl::Duration now) const;

 private:
  friend class RouteTableBuilder;

  struct Key {
    SocketAddress address;
    Protocol protocol = Protocol::kTcp;
    friend auto operator<=>(const Key&, const Key&) = default;

    template <typename H>
    friend H AbslHashValue(H h, const Key& key) {
      return H::combine(std::move(h), key.address, key.protocol);
    }
  };
  using Routes = SharedMap<Key, std::shared_ptr<const Route>>;

  // The Service that has `ip` as its cluster IP; null if none.
  const Service* ClusterIpOwner(const IpAddress& ip) const;
  Match WithoutSlices(const ObjectName& service) const;

  // Of Services whose slices are held, and of external and load-balancer addresses.
  Routes routes_;
  std::shared_ptr<const Snapshot> snapshot_;  // never null
  EndpointsHeld held_ = EndpointsHeld::kSome;
};

// Main thread only.
class RouteTableBuilder {
 public:
  // For a sidecar that runs `here`.
  explicit RouteTableBuilder(Place here = {});

  // It runs there, as is known now. In force with the next Apply.
  void MoveTo(Place here);

  // The table for `committed`. Takes the changes alone if `committed` is the commit after the one
  // applied last, else builds all anew. Where two Services claim one address and port, a ClusterIP
  // wins over an external address (so that nobody takes over another's Service,
  // CVE-2020-8554), then the first by name.
  std::shared_ptr<const RouteTable> Apply(const Directory::Committed& committed,
                                          EndpointsHeld held);
  // The last one; never null.
  const std::shared_ptr<const RouteTable>& table() const { return table_; }

 private:
  using Key = RouteTable::Key;
  struct Update;

  void Withdraw(Update& update, const Service& service, const SliceSet* slices);
  void Announce(Update& update, const Service& service);
  void Settle(Update& update);

  Place here_;
  bool moved_ = false;                        // since the last Apply
  std::shared_ptr<const Snapshot> snapshot_;  // applied last; null at first
  std::shared_ptr<const RouteTable> table_;
  // Keys that more than one Service claims, with the keys of those Services. Usually empty.
  absl::flat_hash_map<Key, std::vector<std::string>> contested_;
};

}  // namespace portolan::proxy

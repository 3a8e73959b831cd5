// Where a connection to a Service address may go: the routes of all Services, and how they follow
// the directory.
//
// A RouteTable is immutable and shared by all workers. RouteTableBuilder lives on the main thread
// and derives the next table from the changes of a Directory commit; one changed Service among
// 50,000 costs microseconds, as what did not change is shared between versions. A Service of which
// no slice is held costs nothing here: that its cluster IP leads nowhere is read off the snapshot.
//
// Which endpoints are eligible follows kube-proxy
// (https://kubernetes.io/docs/reference/networking/virtual-ips/): a slice's port is matched to the
// Service's by name and protocol, families are kept apart, and where no endpoint is ready those
// that serve while they terminate are used. publishNotReadyAddresses needs no care here: the API
// already reports such endpoints as ready.
#pragma once

#include <compare>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "common/ip.h"
#include "common/shared_map.h"
#include "directory/directory.h"
#include "directory/model.h"

namespace portolan::proxy {

// One port of a Service. The same object serves all addresses of the Service and outlives changes
// of its endpoints, so that state and labels kept per Service port can hang on it.
struct RouteTarget {
  ObjectName service;
  std::string port_name;
  uint16_t port = 0;
  Protocol protocol = Protocol::kTcp;
};

struct RouteEndpoint {
  SocketAddress address;
  // Node, zone, hints and pod. Belongs to one of the Route's slices; lives as long as the Route.
  const Endpoint* endpoint = nullptr;
};

// A Service port in one address family.
struct Route {
  std::shared_ptr<const RouteTarget> target;
  // Eligible ones in order of slice name, each address once.
  std::vector<RouteEndpoint> endpoints;
  // Whether the directory holds any slice of the Service; see EndpointsHeld.
  bool slices_held = false;
  std::vector<std::shared_ptr<const EndpointSlice>> slices;
};

// What it means that the directory holds no slice of a Service.
enum class EndpointsHeld {
  kSome,  // never in sync so far, or endpoints are fetched on demand: nothing is known of it
  kAll,   // the control plane has said that there are none
};

class RouteTable {
 public:
  enum class Match {
    kNotAService,       // pass through to the dialled address
    kNoSuchPort,        // a ClusterIP, but none of its ports
    kEndpointsUnknown,  // a Service whose endpoints are not held: pass through
    kNoEndpoints,       // the control plane said that there is none to connect to
    kEndpoints,
  };
  struct Lookup {
    Match match = Match::kNotAService;
    // Set for kEndpoints. Valid as long as the table lives.
    const std::shared_ptr<const Route>* route = nullptr;
  };

  RouteTable();

  // An unknown port is kNoSuchPort on a ClusterIP only, as in kube-proxy: external and
  // load-balancer addresses may be those of a machine that serves other ports itself.
  Lookup Find(const SocketAddress& dialled, Protocol protocol) const;

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
  Match WithoutSlices() const;

  // Of Services whose slices are held, and of external and load-balancer addresses.
  Routes routes_;
  std::shared_ptr<const Snapshot> snapshot_;  // never null
  EndpointsHeld held_ = EndpointsHeld::kSome;
};

// Main thread only.
class RouteTableBuilder {
 public:
  RouteTableBuilder();

  // The table for `committed`. Takes the changes alone if `committed` is the commit after the one
  // applied last, else builds all anew. Where two Services claim one address and port, a ClusterIP
  // wins over an external address (so that nobody takes over another's Service,
  // CVE-2020-8554), then the first by name.
  std::shared_ptr<const RouteTable> Apply(const Directory::Committed& committed,
                                          EndpointsHeld held);

 private:
  using Key = RouteTable::Key;
  struct Update;

  void Withdraw(Update& update, const Service& service, const SliceSet* slices);
  void Announce(Update& update, const Service& service);
  void Settle(Update& update);

  std::shared_ptr<const Snapshot> snapshot_;  // applied last; null at first
  std::shared_ptr<const RouteTable> table_;
  // Keys that more than one Service claims, with the keys of those Services. Usually empty.
  absl::flat_hash_map<Key, std::vector<std::string>> contested_;
};

}  // namespace portolan::proxy

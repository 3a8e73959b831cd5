// What the forwarders say of their open connections and flows.
#include "absl/container/flat_hash_map.h"
#include "common/monotonic.h"
#include "proxy/forwarder/forwarder.h"
#include "proxy/forwarder/udp_forwarder.h"

namespace portolan::proxy {
namespace {

// The pods behind a Service's endpoints, indexed once for all connections to it.
class PodNames {
 public:
  PodNames(const RouteTable& routes, Protocol protocol) : routes_(routes), protocol_(protocol) {}

  std::string Find(const SocketAddress& dialled, const SocketAddress& endpoint) {
    auto [service, added] = pods_.try_emplace(dialled);
    if (added) Index(dialled, service->second);
    const auto pod = service->second.find(endpoint);
    return pod == service->second.end() ? std::string() : pod->second->ToString();
  }

 private:
  using Pods = absl::flat_hash_map<SocketAddress, const ObjectName*>;

  void Index(const SocketAddress& dialled, Pods& pods) {
    const RouteTable::Lookup found = routes_.Find(dialled, protocol_);
    if (found.route == nullptr) return;
    for (const RouteEndpoint& endpoint : (*found.route)->endpoints) {
      const ObjectName& pod = endpoint.endpoint->pod;
      if (!pod.name.empty()) pods.emplace(endpoint.address, &pod);
    }
  }

  const RouteTable& routes_;
  const Protocol protocol_;
  absl::flat_hash_map<SocketAddress, Pods> pods_;
};

}  // namespace

std::vector<ConnectionInfo> Forwarder::Connections(size_t max) {
  using State = Connection::State;
  const auto now = std::chrono::steady_clock::now();
  PodNames pods(*routes_, Protocol::kTcp);
  std::vector<ConnectionInfo> all;
  connections_.ForEach([&](const Connection& c) {
    if (all.size() >= max || (c.state != State::kConnecting && c.state != State::kJoined)) return;
    ConnectionInfo& info = all.emplace_back();
    info.state = c.state == State::kJoined ? ConnectionInfo::State::kJoined
                                           : ConnectionInfo::State::kConnecting;
    info.client = c.client_address;
    info.dialled = c.dialled;
    info.endpoint = c.Tried().back();
    if (c.target != nullptr) {
      info.service = c.target->service.ToString();
      info.pod = pods.Find(c.dialled, info.endpoint);
    }
    info.bytes_up = c.relay.bytes_up();
    info.bytes_down = c.relay.bytes_down();
    info.age = absl::FromChrono(now - c.accepted_at);
  });
  return all;
}

std::vector<ConnectionInfo> UdpForwarder::Flows(size_t max) const {
  const absl::Duration now = Monotonic();
  PodNames pods(*routes_, Protocol::kUdp);
  std::vector<ConnectionInfo> all;
  flows_.ForEach([&](const UdpFlow& flow) {
    if (all.size() >= max) return;
    ConnectionInfo& info = all.emplace_back();
    info.protocol = Protocol::kUdp;
    info.state = ConnectionInfo::State::kJoined;
    info.client = flow.key.client;
    info.dialled = flow.key.dialled;
    info.endpoint = flow.endpoint;
    if (flow.target != nullptr) {
      info.service = flow.target->service.ToString();
      info.pod = pods.Find(info.dialled, info.endpoint);
    }
    info.bytes_up = flow.bytes_up;
    info.bytes_down = flow.bytes_down;
    info.age = now - flow.opened_at;
  });
  return all;
}

}  // namespace portolan::proxy

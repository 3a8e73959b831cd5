// What the forwarder says of its open connections.
#include "absl/container/flat_hash_map.h"
#include "proxy/forwarder/forwarder.h"

namespace portolan::proxy {
namespace {

// The pods behind a Service's endpoints, indexed once for all connections to it.
class PodNames {
 public:
  explicit PodNames(const RouteTable& routes) : routes_(routes) {}

  std::string Find(const SocketAddress& dialled, const SocketAddress& endpoint) {
    auto [service, added] = pods_.try_emplace(dialled);
    if (added) Index(dialled, service->second);
    const auto pod = service->second.find(endpoint);
    return pod == service->second.end() ? std::string() : pod->second->ToString();
  }

 private:
  using Pods = absl::flat_hash_map<SocketAddress, const ObjectName*>;

  void Index(const SocketAddress& dialled, Pods& pods) {
    const RouteTable::Lookup found = routes_.Find(dialled, Protocol::kTcp);
    if (found.route == nullptr) return;
    for (const RouteEndpoint& endpoint : (*found.route)->endpoints) {
      const ObjectName& pod = endpoint.endpoint->pod;
      if (!pod.name.empty()) pods.emplace(endpoint.address, &pod);
    }
  }

  const RouteTable& routes_;
  absl::flat_hash_map<SocketAddress, Pods> pods_;
};

}  // namespace

std::vector<ConnectionInfo> Forwarder::Connections(size_t max) {
  using State = Connection::State;
  const auto now = std::chrono::steady_clock::now();
  PodNames pods(*routes_);
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

}  // namespace portolan::proxy

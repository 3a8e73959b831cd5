// The servers of the zones that `kubernetes` answers: as CoreDNS, which names the Services that its
// own addresses are endpoints of. Here the addresses are those of the pod's resolvers, which may be
// a Service's cluster IP as well. Only where none stands for a Service are they themselves ns.dns.
//
// Reads immutable data, allocates nothing; any thread.
#pragma once

#include <algorithm>
#include <array>
#include <span>
#include <utility>
#include <vector>

#include "dns/cluster_data.h"
#include "dns/plugin_context.h"
#include "dns/plugins/kubernetes_config.h"
#include "dns/plugins/kubernetes_names.h"
#include "dns/plugins/kubernetes_records.h"

namespace portolan::dns {

// The addresses that they are told from.
std::vector<IpAddress> NameServersOf(const PluginContext& context);

// One address of a server of the zone.
struct NameServer {
  const Service* service;  // null: itself
  const ServiceNames& names;
  std::span<const uint8_t> labels;
  const IpAddress& ip;
  bool first_of_name;
};

// The Service whose cluster IP `address` is. External and load-balancer addresses are nobody's.
const Service* ServiceOfClusterIp(const IpAddress& address, const ClusterData& data);

// Services, each once.
class SeenServices {
 public:
  // False if it was there. More than a resolv.conf leads to are left out.
  bool Add(const Service* service) {
    const auto end = services_.begin() + static_cast<ptrdiff_t>(count_);
    if (std::find(services_.begin(), end, service) != end) return false;
    if (count_ == services_.size()) return false;
    services_[count_++] = service;
    return true;
  }
  bool empty() const { return count_ == 0; }

 private:
  std::array<const Service*, 16> services_;
  size_t count_ = 0;
};

// visit(NameServer), the addresses of one name next to each other. `zone` in wire form, as the
// names are to end.
template <typename F>
void ForEachNameServer(std::span<const IpAddress> addresses, std::span<const uint8_t> zone,
                       const KubernetesConfig& config, const ClusterData& data, F&& visit) {
  static constexpr uint8_t kOwnLabels[] = {2, 'n', 's', 3, 'd', 'n', 's'};
  SeenServices seen;
  auto add = [&](const Service& service) {
    if (config.labels.has_value() && !config.labels->Matches(*service.labels)) return;
    if (!seen.Add(&service)) return;
    const ServiceNames names(service.name, zone);
    bool first = true;
    for (const IpAddress& ip : service.cluster_ips) {
      visit(NameServer{&service, names, {}, ip, std::exchange(first, false)});
    }
    const auto* records = service.headless ? EndpointsOf(service.name, config, data) : nullptr;
    if (records == nullptr) return;
    std::span<const uint8_t> last;
    for (const uint32_t i : records->ByName(config.naming)) {
      const EndpointRecords::Entry& entry = records->entries()[i];
      const auto labels = records->NameOf(entry, config.naming);
      visit(NameServer{&service, names, labels, entry.ip, !std::ranges::equal(labels, last)});
      last = labels;
    }
  };
  for (const IpAddress& ip : addresses) {
    if (const Service* service = ServiceOfClusterIp(ip, data)) add(*service);
    if (data.records == nullptr || !config.endpoints) continue;
    for (const auto& key : data.records->ServicesAt(ip)) {
      if (const Service* service = data.snapshot->FindService(*key)) add(*service);
    }
  }
  if (!seen.empty()) return;
  const ServiceNames names(zone);
  bool first = true;
  for (const IpAddress& ip : addresses) {
    visit(NameServer{nullptr, names, kOwnLabels, ip, std::exchange(first, false)});
  }
}

}  // namespace portolan::dns

// Where addresses lead back to (PTR), and the zone's own servers (NS and ns.dns).
#include <algorithm>

#include "dns/on_demand.h"
#include "dns/plugins/kubernetes.h"
#include "dns/plugins/kubernetes_name_servers.h"
#include "dns/plugins/kubernetes_records.h"

namespace portolan::dns {
namespace {

using wire::Section;
namespace rr = wire::type;

std::span<const uint8_t> Bytes(const std::string& wire) {
  return {reinterpret_cast<const uint8_t*>(wire.data()), wire.size()};
}

// A record of the question's owner whose RDATA is a name.
void AddName(wire::ReplyWriter& reply, uint16_t type, uint32_t ttl, const ServiceNames& names,
             std::span<const uint8_t> labels) {
  const size_t bytes = names.SizeOf(labels);
  if (bytes == 0) return;
  const auto rdata = reply.Add(Section::kAnswer, wire::kQuestionName, type, ttl, bytes);
  if (!rdata.empty()) names.Write(labels, rdata.data());
}

}  // namespace

std::vector<IpAddress> NameServersOf(const PluginContext& context) {
  std::vector<IpAddress> addresses;
  for (const SocketAddress& server : context.pod_resolvers) addresses.push_back(server.ip);
  return addresses;
}

const Service* ServiceOfClusterIp(const IpAddress& address, const ClusterData& data) {
  const Service* service = data.snapshot->FindServiceByAddress(address);
  if (service == nullptr) return nullptr;
  const auto& ips = service->cluster_ips;
  return std::find(ips.begin(), ips.end(), address) == ips.end() ? nullptr : service;
}

template <typename F>
void Kubernetes::ForEachServer(std::span<const uint8_t> zone, F&& visit) const {
  ForEachNameServer(around_.name_servers, zone, config_, data(), visit);
}

Verdict Kubernetes::AnswerPtr(Exchange& exchange, const ServedZone& zone) {
  const wire::Query& query = exchange.query();
  IpAddress address;
  if (!ParseReverseName(LabelledName(query), &address)) {
    const ClusterName found = FindClusterName(LabelledName(query), zone, config_, data());
    return AnswerName(exchange, zone, found);
  }
  wire::ReplyWriter reply(query, exchange.room(), exchange.max_reply_bytes());
  AddServicePtr(reply, address);
  if (reply.answer_count() == 0) {
    if (const auto verdict = FetchServicesAt(exchange, address)) return *verdict;
    AddEndpointPtrs(reply, address);
  }
  return reply.answer_count() > 0 || reply.truncated() ? Finish(exchange, zone, reply)
                                                       : Nxdomain(exchange, zone);
}

// Nothing: the Services that list the address are known with their endpoints. Otherwise that they
// are waited for, or cannot be had.
std::optional<Verdict> Kubernetes::FetchServicesAt(Exchange& exchange, const IpAddress& address) {
  if (!config_.endpoints || data().snapshot->holds_all_slices()) return std::nullopt;
  if (around_.on_demand == nullptr) return PassOn(counters_.passed_not_held);
  const AddressOwner* owner = data().snapshot->FindAddress(address);
  if (owner == nullptr) {
    return Waits(around_.on_demand->WaitForAddress(address, exchange),
                 counters_.waited_for_address);
  }
  const ObjectName* unheld = nullptr;
  for (const AddressService& service : owner->services) {
    if (KnowsEndpoints(service.name, config_, data())) continue;
    around_.on_demand->PrefetchEndpoints(ServiceKey(service.name));
    unheld = &service.name;
  }
  if (unheld == nullptr) return std::nullopt;
  return AnswerUnheld(exchange, *unheld);
}

// The same for the Services that the zone's name servers stand for.
std::optional<Verdict> Kubernetes::FetchServers(Exchange& exchange) {
  for (const IpAddress& ip : around_.name_servers) {
    if (ServiceOfClusterIp(ip, data()) != nullptr) continue;
    if (const auto verdict = FetchServicesAt(exchange, ip)) return verdict;
  }
  return std::nullopt;
}

// CoreDNS: `namespaces` hides what leads back to a Service, `namespace_labels` does not.
bool Kubernetes::HidesPtr(const Service& service) const {
  const auto& listed = config_.namespaces;
  if (config_.labels.has_value() && !config_.labels->Matches(*service.labels)) return true;
  return !listed.empty() &&
         std::find(listed.begin(), listed.end(), service.name.ns) == listed.end();
}

void Kubernetes::AddServicePtr(wire::ReplyWriter& reply, const IpAddress& address) const {
  const Service* service = ServiceOfClusterIp(address, data());
  if (service == nullptr || HidesPtr(*service) || !config_.primary.has_value()) return;
  AddName(reply, rr::kPtr, config_.ttl, ServiceNames(service->name, Bytes(config_.primary->wire)),
          {});
}

void Kubernetes::AddEndpointPtrs(wire::ReplyWriter& reply, const IpAddress& address) const {
  if (data().records == nullptr || !config_.primary.has_value()) return;
  for (const auto& key : data().records->ServicesAt(address)) {
    const Service* service = data().snapshot->FindService(*key);
    const EndpointRecords* records = EndpointsOf(*key, config_, data());
    if (service == nullptr || records == nullptr || HidesPtr(*service)) continue;
    const ServiceNames names(service->name, Bytes(config_.primary->wire));
    const auto entries = records->At(address);
    for (size_t i = 0; i < entries.size(); ++i) {
      const auto labels = records->NameOf(entries[i], config_.naming);
      const bool again =
          std::any_of(entries.begin(), entries.begin() + static_cast<long>(i),
                      [&](const EndpointRecords::Entry& earlier) {
                        return std::ranges::equal(records->NameOf(earlier, config_.naming), labels);
                      });
      if (!again) AddName(reply, rr::kPtr, config_.ttl, names, labels);
    }
  }
}

Verdict Kubernetes::AnswerNs(Exchange& exchange, const ServedZone& zone) {
  if (const auto verdict = FetchServers(exchange)) return *verdict;
  const wire::Query& query = exchange.query();
  const auto zone_bytes = ZoneAsAsked(query, zone.zone);
  wire::ReplyWriter reply(query, exchange.room(), exchange.max_reply_bytes());
  ForEachServer(zone_bytes, [&](const NameServer& server) {
    if (server.first_of_name) AddName(reply, rr::kNs, config_.ttl, server.names, server.labels);
  });
  if (reply.answer_count() == 0) return Nodata(exchange, zone);
  ForEachServer(zone_bytes, [&](const NameServer& server) {
    AddAddressOf(reply, config_.ttl, server.names, server.labels, server.ip);
  });
  return Finish(exchange, zone, reply);
}

Verdict Kubernetes::AnswerNameServer(Exchange& exchange, const ServedZone& zone) {
  const wire::Query& query = exchange.query();
  // As CoreDNS, which looks for a Service of that name.
  if (query.type == rr::kTxt) return Nxdomain(exchange, zone);
  if (query.type != rr::kA && query.type != rr::kAaaa) return Nodata(exchange, zone);
  if (const auto verdict = FetchServers(exchange)) return *verdict;
  wire::ReplyWriter reply(query, exchange.room(), exchange.max_reply_bytes());
  ForEachServer(ZoneAsAsked(query, zone.zone), [&](const NameServer& server) {
    if (server.ip.is_v4() != (query.type == rr::kA)) return;
    AddAddress(reply, wire::Section::kAnswer, wire::kQuestionName, config_.ttl, server.ip);
  });
  return Finish(exchange, zone, reply);
}

}  // namespace portolan::dns

#include "dns/plugins/kubernetes.h"

#include <algorithm>

#include "common/use_filter.h"
#include "dns/on_demand.h"
#include "dns/plugins/kubernetes_name_servers.h"
#include "dns/plugins/kubernetes_records.h"
#include "dns/plugins/kubernetes_soa.h"

namespace portolan::dns {
namespace {

using wire::Rcode;
using wire::Section;
namespace rr = wire::type;
using Kind = ClusterName::Kind;

constexpr uint16_t kIxfr = 251, kAxfr = 252;
// As CoreDNS; a client asks for dns-version rarely.
constexpr uint32_t kVersionTtl = 28800;
constexpr std::string_view kVersionText =
    "\5"
    "1.1.0";

// Of SERVICE.NAMESPACE, labels with their length bytes.
ServiceKey KeyOf(std::span<const uint8_t> labels) {
  const auto text = [&](size_t at) {
    return std::string_view(reinterpret_cast<const char*>(&labels[at + 1]), labels[at]);
  };
  return {text(1u + labels[0]), text(0)};
}

bool HasPort(const ServiceTable::Ports& ports, const PortMatch& match) {
  return std::any_of(ports.begin(), ports.end(), [&](const ServicePort& port) {
    return match.Takes(port.name, ProtocolText(port.protocol));
  });
}

}  // namespace

Kubernetes::Surroundings Kubernetes::Of(const PluginContext& context) {
  return {context.cluster, NameServersOf(context), context.on_demand, context.used_services};
}

Kubernetes::Kubernetes(KubernetesConfig config, Surroundings surroundings)
    : config_(std::move(config)),
      around_(std::move(surroundings)),
      zones_(ServedZones(config_)),
      hides_services_(config_.hides_services()) {}

Verdict Kubernetes::OnQuery(Exchange& exchange) {
  const wire::Query& query = exchange.query();
  const ServedZone* zone = ZoneOf(query);
  if (zone == nullptr) return Verdict::kNext;
  if (query.type == kAxfr || query.type == kIxfr) return Refuse(exchange);
  const bool known = data().trust != FeedTrust::kNone;
  if (known) {
    const auto service = ServiceLabels(query, *zone);
    if (!service.empty() && query.type != rr::kSoa) {
      return AnswerBelowSvc(exchange, *zone, service);
    }
    if (query.type == rr::kPtr && zone->holds == ServedZone::Holds::kAddresses) {
      return AnswerPtr(exchange, *zone);
    }
  }
  const ClusterName found = FindClusterName(LabelledName(query), *zone, config_, data());
  const bool apex = query.labels == zone->zone.labels;
  // CoreDNS looks no name up for a SOA: below the apex there is none, whatever the name.
  if (query.type == rr::kSoa && (known || apex)) {
    return apex ? AnswerSoa(exchange, *zone) : Nodata(exchange, *zone);
  }
  // The apex, `svc`, `pod` and dns-version are there whatever the directory holds.
  const bool timeless = query.labels <= zone->zone.labels + 1 && found.kind != Kind::kUnknown;
  if (!known && (!timeless || (apex && query.type == rr::kNs))) {
    return PassOn(counters_.passed_no_feed);
  }
  return AnswerName(exchange, *zone, found);
}

const ServedZone* Kubernetes::ZoneOf(const wire::Query& query) const {
  for (const ServedZone& zone : zones_) {
    if (zone.zone.Holds(query)) return &zone;
  }
  return nullptr;
}

bool Kubernetes::FallsThrough(const wire::Query& query) const {
  return std::any_of(config_.fallthrough.begin(), config_.fallthrough.end(),
                     [&](const wire::Zone& zone) { return zone.Holds(query); });
}

Verdict Kubernetes::Refuse(Exchange& exchange) {
  exchange.set_reply_bytes(
      wire::WriteEmptyReply(exchange.query(), exchange.room(), Rcode::kRefused));
  exchange.set_local(true);
  counters_.refused.Add();
  return Verdict::kAnswered;
}

void Kubernetes::Expect(const wire::Query& query) const {
  const ServedZone* zone = ZoneOf(query);
  if (zone == nullptr) return;
  const auto service = ServiceLabels(query, *zone);
  if (!service.empty()) data().records->table().Prefetch(service);
}

std::span<const uint8_t> Kubernetes::ServiceLabels(const wire::Query& query,
                                                   const ServedZone& zone) const {
  if (zone.holds != ServedZone::Holds::kServices || data().records == nullptr) return {};
  if (query.labels < zone.zone.labels + 3) return {};
  const size_t svc = query.labels - zone.zone.labels - 1u;
  if (LabelledName(query).label(svc) != "svc") return {};
  const size_t at = query.label_at[svc - 2];
  return query.lower_name().subspan(at, query.label_at[svc] - at);
}

Verdict Kubernetes::AnswerBelowSvc(Exchange& exchange, const ServedZone& zone,
                                   std::span<const uint8_t> service) {
  const uint64_t hash = ServiceTable::HashOf(service);
  const ServiceTable::Entry* entry = data().records->table().Find(service, hash);
  if (entry == nullptr) return Nxdomain(exchange, zone);
  if (around_.used_services != nullptr) around_.used_services->Mark(hash);
  const LabelledName name(exchange.query());
  const size_t in_front = name.labels() - zone.zone.labels - 3;
  if (entry->kind == ServiceTable::Kind::kClusterIps && !hides_services_) {
    if (in_front == 0) return AnswerClusterIps(exchange, zone, *entry, {});
    if (in_front == 2) return AnswerClusterIps(exchange, zone, *entry, PortsAsked(name));
  }
  if (entry->kind == ServiceTable::Kind::kHeadless && !hides_services_) {
    const bool endpoints = entry->endpoints != nullptr && config_.endpoints;
    if (in_front == 0 && endpoints) return AnswerHeadless(exchange, zone, *entry);
  }
  return AnswerName(exchange, zone, FindClusterName(name, zone, config_, data()));
}

Verdict Kubernetes::AnswerClusterIps(Exchange& exchange, const ServedZone& zone,
                                     const ServiceTable::Entry& entry, const PortMatch& ports) {
  if (!entry.knows_endpoints) PrefetchEndpoints(KeyOf(entry.key()));
  const wire::Query& query = exchange.query();
  wire::ReplyWriter reply(query, exchange.room(), exchange.max_reply_bytes());
  bool has_port;
  if (query.type == rr::kSrv) {
    const ServiceNames names(entry.key(), ZoneAsAsked(query, zone.zone));
    has_port = AddSrv(reply, config_.ttl, entry, ports, names);
  } else {
    has_port = ports.any() || HasPort(*entry.ports, ports);
    if (has_port) AddAddresses(reply, query.type, config_.ttl, entry);
  }
  return has_port || ports.any() ? Finish(exchange, zone, reply) : Nxdomain(exchange, zone);
}

Verdict Kubernetes::AnswerHeadless(Exchange& exchange, const ServedZone& zone,
                                   const ServiceTable::Entry& entry) {
  const wire::Query& query = exchange.query();
  wire::ReplyWriter reply(query, exchange.room(), exchange.max_reply_bytes());
  if (query.type == rr::kSrv) {
    ClusterName found;
    found.kind = Kind::kEndpoints;
    found.records = entry.endpoints;
    AddSrv(reply, config_.ttl, found, config_.naming,
           ServiceNames(entry.key(), ZoneAsAsked(query, zone.zone)));
  } else {
    AddAddresses(reply, query.type, config_.ttl, entry);
  }
  return Finish(exchange, zone, reply);
}

Verdict Kubernetes::AnswerName(Exchange& exchange, const ServedZone& zone,
                               const ClusterName& found) {
  switch (found.kind) {
    case Kind::kUnknown:
      return Nxdomain(exchange, zone);
    case Kind::kEmpty:
      return AnswerContainer(exchange, zone);
    case Kind::kNotHeld:
      return AnswerUnheld(exchange, *found.owner);
    case Kind::kUnverified:
      return AnswerUnverified(exchange, zone, found.address);
    case Kind::kNameServer:
      return AnswerNameServer(exchange, zone);
    case Kind::kVersion:
      return AnswerVersion(exchange, zone);
    case Kind::kExternalName:
      return AnswerExternalName(exchange, zone, *found.service);
    case Kind::kClusterIps:
    case Kind::kEndpoints:
    case Kind::kPod:
      break;
  }
  return AnswerService(exchange, zone, found);
}

Verdict Kubernetes::AnswerContainer(Exchange& exchange, const ServedZone& zone) {
  const wire::Query& query = exchange.query();
  const bool apex = query.labels == zone.zone.labels;
  if (apex && query.type == rr::kNs) return AnswerNs(exchange, zone);
  // CoreDNS: only a name with records of another type is NODATA for TXT.
  return query.type == rr::kTxt ? Nxdomain(exchange, zone) : Nodata(exchange, zone);
}

Verdict Kubernetes::AnswerService(Exchange& exchange, const ServedZone& zone,
                                  const ClusterName& found) {
  if (found.kind == Kind::kClusterIps && zone.holds == ServedZone::Holds::kServices) {
    const ServiceKey key(*found.owner);
    if (!data().snapshot->KnowsSlices(key.view())) PrefetchEndpoints(key);
  }
  const wire::Query& query = exchange.query();
  wire::ReplyWriter reply(query, exchange.room(), exchange.max_reply_bytes());
  if (query.type == rr::kSrv && found.owner != nullptr) {
    const ServiceNames names(*found.owner, ZoneAsAsked(query, zone.zone));
    AddSrv(reply, config_.ttl, found, config_.naming, names);
  } else {
    AddAddresses(reply, wire::kQuestionName, query.type, config_.ttl, found);
  }
  return Finish(exchange, zone, reply);
}

Verdict Kubernetes::AnswerSoa(Exchange& exchange, const ServedZone& zone) {
  wire::ReplyWriter reply(exchange.query(), exchange.room(), exchange.max_reply_bytes());
  AddSoa(reply, Section::kAnswer, wire::kQuestionName, config_.ttl, SerialOf(data(), zone));
  return Finish(exchange, zone, reply);
}

Verdict Kubernetes::AnswerVersion(Exchange& exchange, const ServedZone& zone) {
  const wire::Query& query = exchange.query();
  // As CoreDNS, which looks for a Service of that name.
  if (query.type != rr::kTxt) return Nxdomain(exchange, zone);
  wire::ReplyWriter reply(query, exchange.room(), exchange.max_reply_bytes());
  const auto rdata =
      reply.Add(Section::kAnswer, wire::kQuestionName, rr::kTxt, kVersionTtl, kVersionText.size());
  std::copy_n(kVersionText.begin(), rdata.size(), rdata.begin());
  return Finish(exchange, zone, reply);
}

Verdict Kubernetes::AnswerUnverified(Exchange& exchange, const ServedZone& zone,
                                     const IpAddress& address) {
  if (around_.on_demand == nullptr) return Nxdomain(exchange, zone);
  return Waits(around_.on_demand->WaitForAddress(address, exchange), counters_.waited_for_address);
}

Verdict Kubernetes::AnswerUnheld(Exchange& exchange, const ObjectName& service) {
  if (around_.on_demand == nullptr) return PassOn(counters_.passed_not_held);
  return Waits(around_.on_demand->WaitForEndpoints(ServiceKey(service), exchange),
               counters_.waited_for_endpoints);
}

Verdict Kubernetes::Waits(Verdict verdict, Counter& waited) {
  if (verdict == Verdict::kNext) return PassOn(counters_.passed_not_held);
  waited.Add();
  return verdict;
}

// Who asks for a Service's addresses is about to connect to it, and that needs its endpoints.
void Kubernetes::PrefetchEndpoints(const ServiceKey& service) {
  if (around_.on_demand != nullptr) around_.on_demand->PrefetchEndpoints(service);
}

Verdict Kubernetes::Nxdomain(Exchange& exchange, const ServedZone& zone) {
  if (data().trust != FeedTrust::kInSync) return PassOn(counters_.passed_stale);
  if (FallsThrough(exchange.query())) return PassOn(counters_.passed_fallthrough);
  counters_.nxdomain.Add();
  return Negative(exchange, zone, Rcode::kNxDomain);
}

Verdict Kubernetes::Nodata(Exchange& exchange, const ServedZone& zone) {
  counters_.nodata.Add();
  return Negative(exchange, zone, Rcode::kNoError);
}

// RFC 2308: the SOA says how long the denial may be kept.
Verdict Kubernetes::Negative(Exchange& exchange, const ServedZone& zone, Rcode rcode) {
  const wire::Query& query = exchange.query();
  wire::ReplyWriter reply(query, exchange.room(), exchange.max_reply_bytes());
  AddSoa(reply, Section::kAuthority, ZoneAt(query, zone.zone), config_.ttl, SerialOf(data(), zone));
  exchange.set_reply_bytes(reply.Finish(rcode, kClusterFlags));
  exchange.set_local(true);
  return Verdict::kAnswered;
}

Verdict Kubernetes::Finish(Exchange& exchange, const ServedZone& zone, wire::ReplyWriter& reply) {
  if (reply.answer_count() == 0 && !reply.truncated()) return Nodata(exchange, zone);
  exchange.set_reply_bytes(reply.Finish(Rcode::kNoError, kClusterFlags));
  exchange.set_local(true);
  counters_.records.Add();
  return Verdict::kAnswered;
}

Verdict Kubernetes::PassOn(Counter& reason) {
  reason.Add();
  return Verdict::kNext;
}

void Kubernetes::CollectMetrics(MetricFamilies& families) const {
  auto add = [&](std::string_view outcome, const Counter& counter) {
    AddCounterSample(families, "portolan_dns_kubernetes_queries_total",
                     "Queries in the zones of the kubernetes plugin by what became of them.",
                     {{"outcome", outcome}}, static_cast<double>(counter.value()));
  };
  add("records", counters_.records);
  add("alias_outside", counters_.outside);
  add("nodata", counters_.nodata);
  add("nxdomain", counters_.nxdomain);
  add("refused", counters_.refused);
  add("waited_for_address", counters_.waited_for_address);
  add("waited_for_endpoints", counters_.waited_for_endpoints);
  add("passed_on_no_feed", counters_.passed_no_feed);
  add("passed_on_stale_feed", counters_.passed_stale);
  add("passed_on_fallthrough", counters_.passed_fallthrough);
  add("passed_on_cluster_dns_knows", counters_.passed_not_held);
}

}  // namespace portolan::dns

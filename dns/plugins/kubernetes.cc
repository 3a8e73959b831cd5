#include "dns/plugins/kubernetes.h"

#include <algorithm>
#include <cstring>

#include "dns/plugins/kubernetes_names.h"
#include "dns/wire/bytes.h"

namespace portolan::dns {
namespace {

using wire::Rcode;
using wire::Section;
namespace rr = wire::type;
using Kind = ClusterName::Kind;

constexpr uint16_t kIxfr = 251, kAxfr = 252;
// CoreDNS: the SOA's own TTL follows `ttl` up to here; its minimum field follows it throughout.
constexpr uint32_t kMaxSoaTtl = 300;
// As CoreDNS; a client asks for dns-version rarely.
constexpr uint32_t kVersionTtl = 28800;
constexpr std::string_view kVersionText =
    "\5"
    "1.1.0";
constexpr size_t kMaxCnames = 8;
constexpr char kSoaServer[] = "\2ns\3dns", kSoaMailbox[] = "\12hostmaster";

PodNames ToPodNames(KubernetesConfig::Pods pods) {
  switch (pods) {
    case KubernetesConfig::Pods::kDisabled:
      return PodNames::kDisabled;
    case KubernetesConfig::Pods::kInsecure:
      return PodNames::kInsecure;
    case KubernetesConfig::Pods::kVerified:
      break;
  }
  return PodNames::kVerified;
}

bool IsReverse(const wire::Zone& zone) { return zone.text.ends_with(".arpa."); }

uint16_t AddressType(const IpAddress& address) { return address.is_v4() ? rr::kA : rr::kAaaa; }

}  // namespace

// The name in a Service's externalName, for lookup and as RDATA.
class ExternalTarget : public LabelledName {
 public:
  ExternalTarget() {
    bytes_ = wire_.data();
    label_at_ = at_.data();
  }
  ExternalTarget(const ExternalTarget&) = delete;
  ExternalTarget& operator=(const ExternalTarget&) = delete;

  // False if the text is no name.
  bool Set(std::string_view text) {
    if (text.ends_with('.')) text.remove_suffix(1);
    size_ = labels_ = 0;
    while (!text.empty()) {
      const std::string_view label = text.substr(0, text.find('.'));
      // Behind it the root label must fit.
      const bool fits = size_ + 1 + label.size() + 1 <= wire::kMaxNameBytes;
      if (label.empty() || label.size() > wire::kMaxLabelBytes || !fits) return false;
      at_[labels_++] = static_cast<uint8_t>(size_);
      wire_[size_++] = static_cast<uint8_t>(label.size());
      std::memcpy(wire_.data() + size_, label.data(), label.size());
      size_ += label.size();
      text.remove_prefix(std::min(text.size(), label.size() + 1));
    }
    wire_[size_] = 0;
    at_[labels_] = static_cast<uint8_t>(size_);
    ++size_;
    wire::LowerName(std::span(wire_).first(size_));
    return labels_ > 0;
  }

  std::span<const uint8_t> wire() const { return {wire_.data(), size_}; }

  bool IsBelow(const wire::Zone& zone) const {
    if (labels_ <= zone.labels) return false;
    const size_t at = at_[labels_ - zone.labels];
    return size_ - at == zone.wire.size() &&
           std::memcmp(wire_.data() + at, zone.wire.data(), zone.wire.size()) == 0;
  }

  // An externalName of digits and dots is an address to CoreDNS, not a name.
  static bool ParseAddress(std::string_view text, IpAddress* address) {
    std::array<char, 64> dashed;
    if (text.empty() || text.size() >= dashed.size()) return false;
    if (text.find_first_not_of("0123456789.") != std::string_view::npos) return false;
    std::replace_copy(text.begin(), text.end(), dashed.begin(), '.', '-');
    return ParseDashedAddress({dashed.data(), text.size()}, address) && address->is_v4();
  }

 private:
  std::array<uint8_t, wire::kMaxNameBytes + 1> wire_;
  std::array<uint8_t, wire::kMaxLabels + 1> at_;
  size_t size_ = 0;
};

namespace {

void AddAddress(wire::ReplyWriter& reply, uint16_t owner, uint16_t qtype, uint32_t ttl,
                const IpAddress& address) {
  if (AddressType(address) != qtype) return;
  const auto rdata = reply.Add(Section::kAnswer, owner, qtype, ttl, qtype == rr::kA ? 4 : 16);
  if (!rdata.empty()) std::copy_n(address.bytes().begin(), rdata.size(), rdata.begin());
}

// The addresses of the family asked for.
void AddAddresses(wire::ReplyWriter& reply, uint16_t owner, uint16_t qtype, uint32_t ttl,
                  const ClusterName& found) {
  switch (found.kind) {
    case Kind::kClusterIps:
      for (const IpAddress& ip : found.service->cluster_ips) {
        AddAddress(reply, owner, qtype, ttl, ip);
      }
      return;
    case Kind::kHeadless:
      if (qtype == rr::kA) {
        reply.AddSet(Section::kAnswer, owner, qtype, ttl, found.records->ipv4, 4);
      } else if (qtype == rr::kAaaa) {
        reply.AddSet(Section::kAnswer, owner, qtype, ttl, found.records->ipv6, 16);
      }
      return;
    case Kind::kEndpoint:
      for (const EndpointName& name : found.records->Named(found.label)) {
        AddAddress(reply, owner, qtype, ttl, name.address);
      }
      return;
    case Kind::kPod:
      AddAddress(reply, owner, qtype, ttl, found.address);
      return;
    default:
      return;
  }
}

uint8_t* PutLabel(uint8_t* at, std::string_view label) {
  *at++ = static_cast<uint8_t>(label.size());
  return std::copy(label.begin(), label.end(), at);
}

// "SERVICE.NAMESPACE.svc.ZONE" in wire form; 0 if the names of the objects do not fit in one.
size_t WriteServiceName(const Service& service, const wire::Zone& zone,
                        std::array<uint8_t, wire::kMaxNameBytes>& out) {
  const std::string& name = service.name.name;
  const std::string& ns = service.name.ns;
  if (name.size() > wire::kMaxLabelBytes || ns.size() > wire::kMaxLabelBytes) return 0;
  if (name.size() + ns.size() + 6 + zone.wire.size() > out.size()) return 0;
  uint8_t* at = PutLabel(PutLabel(PutLabel(out.data(), name), ns), "svc");
  at = std::copy(zone.wire.begin(), zone.wire.end(), at);
  return static_cast<size_t>(at - out.data());
}

// RFC 1035 3.3.13. Both names end in a pointer to the zone as it stands in the question, so they
// take the query's case, as CoreDNS's do.
void AddSoa(wire::ReplyWriter& reply, Section section, uint16_t zone_at, uint32_t ttl,
            uint32_t serial) {
  constexpr size_t kServer = sizeof kSoaServer - 1, kMailbox = sizeof kSoaMailbox - 1;
  const auto rdata = reply.Add(section, zone_at, rr::kSoa, std::min(ttl, kMaxSoaTtl),
                               kServer + 2 + kMailbox + 2 + 20);
  if (rdata.empty()) return;
  uint8_t* at = std::copy_n(kSoaServer, kServer, rdata.data());
  wire::Store16(at, static_cast<uint16_t>(0xc000 | zone_at));
  at = std::copy_n(kSoaMailbox, kMailbox, at + 2);
  wire::Store16(at, static_cast<uint16_t>(0xc000 | zone_at));
  at += 2;
  for (const uint32_t value : {serial, 7200u, 1800u, 86400u, ttl}) {
    wire::Store32(at, value);
    at += 4;
  }
}

uint32_t SerialOf(const ClusterData& data) {
  return data.records == nullptr ? 1 : data.records->serial();
}

uint16_t ZoneAt(const wire::Query& query, const wire::Zone& zone) {
  return wire::QuestionSuffix(query, query.labels - zone.labels);
}

}  // namespace

Kubernetes::Kubernetes(KubernetesConfig config, const ClusterDataHolder& data)
    : config_(std::move(config)),
      data_(data),
      flags_(static_cast<uint16_t>(
          wire::flag::kAuthoritative |
          (config_.recursion_available ? wire::flag::kRecursionAvailable : 0))) {}

Verdict Kubernetes::OnQuery(Exchange& exchange) {
  const wire::Zone* zone = ZoneOf(exchange.query());
  if (zone == nullptr) return Verdict::kNext;
  const ClusterData& data = data_.current();
  if (data.trust == FeedTrust::kNone) return PassOn(counters_.passed_no_feed);
  return IsReverse(*zone) ? AnswerReverse(exchange, data) : AnswerForward(exchange, *zone, data);
}

const wire::Zone* Kubernetes::ZoneOf(const wire::Query& query) const {
  for (const wire::Zone& zone : config_.zones) {
    if (zone.Holds(query)) return &zone;
  }
  return nullptr;
}

const wire::Zone* Kubernetes::ForwardZoneOf(const ExternalTarget& target) const {
  for (const wire::Zone& zone : config_.zones) {
    if (target.IsBelow(zone)) return IsReverse(zone) ? nullptr : &zone;
  }
  return nullptr;
}

bool Kubernetes::FallsThrough(const wire::Query& query) const {
  return std::any_of(config_.fallthrough.begin(), config_.fallthrough.end(),
                     [&](const wire::Zone& zone) { return zone.Holds(query); });
}

Verdict Kubernetes::AnswerForward(Exchange& exchange, const wire::Zone& zone,
                                  const ClusterData& data) {
  const wire::Query& query = exchange.query();
  if (query.type == kAxfr || query.type == kIxfr) {
    exchange.set_reply_bytes(wire::WriteEmptyReply(query, exchange.room(), Rcode::kRefused));
    exchange.set_local(true);
    counters_.refused.Add();
    return Verdict::kAnswered;
  }
  if (query.labels == zone.labels) return AnswerApex(exchange, zone, data);

  if (const auto* entry = FindClusterIp(query, zone, data)) {
    return AnswerClusterIp(exchange, zone, data, *entry);
  }
  const ClusterName found =
      FindClusterName(LabelledName(query), zone.labels, ToPodNames(config_.pods), *data.snapshot,
                      data.records.get());
  switch (found.kind) {
    case Kind::kUnknown:
      return Nxdomain(exchange, zone, data);
    case Kind::kEmpty:
      return Nodata(exchange, zone, data);
    case Kind::kElsewhere:
      return PassOn(counters_.passed_not_ours);
    case Kind::kExternalName:
      return AnswerExternalName(exchange, zone, data, *found.service);
    case Kind::kVersion:
      return AnswerVersion(exchange, zone, data);
    case Kind::kClusterIps:
    case Kind::kHeadless:
    case Kind::kEndpoint:
      if (query.type == rr::kSrv) return PassOn(counters_.passed_not_ours);
      break;
    case Kind::kPod:
      break;
  }
  wire::ReplyWriter reply(query, exchange.room(), exchange.max_reply_bytes());
  AddAddresses(reply, wire::kQuestionName, query.type, config_.ttl, found);
  if (reply.answer_count() == 0 && !reply.truncated()) return Nodata(exchange, zone, data);
  return Finish(exchange, reply, Rcode::kNoError);
}

const ClusterIpTable::Entry* Kubernetes::FindClusterIp(const wire::Query& query,
                                                       const wire::Zone& zone,
                                                       const ClusterData& data) {
  if (query.type != rr::kA && query.type != rr::kAaaa) return nullptr;
  if (query.labels != zone.labels + 3 || LabelledName(query).label(2) != "svc") return nullptr;
  if (data.records == nullptr) return nullptr;
  return data.records->cluster_ips().Find(query.lower_name().first(query.label_at[2]));
}

Verdict Kubernetes::AnswerClusterIp(Exchange& exchange, const wire::Zone& zone,
                                    const ClusterData& data, const ClusterIpTable::Entry& entry) {
  const wire::Query& query = exchange.query();
  const bool ipv4 = query.type == rr::kA;
  if (!(ipv4 ? entry.has_ipv4 : entry.has_ipv6)) return Nodata(exchange, zone, data);
  const auto address = ipv4 ? std::span<const uint8_t>(entry.ipv4) : std::span(entry.ipv6);
  wire::ReplyWriter reply(query, exchange.room(), exchange.max_reply_bytes());
  reply.AddSet(Section::kAnswer, wire::kQuestionName, query.type, config_.ttl, address,
               address.size());
  return Finish(exchange, reply, Rcode::kNoError);
}

Verdict Kubernetes::AnswerApex(Exchange& exchange, const wire::Zone& zone,
                               const ClusterData& data) {
  const wire::Query& query = exchange.query();
  if (query.type == rr::kNs) return PassOn(counters_.passed_not_ours);
  if (query.type != rr::kSoa) return Nodata(exchange, zone, data);
  wire::ReplyWriter reply(query, exchange.room(), exchange.max_reply_bytes());
  AddSoa(reply, Section::kAnswer, wire::kQuestionName, config_.ttl, SerialOf(data));
  return Finish(exchange, reply, Rcode::kNoError);
}

Verdict Kubernetes::AnswerVersion(Exchange& exchange, const wire::Zone& zone,
                                  const ClusterData& data) {
  const wire::Query& query = exchange.query();
  if (query.type != rr::kTxt) return Nodata(exchange, zone, data);
  wire::ReplyWriter reply(query, exchange.room(), exchange.max_reply_bytes());
  const auto rdata =
      reply.Add(Section::kAnswer, wire::kQuestionName, rr::kTxt, kVersionTtl, kVersionText.size());
  std::copy_n(kVersionText.begin(), rdata.size(), rdata.begin());
  return Finish(exchange, reply, Rcode::kNoError);
}

Verdict Kubernetes::AnswerExternalName(Exchange& exchange, const wire::Zone& zone,
                                       const ClusterData& data, const Service& service) {
  const wire::Query& query = exchange.query();
  const bool address = query.type == rr::kA || query.type == rr::kAaaa;
  if (!address && query.type != rr::kCname) return Nodata(exchange, zone, data);
  wire::ReplyWriter reply(query, exchange.room(), exchange.max_reply_bytes());
  switch (Follow(reply, query.type, data, service)) {
    case Aliases::kAnswered:
      return Finish(exchange, reply, Rcode::kNoError);
    case Aliases::kOutside:
      exchange.set_reply_bytes(reply.Finish(Rcode::kNoError, flags_));
      exchange.set_local(true);
      counters_.outside.Add();
      return Verdict::kAlias;
    case Aliases::kNowhere:
      return Nodata(exchange, zone, data);
    case Aliases::kElsewhere:
      return PassOn(counters_.passed_not_ours);
    case Aliases::kUnknown:
      break;
  }
  return data.trust == FeedTrust::kInSync ? Nodata(exchange, zone, data)
                                          : PassOn(counters_.passed_stale);
}

// Writes the chain of CNAMEs that begins at `service`, and the addresses at its end.
Kubernetes::Aliases Kubernetes::Follow(wire::ReplyWriter& reply, uint16_t qtype,
                                       const ClusterData& data, const Service& service) const {
  ExternalTarget target;
  uint16_t owner = wire::kQuestionName;
  const Service* at = &service;
  for (size_t cnames = 0; cnames < kMaxCnames; ++cnames) {
    ClusterName found;
    if (ExternalTarget::ParseAddress(at->external_name, &found.address)) {
      found.kind = Kind::kPod;
    } else {
      if (!target.Set(at->external_name)) return Aliases::kNowhere;
      const auto rdata =
          reply.Add(Section::kAnswer, owner, rr::kCname, config_.ttl, target.wire().size());
      if (rdata.empty()) return Aliases::kAnswered;  // truncated
      std::copy(target.wire().begin(), target.wire().end(), rdata.begin());
      owner = reply.OffsetOf(rdata.data());
      const wire::Zone* zone = ForwardZoneOf(target);
      if (qtype == rr::kCname) return Aliases::kAnswered;
      if (zone == nullptr) return Aliases::kOutside;
      found = FindClusterName(target, zone->labels, ToPodNames(config_.pods), *data.snapshot,
                              data.records.get());
    }
    if (found.kind == Kind::kUnknown) return Aliases::kUnknown;
    if (found.kind == Kind::kElsewhere) return Aliases::kElsewhere;
    if (found.kind != Kind::kExternalName) {
      const size_t before = reply.answer_count();
      AddAddresses(reply, owner, qtype, config_.ttl, found);
      const bool any = reply.answer_count() > before || reply.truncated();
      return any ? Aliases::kAnswered : Aliases::kNowhere;
    }
    at = found.service;
  }
  return Aliases::kNowhere;
}

Verdict Kubernetes::AnswerReverse(Exchange& exchange, const ClusterData& data) {
  const wire::Query& query = exchange.query();
  IpAddress address;
  const bool whole = ParseReverseName(LabelledName(query), &address);
  const Service* service = whole ? data.snapshot->FindServiceByAddress(address) : nullptr;
  // External and load-balancer addresses have no PTR here, and endpoints' are the cluster DNS's.
  const bool ours = service != nullptr && config_.primary.has_value() && query.type == rr::kPtr &&
                    std::count(service->cluster_ips.begin(), service->cluster_ips.end(), address);
  std::array<uint8_t, wire::kMaxNameBytes> name;
  const size_t bytes = ours ? WriteServiceName(*service, *config_.primary, name) : 0;
  if (bytes == 0) return PassOn(counters_.passed_not_ours);
  wire::ReplyWriter reply(query, exchange.room(), exchange.max_reply_bytes());
  const auto rdata = reply.Add(Section::kAnswer, wire::kQuestionName, rr::kPtr, config_.ttl, bytes);
  std::copy_n(name.begin(), rdata.size(), rdata.begin());
  return Finish(exchange, reply, Rcode::kNoError);
}

Verdict Kubernetes::Nxdomain(Exchange& exchange, const wire::Zone& zone, const ClusterData& data) {
  if (data.trust != FeedTrust::kInSync) return PassOn(counters_.passed_stale);
  if (FallsThrough(exchange.query())) return PassOn(counters_.passed_fallthrough);
  counters_.nxdomain.Add();
  return Negative(exchange, zone, data, Rcode::kNxDomain);
}

Verdict Kubernetes::Nodata(Exchange& exchange, const wire::Zone& zone, const ClusterData& data) {
  counters_.nodata.Add();
  return Negative(exchange, zone, data, Rcode::kNoError);
}

// RFC 2308: the SOA says how long the denial may be kept.
Verdict Kubernetes::Negative(Exchange& exchange, const wire::Zone& zone, const ClusterData& data,
                             Rcode rcode) {
  const wire::Query& query = exchange.query();
  wire::ReplyWriter reply(query, exchange.room(), exchange.max_reply_bytes());
  AddSoa(reply, Section::kAuthority, ZoneAt(query, zone), config_.ttl, SerialOf(data));
  exchange.set_reply_bytes(reply.Finish(rcode, flags_));
  exchange.set_local(true);
  return Verdict::kAnswered;
}

Verdict Kubernetes::Finish(Exchange& exchange, wire::ReplyWriter& reply, Rcode rcode) {
  exchange.set_reply_bytes(reply.Finish(rcode, flags_));
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
  add("passed_on_no_feed", counters_.passed_no_feed);
  add("passed_on_stale_feed", counters_.passed_stale);
  add("passed_on_fallthrough", counters_.passed_fallthrough);
  add("passed_on_cluster_dns_knows", counters_.passed_not_ours);
}

}  // namespace portolan::dns

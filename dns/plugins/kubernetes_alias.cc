// The addresses of ExternalName Services.
#include <algorithm>
#include <array>
#include <cstring>

#include "dns/plugins/kubernetes.h"
#include "dns/plugins/kubernetes_records.h"

namespace portolan::dns {
namespace {

using wire::Rcode;
using wire::Section;
namespace rr = wire::type;
using Kind = ClusterName::Kind;

constexpr size_t kMaxCnames = 8;

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

 private:
  std::array<uint8_t, wire::kMaxNameBytes + 1> wire_;
  std::array<uint8_t, wire::kMaxLabels + 1> at_;
  size_t size_ = 0;
};

const ServedZone* Kubernetes::ForwardZoneOf(const ExternalTarget& target) const {
  for (const ServedZone& zone : zones_) {
    if (!target.IsBelow(zone.zone)) continue;
    return zone.holds == ServedZone::Holds::kAddresses ? nullptr : &zone;
  }
  return nullptr;
}

Verdict Kubernetes::AnswerExternalName(Exchange& exchange, const ServedZone& zone,
                                       const Service& service) {
  const wire::Query& query = exchange.query();
  const bool address = query.type == rr::kA || query.type == rr::kAaaa;
  if (!address && query.type != rr::kCname) return Nodata(exchange, zone);
  wire::ReplyWriter reply(query, exchange.room(), exchange.max_reply_bytes());
  const ObjectName* unheld = nullptr;
  switch (Follow(reply, query.type, service, &unheld)) {
    case Aliases::kAnswered:
      return Finish(exchange, zone, reply);
    case Aliases::kOutside:
      exchange.set_reply_bytes(reply.Finish(Rcode::kNoError, kClusterFlags));
      exchange.set_local(true);
      counters_.outside.Add();
      return Verdict::kAlias;
    case Aliases::kNowhere:
      return Nodata(exchange, zone);
    case Aliases::kElsewhere:
      return PassOn(counters_.passed_not_held);
    case Aliases::kNotHeld:
      return AnswerUnheld(exchange, *unheld);
    case Aliases::kUnknown:
      break;
  }
  return data().trust == FeedTrust::kInSync ? Nodata(exchange, zone)
                                            : PassOn(counters_.passed_stale);
}

// Writes the chain of CNAMEs that begins at `service`, and the addresses at its end.
Kubernetes::Aliases Kubernetes::Follow(wire::ReplyWriter& reply, uint16_t qtype,
                                       const Service& service, const ObjectName** unheld) const {
  ExternalTarget target;
  uint16_t owner = wire::kQuestionName;
  const Service* at = &service;
  for (size_t cnames = 0; cnames < kMaxCnames; ++cnames) {
    if (!target.Set(at->extras->external_name)) return Aliases::kNowhere;
    const auto rdata =
        reply.Add(Section::kAnswer, owner, rr::kCname, config_.ttl, target.wire().size());
    if (rdata.empty()) return Aliases::kAnswered;  // truncated
    std::copy(target.wire().begin(), target.wire().end(), rdata.begin());
    owner = reply.OffsetOf(rdata.data());
    if (qtype == rr::kCname) return Aliases::kAnswered;
    const ServedZone* zone = ForwardZoneOf(target);
    if (zone == nullptr) return Aliases::kOutside;
    const ClusterName found = FindClusterName(target, *zone, config_, data());
    switch (found.kind) {
      case Kind::kUnknown:
        return Aliases::kUnknown;
      case Kind::kNotHeld:
        *unheld = found.owner;
        return Aliases::kNotHeld;
      case Kind::kUnverified:
      case Kind::kNameServer:
        return Aliases::kElsewhere;
      case Kind::kExternalName:
        at = found.service;
        continue;
      default:
        break;
    }
    const size_t before = reply.answer_count();
    AddAddresses(reply, owner, qtype, config_.ttl, found);
    const bool any = reply.answer_count() > before || reply.truncated();
    return any ? Aliases::kAnswered : Aliases::kNowhere;
  }
  return Aliases::kNowhere;
}

}  // namespace portolan::dns

// The gate's word on the name that a client greets a server with (greeting.h).
#include <algorithm>
#include <string_view>

#include "proxy/policy/egress_gate.h"

namespace portolan::proxy {

void EgressGate::SetSearch(const std::vector<std::string>& search) {
  search_.clear();
  for (const std::string& name : search) {
    auto zone = dns::wire::Zone::Parse(name);
    if (zone.ok() && zone->labels > 0) search_.push_back(std::move(zone->wire));
  }
}

bool EgressGate::HasNameAlone(const EgressPass& pass, const SocketAddress& to) const {
  if (judges_) {
    return pass.named == EgressPass::Named::kEnforced && !JudgeAddress(pass, to, Protocol::kTcp);
  }
  return audits_ && pass.named != EgressPass::Named::kNo &&
         VerdictOf(pass, to, Protocol::kTcp).audited;
}

bool EgressGate::JudgeGreeting(const EgressPass& pass, const Attempt& attempt, absl::Duration now) {
  const SocketAddress& to = attempt.endpoint == nullptr ? attempt.dialled : *attempt.endpoint;
  // Rules that came meanwhile may allow it anyway.
  const ServerName outcome = HasNameAlone(pass, to) ? Judge(*attempt.greeting, attempt.dialled, now)
                                                    : ServerName::kAllowed;
  switch (outcome) {
    case ServerName::kAllowed:
    case ServerName::kNone:
    case ServerName::kUnknown:
    case ServerName::kEnded:
      Count(outcome);
      return true;
    case ServerName::kDenied:
    case ServerName::kAudited:
    case ServerName::kMalformed:
    case ServerName::kOversized:
    case ServerName::kSlow:
      break;
  }
  const PolicyMode mode = judges_ ? PolicyMode::kEnforced : PolicyMode::kAudit;
  Count(mode == PolicyMode::kAudit ? ServerName::kAudited : outcome);
  Note(pass, attempt, mode, now);
  return mode == PolicyMode::kAudit;
}

EgressGate::ServerName EgressGate::Judge(const Greeting& greeting, const SocketAddress& dialled,
                                         absl::Duration now) {
  switch (greeting.kind) {
    case Greeting::Kind::kName:
    case Greeting::Kind::kAddress:
      return HasRule(greeting, dialled, now) ? ServerName::kAllowed : ServerName::kDenied;
    case Greeting::Kind::kNoName:
      return ServerName::kNone;
    case Greeting::Kind::kUnknown:
      return ServerName::kUnknown;
    case Greeting::Kind::kSilent:
      return ServerName::kEnded;
    case Greeting::Kind::kTooLong:
      return ServerName::kOversized;
    case Greeting::Kind::kTooSlow:
      return ServerName::kSlow;
    case Greeting::Kind::kUnfinished:
    case Greeting::Kind::kMalformed:
      break;
  }
  return ServerName::kMalformed;
}

bool EgressGate::HasRule(const Greeting& greeting, const SocketAddress& dialled,
                         absl::Duration now) {
  if (greeting.kind == Greeting::Kind::kAddress) {
    // The one dialled claims nothing; another is judged as if it had been, a Service's as one whose
    // endpoints are not known.
    if (greeting.address == dialled.ip) return true;
    const SocketAddress other{greeting.address, dialled.port};
    const EgressPass pass{.unheld = IsOfServices(greeting.address)};
    return judges_ ? JudgeAddress(pass, other, Protocol::kTcp)
                   : !VerdictOf(pass, other, Protocol::kTcp).audited;
  }
  const auto name = greeting.name.view();
  return rules_ != nullptr && (RuleHas(name, dialled.port) || IsShortName(name, dialled, now));
}

bool EgressGate::RuleHas(std::span<const uint8_t> wire_name, uint16_t port) const {
  const auto verdict = rules_->JudgeLearned(wire_name, port, Protocol::kTcp);
  return judges_ ? verdict.allowed : verdict.rule != EgressRules::kNone;
}

// A client that dials "backend" greets with that, and not with backend.default.svc.cluster.local.
// What it is short for must have led to this very address: else any name would do that with an end
// of the search list behind it matches a pattern.
bool EgressGate::IsShortName(std::span<const uint8_t> greeted, const SocketAddress& dialled,
                             absl::Duration now) {
  if (search_.empty()) return false;
  const auto labels = greeted.first(greeted.size() - 1);  // without the root
  const auto is_whole = [&](std::span<const uint8_t> name) {
    if (name.size() <= labels.size() || !std::equal(labels.begin(), labels.end(), name.begin())) {
      return false;
    }
    const auto end = name.subspan(labels.size());
    const std::string_view rest(reinterpret_cast<const char*>(end.data()), end.size());
    return std::find(search_.begin(), search_.end(), rest) != search_.end() &&
           RuleHas(name, dialled.port);
  };
  const auto found = learned_.Find(dialled.ip, now, is_whole);
  if (found != 0) learned_.Release(found, now);
  return found != 0;
}

void EgressGate::Collect(MetricFamilies& families) const {
  no_policy_.Collect(families);
  constexpr std::array<std::string_view, kServerNames> kWords = {
      "allowed", "denied", "audited", "none", "unknown", "ended", "malformed", "oversized", "slow"};
  for (size_t i = 0; i < kServerNames; ++i) {
    AddCounterSample(families, "portolan_policy_server_name_total",
                     "Greetings of connections that a rule by name lets go, by outcome.",
                     {{"outcome", kWords[i]}}, static_cast<double>(server_names_[i].value()));
  }
}

}  // namespace portolan::proxy

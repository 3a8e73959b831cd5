#include "proxy/policy/name_gate.h"

#include <algorithm>
#include <utility>

#include "common/monotonic.h"
#include "dns/wire/message.h"
#include "proxy/policy/answer_addresses.h"

namespace portolan::proxy {
namespace {

using dns::QueryGate;
using dns::Transport;
using dns::wire::Query;
using dns::wire::Zone;

constexpr std::string_view kNoPolicyKnown = "no policy is known yet";

// Has something in front of it.
bool EndsIn(const Query& query, const Zone& end) {
  return query.labels > end.labels && end.Holds(query);
}

// Of rules that may be null.
bool HasNames(const std::shared_ptr<const EgressRules>& rules) {
  return rules != nullptr && rules->has_names();
}
bool HasName(const std::shared_ptr<const EgressRules>& rules, std::span<const uint8_t> name) {
  return rules != nullptr && rules->IsNamed(name);
}

}  // namespace

bool FindCompletedName(std::span<const uint8_t> reply, dns::wire::NameBuffer& out) {
  dns::wire::MessageReader reader(reply);
  dns::wire::MessageRecord record;
  if (!reader.Next(record) || record.type != dns::wire::type::kCname) return false;
  if (dns::wire::ReadName(reply, record.rdata_at, out) != record.end()) return false;
  dns::wire::LowerName(std::span(out.bytes).first(out.size));
  return true;
}

NameGate::NameGate(const Options& options, LearnedAddresses& learned, Denials& denials)
    : options_(options), learned_(learned), denials_(denials) {}

void NameGate::SetRules(std::shared_ptr<const EgressRules> rules) {
  rules_ = std::move(rules);
  // Else still newer ones are under way.
  if (next_rules_ == rules_) next_rules_ = nullptr;
  ++rules_version_;
  judges_names_ =
      rules_ != nullptr && (rules_->isolates_names() || !rules_->auditing_names().empty());
}

void NameGate::SetSearch(const std::vector<std::string>& search) {
  search_.clear();
  for (const std::string& name : search) {
    auto zone = Zone::Parse(name);
    if (zone.ok() && zone->labels > 0) search_.push_back(*std::move(zone));
  }
}

QueryGate::Decision NameGate::OnQuery(const dns::Exchange& exchange, Asker asker) {
  if (rules_ == nullptr) return WithoutRules(exchange, asker);
  const EgressRules::Verdict& dns =
      exchange.transport() == Transport::kUdp ? resolvers_.udp : resolvers_.tcp;
  if (!dns.allowed && rules_->isolates() && !rules_->allows_dns()) {
    Count(asker, Outcome::kDnsDenied);
    if (asker == Asker::kClient) OnDenied(exchange, Denied::kDns, PolicyMode::kEnforced);
    return {Ruling::kRefused, rules_->isolating_text()};
  }
  // Rules by name of a policy in audit would allow DNS too.
  if (dns.audited && !rules_->has_names() && asker == Asker::kClient) {
    OnDenied(exchange, Denied::kDns, PolicyMode::kAudit);
  }
  return judges_names_ ? JudgeName(exchange, asker) : Decision();
}

QueryGate::Decision NameGate::WithoutRules(const dns::Exchange& exchange, Asker asker) {
  const bool open = options_.on_no_policy == OnNoPolicy::kOpen;
  if (asker == Asker::kClient) {
    (open ? no_policy_.allowed : no_policy_.denied).Add();
    if (!open) OnDenied(exchange, Denied::kName, PolicyMode::kEnforced);
  }
  if (open) return {};
  return {Ruling::kRefused, kNoPolicyKnown};
}

QueryGate::Decision NameGate::JudgeName(const dns::Exchange& exchange, Asker asker) {
  const Query& query = exchange.query();
  const NamePatterns::Rules rules = rules_->RulesOf(query.lower_name());
  const EgressRules::Verdict verdict = rules_->JudgeName(rules);
  const bool has_rule = verdict.allowed && !verdict.audited;
  const Outcome outcome = has_rule ? Outcome::kAllowed : RuleOn(query);
  if (verdict.allowed) {
    Count(asker, outcome == Outcome::kCluster ? outcome : Outcome::kAllowed);
    if (outcome == Outcome::kDenied && asker == Asker::kClient) {
      OnDenied(exchange, Denied::kName, PolicyMode::kAudit);
    }
    return Pass(rules);
  }
  Count(asker, outcome);
  if (outcome == Outcome::kCluster) return Pass(rules);
  if (outcome == Outcome::kSearch) return {Ruling::kNxDomain};
  if (asker == Asker::kClient) OnDenied(exchange, Denied::kName, PolicyMode::kEnforced);
  const bool refused = options_.denied_names == DeniedNames::kRefused;
  return {refused ? Ruling::kRefused : Ruling::kNxDomain, rules_->isolating_names_text()};
}

// The lowest bit of a mark says that a rule has the name.
QueryGate::Decision NameGate::Pass(const NamePatterns::Rules& rules) const {
  return {.as_asked = rules_->isolates_names(),
          .mark = rules_version_ << 1 | uint32_t{EgressRules::IsNamed(rules)}};
}

// Looked up once more where the rules have changed since the question, or did not judge it.
bool NameGate::IsNamed(const dns::Exchange& exchange) const {
  const uint32_t mark = exchange.gate_mark();
  const Bytes name = exchange.query().lower_name();
  if (mark >> 1 != rules_version_) return IsNamed(name);
  return (mark & 1) != 0 || HasName(next_rules_, name);
}

bool NameGate::IsNamed(Bytes name) const {
  return HasName(rules_, name) || HasName(next_rules_, name);
}

NameGate::Outcome NameGate::RuleOn(const Query& query) const {
  if (dns::wire::AnyHolds(cluster_zones_, query)) return Outcome::kCluster;
  return IsSearchStep(query) ? Outcome::kSearch : Outcome::kDenied;
}

bool NameGate::IsSearchStep(const Query& query) const {
  for (const Zone& end : search_) {
    if (!EndsIn(query, end)) continue;
    dns::wire::NameBuffer name;
    const Bytes front = query.lower_name().first(query.name_bytes - end.wire.size());
    *std::copy(front.begin(), front.end(), name.bytes.begin()) = 0;  // the root label
    name.size = static_cast<uint8_t>(front.size() + 1);
    const EgressRules::Verdict verdict = rules_->JudgeName(name.view());
    if (verdict.allowed && !verdict.audited) return true;
    Query alone;
    dns::wire::SetName(name.view(), alone);
    if (dns::wire::AnyHolds(cluster_zones_, alone)) return true;
  }
  return false;
}

void NameGate::OnDenied(const dns::Exchange& exchange, Denied what, PolicyMode mode) {
  Denial denial{.what = what, .mode = mode, .client = exchange.client()};
  const Bytes name = exchange.query().lower_name();
  std::copy(name.begin(), name.end(), denial.name.bytes.begin());
  denial.name.size = static_cast<uint8_t>(name.size());
  denials_.Add(std::move(denial), absl::FromChrono(exchange.received().time_since_epoch()));
}

void NameGate::OnReply(const dns::Exchange& exchange) {
  if (!HasNames(rules_) && !HasNames(next_rules_)) return;
  if (!exchange.completed()) {
    if (IsNamed(exchange)) Learn(exchange.query().lower_name(), exchange);
    return;
  }
  dns::wire::NameBuffer completed;
  if (FindCompletedName(exchange.reply(), completed) && IsNamed(completed.view())) {
    Learn(completed.view(), exchange);
  }
}

void NameGate::Learn(Bytes name, const dns::Exchange& exchange) {
  // The client counts from when it has the answer. Where that did not wait for anything it is well
  // within a second of when the question came, which costs no look at the clock.
  const bool waited = exchange.waited();
  const absl::Duration now =
      waited ? Monotonic() : absl::FromChrono(exchange.received().time_since_epoch());
  const absl::Duration more = waited ? absl::ZeroDuration() : absl::Seconds(1);
  AnswerAddresses addresses(exchange.reply());
  size_t count = 0;
  for (AnswerAddresses::Address address; addresses.Next(address); ++count) {
    const auto outcome = count < kMostAddresses
                             ? learned_.Add(name, address.ip, address.ttl + more, now)
                             : LearnedAddresses::Outcome::kNameFull;
    learned_outcomes_[static_cast<size_t>(outcome)].Add();
  }
}

void NameGate::Collect(MetricFamilies& families) const {
  static constexpr std::array<std::string_view, kOutcomes> kWords = {"allowed", "cluster", "search",
                                                                     "denied", "dns_denied"};
  for (size_t i = 0; i < kOutcomes; ++i) {
    AddCounterSample(families, "portolan_policy_names_total",
                     "Questions while a policy isolates by name, or forbids DNS, by what was made "
                     "of them.",
                     {{"ruling", kWords[i]}}, static_cast<double>(outcomes_[i].value()));
  }
  static constexpr std::array<std::string_view, LearnedAddresses::kOutcomes> kLearnedWords = {
      "new", "renewed", "fresh", "name_full", "address_full", "full"};
  for (size_t i = 0; i < kLearnedWords.size(); ++i) {
    LearnedAddresses::AddOutcome(families, kLearnedWords[i], learned_outcomes_[i].value());
  }
  no_policy_.Collect(families);
}

}  // namespace portolan::proxy

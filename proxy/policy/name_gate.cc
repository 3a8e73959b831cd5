#include "proxy/policy/name_gate.h"

#include <algorithm>
#include <bit>
#include <optional>
#include <utility>

#include "absl/hash/hash.h"
#include "absl/strings/string_view.h"
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

uint32_t QuestionOf(std::span<const uint8_t> name) {
  return static_cast<uint32_t>(LearnedNames::HashOf(name));
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
  const NamePatterns::Rules rules = rules_->RulesOfLower(query.lower_name());
  const EgressRules::Verdict verdict = rules_->JudgeName(rules);
  const bool has_rule = verdict.allowed && !verdict.audited;
  const Outcome outcome = has_rule ? Outcome::kAllowed : RuleOn(query);
  if (verdict.allowed) {
    Count(asker, outcome == Outcome::kCluster ? outcome : Outcome::kAllowed);
    if (outcome == Outcome::kDenied && asker == Asker::kClient) {
      OnDenied(exchange, Denied::kName, PolicyMode::kAudit);
    }
    return Pass(query, rules);
  }
  Count(asker, outcome);
  if (outcome == Outcome::kCluster) return Pass(query, rules);
  if (outcome == Outcome::kSearch) return {Ruling::kNxDomain};
  if (asker == Asker::kClient) OnDenied(exchange, Denied::kName, PolicyMode::kEnforced);
  const bool refused = options_.denied_names == DeniedNames::kRefused;
  return {refused ? Ruling::kRefused : Ruling::kNxDomain, rules_->isolating_names_text()};
}

QueryGate::Decision NameGate::Pass(const Query& query, const NamePatterns::Rules& rules) const {
  Mark mark{.named = EgressRules::IsNamed(rules), .version = rules_version_};
  if (mark.named != 0) {
    mark.question = QuestionOf(query.lower_name());
    recent_.Prefetch(mark.question);
  }
  return {.as_asked = rules_->isolates_names(), .mark = std::bit_cast<uint64_t>(mark)};
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
  if (exchange.completed()) {
    dns::wire::NameBuffer name;
    if (FindCompletedName(exchange.reply(), name) && IsNamed(name.view())) {
      Learn(name.view(), QuestionOf(name.view()), exchange);
    }
    return;
  }
  const Bytes name = exchange.query().lower_name();
  const Mark mark = std::bit_cast<Mark>(exchange.gate_mark());
  const bool current = mark.version == rules_version_;
  if (current && mark.named != 0) return Learn(name, mark.question, exchange);
  // Else the rules have changed since the question, or did not judge it.
  const bool named = current ? HasName(next_rules_, name) : IsNamed(name);
  if (named) Learn(name, QuestionOf(name), exchange);
}

void NameGate::Learn(Bytes name, uint32_t question, const dns::Exchange& exchange) {
  // The client counts from when it has the answer. Where that did not wait for anything it is well
  // within a second of when the question came, which costs no look at the clock.
  const bool waited = exchange.waited();
  const absl::Duration now =
      waited ? Monotonic() : absl::FromChrono(exchange.received().time_since_epoch());
  const absl::Duration more = waited ? absl::ZeroDuration() : absl::Seconds(1);
  const std::optional<uint64_t> removals = learned_.removals();
  if (!removals) {
    LearnAll(name, exchange.reply(), more, now);
    return;
  }
  // Of all that it depends on what is learned, and until when.
  constexpr size_t kIdAndFlags = 4;
  const Bytes reply = exchange.reply().subspan(std::min(kIdAndFlags, exchange.reply().size()));
  const uint64_t hash =
      absl::HashOf(absl::string_view(reinterpret_cast<const char*>(reply.data()), reply.size()),
                   question, waited, LearnedAddresses::SecondOf(now), *removals);
  if (const size_t known = recent_.Find(question, hash); known != 0) {
    return CountLearned(LearnedAddresses::Outcome::kFresh, known);
  }
  const size_t known = LearnAll(name, exchange.reply(), more, now);
  if (known != 0) recent_.Add(question, hash, known);
}

// All of a reply that is remembered are known.
static_assert(NameGate::kMostAddresses <= RecentReplies::kMostAddresses);

size_t NameGate::LearnAll(Bytes name, Bytes reply, absl::Duration more, absl::Duration now) {
  AnswerAddresses addresses(reply);
  size_t count = 0, known = 0;
  for (AnswerAddresses::Address address; addresses.Next(address); ++count) {
    const auto outcome = count < kMostAddresses
                             ? learned_.Add(name, address.ip, address.ttl + more, now)
                             : LearnedAddresses::Outcome::kNameFull;
    CountLearned(outcome, 1);
    known += LearnedAddresses::IsKnown(outcome) ? 1 : 0;
  }
  return known == count ? count : 0;
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

#include "dns/plugins/acl.h"

#include <algorithm>
#include <array>
#include <optional>

#include <nlohmann/json.hpp>

#include "absl/strings/ascii.h"
#include "dns/corefile/zones.h"
#include "dns/plugins/arguments.h"
#include "dns/wire/mnemonics.h"
#include "dns/wire/reply.h"

namespace portolan::dns {
namespace {

using corefile::Directive;
using corefile::Token;

constexpr std::array<std::string_view, 4> kActions = {"allow", "block", "filter", "drop"};

absl::Status AddType(const Token& token, AclPolicy& policy, bool& all) {
  if (token.text == "*") {
    all = true;
    return absl::OkStatus();
  }
  const std::optional<uint16_t> type = wire::FindType(token.text);
  if (!type.has_value()) {
    std::vector<std::string_view> known = {"*"};
    for (const wire::Mnemonic& m : wire::AllTypes()) known.push_back(m.word);
    return UnknownWord(token, "acl", known);
  }
  policy.types.push_back(*type);
  return absl::OkStatus();
}

absl::Status AddSource(const Token& token, AclPolicy& policy, bool& all) {
  if (token.text == "*") {
    all = true;
    return absl::OkStatus();
  }
  auto cidr = Cidr::Parse(token.text);
  if (!cidr.ok()) return token.Error(Message(cidr.status()));
  policy.sources.push_back(*cidr);
  return absl::OkStatus();
}

absl::StatusOr<AclPolicy> ParsePolicy(const Directive& line) {
  static constexpr std::array<std::string_view, 2> kSections = {"type", "net"};
  AclPolicy policy;
  const auto* action =
      std::find(kActions.begin(), kActions.end(), absl::AsciiStrToLower(line.name.text));
  if (action == kActions.end()) return UnknownOption(line, "acl", kActions);
  policy.action = static_cast<AclAction>(action - kActions.begin());
  policy.written_at = fmt::format("{}:{}", *line.name.file, line.name.line);
  absl::Status status = CheckNoBlock(line);
  if (!status.ok()) return status;

  bool all_types = false;
  bool all_sources = false;
  const Token* section = nullptr;
  bool section_is_empty = false;
  for (const Token& token : line.arguments) {
    if (token.text == "type" || token.text == "net") {
      if (section_is_empty) break;
      section = &token;
      section_is_empty = true;
      continue;
    }
    if (section == nullptr) return UnknownWord(token, "acl", kSections);
    section_is_empty = false;
    status = section->text == "type" ? AddType(token, policy, all_types)
                                     : AddSource(token, policy, all_sources);
    if (!status.ok()) return status;
  }
  if (section_is_empty) return section->Error(fmt::format("nothing follows '{}'", section->text));
  if (all_types) policy.types.clear();
  if (all_sources) policy.sources.clear();
  return policy;
}

Verdict AnswerEmpty(Exchange& exchange, wire::Rcode rcode, wire::ExtendedError why) {
  exchange.set_local(true);
  exchange.set_reply_bytes(wire::WriteEmptyReply(exchange.query(), exchange.room(), rcode));
  exchange.AddExtendedError(why, "acl");
  return Verdict::kAnswered;
}

}  // namespace

absl::Status LoadAcl(const Directive& directive, LoadContext& context) {
  AclRule rule{context.zones(), {}};
  if (!directive.arguments.empty()) {
    auto zones = corefile::ParseZones(directive.arguments);
    if (!zones.ok()) return zones.status();
    rule.zones = *std::move(zones);
  }
  for (const Directive& line : directive.block) {
    auto policy = ParsePolicy(line);
    if (!policy.ok()) return policy.status();
    rule.policies.push_back(*std::move(policy));
  }
  std::shared_ptr<AclRules>& rules = context.acl_rules();
  if (rules == nullptr) {
    rules = std::make_shared<AclRules>(AclRules{context.server(), {}});
    context.AddLink([rules](const PluginContext&) { return std::make_unique<Acl>(rules); });
  }
  rules->rules.push_back(std::move(rule));
  return absl::OkStatus();
}

bool AclPolicy::Matches(uint16_t type, const IpAddress& client) const {
  if (!types.empty() && std::find(types.begin(), types.end(), type) == types.end()) return false;
  return sources.empty() || std::any_of(sources.begin(), sources.end(), [&](const Cidr& source) {
           return source.Contains(client);
         });
}

Acl::Acl(std::shared_ptr<const AclRules> rules) : rules_(std::move(rules)) {
  for (const AclRule& rule : rules_->rules) {
    counters_.push_back(std::make_unique<Counters[]>(rule.zones.size()));
  }
}

Acl::Decision Acl::Decide(const Exchange& exchange) const {
  const wire::Query& query = exchange.query();
  for (size_t i = 0; i < rules_->rules.size(); ++i) {
    const AclRule& rule = rules_->rules[i];
    const auto zone = std::find_if(rule.zones.begin(), rule.zones.end(),
                                   [&](const wire::Zone& z) { return z.Holds(query); });
    if (zone == rule.zones.end()) continue;
    const auto policy = std::find_if(
        rule.policies.begin(), rule.policies.end(),
        [&](const AclPolicy& p) { return p.Matches(query.type, exchange.client().ip); });
    if (policy == rule.policies.end()) continue;
    return {&*policy, i, static_cast<size_t>(zone - rule.zones.begin())};
  }
  return {};
}

nlohmann::json Acl::Explain(const Exchange& exchange) const {
  const AclPolicy* policy = Decide(exchange).policy;
  if (policy == nullptr) return {{"says", "no line matches: allowed"}};
  const std::string_view action = kActions[static_cast<size_t>(policy->action)];
  return {{"rule", policy->written_at},
          {"says", fmt::format("{} by the line at {}", action, policy->written_at)}};
}

Verdict Acl::OnQuery(Exchange& exchange) {
  const Decision decision = Decide(exchange);
  if (decision.policy == nullptr) {
    allowed_.Add();
    return Verdict::kNext;
  }
  Counters* counters = &counters_[decision.rule][decision.zone];
  switch (decision.policy->action) {
    case AclAction::kAllow:
      allowed_.Add();
      return Verdict::kNext;
    case AclAction::kBlock:
      counters->blocked.Add();
      return AnswerEmpty(exchange, wire::Rcode::kRefused, wire::ExtendedError::kBlocked);
    case AclAction::kFilter:
      counters->filtered.Add();
      return AnswerEmpty(exchange, wire::Rcode::kNoError, wire::ExtendedError::kFiltered);
    case AclAction::kDrop:
      counters->dropped.Add();
      return Verdict::kDropped;
  }
  return Verdict::kNext;
}

void Acl::CollectMetrics(MetricFamilies& families) const {
  AddCounterSample(
      families, "coredns_acl_allowed_requests_total", "Counter of DNS requests being allowed.",
      {{"server", rules_->server}, {"view", ""}}, static_cast<double>(allowed_.value()));
  for (size_t i = 0; i < counters_.size(); ++i) {
    const auto& zones = rules_->rules[i].zones;
    for (size_t z = 0; z < zones.size(); ++z) {
      auto add = [&](std::string_view name, std::string_view help, const Counter& counter) {
        AddCounterSample(families, name, help,
                         {{"server", rules_->server}, {"zone", zones[z].text}, {"view", ""}},
                         static_cast<double>(counter.value()));
      };
      add("coredns_acl_blocked_requests_total", "Counter of DNS requests being blocked.",
          counters_[i][z].blocked);
      add("coredns_acl_filtered_requests_total", "Counter of DNS requests being filtered.",
          counters_[i][z].filtered);
      add("coredns_acl_dropped_requests_total", "Counter of DNS requests being dropped.",
          counters_[i][z].dropped);
    }
  }
}

}  // namespace portolan::dns

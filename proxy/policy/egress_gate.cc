#include "proxy/policy/egress_gate.h"

#include <algorithm>
#include <utility>

namespace portolan::proxy {

EgressGate::EgressGate(Options options, LearnedAddresses& learned, Denials& denials)
    : options_(std::move(options)),
      learned_(learned),
      denials_(denials),
      judges_(options_.on_no_policy == OnNoPolicy::kClosed) {}

void EgressGate::SetRules(std::shared_ptr<const EgressRules> rules) {
  rules_ = std::move(rules);
  if (rules_ == nullptr) {
    judges_ = options_.on_no_policy == OnNoPolicy::kClosed;
    audits_ = names_ = false;
    return;
  }
  judges_ = rules_->isolates();
  audits_ = !rules_->auditing().empty();
  names_ = rules_->has_names();
}

void EgressGate::Begin(EgressPass& pass, const SocketAddress& dialled, Protocol protocol,
                       absl::Duration now) {
  if (rules_ == nullptr && !judges_) no_policy_.allowed.Add();
  EgressPass before = pass;
  pass.admission = 0;
  pass.named = EgressPass::Named::kNo;
  if (names_) FindName(pass, dialled, protocol, now);
  End(before, now);
}

void EgressGate::FindName(EgressPass& pass, const SocketAddress& dialled, Protocol protocol,
                          absl::Duration now) {
  const auto find = [&](auto&& holds) {
    pass.admission = learned_.Find(dialled.ip, now, [&](std::span<const uint8_t> wire_name) {
      return holds(rules_->JudgeLearned(wire_name, dialled.port, protocol));
    });
    return pass.admission != 0;
  };
  if (find([](const EgressRules::Verdict& verdict) { return verdict.allowed; })) {
    pass.named = EgressPass::Named::kEnforced;
  } else if (find([](const EgressRules::Verdict& verdict) {
               return verdict.rule != EgressRules::kNone;
             })) {
    pass.named = EgressPass::Named::kAudit;
  }
}

bool EgressGate::JudgeAddress(const EgressPass& pass, const SocketAddress& to,
                              Protocol protocol) const {
  if (rules_ == nullptr) return !pass.unheld && IsOwn(to.ip);
  return VerdictOf(pass, to, protocol).allowed;
}

bool EgressGate::IsOwn(const IpAddress& ip) const {
  return ip.is_loopback() ||
         std::find(options_.own.begin(), options_.own.end(), ip) != options_.own.end();
}

void EgressGate::OnDenied(const EgressPass& pass, const Attempt& attempt, absl::Duration now) {
  if (rules_ == nullptr) no_policy_.denied.Add();
  Note(pass, attempt, PolicyMode::kEnforced, now);
}

void EgressGate::CountIfAudited(EgressPass& pass, const Attempt& attempt, absl::Duration now) {
  const SocketAddress& to = attempt.endpoint == nullptr ? attempt.dialled : *attempt.endpoint;
  const Protocol protocol = attempt.what == Denied::kFlow ? Protocol::kUdp : Protocol::kTcp;
  const auto is_audited = [&](const SocketAddress& address) {
    return VerdictOf(pass, address, protocol).audited;
  };
  if (!is_audited(to)) return;
  // Enforced, these policies have an endpoint left out that they deny.
  const auto& among = attempt.among;
  const auto taken = std::find_if(among.begin(), among.end(),
                                  [&](const PortEndpoint& one) { return one.address == to; });
  const auto begin = static_cast<size_t>(taken - among.begin());
  for (size_t i = 0; i < std::min(among.size(), kMostAudited); ++i) {
    if (!is_audited(among[(begin + i) % among.size()].address)) return;
  }
  pass.audited = true;
  Note(pass, attempt, PolicyMode::kAudit, now);
}

void EgressGate::Note(const EgressPass& pass, const Attempt& attempt, PolicyMode mode,
                      absl::Duration now) {
  Denial denial{
      .what = attempt.what, .mode = mode, .client = attempt.client, .dialled = attempt.dialled};
  denial.unheld = pass.unheld;
  if (attempt.endpoint != nullptr) denial.endpoint = *attempt.endpoint;
  if (attempt.service != nullptr && !attempt.service->ns.empty()) {
    denial.service = ServiceKey(*attempt.service);
  }
  if (attempt.greeting != nullptr) {
    denial.greeting = *attempt.greeting;
    if (attempt.greeting->kind == Greeting::Kind::kName) denial.name = attempt.greeting->name;
  }
  denials_.Add(std::move(denial), now);
}

}  // namespace portolan::proxy

#include "proxy/policy/egress_gate.h"

#include <algorithm>
#include <utility>

namespace portolan::proxy {

EgressGate::EgressGate(Options options, LearnedAddresses& learned, DenialCounters& denials)
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
  names_ = rules_->has_names() && (judges_ || audits_);
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
  } else if (audits_ && find([](const EgressRules::Verdict& verdict) {
               return verdict.rule != EgressRules::kNone;
             })) {
    pass.named = EgressPass::Named::kAudit;
  }
}

bool EgressGate::JudgeAddress(const SocketAddress& to, Protocol protocol) const {
  return rules_ == nullptr ? IsOwn(to.ip) : rules_->Judge(to, protocol).allowed;
}

bool EgressGate::IsOwn(const IpAddress& ip) const {
  return ip.is_loopback() ||
         std::find(options_.own.begin(), options_.own.end(), ip) != options_.own.end();
}

void EgressGate::OnDenied(const Attempt& attempt, absl::Duration now) {
  if (rules_ == nullptr) no_policy_.denied.Add();
  denials_.Count(attempt.what, PolicyMode::kEnforced);
  Log(attempt, PolicyMode::kEnforced, now);
}

void EgressGate::CountIfAudited(EgressPass& pass, const Attempt& attempt, absl::Duration now) {
  const SocketAddress& to = attempt.endpoint == nullptr ? attempt.dialled : *attempt.endpoint;
  const Protocol protocol = attempt.what == Denied::kFlow ? Protocol::kUdp : Protocol::kTcp;
  if (!rules_->Judge(to, protocol).audited) return;
  pass.audited = true;
  denials_.Count(attempt.what, PolicyMode::kAudit);
  Log(attempt, PolicyMode::kAudit, now);
}

void EgressGate::Log(const Attempt& attempt, PolicyMode mode, absl::Duration now) {
  if (options_.log == nullptr || !options_.log->Takes(now)) return;
  Denial denial;
  denial.what = attempt.what;
  denial.mode = mode;
  denial.client = attempt.client;
  denial.dialled = attempt.dialled;
  if (attempt.endpoint != nullptr) denial.endpoint = *attempt.endpoint;
  if (attempt.service != nullptr && !attempt.service->ns.empty()) {
    denial.service = attempt.service->ToString();
  }
  if (attempt.greeting != nullptr) {
    const Greeting& greeting = *attempt.greeting;
    denial.greeting = InWords(greeting);
    if (greeting.kind == Greeting::Kind::kName) {
      denial.name.assign(greeting.name.bytes.begin(),
                         greeting.name.bytes.begin() + greeting.name.size);
    }
  }
  denial.rules = rules_;
  options_.log->Write(std::move(denial));
}

}  // namespace portolan::proxy

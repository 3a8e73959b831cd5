#include "proxy/sidecar_policy.h"

#include <algorithm>
#include <map>
#include <string>
#include <tuple>
#include <utility>

#include "absl/time/clock.h"
#include "common/log.h"
#include "common/monotonic.h"
#include "proxy/ask_workers.h"
#include "xds/api/denial_words.h"

namespace portolan::proxy {
namespace {

using nlohmann::json;

double SecondsOf(absl::Duration time) {
  return absl::ToDoubleSeconds(absl::Trunc(time, absl::Milliseconds(1)));
}

bool IsSame(const EgressRules::Verdict& a, const EgressRules::Verdict& b) {
  return a.allowed == b.allowed && a.audited == b.audited && a.rule == b.rule;
}

json PoliciesJson(const EgressRules& rules) {
  json policies = json::array();
  for (const PolicyInput& policy : rules.policies()) {
    policies.push_back({{"name", policy.name},
                        {"isolates", policy.isolates},
                        {"isolatesNames", policy.isolates_names},
                        {"audit", policy.audit},
                        {"rules", policy.rules.size()}});
  }
  return policies;
}

json ToJson(const std::vector<v1::DenialReport>& denials) {
  json rows = json::array();
  const int64_t now = absl::ToUnixSeconds(absl::Now());
  for (const v1::DenialReport& denial : denials) {
    rows.push_back({{"what", api::Word(denial.what())},
                    {"mode", Word(denial.audit() ? PolicyMode::kAudit : PolicyMode::kEnforced)},
                    {"name", denial.name()},
                    {"address", denial.address()},
                    {"port", denial.port()},
                    {"policies", denial.policies()},
                    {"nearest", denial.nearest()},
                    {"count", denial.count()},
                    {"last", std::max<int64_t>(0, now - denial.last_unix_s())}});
  }
  return rows;
}

}  // namespace

SidecarPolicy::SidecarPolicy(Parts parts)
    : parts_(parts),
      learned_({.grace = parts.settings.learned_grace}),
      learned_state_(parts.loop,
                     parts.settings.state_dir.empty() ? std::string()
                                                      : parts.settings.state_dir + "/learned.state",
                     learned_),
      log_(parts.loop, parts.settings.policy_log_sample) {}

void SidecarPolicy::AddTo(WorkerOptions& options) {
  const Settings& settings = parts_.settings;
  options.learned = &learned_;
  const OnNoPolicy on_no_policy =
      settings.on_no_policy == "closed" ? OnNoPolicy::kClosed : OnNoPolicy::kOpen;
  options.egress_gate = {.on_no_policy = on_no_policy,
                         .own = settings.always_allowed(),
                         .service_ranges = settings.service_cidrs,
                         .check_server_name = settings.check_server_name};
  options.name_gate = {.on_no_policy = on_no_policy,
                       .denied_names = settings.denied_names == "nxdomain"
                                           ? NameGate::DeniedNames::kNxDomain
                                           : NameGate::DeniedNames::kRefused};
  options.ingress_gate = {.on_no_policy = on_no_policy, .own = settings.always_allowed()};
  options.denial_log = &log_;
  options.forwarder.end_denied = options.inbound.end_denied = settings.end_denied_connections;
}

void SidecarPolicy::OnRules(std::shared_ptr<const EgressRules> rules) {
  const bool was_isolated = rules_ != nullptr && rules_->isolates();
  const bool is_first = rules_ == nullptr;
  rules_ = std::move(rules);
  resolvers_ = JudgeResolversNow();
  if (is_first && !AnyWorkerDeniesAll()) {
    GiveFirstRules();
  } else {
    GiveRules();
  }
  shown_.With([&](Shown& shown) { shown = {rules_->isolates(), IsPartly(), rules_->size()}; });
  if (rules_->isolates() == was_isolated && !is_first) return;
  if (!rules_->isolates()) return log::info("no policy isolates this pod for egress");
  log::info("this pod is isolated for egress by {}{}", rules_->isolating_text(),
            IsPartly() ? ", enforced in part: not all that it sends is captured" : "");
}

// As long as it lacks the first rules, also what another that has them answers a client with.
bool SidecarPolicy::AnyWorkerDeniesAll() const {
  return parts_.settings.on_no_policy == "closed" &&
         std::any_of(parts_.workers.begin(), parts_.workers.end(),
                     [](const auto& worker) { return worker->is_running(); });
}

// At once: at a restart they come before the workers run, so that nothing is judged without them.
void SidecarPolicy::GiveFirstRules() {
  given_ = true;
  for (const auto& worker : parts_.workers) {
    worker->SetEgressRules(rules_, [] {});
    worker->SetNameRules(rules_, resolvers_);
  }
}

// A name is answered by rules once every worker lets be reached what it leads to: the connection
// may come to another one than the question.
void SidecarPolicy::GiveRules() {
  AskWorkers<bool>(
      parts_.loop, parts_.workers,
      [this](Worker& worker, auto take) {
        worker.SetEgressRules(rules_, [take = std::move(take)]() mutable { take(true); });
      },
      [this, rules = rules_](const std::vector<bool>&) {
        given_ = true;
        for (const auto& worker : parts_.workers) worker->SetNameRules(rules, resolvers_);
      });
}

void SidecarPolicy::OnIngressRules(std::shared_ptr<const EgressRules> rules) {
  const bool was_isolated = ingress_rules_ != nullptr && ingress_rules_->isolates();
  const bool is_first = ingress_rules_ == nullptr;
  ingress_rules_ = std::move(rules);
  for (const auto& worker : parts_.workers) worker->SetIngressRules(ingress_rules_);
  const bool isolated = ingress_rules_->isolates();
  ingress_isolated_.store(isolated, std::memory_order_relaxed);
  if (isolated == was_isolated && !is_first) return;
  if (!isolated) return log::info("no policy isolates this pod for ingress");
  log::info("this pod is isolated for ingress by {}", ingress_rules_->isolating_text());
}

void SidecarPolicy::Follow() {
  if (rules_ == nullptr) return;
  const ResolverVerdicts now = JudgeResolversNow();
  if (IsSame(now.udp, resolvers_.udp) && IsSame(now.tcp, resolvers_.tcp)) return;
  resolvers_ = now;
  for (const auto& worker : parts_.workers) worker->SetResolverVerdicts(resolvers_);
}

ResolverVerdicts SidecarPolicy::JudgeResolversNow() const {
  return JudgeResolvers(*rules_, parts_.pod_resolvers.current().nameservers,
                        parts_.dialling.upstreams(), *parts_.routes.table());
}

bool SidecarPolicy::IsPartly() const {
  const Settings& settings = parts_.settings;
  const bool all_comes_here = settings.captured == "all" && settings.udp != "off";
  return rules_ != nullptr && rules_->isolates() && !all_comes_here;
}

ExplainedPolicy SidecarPolicy::Explained() const {
  return {.rules = rules_,
          .learned = learned_.List(Monotonic()),
          .own = parts_.settings.always_allowed(),
          .service_ranges = parts_.settings.service_cidrs,
          .open_while_unknown = parts_.settings.on_no_policy == "open",
          .partly = IsPartly(),
          .resolvers = resolvers_,
          .cluster_zones = parts_.dns_config.config()->cluster_zones()};
}

json SidecarPolicy::Dump() const {
  const Settings& settings = parts_.settings;
  json dump = {{"known", rules_ != nullptr},
               {"onNoPolicy", settings.on_no_policy},
               {"captured", settings.captured}};
  dump["ingress"] = IngressJson();
  if (rules_ == nullptr) return dump;
  const EgressRules::Size& size = rules_->size();
  dump["isolates"] = rules_->isolates();
  dump["isolatesNames"] = rules_->isolates_names();
  dump["enforced"] = IsPartly() ? "PartlyEnforced" : "Enforced";
  dump["dns"] = {{"udp", resolvers_.udp.allowed}, {"tcp", resolvers_.tcp.allowed}};
  dump["size"] = {{"policies", size.policies}, {"rules", size.rules}, {"peers", size.peers}};
  return dump;
}

json SidecarPolicy::IngressJson() const {
  json ingress = {{"carried", parts_.settings.carries_inbound()}};
  if (!parts_.settings.carries_inbound()) return ingress;
  ingress["known"] = ingress_rules_ != nullptr;
  if (ingress_rules_ == nullptr) return ingress;
  ingress["isolates"] = ingress_rules_->isolates();
  ingress["policies"] = PoliciesJson(*ingress_rules_);
  return ingress;
}

void SidecarPolicy::Page(std::function<void(json)> done) {
  AskWorkers<Worker::LatestDenials>(
      parts_.loop, parts_.workers,
      [](Worker& worker, auto take) { worker.TakeDenials(std::move(take)); },
      [this, done = std::move(done)](const std::vector<Worker::LatestDenials>& denied) {
        json page = PageOfNow();
        page["latestDenials"] = ToJson(latest_denials_.Make(denied, InForce()));
        done(std::move(page));
      });
}

v1::PolicyReport SidecarPolicy::Report(std::span<const Worker::LatestDenials> denied) {
  // Also where they are left out: rules that they were denied by are let go.
  std::vector<v1::DenialReport> latest = latest_denials_.Make(denied, InForce());
  if (!parts_.settings.report_names) latest.clear();
  v1::PolicyReport report = MakePolicyReport(InForce(), IsPartly(), std::move(latest));
  for (const auto& worker : parts_.workers) {
    for (const DenialCounters* counters : {&worker->denials(), &worker->inbound_denials()}) {
      report.set_denied(report.denied() + counters->total(PolicyMode::kEnforced));
      report.set_audited(report.audited() + counters->total(PolicyMode::kAudit));
    }
  }
  return report;
}

json SidecarPolicy::PageOfNow() const {
  json page = Dump();
  page["policies"] = rules_ == nullptr ? json::array() : PoliciesJson(*rules_);
  page["learned"] = LearnedJson();
  page["denials"] = DenialsJson();
  return page;
}

json SidecarPolicy::LearnedJson() const {
  const absl::Duration now = Monotonic();
  std::vector<LearnedAddresses::Entry> entries = learned_.List(now);
  std::sort(entries.begin(), entries.end(), [](const auto& a, const auto& b) {
    return std::tie(a.name, a.ip) < std::tie(b.name, b.ip);
  });
  json learned = json::array();
  for (LearnedAddresses::Entry& entry : entries) {
    if (entry.name.ends_with('.')) entry.name.pop_back();
    learned.push_back({{"name", entry.name},
                       {"address", entry.ip.ToString()},
                       {"expires", SecondsOf(entry.expires - now)},
                       {"lastUsed", SecondsOf(now - entry.last_used)},
                       {"live", entry.live}});
  }
  return learned;
}

json SidecarPolicy::DenialsJson() const {
  std::map<std::tuple<std::string, Denied, PolicyMode>, uint64_t> sums;
  for (const auto& worker : parts_.workers) {
    for (const DenialCounters* counters : {&worker->denials(), &worker->inbound_denials()}) {
      counters->ForEach(
          [&](const std::string& policy, Denied what, PolicyMode mode, uint64_t count) {
            sums[{policy, what, mode}] += count;
          });
    }
  }
  json denials = json::array();
  for (const auto& [key, count] : sums) {
    const auto& [policy, what, mode] = key;
    denials.push_back(
        {{"policy", policy}, {"what", Word(what)}, {"mode", Word(mode)}, {"count", count}});
  }
  return denials;
}

void SidecarPolicy::CollectMetrics(MetricFamilies& families) const {
  learned_.CollectMetrics(families);
  learned_state_.Collect(families);
  const Shown shown = shown_.With([](const Shown& current) { return current; });
  const auto gauge = [&](std::string_view name, std::string_view help, auto value) {
    AddGaugeSample(families, name, help, {}, static_cast<double>(value));
  };
  gauge("portolan_policy_isolated", "1: a policy isolates the pod for egress.",
        shown.isolated ? 1 : 0);
  gauge("portolan_policy_ingress_isolated", "1: a policy isolates the pod for ingress.",
        ingress_isolated_.load(std::memory_order_relaxed) ? 1 : 0);
  gauge("portolan_policy_partly_enforced",
        "1: isolated, and not all that the pod sends is captured.", shown.partly ? 1 : 0);
  gauge("portolan_policy_policies", "Policies in force, those in audit included.",
        shown.size.policies);
  gauge("portolan_policy_rules", "Their rules.", shown.size.rules);
  gauge("portolan_policy_peers", "Addresses that their selectors stand for, by set.",
        shown.size.peers);
}

}  // namespace portolan::proxy

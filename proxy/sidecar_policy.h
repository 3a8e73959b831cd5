// The sidecar's part in policy: the rules that the feed brings go to the workers, with what
// the workers cannot know themselves (whether the pod's resolvers may be asked); the addresses that
// were learned are kept and forgotten; the page /policy shows all of it.
//
// Main thread only, but for the metrics.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include <nlohmann/json.hpp>

#include "common/event_loop.h"
#include "common/guarded.h"
#include "common/metrics.h"
#include "policy/egress_rules.h"
#include "portolan/v1/sidecars.pb.h"
#include "proxy/dns_config.h"
#include "proxy/explain/policy.h"
#include "proxy/forwarder/routes.h"
#include "proxy/own_dialling.h"
#include "proxy/pod_resolvers.h"
#include "proxy/policy/denial_log.h"
#include "proxy/policy/learned_addresses.h"
#include "proxy/policy/learned_state.h"
#include "proxy/reporting/policy_report.h"
#include "proxy/resolver_verdicts.h"
#include "proxy/settings.h"
#include "proxy/worker.h"

namespace portolan::proxy {

class SidecarPolicy {
 public:
  // All outlive it.
  struct Parts {
    EventLoop& loop;
    const Settings& settings;
    const DnsConfig& dns_config;
    const PodResolvers& pod_resolvers;
    const OwnDialling& dialling;
    const RouteTableBuilder& routes;
    const std::vector<std::unique_ptr<Worker>>& workers;
  };
  explicit SidecarPolicy(Parts parts);

  // The workers' options of policy. They are gone before this is.
  void AddTo(WorkerOptions& options);

  void OnRules(std::shared_ptr<const EgressRules> rules);
  // Of who may connect to the pod.
  void OnIngressRules(std::shared_ptr<const EgressRules> rules);
  // To be called when the routes, the pod's resolvers or what is dialled for them changed.
  void Follow();

  // Saves what was learned, for good. To be called while the workers hold what connections use.
  void Stop() { learned_state_.Stop(); }

  // All of it that is enforced here, by the workers too.
  bool is_known() const {
    return given_ && (ingress_rules_ != nullptr || !parts_.settings.carries_inbound());
  }
  // For explain. REQUIRES: a Corefile is in force.
  ExplainedPolicy Explained() const;
  // {"known", "isolates", "isolatesNames", "captured", "enforced", "onNoPolicy", "dns": {"udp",
  // "tcp"}, "size": {"policies", "rules", "peers"}, "ingress": {"carried", "known", "isolates",
  // "policies"}}; the page has also "policies": [{"name", "isolates", "isolatesNames", "audit",
  // "rules"}], "learned": [{"name", "address", "expires", "lastUsed", "live"}], both times in
  // seconds from and to now, "denials": [{"policy", "what", "mode", "count"}], and "latestDenials":
  // [{"what", "mode", "name", "address", "port", "policies", "nearest", "count", "last"}], as in
  // DenialReport, the last in seconds to now. `done` is called once, later on the loop.
  nlohmann::json Dump() const;
  void Page(std::function<void(nlohmann::json)> done);
  // `denied`: of each worker. Names and addresses of what was denied are left out where the pod is
  // to report no names.
  v1::PolicyReport Report(std::span<const Worker::LatestDenials> denied);
  // Any thread.
  void CollectMetrics(MetricFamilies& families) const;

 private:
  struct Shown {
    bool isolated = false;
    bool partly = false;
    EgressRules::Size size;
  };

  bool AnyWorkerDeniesAll() const;
  void GiveFirstRules();
  void GiveRules();
  bool IsPartly() const;
  ResolverVerdicts JudgeResolversNow() const;
  nlohmann::json IngressJson() const;
  RulesInForce InForce() const { return {rules_, ingress_rules_}; }
  nlohmann::json PageOfNow() const;
  nlohmann::json LearnedJson() const;
  nlohmann::json DenialsJson() const;

  const Parts parts_;
  LearnedAddresses learned_;
  LearnedState learned_state_;
  DenialLog log_;
  std::shared_ptr<const EgressRules> rules_;  // null: none is known
  bool given_ = false;                        // names are judged by rules, be it by older ones
  std::shared_ptr<const EgressRules> ingress_rules_;
  std::atomic<bool> ingress_isolated_{false};
  ResolverVerdicts resolvers_;
  LatestDenials latest_denials_;
  Guarded<Shown> shown_;
};

}  // namespace portolan::proxy

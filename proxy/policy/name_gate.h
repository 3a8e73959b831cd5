// What policy says of the names that a pod asks for, and what is learned from the answers.
//
// While an enforced policy isolates by name, a question is ruled on by its name:
//   allowed  a rule of an enforced policy has it
//   cluster  it is in the cluster domain: answered from the directory, and what it leads to is
//            judged when it is dialled
//   search   one of those two with an end of the pod's search list behind it, as a resolver asks
//            first: NXDOMAIN at once. REFUSED would end the resolver's walk through the list
//            before it asks for the name itself (glibc's res_nsearch)
//   denied   else: REFUSED or NXDOMAIN, with the names of the policies
// A pod that is isolated by address alone may ask at all if it may reach a resolver of its own;
// else every question is REFUSED (dns_denied). Rules by name imply DNS.
//
// Learned is where the reply says that a name with a rule leads (learned_addresses.h), be the pod
// isolated or not: under the name that the client asked, whatever CNAMEs led there, or where
// `autopath` has completed that, under the name that it found. While names are isolated nothing is
// completed: each name is judged before it is asked.
//
// One per worker, on its thread; no lock, and no allocation but for a denial that is logged.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/metrics.h"
#include "dns/server/query_gate.h"
#include "dns/wire/name.h"
#include "policy/egress_rules.h"
#include "proxy/policy/denials.h"
#include "proxy/policy/learned_addresses.h"
#include "proxy/policy/on_no_policy.h"
#include "proxy/policy/recent_replies.h"

namespace portolan::proxy {

// The target of the CNAME that a completed reply begins with (dns/plugins/autopath.h), in lower
// case: what is learned from it is learned under that name. False: it does not begin so.
bool FindCompletedName(std::span<const uint8_t> reply, dns::wire::NameBuffer& out);

class NameGate final : public dns::QueryGate {
 public:
  enum class DeniedNames : uint8_t { kRefused, kNxDomain };
  struct Options {
    OnNoPolicy on_no_policy = OnNoPolicy::kOpen;
    DeniedNames denied_names = DeniedNames::kRefused;
  };

  // All of them outlive it. `denials` has the same rules as the gate.
  NameGate(const Options& options, LearnedAddresses& learned, Denials& denials);

  // Null: no policy is known yet, as at first.
  void SetRules(std::shared_ptr<const EgressRules> rules);
  // Those that SetRules is to have next. Connections are judged by them already: what leads to a
  // name that they have is learned too.
  void SetNextRules(std::shared_ptr<const EgressRules> rules) { next_rules_ = std::move(rules); }
  // What these rules say of the pod's resolvers as they would be dialled: the best verdict of any,
  // for a question that comes over UDP and over TCP. Allowed at first.
  struct Resolvers {
    EgressRules::Verdict udp;
    EgressRules::Verdict tcp;
  };
  void SetResolvers(const Resolvers& resolvers) { resolvers_ = resolvers; }
  // The pod's search list. What is no name is left out.
  void SetSearch(const std::vector<std::string>& search);
  // dns::Config::cluster_zones.
  void SetClusterZones(std::vector<dns::wire::Zone> zones) { cluster_zones_ = std::move(zones); }

  Decision OnQuery(const dns::Exchange& exchange, Asker asker) override;
  void OnReply(const dns::Exchange& exchange) override;

  // portolan_policy_names_total{ruling}, and of portolan_policy_learned_total{outcome} and
  // portolan_policy_no_state_total{verdict}. Any thread.
  void Collect(MetricFamilies& families) const;

  // Of one reply; more are not learned, and counted (learned_addresses.h).
  static constexpr size_t kMostAddresses = 1'000;

 private:
  using Bytes = std::span<const uint8_t>;
  enum class Outcome : uint8_t { kAllowed, kCluster, kSearch, kDenied, kDnsDenied };
  static constexpr size_t kOutcomes = 5;

  // In the exchange, from the question to the reply.
  struct Mark {
    uint32_t named : 1;     // a rule has the name
    uint32_t version : 31;  // of the rules that say so
    uint32_t question = 0;  // a hash of a name that is named
  };

  Decision WithoutRules(const dns::Exchange& exchange, Asker asker);
  Decision JudgeName(const dns::Exchange& exchange, Asker asker);
  Decision Pass(const dns::wire::Query& query, const NamePatterns::Rules& rules) const;
  // Whether a rule has the name, be it one of the next.
  bool IsNamed(Bytes name) const;
  // Of a name that no rule of an enforced policy has, or none at all.
  Outcome RuleOn(const dns::wire::Query& query) const;
  bool IsSearchStep(const dns::wire::Query& query) const;
  void OnDenied(const dns::Exchange& exchange, Denied what, PolicyMode mode);
  void Count(Asker asker, Outcome outcome) {
    if (asker == Asker::kClient) outcomes_[static_cast<size_t>(outcome)].Add();
  }
  void Learn(Bytes name, uint32_t question, const dns::Exchange& exchange);
  // How many addresses, of which all are known now. 0: there are none, or some is not known.
  size_t LearnAll(Bytes name, Bytes reply, absl::Duration more, absl::Duration now);
  void CountLearned(LearnedAddresses::Outcome outcome, uint64_t addresses) {
    learned_outcomes_[static_cast<size_t>(outcome)].Add(addresses);
  }

  const Options options_;
  LearnedAddresses& learned_;
  RecentReplies recent_;  // all they lead to was learned in their second
  Denials& denials_;
  std::shared_ptr<const EgressRules> rules_;
  std::shared_ptr<const EgressRules> next_rules_;  // null: they are `rules_`
  Resolvers resolvers_;
  std::vector<dns::wire::Zone> search_;
  std::vector<dns::wire::Zone> cluster_zones_;
  // That the name matters: some policy isolates by name, be it in audit.
  bool judges_names_ = false;
  // How often the rules were replaced, from 1 on: whose verdict on a name a mark stands for.
  uint32_t rules_version_ = 0;

  std::array<Counter, kOutcomes> outcomes_;
  std::array<Counter, LearnedAddresses::kOutcomes> learned_outcomes_;
  NoPolicyCounters no_policy_;
};

}  // namespace portolan::proxy

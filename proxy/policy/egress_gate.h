// What the forwarders of a worker ask of policy: whether a connection or UDP flow may go where it
// is to go. Combined here are the rules in force (egress_rules.h), the addresses that names with
// rules have led to (learned_addresses.h) and what holds while no policy is known yet.
//
//   EgressPass pass;
//   gate.Begin(pass, dialled, Protocol::kTcp, now);
//   if (!gate.Allows(pass, endpoint, Protocol::kTcp)) gate.OnDenied(...);   // for each endpoint
//   else gate.OnTaken(...);                                                 // the one that is
//   taken gate.End(pass, now);                                                    // when it is
//   over
//
// Rules by address judge where it goes in the end: the endpoint of a Service, or the dialled
// address of what is passed through. Rules by name judge the dialled address and port, whatever
// they belong to; then all of a Service's endpoints are allowed. The address that a name led to
// stays known as long as the pass is held.
//
// One per worker, on its thread; no lock, and no allocation but for a denial that is logged.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/time/time.h"
#include "common/ip.h"
#include "common/metrics.h"
#include "directory/model.h"
#include "proxy/policy/denial_counters.h"
#include "proxy/policy/denial_log.h"
#include "proxy/policy/egress_rules.h"
#include "proxy/policy/learned_addresses.h"
#include "proxy/policy/on_no_policy.h"

namespace portolan::proxy {

// What a connection or flow keeps of how it was judged.
struct EgressPass {
  // A rule by name, enforced or in audit, has the dialled address and port.
  enum class Named : uint8_t { kNo, kEnforced, kAudit };
  Named named = Named::kNo;
  bool audited = false;  // counted as one that policies in audit would deny
  LearnedAddresses::Admission admission = 0;
};

class EgressGate {
 public:
  struct Options {
    OnNoPolicy on_no_policy = OnNoPolicy::kOpen;
    // Always allowed, beside loopback, also while no policy is known.
    std::vector<IpAddress> own = {};
    DenialLog* log = nullptr;  // null: none
  };

  // All of them outlive it. `denials` has the same rules as the gate.
  EgressGate(Options options, LearnedAddresses& learned, DenialCounters& denials);

  // Null: no policy is known yet, as at first. Who is under way is to be judged anew then.
  void SetRules(std::shared_ptr<const EgressRules> rules);

  // Before it is judged; again where the rules changed, and what an earlier one holds is held until
  // the new one is found. Times are monotonic.
  void Begin(EgressPass& pass, const SocketAddress& dialled, Protocol protocol, absl::Duration now);
  void End(EgressPass& pass, absl::Duration now) {
    if (pass.admission != 0) learned_.Release(pass.admission, now);
    pass.admission = 0;
  }

  // REQUIRES: Begin, with the rules that are in force.
  bool Allows(const EgressPass& pass, const SocketAddress& to, Protocol protocol) const {
    return !judges_ || pass.named == EgressPass::Named::kEnforced || JudgeAddress(to, protocol);
  }

  // For counting and logging.
  struct Attempt {
    Denied what = Denied::kConnection;
    const SocketAddress& client;
    const SocketAddress& dialled;
    const SocketAddress* endpoint = nullptr;  // of a Service: the one taken, or one that is denied
    const ObjectName* service = nullptr;      // null, or without a namespace: none that is known
  };
  void OnDenied(const Attempt& attempt, absl::Duration now);
  // It goes there, be it that policies in audit would have denied it: counted once for each pass.
  void OnTaken(EgressPass& pass, const Attempt& attempt, absl::Duration now) {
    if (audits_ && pass.named == EgressPass::Named::kNo && !pass.audited) {
      CountIfAudited(pass, attempt, now);
    }
  }

  // The family portolan_policy_no_state_total. Any thread.
  void Collect(MetricFamilies& families) const { no_policy_.Collect(families); }

 private:
  void FindName(EgressPass& pass, const SocketAddress& dialled, Protocol protocol,
                absl::Duration now);
  bool JudgeAddress(const SocketAddress& to, Protocol protocol) const;
  bool IsOwn(const IpAddress& ip) const;
  void CountIfAudited(EgressPass& pass, const Attempt& attempt, absl::Duration now);
  void Log(const Attempt& attempt, PolicyMode mode, absl::Duration now);

  const Options options_;
  LearnedAddresses& learned_;
  DenialCounters& denials_;
  std::shared_ptr<const EgressRules> rules_;  // null: no policy is known
  // That anything may be denied; that policies in audit isolate; that either asks for names.
  bool judges_;
  bool audits_ = false;
  bool names_ = false;
  NoPolicyCounters no_policy_;
};

}  // namespace portolan::proxy

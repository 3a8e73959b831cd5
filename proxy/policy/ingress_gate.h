// What the forwarder of inbound connections asks of policy: whether a client may connect to a port
// of the pod. The rules are those of the pod's ingress policies, which judge the client's address
// together with the pod's own port as egress rules judge an address and port that is dialled.
//
//   if (!gate.Allows(client.ip, own.port)) gate.OnDenied(client, own, now);
//   else gate.OnTaken(client, own, now);
//
// Who is always allowed, the pod's node before all, is in the rules (EgressRules::Judge); while no
// policy is known, those are that the sidecar knows by itself.
//
// One per worker, on its thread; no lock, and no allocation but for a denial that is logged.
#pragma once

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "common/ip.h"
#include "common/metrics.h"
#include "policy/egress_rules.h"
#include "proxy/policy/denials.h"
#include "proxy/policy/on_no_policy.h"

namespace portolan::proxy {

class IngressGate {
 public:
  struct Options {
    OnNoPolicy on_no_policy = OnNoPolicy::kOpen;
    std::vector<IpAddress> own = {};  // of the pod and its node, as far as the sidecar knows them
  };

  // `denials` outlives it and has the same rules: ingress alone.
  IngressGate(Options options, Denials& denials)
      : options_(std::move(options)), denials_(denials) {}

  // Null: no policy is known yet, as at first.
  void SetRules(std::shared_ptr<const EgressRules> rules) { rules_ = std::move(rules); }

  bool Allows(const IpAddress& client, uint16_t own_port) const;

  // For counting and logging; `own` is what the client dialled. Times are monotonic.
  void OnDenied(const SocketAddress& client, const SocketAddress& own, absl::Duration now);
  // It goes on, be it that policies in audit would have denied it.
  void OnTaken(const SocketAddress& client, const SocketAddress& own, absl::Duration now);

  // The family portolan_policy_no_state_total. Any thread.
  void Collect(MetricFamilies& families) const { no_policy_.Collect(families); }

 private:
  void Note(PolicyMode mode, const SocketAddress& client, const SocketAddress& own,
            absl::Duration now);

  const Options options_;
  Denials& denials_;
  std::shared_ptr<const EgressRules> rules_;  // null: no policy is known
  NoPolicyCounters no_policy_;
};

}  // namespace portolan::proxy

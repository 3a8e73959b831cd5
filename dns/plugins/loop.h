// The directive `loop`: finds `forward`s whose servers lead back to this sidecar, at any time, and
// keeps them from being asked until they no longer do. CoreDNS ends its process instead, which in a
// sidecar would end the pod.
//
// Each server of the block's `forward`s, or the pod's resolvers where it has none, is asked for a
// name that nobody else knows, at the start, every 30 s, and soon after a question went unanswered;
// where that name arrives here as a question, this link answers it.
// https://coredns.io/plugins/loop/
#pragma once

#include <memory>
#include <string_view>

#include "common/metrics.h"
#include "dns/plugin.h"
#include "dns/plugins/forward.h"
#include "dns/plugins/load_context.h"

namespace portolan::dns {

absl::Status LoadLoop(const corefile::Directive& directive, LoadContext& context);

class Loop : public Plugin {
 public:
  explicit Loop(std::shared_ptr<const ForwardGroup> forwards) : forwards_(std::move(forwards)) {}

  std::string_view name() const override { return "loop"; }
  Verdict OnQuery(Exchange& exchange) override;
  void CollectMetrics(MetricFamilies& families) const override;

 private:
  std::shared_ptr<const ForwardGroup> forwards_;
  Counter probes_seen_;
  Counter found_;
};

}  // namespace portolan::dns

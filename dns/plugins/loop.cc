#include "dns/plugins/loop.h"

#include "dns/plugins/arguments.h"
#include "dns/wire/reply.h"

namespace portolan::dns {

using upstream::LoopWatch;

absl::Status LoadLoop(const corefile::Directive& directive, LoadContext& context) {
  absl::Status status = CheckArguments(directive, 0, 0);
  if (status.ok()) status = CheckNoBlock(directive);
  if (!status.ok()) return status;
  context.forwards().loop = true;
  context.AddLink([forwards = context.shared_forwards()](const PluginContext&) {
    return std::make_unique<Loop>(forwards);
  });
  return absl::OkStatus();
}

Verdict Loop::OnQuery(Exchange& exchange) {
  for (const auto& watch : forwards_->watches) {
    const LoopWatch::Seen seen = watch->Recognise(exchange.query());
    if (seen == LoopWatch::Seen::kNotOurs) continue;
    probes_seen_.Add();
    if (seen == LoopWatch::Seen::kNew) found_.Add();
    // An answer that no server on the way tries again elsewhere.
    exchange.set_reply_bytes(
        wire::WriteEmptyReply(exchange.query(), exchange.room(), wire::Rcode::kNxDomain));
    exchange.set_local(true);
    return Verdict::kAnswered;
  }
  return Verdict::kNext;
}

void Loop::CollectMetrics(MetricFamilies& families) const {
  AddCounterSample(families, "portolan_loop_found_total",
                   "Times a server was found to lead back to the sidecar.", {},
                   static_cast<double>(found_.value()));
  AddCounterSample(families, "portolan_loop_probes_seen_total",
                   "Probes of loop that came back as questions.", {},
                   static_cast<double>(probes_seen_.value()));
}

}  // namespace portolan::dns

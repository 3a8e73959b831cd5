#include "proxy/feed/feed_metrics.h"

#include <algorithm>
#include <string>
#include <string_view>

#include "common/monotonic.h"
#include "proxy/feed/subscriptions.h"

namespace portolan::proxy {
namespace {

void AddTypeSamples(MetricFamilies& families, std::string_view type,
                    const FeedMetrics::OfType& counted) {
  AddCounterSample(families, "portolan_feed_responses_total",
                   "Responses from the control plane, by type.", {{"type", type}},
                   static_cast<double>(counted.responses.value()));
  AddCounterSample(families, "portolan_feed_resources_total",
                   "Resources that responses brought, by type.", {{"type", type}},
                   static_cast<double>(counted.resources.value()));
  AddCounterSample(families, "portolan_feed_removed_resources_total",
                   "Resources that responses removed, by type.", {{"type", type}},
                   static_cast<double>(counted.removed.value()));
  AddCounterSample(families, "portolan_feed_nacks_total", "Responses that were refused, by type.",
                   {{"type", type}}, static_cast<double>(counted.nacks.value()));
  AddGaugeSample(families, "portolan_feed_held_resources", "Resources held, by type.",
                 {{"type", type}}, static_cast<double>(counted.held.load()));
}

}  // namespace

void FeedMetrics::AddSamples(MetricFamilies& families) const {
  for (size_t i = 0; i < types.size(); ++i) {
    AddTypeSamples(families, kFeedTypes[i].label, types[i]);
  }
  AddCounterSample(families, "portolan_feed_responses_total", "", {{"type", "other"}},
                   static_cast<double>(unknown_type_responses.value()));
  AddCounterSample(families, "portolan_feed_connects_total",
                   "Streams opened to a control plane, the first one included.", {},
                   static_cast<double>(connects.value()));
  AddCounterSample(families, "portolan_feed_unusable_ca_total",
                   "Of those, when the CA file could not be used and its last content was.", {},
                   static_cast<double>(unusable_cas.value()));
  AddCounterSample(families, "portolan_feed_unusable_token_total",
                   "Attempts to connect that were not made as the token file could not be used.",
                   {}, static_cast<double>(unusable_tokens.value()));
  AddCounterSample(families, "portolan_feed_probes_total",
                   "Requests sent only to see that a silent control plane answers.", {},
                   static_cast<double>(probes.value()));
  AddCounterSample(families, "portolan_feed_received_bytes_total",
                   "Size of the responses, uncompressed.", {},
                   static_cast<double>(received_bytes.value()));
  AddCounterSample(families, "portolan_feed_state_writes_total",
                   "Attempts to save the state to disk.", {{"result", "ok"}},
                   static_cast<double>(state_writes.value()));
  AddCounterSample(families, "portolan_feed_state_writes_total", "", {{"result", "failed"}},
                   static_cast<double>(state_write_failures.value()));
  AddGaugeSample(families, "portolan_feed_connected", "1 while a stream is up.", {},
                 connected ? 1 : 0);
  AddGaugeSample(families, "portolan_feed_in_sync",
                 "1 while the directory is known to be what the control plane has.", {},
                 in_sync ? 1 : 0);
  AddGaugeSample(families, "portolan_feed_proxy_config_missing",
                 "1 while the control plane has no ProxyConfig of the name asked for.", {},
                 proxy_config_missing ? 1 : 0);
  AddGaugeSample(families, "portolan_feed_policy_in_transit",
                 "1 while the egress policy in force is an older one, since parts of the newest "
                 "have not arrived.",
                 {}, policy_in_transit ? 1 : 0);
  AddGaugeSample(families, "portolan_feed_endpoints_in_transit",
                 "Services of which some endpoints of the newest set have not arrived.", {},
                 static_cast<double>(endpoints_in_transit.load()));
  AddGaugeSample(families, "portolan_feed_endpoints_wanted",
                 "Services whose endpoints are asked for; 0 where all are held.", {},
                 static_cast<double>(endpoints_wanted.load()));
  AddGaugeSample(families, "portolan_feed_endpoints_held",
                 "Services whose endpoints are held, or of which it is held that there are none.",
                 {}, static_cast<double>(endpoints_held.load()));
  AddCounterSample(families, "portolan_feed_endpoints_dropped_total",
                   "Services whose endpoints were given up, since they were not used.", {},
                   static_cast<double>(endpoints_given_up.value()));
  if (!in_sync && last_sync_ms == kNever) return;
  const int64_t age_ms = in_sync ? 0 : absl::ToInt64Milliseconds(Monotonic()) - last_sync_ms;
  AddGaugeSample(families, "portolan_feed_age_seconds",
                 "Time since the feed was last in sync; absent if it never was.", {},
                 static_cast<double>(std::max<int64_t>(age_ms, 0)) / 1000);
}

}  // namespace portolan::proxy

#include "dns/upstream/server.h"

#include <algorithm>

#include "dns/coredns_buckets.h"
#include "dns/wire/mnemonics.h"

namespace portolan::dns::upstream {
namespace {

constexpr size_t kRcodes = 12;  // NOERROR to NOTZONE, and the others

std::string_view RcodeLabel(size_t rcode) {
  return rcode + 1 < kRcodes ? wire::RcodeWord(static_cast<uint16_t>(rcode)) : "other";
}

}  // namespace

Server::Server(Context& context, const ServerConfig& config, const ServerOptions& options,
               size_t place)
    : config_(config),
      transports_(options.transports),
      streams_(context, config.address, options.streams, config.tls ? options.trust : nullptr,
               config.tls_name),
      health_(context, options.health, *this) {
  for (size_t i = 0; i < kRcodes; ++i) responses_.emplace_back(kTimeBuckets);
  if (options.loop != nullptr) loop_.emplace(context, options.loop, place, *this);
}

Started Server::Send(Attempt& attempt, const Outgoing& outgoing) {
  if (StreamsOnly()) return SendOverStream(attempt, outgoing);
  requests_.Add();
  over_udp_.Add();
  return attempt.StartUdp(config_.address, outgoing);
}

Started Server::SendOverStream(Attempt& attempt, const Outgoing& outgoing) {
  requests_.Add();
  return attempt.StartStream(streams_, outgoing);
}

Started Server::SendProbe(Attempt& attempt, const Outgoing& outgoing) {
  return StreamsOnly() ? attempt.StartFreshStream(streams_, outgoing)
                       : attempt.StartUdp(config_.address, outgoing);
}

void Server::OnReply(uint16_t rcode, Clock::duration took) {
  Histogram& durations = responses_[std::min<size_t>(rcode, responses_.size() - 1)];
  durations.Observe(std::chrono::duration<double>(took).count());
  health_.OnAnswered();
}

void Server::OnUnanswered() {
  unanswered_.Add();
  health_.OnUnanswered();
  if (loop_.has_value()) loop_->OnUnanswered();
}

void Server::CollectMetrics(MetricFamilies& families) const {
  const std::string to = config_.address.ToString();
  AddCounterSample(families, "coredns_forward_requests_total", "Questions sent to an upstream.",
                   {{"to", to}}, static_cast<double>(requests_.value()));
  for (size_t i = 0; i < responses_.size(); ++i) {
    uint64_t count = 0;
    for (size_t bucket = 0; bucket <= std::size(kTimeBuckets); ++bucket) {
      count += responses_[i].count(bucket);
    }
    if (count == 0) continue;
    AddHistogramSample(families, "coredns_proxy_request_duration_seconds",
                       "Time that a reply of an upstream took.",
                       {{"proxy_name", "forward"}, {"to", to}, {"rcode", RcodeLabel(i)}},
                       responses_[i]);
    AddHistogramSample(families, "coredns_forward_request_duration_seconds",
                       "The same under CoreDNS's former name.",
                       {{"to", to}, {"rcode", RcodeLabel(i)}}, responses_[i]);
    AddCounterSample(families, "coredns_forward_responses_total",
                     "Replies received from an upstream.", {{"to", to}, {"rcode", RcodeLabel(i)}},
                     static_cast<double>(count));
  }
  AddCounterSample(families, "portolan_upstream_server_failures_total",
                   "Questions that an upstream left unanswered for the hedge delay, or that "
                   "failed with an error.",
                   {{"to", to}}, static_cast<double>(unanswered_.value()));
  const auto failed_probes = static_cast<double>(health_.failed_probes().value());
  AddCounterSample(families, "coredns_proxy_healthcheck_failures_total",
                   "Health checks of an upstream that failed.",
                   {{"proxy_name", "forward"}, {"to", to}}, failed_probes);
  AddCounterSample(families, "coredns_forward_healthcheck_failures_total",
                   "The same under CoreDNS's former name.", {{"to", to}}, failed_probes);
  AddCounterSample(families, "coredns_proxy_conn_cache_misses_total",
                   "Questions that had a connection opened.",
                   {{"proxy_name", "forward"}, {"to", to}, {"proto", "udp"}},
                   static_cast<double>(over_udp_.value()));
  streams_.CollectMetrics(families);
  if (!loop_.has_value()) return;
  AddGaugeSample(families, "portolan_upstream_server_leads_back",
                 "Workers that do not ask an upstream since it leads back to the sidecar.",
                 {{"to", to}}, leads_back() ? 1 : 0);
}

}  // namespace portolan::dns::upstream

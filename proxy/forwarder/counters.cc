#include "proxy/forwarder/counters.h"

#include <string_view>
#include <utility>

namespace portolan::proxy {
namespace {

using Workers = std::vector<std::shared_ptr<const ForwarderCounters>>;
using Field = Counter ForwarderCounters::*;

struct Labelled {
  std::string_view value;
  Field field;
};

constexpr ConnectionWord kOutcomes[] = {
    {"forwarded", &ConnectionCounters::forwarded},
    {"passed_through", &ConnectionCounters::passed_through},
    {"no_endpoints", &ConnectionCounters::no_endpoints},
    {"no_local_endpoints", &ConnectionCounters::no_local_endpoints},
    {"over_limit", &ConnectionCounters::over_limit},
    {"policy_denied", &ConnectionCounters::denied},
    {"no_port", &ConnectionCounters::no_port},
    {"loop_refused", &ConnectionCounters::loop_refused},
    {"no_destination", &ConnectionCounters::no_destination},
    {"connect_failed", &ConnectionCounters::connect_failed},
    {"connect_timeout", &ConnectionCounters::connect_timeout},
    {"no_descriptor", &ConnectionCounters::no_descriptor},
    {"client_gone", &ConnectionCounters::client_gone},
    {"stopped", &ConnectionCounters::stopped},
};

constexpr ConnectionWord kInboundOutcomes[] = {
    {kInboundJoined, &ConnectionCounters::passed_through},
    {"policy_denied", &ConnectionCounters::denied},
    {"loop_refused", &ConnectionCounters::loop_refused},
    {"no_destination", &ConnectionCounters::no_destination},
    {"connect_failed", &ConnectionCounters::connect_failed},
    {"connect_timeout", &ConnectionCounters::connect_timeout},
    {"no_descriptor", &ConnectionCounters::no_descriptor},
    {"client_gone", &ConnectionCounters::client_gone},
    {"stopped", &ConnectionCounters::stopped},
};

constexpr ConnectionWord kEnds[] = {
    {"closed", &ConnectionCounters::closed},
    {"reset_by_client", &ConnectionCounters::reset_by_client},
    {"reset_by_endpoint", &ConnectionCounters::reset_by_endpoint},
    {"idle", &ConnectionCounters::idle},
    {"timed_out", &ConnectionCounters::timed_out},
    {"policy_denied", &ConnectionCounters::denied_joined},
    {"server_name_denied", &ConnectionCounters::denied_server_name},
    {"cut", &ConnectionCounters::cut},
};

constexpr Labelled kWaits[] = {
    {"held", &ForwarderCounters::wait_held},
    {"timed_out", &ForwarderCounters::wait_timed_out},
    {"connection_lost", &ForwarderCounters::wait_lost},
    {"ended", &ForwarderCounters::wait_ended},
    {"not_answering", &ForwarderCounters::wait_not_answering},
    {"no_place", &ForwarderCounters::wait_no_place},
};

constexpr Labelled kPauses[] = {
    {"descriptors", &ForwarderCounters::paused_on_descriptors},
    {"limit", &ForwarderCounters::paused_on_limit},
};

constexpr Labelled kEjections[] = {
    {"ejected", &ForwarderCounters::ejected},
    {"returned", &ForwarderCounters::returned},
    {"spared", &ForwarderCounters::spared},
};

constexpr Labelled kPipeFallbacks[] = {
    {"all_lent", &ForwarderCounters::pipes_all_lent},
    {"small", &ForwarderCounters::pipes_small},
    {"refused", &ForwarderCounters::pipes_refused},
};

constexpr Labelled kBytes[] = {
    {"up", &ForwarderCounters::bytes_up},
    {"down", &ForwarderCounters::bytes_down},
};

double Sum(const Workers& workers, Field field) {
  uint64_t sum = 0;
  for (const auto& worker : workers) sum += ((*worker).*field).value();
  return static_cast<double>(sum);
}

double Active(const Workers& workers) {
  uint64_t active = 0;
  for (const auto& worker : workers) active += worker->active();
  return static_cast<double>(active);
}

// One sample for each of `words`, which are values of `label`.
template <typename Words>
void AddEach(MetricFamilies& families, const Workers& workers, std::string_view name,
             std::string_view help, std::string_view label, const Words& words) {
  for (const auto& [word, field] : words) {
    AddCounterSample(families, name, help, {{label, word}}, Sum(workers, field));
  }
}

void Collect(const Workers& workers, MetricFamilies& families) {
  AddCounterSample(families, "portolan_forwarder_accepted_total", "Connections accepted.", {},
                   Sum(workers, &ForwarderCounters::accepted));
  AddEach(families, workers, "portolan_forwarder_connections_total",
          "Accepted connections by what became of them.", "outcome", kOutcomes);
  AddEach(families, workers, "portolan_forwarder_ended_total",
          "Joined connections by how they ended.", "how", kEnds);
  AddCounterSample(families, "portolan_forwarder_connect_retries_total",
                   "Attempts to connect to a further endpoint after one failed.", {},
                   Sum(workers, &ForwarderCounters::retried));
  AddCounterSample(families, "portolan_forwarder_endpoints_unknown_total",
                   "Connections passed through as their Service's endpoints were not known.", {},
                   Sum(workers, &ForwarderCounters::endpoints_unknown));
  AddEach(families, workers, "portolan_forwarder_endpoint_waits_total",
          "Connections whose Service's endpoints were not held, by outcome.", "outcome", kWaits);
  AddEach(families, workers, "portolan_forwarder_accept_pauses_total",
          "Times that accepting connections paused.", "reason", kPauses);
  AddCounterSample(families, "portolan_forwarder_buffers_exhausted_total",
                   "Reads that went on without a buffer to keep a rest in.", {},
                   Sum(workers, &ForwarderCounters::buffers_exhausted));
  AddCounterSample(families, "portolan_forwarder_access_log_lines_total",
                   "Connections that were logged.", {},
                   Sum(workers, &ForwarderCounters::access_logged));
  AddCounterSample(families, "portolan_forwarder_access_log_dropped_total",
                   "Lines that the access log had no room for, since its reader is slow.", {},
                   Sum(workers, &ForwarderCounters::access_dropped));
  AddEach(families, workers, "portolan_forwarder_bytes_total",
          "Bytes carried; up is from client to endpoint.", "direction", kBytes);
  AddCounterSample(families, "portolan_forwarder_spliced_bytes_total",
                   "Bytes carried that were moved in the kernel, through a pipe.", {},
                   Sum(workers, &ForwarderCounters::bytes_spliced));
  AddEach(families, workers, "portolan_forwarder_pipe_fallbacks_total",
          "Times that bulk was copied as there was no pipe to splice it through.", "reason",
          kPipeFallbacks);
  // In this order, so that never more were given back than taken.
  const double given = Sum(workers, &ForwarderCounters::pipes_given);
  AddGaugeSample(families, "portolan_forwarder_pipes_lent", "Pipes that hold bytes now.", {},
                 Sum(workers, &ForwarderCounters::pipes_taken) - given);
  AddEach(families, workers, "portolan_forwarder_ejections_total",
          "What became of endpoints that kept failing to be connected to.", "event", kEjections);
  AddCounterSample(families, "portolan_forwarder_affinity_total",
                   "Connections that session affinity sent where the one before went.", {},
                   Sum(workers, &ForwarderCounters::affine));
  // In this order, so that never more have ended than there were.
  const double ended = Sum(workers, &ForwarderCounters::endpoint_deleted_ended);
  const double deleted = Sum(workers, &ForwarderCounters::endpoint_deleted);
  AddGaugeSample(families, "portolan_forwarder_connections_to_deleted_endpoints",
                 "Open connections whose endpoint is no longer in the directory.", {},
                 deleted - ended);
  AddCounterSample(families, "portolan_forwarder_endpoint_deleted_total",
                   "Connections whose endpoint was deleted while they were open.", {}, deleted);
  AddGaugeSample(families, "portolan_forwarder_active_connections",
                 "Connections being connected or joined.", {}, Active(workers));
}

void CollectInbound(const Workers& workers, MetricFamilies& families) {
  AddCounterSample(families, "portolan_inbound_accepted_total", "Connections to the pod.", {},
                   Sum(workers, &ForwarderCounters::accepted));
  AddEach(families, workers, "portolan_inbound_connections_total",
          "Connections to the pod by what became of them.", "outcome", kInboundOutcomes);
  AddEach(families, workers, "portolan_inbound_ended_total",
          "Connections to the pod that were joined, by how they ended.", "how", kEnds);
  AddEach(families, workers, "portolan_inbound_accept_pauses_total",
          "Times that accepting connections to the pod paused.", "reason", kPauses);
  AddCounterSample(families, "portolan_inbound_connect_retries_total",
                   "Attempts to connect to the application after the first.", {},
                   Sum(workers, &ForwarderCounters::retried));
  AddCounterSample(families, "portolan_inbound_source_ports_out_total",
                   "Connections for which none of the source ports tried was free.", {},
                   Sum(workers, &ForwarderCounters::source_ports_out));
  AddCounterSample(families, "portolan_inbound_access_log_lines_total",
                   "Connections to the pod that were logged.", {},
                   Sum(workers, &ForwarderCounters::access_logged));
  AddCounterSample(families, "portolan_inbound_access_log_dropped_total",
                   "Lines on connections to the pod that the access log had no room for.", {},
                   Sum(workers, &ForwarderCounters::access_dropped));
  AddEach(families, workers, "portolan_inbound_bytes_total",
          "Bytes carried to and from the pod; up is from client to application.", "direction",
          kBytes);
  AddGaugeSample(families, "portolan_inbound_active_connections",
                 "Connections to the pod being connected or joined.", {}, Active(workers));
}

}  // namespace

void ConnectionCounters::AddTo(ConnectionCounters& sum) const {
  const auto add = [&](ConnectionEvent field) { (sum.*field).Add((this->*field).value()); };
  add(&ConnectionCounters::finished);  // before opened, as in active()
  add(&ConnectionCounters::opened);
  for (const auto& [word, event] : kOutcomes) add(event);
  for (const auto& [word, event] : kEnds) add(event);
  add(&ConnectionCounters::retried);
  add(&ConnectionCounters::bytes_up);
  add(&ConnectionCounters::bytes_down);
}

std::span<const ConnectionWord> ConnectionOutcomes() { return kOutcomes; }
std::span<const ConnectionWord> ConnectionEnds() { return kEnds; }

std::string_view WordFor(ConnectionEvent event) {
  for (const auto& table : {ConnectionOutcomes(), ConnectionEnds()}) {
    for (const auto& [word, known] : table) {
      if (known == event) return word;
    }
  }
  return {};
}

MetricsPage::Source InboundMetrics(Workers workers) {
  return [workers = std::move(workers)](MetricFamilies& families) {
    CollectInbound(workers, families);
  };
}

MetricsPage::Source ForwarderMetrics(Workers workers) {
  return [workers = std::move(workers)](MetricFamilies& families) { Collect(workers, families); };
}

}  // namespace portolan::proxy

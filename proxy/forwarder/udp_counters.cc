#include "proxy/forwarder/udp_counters.h"

#include <string_view>
#include <utility>

namespace portolan::proxy {
namespace {

struct Sample {
  std::string_view family;
  std::string_view help;
  std::string_view label;  // empty: none
  std::string_view value;
  Counter UdpCounters::*counter;
};

constexpr std::string_view kDatagrams = "portolan_forwarder_udp_datagrams_total";
constexpr std::string_view kDatagramsHelp = "Datagrams from clients by what became of them.";
constexpr std::string_view kAnswers = "portolan_forwarder_udp_answers_total";
constexpr std::string_view kAnswersHelp = "Datagrams from endpoints by what became of them.";
constexpr std::string_view kEnded = "portolan_forwarder_udp_flows_ended_total";
constexpr std::string_view kEndedHelp = "Flows by how they ended.";
constexpr std::string_view kWaits = "portolan_forwarder_udp_endpoint_waits_total";
constexpr std::string_view kWaitsHelp =
    "Flows whose Service's endpoints were not held, by outcome.";
constexpr std::string_view kBytes = "portolan_forwarder_udp_bytes_total";
constexpr std::string_view kBytesHelp = "Bytes carried; up is from client to endpoint.";

constexpr Sample kSamples[] = {
    {kDatagrams, kDatagramsHelp, "outcome", "forwarded", &UdpCounters::forwarded},
    {kDatagrams, kDatagramsHelp, "outcome", "passed_through", &UdpCounters::passed_through},
    {kDatagrams, kDatagramsHelp, "outcome", "no_endpoints", &UdpCounters::no_endpoints},
    {kDatagrams, kDatagramsHelp, "outcome", "no_local_endpoints", &UdpCounters::no_local_endpoints},
    {kDatagrams, kDatagramsHelp, "outcome", "over_limit", &UdpCounters::over_limit},
    {kDatagrams, kDatagramsHelp, "outcome", "policy_denied", &UdpCounters::denied},
    {kDatagrams, kDatagramsHelp, "outcome", "no_port", &UdpCounters::no_port},
    {kDatagrams, kDatagramsHelp, "outcome", "loop_refused", &UdpCounters::loop_refused},
    {kDatagrams, kDatagramsHelp, "outcome", "no_destination", &UdpCounters::no_destination},
    {kDatagrams, kDatagramsHelp, "outcome", "truncated", &UdpCounters::truncated},
    {kDatagrams, kDatagramsHelp, "outcome", "no_descriptor", &UdpCounters::no_descriptor},
    {kDatagrams, kDatagramsHelp, "outcome", "unreachable", &UdpCounters::unreachable},
    {kDatagrams, kDatagramsHelp, "outcome", "buffer_full", &UdpCounters::buffer_full},
    {kDatagrams, kDatagramsHelp, "outcome", "await_dropped", &UdpCounters::await_dropped},
    {kAnswers, kAnswersHelp, "outcome", "delivered", &UdpCounters::answered},
    {kAnswers, kAnswersHelp, "outcome", "truncated", &UdpCounters::answer_truncated},
    {kAnswers, kAnswersHelp, "outcome", "too_large", &UdpCounters::answer_too_large},
    {kAnswers, kAnswersHelp, "outcome", "buffer_full", &UdpCounters::answer_buffer_full},
    {kAnswers, kAnswersHelp, "outcome", "failed", &UdpCounters::answer_failed},
    {kEnded, kEndedHelp, "how", "idle", &UdpCounters::idle},
    {kEnded, kEndedHelp, "how", "evicted", &UdpCounters::evicted},
    {kEnded, kEndedHelp, "how", "refused", &UdpCounters::refused_ended},
    {kEnded, kEndedHelp, "how", "rerouted", &UdpCounters::rerouted},
    {kEnded, kEndedHelp, "how", "policy_denied", &UdpCounters::denied_ended},
    {kEnded, kEndedHelp, "how", "cut", &UdpCounters::cut},
    {kWaits, kWaitsHelp, "outcome", "held", &UdpCounters::wait_held},
    {kWaits, kWaitsHelp, "outcome", "timed_out", &UdpCounters::wait_timed_out},
    {kWaits, kWaitsHelp, "outcome", "connection_lost", &UdpCounters::wait_lost},
    {kWaits, kWaitsHelp, "outcome", "ended", &UdpCounters::wait_ended},
    {kWaits, kWaitsHelp, "outcome", "not_answering", &UdpCounters::wait_not_answering},
    {kWaits, kWaitsHelp, "outcome", "no_place", &UdpCounters::wait_no_place},
    {kBytes, kBytesHelp, "direction", "up", &UdpCounters::bytes_up},
    {kBytes, kBytesHelp, "direction", "down", &UdpCounters::bytes_down},
    {"portolan_forwarder_udp_flows_opened_total", "Flows begun.", "", "", &UdpCounters::opened},
    {"portolan_forwarder_udp_refused_total",
     "ICMP errors that came back from endpoints and dialled addresses.", "", "",
     &UdpCounters::refused},
    {"portolan_forwarder_udp_rejections_total",
     "ICMP errors sent to clients, whose datagrams had nowhere to go.", "", "",
     &UdpCounters::rejected},
    {"portolan_forwarder_udp_endpoints_unknown_total",
     "Flows passed through as their Service's endpoints were not known.", "", "",
     &UdpCounters::endpoints_unknown},
    {"portolan_forwarder_udp_overruns_total",
     "Datagrams that the kernel dropped before the forwarder, as it was too slow.", "", "",
     &UdpCounters::overrun},
};

void Collect(const UdpCounters& worker, MetricFamilies& families) {
  for (const Sample& sample : kSamples) {
    const auto value = static_cast<double>((worker.*sample.counter).value());
    if (sample.label.empty()) {
      AddCounterSample(families, sample.family, sample.help, {}, value);
    } else {
      AddCounterSample(families, sample.family, sample.help, {{sample.label, sample.value}}, value);
    }
  }
  AddGaugeSample(families, "portolan_forwarder_udp_active_flows", "Flows that are open.", {},
                 static_cast<double>(worker.active()));
}

}  // namespace

MetricsPage::Source UdpMetrics(std::vector<std::shared_ptr<const UdpCounters>> workers) {
  return [workers = std::move(workers)](MetricFamilies& families) {
    for (const auto& worker : workers) Collect(*worker, families);
  };
}

}  // namespace portolan::proxy

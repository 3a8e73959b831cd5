// What the UDP forwarder counts, logs and lists of its flows, by name.
#include "common/monotonic.h"
#include "proxy/forwarder/udp_forwarder.h"

namespace portolan::proxy {
namespace {

bool GoesToAddress(const UdpFlow& flow) { return flow.service->name.service.ns.empty(); }

FlowCounts FlowOf(const UdpFlow& flow) {
  return {.bytes_up = flow.bytes_up, .bytes_down = flow.bytes_down, .udp_flows = 1};
}

}  // namespace

const CountedService& UdpForwarder::ServiceOf(const RouteTable::Lookup& found,
                                              const SocketAddress& dialled) {
  if (found.service == nullptr) return parts_.tally.OfUnknown(Protocol::kUdp);
  // Not by name of a port that the Service has not: that could be any.
  const bool has_port = found.match != RouteTable::Match::kNoSuchPort;
  return parts_.tally.Of(*found.service, has_port ? dialled.port : 0, Protocol::kUdp);
}

void UdpForwarder::CountOpened(const UdpFlow& flow) {
  counters_->opened.Add();
  ServiceCounters& service = *flow.service->counters;
  service.opened.Add();
  (flow.target == nullptr ? service.passed_through : service.forwarded).Add();
  if (flow.used != nullptr) flow.used->counted.counters->connections.Add();
}

void UdpForwarder::CountUp(UdpFlow& flow, uint64_t bytes) {
  flow.bytes_up += bytes;
  counters_->bytes_up.Add(bytes);
  flow.service->counters->bytes_up.Add(bytes);
  if (flow.used != nullptr) flow.used->counted.counters->bytes_up.Add(bytes);
}

void UdpForwarder::CountDown(UdpFlow& flow, uint64_t bytes) {
  flow.bytes_down += bytes;
  counters_->bytes_down.Add(bytes);
  flow.service->counters->bytes_down.Add(bytes);
  if (flow.used != nullptr) flow.used->counted.counters->bytes_down.Add(bytes);
}

void UdpForwarder::CountDropped(const UdpFlowKey& key, const Opened& opened, size_t count) {
  (counters_.get()->*opened.dropped->counter).Add(count);
  (opened.service->counters.get()->*opened.dropped->event).Add(count);
  if (opened.service->name.service.ns.empty()) {
    parts_.passed_through.Count(key.dialled.ip, {.failures = count});
  }
  if (parts_.access_log == nullptr) return;
  AccessRecord record;
  record.protocol = Protocol::kUdp;
  record.source = key.client;
  record.dialled = key.dialled;
  record.service = &opened.service->name.service;
  record.outcome = WordFor(opened.dropped->event);
  parts_.access_log->Write(record);
}

void UdpForwarder::CountEnded(const UdpFlow& flow, const Ending& how) {
  (counters_.get()->*how.counter).Add();
  counters_->finished.Add();
  (flow.service->counters.get()->*how.event).Add();
  flow.service->counters->finished.Add();
  if (GoesToAddress(flow)) parts_.passed_through.Count(flow.key.dialled.ip, FlowOf(flow));
  if (parts_.access_log == nullptr) return;
  AccessRecord record;
  record.protocol = Protocol::kUdp;
  record.source = flow.key.client;
  record.dialled = flow.key.dialled;
  record.service = &flow.service->name.service;
  if (flow.target != nullptr) record.port_name = flow.target->port_name;
  record.endpoint = flow.endpoint;
  if (flow.used != nullptr) record.pod = &flow.used->counted.pod;
  record.bytes_up = flow.bytes_up;
  record.bytes_down = flow.bytes_down;
  record.duration = Monotonic() - flow.opened_at;
  record.attempts = 1;
  record.outcome = WordFor(flow.target == nullptr ? &ConnectionCounters::passed_through
                                                  : &ConnectionCounters::forwarded);
  record.ended = how.word;
  parts_.access_log->Write(record);
}

void UdpForwarder::AddPassedThrough(PassedThrough::View& view) const {
  flows_.ForEach([&](const UdpFlow& flow) {
    if (GoesToAddress(flow)) view.by_address[flow.key.dialled.ip].Add(FlowOf(flow));
  });
}

std::vector<ConnectionInfo> UdpForwarder::Flows(size_t max) const {
  const absl::Duration now = Monotonic();
  std::vector<ConnectionInfo> all;
  flows_.ForEach([&](const UdpFlow& flow) {
    if (all.size() >= max) return;
    ConnectionInfo& info = all.emplace_back();
    info.protocol = Protocol::kUdp;
    info.state = ConnectionInfo::State::kJoined;
    info.client = flow.key.client;
    info.dialled = flow.key.dialled;
    info.endpoint = flow.endpoint;
    const ObjectName& service = flow.service->name.service;
    if (!service.ns.empty()) info.service = service.ToString();
    if (flow.used != nullptr && !flow.used->counted.pod.name.empty()) {
      info.pod = flow.used->counted.pod.ToString();
    }
    info.bytes_up = flow.bytes_up;
    info.bytes_down = flow.bytes_down;
    info.age = now - flow.opened_at;
  });
  return all;
}

}  // namespace portolan::proxy

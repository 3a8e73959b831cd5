// What the forwarder counts, logs and lists of its connections, by name.
#include <algorithm>

#include "common/monotonic.h"
#include "proxy/forwarder/forwarder.h"

namespace portolan::proxy {
namespace {

// Who has an address is not asked for again so soon.
constexpr absl::Duration kAskedFor = absl::Seconds(1);

// The Service by which a client may have learnt of the address: the first that has the port there.
const AddressService* ServiceAt(const AddressOwner& owner, uint16_t port) {
  for (const AddressService& service : owner.services) {
    const bool has_port =
        std::any_of(service.ports.begin(), service.ports.end(), [&](const EndpointPort& one) {
          return one.protocol == Protocol::kTcp && (one.port == port || one.port == 0);
        });
    if (has_port) return &service;
  }
  return nullptr;
}

// Known to be no Service's, or not known yet.
bool GoesToAddress(const Connection& c) {
  return c.service == nullptr || c.service->name.service.ns.empty();
}

FlowCounts FlowOf(const Connection& c) {
  FlowCounts flow;
  (c.was_joined() ? flow.connections : flow.failures) = 1;
  flow.bytes_up = c.relay.bytes_up();
  flow.bytes_down = c.relay.bytes_down();
  return flow;
}

absl::Duration Since(std::chrono::steady_clock::time_point begin) {
  return absl::FromChrono(std::chrono::steady_clock::now() - begin);
}

}  // namespace

// Null: whose address it is has to be looked up.
const CountedService* Forwarder::ServiceOf(const RouteTable::Lookup& found,
                                           const SocketAddress& dialled) {
  if (found.service == nullptr) return nullptr;
  // Not by name of a port that the Service has not: that could be any.
  const bool has_port = found.match != RouteTable::Match::kNoSuchPort;
  return &tally_.Of(*found.service, has_port ? dialled.port : 0, Protocol::kTcp);
}

void Forwarder::Identify(Connection& c) {
  const IpAddress& ip = c.dialled.ip;
  const AddressOwner* owner = routes_->snapshot().FindAddress(ip);
  if (owner != nullptr) return Attribute(c, *owner);
  if (options_.want_address == nullptr) return;
  const absl::Duration now = Monotonic();
  if (asked_.Holds(ip, now)) return;
  asked_.Add(ip, now + kAskedFor);
  options_.want_address(ip);
}

// Counts it for its Service and pod as if they had been known from the beginning.
void Forwarder::Attribute(Connection& c, const AddressOwner& owner) {
  const AddressService* known = ServiceAt(owner, c.dialled.port);
  CountedService& service = known == nullptr
                                ? tally_.OfUnknown(Protocol::kTcp)
                                : tally_.Of(known->name, c.dialled.port, Protocol::kTcp);
  c.service = &service;
  service.counters->opened.Add();
  if (known != nullptr || !owner.pod.name.empty()) {
    c.passed = &tally_.Dialled(service, c.dialled, owner.pod);
    c.passed->counters->taken.Add();
  }
  if (c.was_joined()) CountJoinedByName(c);
}

void Forwarder::Count(const Connection& c, ConnectionEvent event) {
  (counters_.get()->*event).Add();
  if (c.service != nullptr) (c.service->counters.get()->*event).Add();
}

void Forwarder::CountJoined(Connection& c) {
  if (c.service == nullptr) Identify(c);
  c.joined_at = std::chrono::steady_clock::now();
  (c.target == nullptr ? counters_->passed_through : counters_->forwarded).Add();
  if (c.service != nullptr) CountJoinedByName(c);
}

void Forwarder::CountJoinedByName(const Connection& c) {
  ServiceCounters& service = *c.service->counters;
  (c.target == nullptr ? service.passed_through : service.forwarded).Add();
  const std::chrono::duration<double> took = c.joined_at - c.accepted_at;
  service.connect_seconds.Observe(took.count());
  if (c.CountedAt() != nullptr) c.CountedAt()->counters->connections.Add();
}

void Forwarder::CountFailure(const Connection& c, ConnectionEvent why) {
  EndpointCounters& counters = *c.CountedAt()->counters;
  if (why == &ConnectionCounters::connect_timeout) counters.connect_timeout.Add();
  if (why == &ConnectionCounters::connect_failed) counters.connect_failed.Add();
}

void Forwarder::CountBytes(Connection& c) {
  if (c.service == nullptr) Identify(c);
  if (c.service == nullptr) return;
  const uint64_t up = c.relay.bytes_up() - c.counted_up;
  const uint64_t down = c.relay.bytes_down() - c.counted_down;
  c.counted_up += up;
  c.counted_down += down;
  c.service->counters->bytes_up.Add(up);
  c.service->counters->bytes_down.Add(down);
  if (c.CountedAt() == nullptr) return;
  c.CountedAt()->counters->bytes_up.Add(up);
  c.CountedAt()->counters->bytes_down.Add(down);
}

// By name; the worker's own counters have it already.
void Forwarder::CountEnded(Connection& c) {
  if (c.service == nullptr) Attribute(c, {});
  CountBytes(c);
  (c.service->counters.get()->*c.ended).Add();
  c.service->counters->finished.Add();
  if (GoesToAddress(c)) passed_through_.Count(c.dialled.ip, FlowOf(c));
  if (c.passed != nullptr) {
    CountFailure(c, c.ended);
    c.passed->counters->given_back.Add();
  }
  if (access_log_.has_value()) Log(c);
}

void Forwarder::NameEnded() {
  const auto now = std::chrono::steady_clock::now();
  const auto patience = absl::ToChronoNanoseconds(kNamedWithin);
  std::erase_if(unnamed_, [&](Connection* c) {
    Identify(*c);
    if (c->service == nullptr && now - c->ended_at < patience) return false;
    CountEnded(*c);
    c->unnamed = false;
    if (!c->queued) connections_.Release(*c);
    return true;
  });
  if (!unnamed_.empty()) name_ended_.Start(kNamedWithin);
}

void Forwarder::CountRefused(ConnectionEvent why, const Refused& refused) {
  (counters_.get()->*why).Add();
  if (refused.service != nullptr) (refused.service->counters.get()->*why).Add();
  if (!access_log_.has_value()) return;
  AccessRecord record;
  record.inbound = is_inbound();
  record.source = refused.client;
  record.dialled = refused.dialled;
  if (refused.service != nullptr) record.service = &refused.service->name.service;
  record.outcome = WordFor(why);
  access_log_->Write(record);
}

void Forwarder::Log(const Connection& c) {
  AccessRecord record;
  record.inbound = is_inbound();
  record.source = c.client_address;
  record.dialled = c.dialled;
  record.service = &c.service->name.service;
  if (c.target != nullptr) record.port_name = c.target->port_name;
  if (c.attempts > 0) record.endpoint = c.Tried().back();
  if (c.CountedAt() != nullptr) record.pod = &c.CountedAt()->pod;
  record.bytes_up = c.relay.bytes_up();
  record.bytes_down = c.relay.bytes_down();
  record.ended_ago = Since(c.ended_at);
  record.duration = absl::FromChrono(c.ended_at - c.accepted_at);
  record.attempts = c.attempts;
  record.outcome = WordFor(c.ended);
  if (c.was_joined()) {
    record.connect = absl::FromChrono(c.joined_at - c.accepted_at);
    record.outcome = is_inbound()
                         ? kInboundJoined
                         : WordFor(c.target == nullptr ? &ConnectionCounters::passed_through
                                                       : &ConnectionCounters::forwarded);
    record.ended = WordFor(c.ended);
  }
  access_log_->Write(record);
}

PassedThrough::View Forwarder::TakePassedThrough() {
  PassedThrough::View view = passed_through_.TakeView();
  connections_.ForEach([&](const Connection& c) {
    const bool is_open = c.state == Connection::State::kJoined || c.unnamed;
    if (is_open && GoesToAddress(c)) view.by_address[c.dialled.ip].Add(FlowOf(c));
  });
  return view;
}

std::vector<ConnectionInfo> Forwarder::Connections(size_t max) {
  using State = Connection::State;
  std::vector<ConnectionInfo> all;
  connections_.ForEach([&](Connection& c) {
    if (all.size() >= max || (c.state != State::kConnecting && c.state != State::kJoined)) return;
    if (c.service == nullptr) Identify(c);
    ConnectionInfo& info = all.emplace_back();
    info.direction = options_.direction;
    info.state = c.state == State::kJoined ? ConnectionInfo::State::kJoined
                                           : ConnectionInfo::State::kConnecting;
    if (c.awaits_endpoints) info.state = ConnectionInfo::State::kWaiting;
    info.client = c.client_address;
    info.dialled = c.dialled;
    info.endpoint = c.attempts > 0 ? c.Tried().back() : c.dialled;
    if (c.service != nullptr && !c.service->name.service.ns.empty()) {
      info.service = c.service->name.service.ToString();
    }
    if (c.CountedAt() != nullptr && !c.CountedAt()->pod.name.empty()) {
      info.pod = c.CountedAt()->pod.ToString();
    }
    info.bytes_up = c.relay.bytes_up();
    info.bytes_down = c.relay.bytes_down();
    info.age = Since(c.accepted_at);
  });
  return all;
}

}  // namespace portolan::proxy

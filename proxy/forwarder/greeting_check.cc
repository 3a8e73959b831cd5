// The name that a client greets the server with, where policy wants to know it
// (proxy/policy/egress_gate.h).
//
// The client's first bytes are looked at where they lie in its socket, and none goes to the
// endpoint before they have told. Meanwhile the connection is joined and bytes come down: there are
// protocols in which the server speaks first. What stands behind urgent data cannot be looked at: a
// greeting that is not finished before it never is.
#include <event2/event.h>
#include <sys/socket.h>

#include <cerrno>

#include "common/monotonic.h"
#include "proxy/forwarder/forwarder.h"

namespace portolan::proxy {

// Of what was joined just now.
void Forwarder::AwaitGreeting(Connection& c) {
  if (options_.gate == nullptr || !options_.gate->ChecksGreeting(c.pass, c.Tried().back())) return;
  c.greeting = Connection::Greeting::kAwaited;
  c.relay.HoldClient(true);
}

// False: the connection has ended.
bool Forwarder::LookAtGreeting(Connection& c) {
  const std::span<std::byte> room = std::span(workspace_->scratch).first(Greeting::kMostBytes);
  ssize_t size;
  do {
    size = recv(c.client.get(), room.data(), room.size(), MSG_PEEK);
  } while (size < 0 && errno == EINTR);
  if (size < 0 && errno == EAGAIN) return true;
  if (size < 0) {
    Finish(
        c,
        errno == ETIMEDOUT ? &ConnectionCounters::timed_out : &ConnectionCounters::reset_by_client,
        Ending::kReset);
    return false;
  }
  const std::span bytes(reinterpret_cast<const uint8_t*>(room.data()), static_cast<size_t>(size));
  // A peek ends at urgent data, and the relay passes over it: there may be more than was seen.
  const bool ended = size == 0 || (c.relay.client_ending() && !c.relay.client_urgent());
  const Greeting greeting = ReadGreeting(bytes, ended);
  if (greeting.kind != Greeting::Kind::kUnfinished) return JudgeGreeting(c, greeting);
  if (c.greeting == Connection::Greeting::kAwaited) {
    c.greeting = Connection::Greeting::kBegun;
    event_add(&c.timer, greeting_timeout_);
  }
  return true;
}

// False: the connection has ended.
bool Forwarder::JudgeGreeting(Connection& c, const Greeting& greeting) {
  const bool timed = c.greeting == Connection::Greeting::kBegun;
  c.greeting = Connection::Greeting::kSettled;
  const ObjectName* service = c.service == nullptr ? nullptr : &c.service->name.service;
  const EgressGate::Attempt attempt{Denied::kServerName,
                                    c.client_address,
                                    c.dialled,
                                    c.used == nullptr ? nullptr : &c.used->address,
                                    service,
                                    &greeting};
  if (!options_.gate->JudgeGreeting(c.pass, attempt, Monotonic())) {
    Finish(c, &ConnectionCounters::denied_server_name, Ending::kReset);
    return false;
  }
  c.relay.HoldClient(false);
  if (timed) WaitForIdleness(c);
  return true;
}

void Forwarder::OnGreetingTimeout(Connection& c) {
  Greeting greeting;
  greeting.kind = Greeting::Kind::kTooSlow;
  if (JudgeGreeting(c, greeting)) Run(c);
}

// The connection ends before its greeting was judged.
void Forwarder::EndGreeting(Connection& c) {
  c.greeting = Connection::Greeting::kSettled;
  options_.gate->OnNoGreeting();
}

}  // namespace portolan::proxy

// One client connection of the forwarder, from accept to close. Lives in a slab and is used again;
// its timer stands in it, so that a connection costs no heap allocation. Belongs to Forwarder.
#pragma once

#include <event2/event_struct.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <memory>
#include <span>

#include "common/fd.h"
#include "common/ip.h"
#include "proxy/forwarder/balancer.h"
#include "proxy/forwarder/relay.h"
#include "proxy/forwarder/routes.h"
#include "proxy/policy/egress_gate.h"

namespace portolan::proxy {

class Forwarder;

struct Connection {
  static constexpr size_t kMaxAttempts = 4;
  enum class State : uint8_t { kUnused, kConnecting, kJoined, kFinished };

  std::span<const SocketAddress> Tried() const { return {tried.data(), attempts}; }
  bool was_joined() const { return joined_at != std::chrono::steady_clock::time_point(); }
  // The endpoint being tried or joined; null if it is not counted by name.
  const CountedEndpoint* CountedAt() const { return used != nullptr ? &used->counted : passed; }

  Forwarder* owner = nullptr;
  State state = State::kUnused;
  // Waits in the forwarder's queue for its next turn; then the slot is not free before that.
  bool queued = false;
  // Has ended, and waits a moment until it is known whose the dialled address is; the same.
  bool unnamed = false;
  // Is in the forwarder's list of those that wait for endpoints.
  bool awaits_endpoints = false;
  uint8_t attempts = 0;
  bool kept_alive = false;
  // What policy wants to know of the client before its bytes go to the endpoint
  // (greeting_check.cc).
  enum class Greeting : uint8_t { kSettled, kAwaited, kBegun };
  Greeting greeting = Greeting::kSettled;

  Fd client;
  Fd endpoint;
  // What the events of the two sockets point at; without a connection in a slot that is free.
  struct Leg {
    Connection* connection = nullptr;
    Relay::Side side = Relay::Side::kClient;
  };
  Leg client_leg;
  Leg endpoint_leg;
  // Until joined, of the attempt to connect or the wait for endpoints; then until keep-alive
  // begins, then of idleness; and while a greeting has begun, of that.
  event timer{};
  uint64_t bytes_at_timer = 0;  // carried when it last looked for idleness
  Relay relay;

  SocketAddress client_address;
  SocketAddress dialled;
  std::array<SocketAddress, kMaxAttempts> tried;
  // Held while endpoints may still be tried, then let go: a connection of hours must not keep an
  // old set of endpoints in memory. Null when passed through.
  std::shared_ptr<const Route> route;
  std::shared_ptr<const RouteTarget> target;
  UsedEndpoint* used = nullptr;  // the endpoint being tried or joined; null when passed through
  EgressPass pass;               // from when it sets out until it ends
  std::chrono::steady_clock::time_point accepted_at;
  std::chrono::steady_clock::time_point joined_at;  // the clock's epoch: it was not joined
  std::chrono::steady_clock::time_point ended_at;

  // What it counts into besides the worker's own counters, and how many of its bytes were counted
  // so far. Null, and nothing is counted there yet, while it is passed through and it is not known
  // whose the address is.
  const CountedService* service = nullptr;
  const CountedEndpoint* passed = nullptr;  // also null when nobody's, and when forwarded
  ConnectionEvent ended = nullptr;          // what was counted last
  uint64_t counted_up = 0;
  uint64_t counted_down = 0;
};

}  // namespace portolan::proxy

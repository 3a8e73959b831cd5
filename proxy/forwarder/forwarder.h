// The L4 forwarder of one worker: takes the connections that iptables redirected to it and carries
// each to an endpoint of the Service that was dialled, or to the dialled address itself.
//
//   destination                              what happens
//   a Service's address and port             joined to an eligible endpoint (balancer.h); where
//                                            connecting fails or takes too long, another one is
//                                            tried
//   a Service without endpoints              reset at once
//   a Service of which all endpoints are     reset at once
//   elsewhere, that asks for local ones
//   a Service with as many connections as    reset at once
//   it is to have
//   a ClusterIP on a port it has not         reset at once, as kube-proxy rejects it
//   what policy denies                       reset at once: all endpoints of the Service, or the
//                                            dialled address of what is to pass through
//   a Service whose endpoints are not held   waits for them; if they do not come, passed through to
//                                            the dialled address, or reset where policy isolates
//                                            the pod and no rule by name allows it
//   an address of the Services' ranges       passed through too, or denied likewise at once
//   that is no known Service's
//   any other address                        passed through
//   what a rule by name alone allows         joined, and reset where the client greets the server
//                                            with another name, if that is checked
//   the forwarder's own listener             reset at once
//
// With Direction::kInbound it carries what comes to the pod instead: what TPROXY gives it
// (proxy/capture/rules.h) is passed through to the dialled address, the pod's own, from the
// client's address. Where nothing answers in time, that is tried again from another port. It is
// never given routes.
//
// Before the first SetRoutes all connections pass through. docs/forwarder.md is the page for users.
//
// Endpoints that are not held are asked for, where they are had on demand, and waited for at most a
// second by a bounded number of connections, as long as the control plane answers.
//
// Every method is called on the thread of the loop given to Start, or before the loop runs.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/event_loop.h"
#include "common/ip.h"
#include "directory/service_key.h"
#include "proxy/forwarder/access_log.h"
#include "proxy/forwarder/balancer.h"
#include "proxy/forwarder/connection.h"
#include "proxy/forwarder/counters.h"
#include "proxy/forwarder/listener.h"
#include "proxy/forwarder/original_destination.h"
#include "proxy/forwarder/passed_through.h"
#include "proxy/forwarder/recent_keys.h"
#include "proxy/forwarder/relay.h"
#include "proxy/forwarder/routes.h"
#include "proxy/forwarder/service_metrics.h"
#include "proxy/forwarder/slab.h"
#include "proxy/forwarder/socket_events.h"
#include "proxy/forwarder/transparent.h"
#include "proxy/policy/egress_gate.h"
#include "proxy/policy/ingress_gate.h"

struct timeval;

namespace portolan::proxy {

struct ForwarderOptions {
  // kInbound takes CAP_NET_RAW, at each connection (transparent.h).
  enum class Direction { kOutbound, kInbound };
  Direction direction = Direction::kOutbound;
  std::vector<SocketAddress> listen = {};
  // One attempt to connect to an endpoint of a Service, or inbound from one source port. What is
  // passed through, inbound by the last attempt, has the kernel's own time, as if the application
  // or the client had dialled itself.
  absl::Duration connect_timeout = absl::Seconds(1);
  // A connection that is so old when joined is probed by keep-alive from then on: most end before.
  absl::Duration keep_alive_after = absl::Seconds(30);
  // A joined connection that carries nothing for so long is reset, at the latest after twice the
  // time. Zero: never.
  absl::Duration idle_timeout = absl::ZeroDuration();
  // Endpoints, or inbound source ports, tried for one connection, 1 to Connection::kMaxAttempts:
  // the first and three more.
  size_t max_attempts = Connection::kMaxAttempts;
  // Accepting pauses at this number; see ConnectionsPerWorker.
  size_t max_connections = 10'000;
  // Of 32 KB each, for what slow readers have not taken yet.
  size_t max_buffers = 1024;
  // Through which bulk is spliced; see pipe_pool.h.
  size_t max_pipes = 32;
  BalancerOptions balancer = {};
  // A line for each connection; null: none. Outlives the forwarder.
  LineOutput* access_log = nullptr;
  // What policy says; null: everything is allowed. Outlives the forwarder.
  EgressGate* gate = nullptr;
  // The same of who connects to the pod, in place of `gate`, for what is inbound.
  IngressGate* ingress_gate = nullptr;
  // Joined connections that a new policy denies are reset; else they go on.
  bool end_denied = false;
  // Has the owner of an address brought into the directory, some time later; called on the worker's
  // thread. Null: names of what is passed through are those that the directory happens to have.
  std::function<void(const IpAddress&)> want_address = nullptr;
  // The same for the endpoints of a Service. Null: all are held that there are, and nobody waits.
  std::function<void(const ServiceKey&)> want_endpoints = nullptr;
  absl::Duration endpoints_timeout = absl::Seconds(1);
  // Where the name that a client greets a server with is judged, it has so long for it from the
  // first byte.
  absl::Duration greeting_timeout = absl::Seconds(5);
  OriginalDestination original_destination = KernelOriginalDestination;
};

// What all forwarders of a worker choose, count and log with.
struct ForwarderParts {
  Balancer& balancer;
  ServiceTally& tally;
  PassedThrough& passed_through;
  AccessLog* access_log = nullptr;  // null: none
  EgressGate* gate = nullptr;       // null: everything is allowed
};

// A line of /connections.
struct ConnectionInfo {
  enum class State { kWaiting, kConnecting, kJoined };  // kWaiting: for endpoints
  using Direction = ForwarderOptions::Direction;

  Direction direction = Direction::kOutbound;
  Protocol protocol = Protocol::kTcp;
  State state = State::kConnecting;
  SocketAddress client;
  SocketAddress dialled;
  SocketAddress endpoint;  // connected to, or being tried; the dialled address when passed through
  std::string service;     // namespace/name; empty: none that is known
  std::string pod;         // the endpoint's, namespace/name; empty: none that is known
  uint64_t bytes_up = 0;
  uint64_t bytes_down = 0;
  absl::Duration age;
};

class Forwarder {
 public:
  // Listens on all of options.listen, or on none and an error that names the address.
  static absl::StatusOr<std::unique_ptr<Forwarder>> Start(EventLoop& loop,
                                                          ForwarderOptions options);
  // Resets what is still open.
  ~Forwarder();
  Forwarder(const Forwarder&) = delete;
  Forwarder& operator=(const Forwarder&) = delete;

  // For connections from now on; those that are joined go on as they are.
  void SetRoutes(std::shared_ptr<const RouteTable> routes);
  // Whether the control plane answers: false at first, and then nobody waits for endpoints.
  void SetFeedAnswering(bool answering);
  // To be called when the gate has other rules: what is being connected to where it may not go any
  // more tries another endpoint, or ends where none is allowed; with end_denied what is joined
  // ends.
  void ReviewDenied();

  size_t active() const { return counters_->active(); }

  // Where it listens, with the ports that the kernel chose for port 0.
  std::vector<SocketAddress> addresses() const;
  std::vector<ConnectionInfo> Connections(size_t max);
  std::shared_ptr<const ForwarderCounters> counters() const { return counters_; }
  // With what is open now (PassedThrough::TakeView).
  PassedThrough::View TakePassedThrough();
  // For who forwards other protocols on this worker; lives as long as the forwarder.
  ForwarderParts parts() {
    return {balancer_, tally_, passed_through_, access_log_.has_value() ? &*access_log_ : nullptr,
            options_.gate};
  }
  // Lent to slow readers at the moment.
  size_t buffers_in_use() const { return workspace_->buffers.lent(); }
  size_t pipes_in_use() const { return workspace_->pipes.lent(); }

 private:
  // How long, and how many, ended connections wait for the names of what they had dialled.
  static constexpr absl::Duration kNamedWithin = absl::Seconds(1);
  static constexpr size_t kMostUnnamed = 256;
  static constexpr size_t kMostAwaiting = 256;

  bool is_inbound() const { return options_.direction == ForwarderOptions::Direction::kInbound; }

  enum class Ending { kClose, kReset };
  enum class Dialling { kPending, kFailed, kNoDescriptor };

  Forwarder(EventLoop& loop, ForwarderOptions options);

  void AcceptFrom(Listener& listener);
  void PauseAccepting(Counter& why, const char* what);
  void ResumeAccepting();

  void Admit(Fd client, const SocketAddress& client_address);
  bool IsOwnListener(const SocketAddress& dialled, int fd) const;
  // What is known of a connection that is not admitted.
  struct Refused {
    const SocketAddress& client;
    std::optional<SocketAddress> dialled = {};
    const CountedService* service = nullptr;
  };
  void Refuse(Fd& client, ConnectionEvent why, const Refused& refused);
  bool Open(Connection& c, Fd client);
  // What policy has to say: denied.cc.
  void SetOut(Connection& c);
  bool IsJudged() const { return options_.gate != nullptr || options_.ingress_gate != nullptr; }
  bool MayReach(const Connection& c, const SocketAddress& to) const;
  void Took(Connection& c, const SocketAddress* endpoint);
  void Deny(Connection& c, ConnectionEvent how);
  bool IsDeniedNow(Connection& c);
  void ReviewConnecting(Connection& c);
  // What the client says first: greeting_check.cc.
  void AwaitGreeting(Connection& c);
  bool MayRun(Connection& c) {
    return c.greeting == Connection::Greeting::kSettled || LookAtGreeting(c);
  }
  bool LookAtGreeting(Connection& c);
  bool JudgeGreeting(Connection& c, const Greeting& greeting);
  void OnGreetingTimeout(Connection& c);
  void EndGreeting(Connection& c);
  void PassThrough(Connection& c);
  void DialThrough(Connection& c);
  bool MayTakeAnotherPort(const Connection& c) const {
    return is_inbound() && c.attempts < options_.max_attempts;
  }
  void Proceed(Connection& c, const RouteTable::Lookup& found);
  // Of endpoints: awaiting.cc.
  void AwaitEndpoints(Connection& c, const ObjectName& service);
  void EndAwaiting(Connection& c, Counter& outcome);
  void PassThroughUnheld(Connection& c);
  void ReviewAwaiting();
  void ConnectToEndpoint(Connection& c, ConnectionEvent last_failure);
  void EndpointFailed(Connection& c, ConnectionEvent why);
  Dialling Dial(Connection& c, const SocketAddress& to, const timeval* timeout);
  int Connect(const Connection& c, const SocketAddress& to, Fd& fd);
  void DropEndpoint(Connection& c);

  void OnEvents(const Connection::Leg& leg, uint32_t events);
  void OnClient(Connection& c, uint32_t events);
  void OnEndpoint(Connection& c, uint32_t events);
  void OnTimer(Connection& c);
  void OnJoinedForLong(Connection& c);
  void WaitForIdleness(Connection& c);
  void ConnectFailed(Connection& c, int error);
  void Join(Connection& c);
  void Run(Connection& c);
  void TrimPipesLater();
  void RunQueued();
  void Finish(Connection& c, ConnectionEvent how, Ending ending);
  // What is counted and logged: connections.cc.
  void Count(const Connection& c, ConnectionEvent event);
  void CountJoined(Connection& c);
  void CountJoinedByName(const Connection& c);
  void CountFailure(const Connection& c, ConnectionEvent why);
  void CountBytes(Connection& c);
  void CountEnded(Connection& c);
  void NameEnded();
  void CountRefused(ConnectionEvent why, const Refused& refused);
  const CountedService* ServiceOf(const RouteTable::Lookup& found, const SocketAddress& dialled);
  void Identify(Connection& c);
  void Attribute(Connection& c, const AddressOwner& owner);
  void Log(const Connection& c);

  EventLoop& loop_;
  const ForwarderOptions options_;
  const std::shared_ptr<ForwarderCounters> counters_;
  const std::unique_ptr<RelayWorkspace> workspace_;
  // The loop's own; one queue for all of a length.
  const timeval* connect_timeout_;
  const timeval* keep_alive_after_;
  const timeval* idle_timeout_;
  const timeval* endpoints_timeout_;
  const timeval* greeting_timeout_;
  std::shared_ptr<const RouteTable> routes_;
  std::optional<AccessLog> access_log_;
  ServiceTally tally_;
  PassedThrough passed_through_;
  RecentKeys<IpAddress> asked_;             // by want_address
  RecentKeys<ServiceKey> asked_endpoints_;  // by want_endpoints
  Balancer balancer_;
  std::optional<ClientSources> sources_;  // of what is inbound
  EventLoop::Timer review_;
  bool review_due_ = false;
  std::unique_ptr<SocketEvents> events_;
  Slab<Connection> connections_;

  bool answering_ = false;
  std::vector<Connection*> awaiting_;

  // Ended ones that wait for their names; the timer runs while there are any.
  std::vector<Connection*> unnamed_;
  EventLoop::Timer name_ended_;

  // Joined connections with more to do than one turn allows.
  std::vector<Connection*> queue_;
  std::vector<Connection*> running_;
  EventLoop::Timer next_turn_;

  EventLoop::Timer trim_;
  bool trim_due_ = false;

  std::vector<std::unique_ptr<Listener>> listeners_;
  EventLoop::Timer resume_;
  bool paused_ = false;
  std::chrono::steady_clock::time_point pause_logged_;
};

}  // namespace portolan::proxy

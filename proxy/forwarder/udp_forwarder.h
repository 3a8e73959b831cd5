// The UDP forwarder of one worker: takes the datagrams that TPROXY led to it and carries each to an
// endpoint of the Service that was dialled, or to the dialled address itself; what comes back goes
// to the client from the address that it dialled.
//
//   destination                              what happens
//   a Service's address and port             sent to an eligible endpoint (balancer.h), the same
//                                            for all datagrams of a flow
//   a Service without endpoints (or none     rejected
//   that it may use), or with as many flows
//   as it is to have
//   a ClusterIP on a port it has not         rejected
//   what policy denies: all endpoints, or    rejected
//   the dialled address
//   a Service whose endpoints are not held   waits for them; if they do not come, passed through to
//                                            the dialled address, or rejected where policy isolates
//                                            the pod and no rule by name allows it
//   an address of the Services' ranges       passed through too, or denied likewise at once
//   that is no known Service's
//   any other address                        passed through
//   the forwarder's own listener             dropped
//
// Rejected is what the kernel does to a port where nobody listens: ICMP says so, and the client's
// socket, if it is connected, has the error ECONNREFUSED. So it is told of an endpoint's refusal.
//
// A flow stays with its endpoint as long as that serves, be it as it terminates, whatever else
// changes. With its next datagram it moves to another one when the endpoint is gone, has refused
// (ICMP) or is denied by a new policy that allows another, or when the Service came, went or
// changed hands: a flow of the same key begins. It ends when it was idle for long enough, makes
// room as the oldest one, or is denied by a new policy.
//
// Nothing is queued but the first datagrams of flows that wait for endpoints (kept_datagrams.h),
// for a second at most: what the kernel does not take at once is dropped, as UDP may be. Every
// method is called on the thread of the loop, or before it runs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "absl/time/time.h"
#include "common/event_loop.h"
#include "common/ip.h"
#include "directory/service_key.h"
#include "proxy/forwarder/balancer.h"
#include "proxy/forwarder/datagram_batch.h"
#include "proxy/forwarder/forwarder.h"
#include "proxy/forwarder/kept_datagrams.h"
#include "proxy/forwarder/recent_keys.h"
#include "proxy/forwarder/routes.h"
#include "proxy/forwarder/udp_counters.h"
#include "proxy/forwarder/udp_flows.h"
#include "proxy/forwarder/udp_sockets.h"

namespace portolan::proxy {

struct UdpForwarderOptions {
  size_t max_flows = 4096;  // at least 1
  // Idle for so long a flow ends: one that was never answered, and one that was. As the kernel's
  // connection tracker has them (nf_conntrack_udp_timeout, nf_conntrack_udp_timeout_stream).
  absl::Duration timeout = absl::Seconds(30);
  absl::Duration stream_timeout = absl::Seconds(120);
  // As in ForwarderOptions.
  std::function<void(const ServiceKey&)> want_endpoints = nullptr;
  absl::Duration endpoints_timeout = absl::Seconds(1);
};

class UdpForwarder {
 public:
  // What `parts` names outlives it.
  UdpForwarder(EventLoop& loop, UdpSockets sockets, UdpForwarderOptions options,
               ForwarderParts parts);
  ~UdpForwarder();
  UdpForwarder(const UdpForwarder&) = delete;
  UdpForwarder& operator=(const UdpForwarder&) = delete;

  void SetRoutes(std::shared_ptr<const RouteTable> routes);
  // Whether the control plane answers: false at first, and then nobody waits for endpoints.
  void SetFeedAnswering(bool answering);
  // To be called when the gate has other rules: ends the flows to where they may not go any more.
  // Denied are those without another endpoint to go to.
  void ReviewDenied();

  // At most `max` flows, as lines of /connections.
  std::vector<ConnectionInfo> Flows(size_t max) const;
  std::shared_ptr<const UdpCounters> counters() const { return counters_; }
  // Adds the flows that are open now to what Forwarder::TakePassedThrough says.
  void AddPassedThrough(PassedThrough::View& view) const;

 private:
  struct Listening;

  // What becomes of datagrams that have no flow, and how a flow ends: as all of UDP is counted, and
  // as it is counted by name, where a flow is a connection.
  struct Drop {
    Counter UdpCounters::*counter;
    ConnectionEvent event;
  };
  struct Ending {
    Counter UdpCounters::*counter;
    ConnectionEvent event;
    std::string_view word;
  };
  static constexpr Drop kNoEndpoints = {&UdpCounters::no_endpoints,
                                        &ConnectionCounters::no_endpoints};
  static constexpr Drop kNoLocalEndpoints = {&UdpCounters::no_local_endpoints,
                                             &ConnectionCounters::no_local_endpoints};
  static constexpr Drop kOverLimit = {&UdpCounters::over_limit, &ConnectionCounters::over_limit};
  static constexpr Drop kDenied = {&UdpCounters::denied, &ConnectionCounters::denied};
  static constexpr Drop kNoPort = {&UdpCounters::no_port, &ConnectionCounters::no_port};
  static constexpr Drop kNoDescriptor = {&UdpCounters::no_descriptor,
                                         &ConnectionCounters::no_descriptor};
  static constexpr Drop kUnreachable = {&UdpCounters::unreachable,
                                        &ConnectionCounters::connect_failed};
  static constexpr Ending kIdle = {&UdpCounters::idle, &ConnectionCounters::closed, "idle"};
  static constexpr Ending kEvicted = {&UdpCounters::evicted, &ConnectionCounters::closed,
                                      "evicted"};
  static constexpr Ending kRefused = {&UdpCounters::refused_ended,
                                      &ConnectionCounters::reset_by_endpoint, "refused"};
  static constexpr Ending kRerouted = {&UdpCounters::rerouted, &ConnectionCounters::closed,
                                       "rerouted"};
  static constexpr Ending kDeniedNow = {&UdpCounters::denied_ended,
                                        &ConnectionCounters::denied_joined, "policy_denied"};
  static constexpr Ending kCut = {&UdpCounters::cut, &ConnectionCounters::cut, "cut"};

  // A flow, or why there is none.
  struct Opened {
    UdpFlow* flow = nullptr;
    const Drop* dropped = nullptr;
    bool awaits = false;                      // endpoints; neither opened nor dropped
    const CountedService* service = nullptr;  // of what is dropped
  };

  void TakeFrom(Listening& listening);
  size_t ForwardRun(const Listening& listening, size_t begin);
  void SendRun(const UdpFlowKey& key, size_t begin, size_t end);
  void NoteOverrun(Listening& listening);

  Opened FlowFor(const UdpFlowKey& key);
  bool IsCurrent(UdpFlow& flow) const;
  // What becomes of a flow whose Service's endpoints are not held.
  enum class Unheld { kAwait, kPassThrough };
  Opened Open(const UdpFlowKey& key, std::span<const SocketAddress> refused,
              Unheld unheld = Unheld::kAwait);
  struct Chosen {
    bool allowed = false;
    EgressPass pass = {};
    UsedEndpoint* used = nullptr;  // null: the dialled address
  };
  Chosen Choose(const UdpFlowKey& key, std::span<const SocketAddress> refused,
                const RouteTable::Lookup& found);
  const Drop* Connect(UdpFlow& flow);
  void OnRefused(UdpFlow& flow);
  void EndpointFailed(UdpFlow& flow);
  void OnAnswering(UdpFlow& flow);
  void End(UdpFlow& flow, const Ending& how);
  void Discard(UdpFlow& flow);

  void Reject(const UdpFlowKey& key);
  void OnAnswers(UdpFlow& flow);
  size_t Answer(UdpFlow& flow, size_t begin);

  void Sweep();

  // Flows that wait for endpoints: udp_awaiting.cc.
  bool MayAwait(const UdpFlowKey& key, const ObjectName& service);
  void Keep(const UdpFlowKey& key, size_t begin, size_t end);
  void GoOn(const UdpFlowKey& key, Unheld unheld, Counter& outcome);
  void SendKept(UdpFlow& flow, std::span<const std::byte> payload);
  void ReviewAwaiting();
  void OnAwaitedLongEnough();

  // What policy has to say: udp_denied.cc.
  bool IsUnheld(const UdpFlowKey& key, const RouteTable::Lookup& found) const;
  void BeginPass(const UdpFlowKey& key, EgressPass& pass);
  void EndPass(EgressPass& pass);
  bool MayReach(const EgressPass& pass, const SocketAddress& to) const;
  bool MayMove(const UdpFlow& flow) const;
  void Took(UdpFlow& flow, const Route* route);
  void NoteDenied(const UdpFlowKey& key, const EgressPass& pass, const SocketAddress* endpoint,
                  const CountedService& service);

  // What is counted and logged by name: udp_accounts.cc.
  const CountedService& ServiceOf(const RouteTable::Lookup& found, const SocketAddress& dialled);
  void CountOpened(const UdpFlow& flow);
  void CountUp(UdpFlow& flow, uint64_t bytes);
  void CountDown(UdpFlow& flow, uint64_t bytes);
  void CountDropped(const UdpFlowKey& key, const Opened& opened, size_t count);
  void CountEnded(const UdpFlow& flow, const Ending& how);

  EventLoop& loop_;
  const UdpForwarderOptions options_;
  const ForwarderParts parts_;
  const std::shared_ptr<UdpCounters> counters_ = std::make_shared<UdpCounters>();
  const std::unique_ptr<DatagramBatch> batch_ = std::make_unique<DatagramBatch>();
  absl::Duration now_;  // monotonic; when the batch was received

  std::shared_ptr<const RouteTable> routes_ = std::make_shared<const RouteTable>();
  uint64_t routes_version_ = 0;
  UdpFlows flows_;
  EventLoop::Timer sweep_;  // runs while there are flows

  KeptDatagrams kept_;
  RecentKeys<ServiceKey> asked_endpoints_;
  bool answering_ = false;
  EventLoop::Timer await_timer_;  // runs while any are kept

  const Fd& RawFor(const SocketAddress& dialled) const {
    return dialled.ip.is_v4() ? answers_v4_ : answers_v6_;
  }

  const Fd answers_v4_;
  const Fd answers_v6_;
  std::vector<std::unique_ptr<Listening>> listening_;
};

}  // namespace portolan::proxy

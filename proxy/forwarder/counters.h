// What the forwarder counts: every connection it accepts ends in exactly one outcome of admission,
// and every connection that was joined in exactly one way to end.
//
// One writer (the worker's thread); the metrics page reads from its own.
#pragma once

#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "common/metrics.h"

namespace portolan::proxy {

// What is counted for a worker as a whole and for each Service port (service_metrics.h).
struct ConnectionCounters {
  // Outcomes of admission. The first two are joined, the others were reset.
  Counter forwarded;           // to an endpoint of a Service
  Counter passed_through;      // to the dialled address
  Counter no_endpoints;        // of a Service whose endpoints are known to be none
  Counter no_local_endpoints;  // internalTrafficPolicy Local, and other nodes have some
  Counter over_limit;          // the Service has as many connections as it is to have
  Counter denied;              // by policy: the dialled address, or every endpoint that is left
  Counter no_port;             // a ClusterIP dialled on a port it has not
  Counter loop_refused;        // the forwarder's own listener was dialled
  Counter no_destination;      // the kernel could not say what was dialled
  Counter connect_failed;      // refused or unreachable, the last attempt
  Counter connect_timeout;     // no answer in time, the last attempt
  Counter no_descriptor;       // no socket to be had
  Counter client_gone;         // the client reset it before it was joined
  Counter stopped;             // the forwarder ended before it was joined

  // How joined connections ended.
  Counter closed;  // both sides were through
  Counter reset_by_client;
  Counter reset_by_endpoint;
  Counter idle;
  Counter timed_out;      // keep-alive or retransmissions found a side gone
  Counter denied_joined;  // by a policy that came later
  // The client greeted the server with a name that policy does not allow.
  Counter denied_server_name;
  Counter cut;  // the forwarder ended

  Counter retried;   // attempts to connect after the first
  Counter bytes_up;  // client to endpoint, as written to the endpoint
  Counter bytes_down;

  // Slots that are in use: counted up and down, active is the difference.
  Counter opened;
  Counter finished;

  uint64_t active() const {
    // In this order, so that a reader on another thread never sees more finished than opened.
    const uint64_t gone = finished.value();
    return opened.value() - gone;
  }

  // Adds all of it to `sum`. Any thread, but `sum` is the caller's.
  void AddTo(ConnectionCounters& sum) const;
};

// An outcome, or a way to end.
using ConnectionEvent = Counter ConnectionCounters::*;

struct ConnectionWord {
  std::string_view word;
  ConnectionEvent event;
};
std::span<const ConnectionWord> ConnectionOutcomes();
std::span<const ConnectionWord> ConnectionEnds();
// As metrics and the access log have it.
std::string_view WordFor(ConnectionEvent event);
// Their word for passed_through where the connection is to the pod.
inline constexpr std::string_view kInboundJoined = "joined";

struct ForwarderCounters : ConnectionCounters {
  Counter accepted;

  // Choice of endpoints (balancer.h).
  Counter ejected;   // times that an endpoint was passed over from then on
  Counter returned;  // endpoints let back after a trial
  Counter spared;    // failing endpoints not ejected, as half of them are already
  Counter affine;    // connections that session affinity sent where the one before went
  // Connections whose endpoint was deleted while they were open, and those of them that ended or
  // whose endpoint came back.
  Counter endpoint_deleted;
  Counter endpoint_deleted_ended;

  Counter endpoints_unknown;  // passed through as the Service's endpoints are not held

  // Connections to a Service whose endpoints were not held, by what became of waiting for them.
  Counter wait_held;  // they came
  Counter wait_timed_out;
  Counter wait_lost;           // the control plane stopped answering
  Counter wait_ended;          // the client gave up, or the forwarder ended
  Counter wait_not_answering;  // not waited, since the control plane does not answer
  Counter wait_no_place;       // not waited, since as many wait as may

  Counter paused_on_descriptors;  // times that accepting paused
  Counter paused_on_limit;
  Counter buffers_exhausted;  // reads that went on without a buffer to keep a rest in
  Counter bytes_spliced;      // of the bytes, those that the kernel moved

  // Bulk that was copied although it would have been spliced, by why there was no pipe
  // (pipe_pool.h).
  Counter pipes_all_lent;
  Counter pipes_small;
  Counter pipes_refused;  // the kernel gave none, or had not a second ago
  // Lent to bytes in hand: counted up and down.
  Counter pipes_taken;
  Counter pipes_given;

  Counter access_logged;   // lines of the access log
  Counter access_dropped;  // for which it had no room

  Counter source_ports_out;  // inbound, and the kernel chose the source port (transparent.h)
};

// The families portolan_forwarder_*, workers added up. For MetricsPage::AddSource.
MetricsPage::Source ForwarderMetrics(std::vector<std::shared_ptr<const ForwarderCounters>> workers);
// The families portolan_inbound_*, of the forwarders of what comes to the pod.
MetricsPage::Source InboundMetrics(std::vector<std::shared_ptr<const ForwarderCounters>> workers);

}  // namespace portolan::proxy

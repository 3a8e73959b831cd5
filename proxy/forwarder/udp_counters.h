// What UDP forwarding counts: every captured datagram ends in exactly one outcome, so does every
// answer, and every flow in exactly one way to end.
//
// One writer (the worker's thread); the metrics page reads from its own.
#pragma once

#include <memory>
#include <vector>

#include "common/metrics.h"

namespace portolan::proxy {

struct UdpCounters {
  // Outcomes of datagrams from clients. The first two were sent on, the others dropped.
  Counter forwarded;           // to an endpoint of a Service
  Counter passed_through;      // to the dialled address
  Counter no_endpoints;        // of a Service whose endpoints are known to be none
  Counter no_local_endpoints;  // internalTrafficPolicy Local, and other nodes have some
  Counter over_limit;          // the Service has as many flows as it is to have
  Counter denied;              // by policy: the dialled address, or every endpoint
  Counter no_port;             // a ClusterIP dialled on a port it has not
  Counter loop_refused;        // the forwarder's own listener was dialled
  Counter no_destination;      // the kernel did not say what was dialled
  Counter truncated;           // longer than a buffer
  Counter no_descriptor;       // no socket to be had
  Counter unreachable;         // refused, or no way there
  Counter buffer_full;         // of the socket to the endpoint
  Counter await_dropped;       // more than are kept while endpoints are waited for

  // Outcomes of answers. The first was sent to the client, the others dropped.
  Counter answered;
  Counter answer_truncated;
  Counter answer_too_large;    // for one packet on the loopback interface
  Counter answer_buffer_full;  // of the raw socket
  Counter answer_failed;       // any other error

  // How flows ended.
  Counter idle;
  Counter evicted;        // the oldest, as there were as many as there may be
  Counter refused_ended;  // the endpoint had refused; the next datagram began a new one
  Counter rerouted;       // the endpoint or the Service went away; so here
  Counter denied_ended;   // by a policy that came later
  Counter cut;            // the forwarder ended

  // Flows to a Service whose endpoints were not held, by what became of waiting for them.
  Counter wait_held;  // they came
  Counter wait_timed_out;
  Counter wait_lost;           // the control plane stopped answering
  Counter wait_ended;          // the forwarder ended
  Counter wait_not_answering;  // not waited, since the control plane does not answer
  Counter wait_no_place;       // not waited, since as many wait as may

  Counter refused;            // ICMP errors from endpoints and dialled addresses
  Counter rejected;           // ICMP errors sent to clients
  Counter endpoints_unknown;  // flows passed through as the Service's endpoints are not held
  Counter overrun;            // dropped by the kernel, as a listener's buffer was full
  Counter bytes_up;           // client to endpoint
  Counter bytes_down;

  // Flows: counted up and down, active is the difference.
  Counter opened;
  Counter finished;

  uint64_t active() const {
    // In this order, so that a reader on another thread never sees more finished than opened.
    const uint64_t gone = finished.value();
    return opened.value() - gone;
  }
};

// The families portolan_forwarder_udp_*, workers added up. For MetricsPage::AddSource.
MetricsPage::Source UdpMetrics(std::vector<std::shared_ptr<const UdpCounters>> workers);

}  // namespace portolan::proxy

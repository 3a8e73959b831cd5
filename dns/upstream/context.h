// What everything that talks to upstreams shares on one worker: the loop, randomness, the bound on
// sockets, and what is counted by all.
//
// The worker's loop; counters are read from anywhere.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "common/event_loop.h"
#include "common/metrics.h"
#include "dns/upstream/random.h"

namespace portolan::dns::upstream {

using Clock = std::chrono::steady_clock;

// Why a TLS connection to an upstream was given up.
enum class TlsError : uint8_t { kUntrusted, kExpired, kWrongName, kOtherCertificate, kHandshake };
inline constexpr size_t kTlsErrors = 5;

struct Context {
  Context(EventLoop& l, RandomSource source, size_t max)
      : loop(l), random(std::move(source)), max_sockets(max) {}

  EventLoop& loop;
  Random random;
  // Open sockets, and the most there may be: a dead upstream under load must not eat the process's
  // descriptors.
  const size_t max_sockets;
  size_t sockets = 0;
  // Where datagrams and messages of a stream are read; a reply points into it until the next one.
  std::array<uint8_t, 4096> datagram;
  std::vector<uint8_t> message;

  Counter wrong_id, wrong_question, wrong_case, malformed;
  Counter socket_errors;
  Counter too_many_sockets;  // ours
  Counter no_descriptors;    // the process's or the system's
  Counter retried_on_fresh_connection;
  std::array<Counter, kTlsErrors> tls_errors;
};

}  // namespace portolan::dns::upstream

// The servers of one `forward`, on one worker: which to ask first, and what becomes of their
// replies.
//
// A server may stand for several, the endpoints of a Service: the policy chooses among such groups,
// and within one chance does.
//
// Servers that left a question unanswered (health.h) are asked last; when all did, all are asked
// all the same. Those that lead back to us (loop_watch.h) are not asked at all.
//
// One worker's loop; counters are read from anywhere.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <deque>
#include <optional>
#include <vector>

#include "common/metrics.h"
#include "common/resolv_conf.h"
#include "dns/upstream/context.h"
#include "dns/upstream/message.h"
#include "dns/upstream/server.h"

namespace portolan::dns::upstream {

// As many as resolv.conf may name.
inline constexpr size_t kMaxServers = kMaxNameservers;

enum class Policy : uint8_t { kRandom, kRoundRobin, kSequential };

// What stands behind `failover`, `next` and `next_on_nodata`: the replies that are not the last
// word.
struct ReplyRules {
  std::vector<uint16_t> failover;  // rcodes: the next server is asked
  std::vector<uint16_t> next;      // rcodes: the next link of the chain is
  bool next_on_nodata = false;
};

struct ServerSetConfig {
  std::vector<ServerConfig> servers;  // at most kMaxServers; the rest is left out
  Policy policy = Policy::kSequential;
  ServerOptions options = {};
  ReplyRules rules = {};
  // Clients that may wait for this set's servers on one worker; 0: no limit of its own.
  size_t max_concurrent = 0;
  // Times that servers are asked for one question; 0: as often as there is time.
  size_t max_attempts = 0;
  bool fail_fast = false;  // SERVFAIL at once while all servers are down
  bool randomize_case = false;
};

// Places in `servers`, the one to ask first at the front.
struct ServerOrder {
  std::array<uint8_t, kMaxServers> places{};
  size_t size = 0;
};

class ServerSet {
 public:
  // `context` outlives it.
  ServerSet(const ServerSetConfig& config, Context& context);

  // Each server once that does not lead back to us.
  ServerOrder Order();

  size_t size() const { return servers_.size(); }
  Server& server(size_t place) { return servers_[place]; }
  const Server& server(size_t place) const { return servers_[place]; }
  bool AllDown() const;

  // Whether the next server is asked before this reply is passed on.
  bool FailsOver(const Reply& reply) const;
  // Whether the reply counts as none, and the next link of the chain goes on.
  bool GoesToNextLink(const Reply& reply) const;

  size_t max_attempts() const { return max_attempts_; }
  bool fail_fast() const { return fail_fast_; }
  Spelling spelling() const { return spelling_; }

  // How the flight went whose clients are answered now: for who explains it.
  struct Story {
    size_t tries = 0;
    std::optional<uint8_t> answered;  // the place of the server whose reply it was, if any
    std::chrono::steady_clock::duration round_trip{};
  };
  const Story& story() const { return story_; }
  void set_story(const Story& story) { story_ = story; }

  // Clients that wait for an answer of this set.
  bool full() const { return max_concurrent_ != 0 && waiting_ >= max_concurrent_; }
  void AddWaiting() { ++waiting_; }
  void RemoveWaiting(size_t n) { waiting_ -= n; }
  size_t waiting() const { return waiting_; }

  // Of each server. Any thread.
  void CollectMetrics(MetricFamilies& families) const;

 private:
  struct Group {
    size_t begin = 0;
    size_t size = 0;
  };
  // Of the groups.
  size_t First();

  Context& context_;
  std::deque<Server> servers_;  // they do not move
  std::vector<Group> groups_;
  const Policy policy_;
  const ReplyRules rules_;
  const size_t max_concurrent_;
  const size_t max_attempts_;
  const bool fail_fast_;
  const Spelling spelling_;
  size_t waiting_ = 0;
  size_t next_first_ = 0;  // round robin
  Story story_;
};

}  // namespace portolan::dns::upstream

// GET /api/v1/events: what changes, as it changes, to whoever listens (text/event-stream,
// https://html.spec.whatwg.org/multipage/server-sent-events.html):
//
//   event: hello     data: {"generation": 7, "version": "0.1.0"}               at the beginning
//   event: change    data: {"generation": 8, "names": ["default/backend"]}     Services, endpoints
//   event: sidecars  data: {"reported": ["default/frontend-1"]}                to this replica
//
// Where more than kMostNames are concerned there is "many": true in place of the list. Each
// listener gets kPerSecond events a second at most; what happens between two is merged, and while a
// listener does not take what he was sent everything further is, so that he misses nothing and
// holds little. Beyond kMostListeners the answer is 503. A comment every 15 s keeps the connection.
//
// The loop's thread only.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "absl/container/btree_set.h"
#include "absl/time/time.h"
#include "common/event_loop.h"
#include "common/http/server.h"
#include "common/http/stream.h"
#include "common/metrics.h"
#include "directory/directory.h"

namespace portolan::xds {

class Events {
 public:
  static constexpr size_t kMostListeners = 64;
  static constexpr size_t kMostNames = 500;
  static constexpr int kPerSecond = 10;

  struct Options {
    std::string version;  // of the program
    absl::Duration comment_every = absl::Seconds(15);
    // How long one listener is served, who then comes again. Where listeners are let in by what
    // they may, that is how long it stays unnoticed that one may no more.
    absl::Duration longest = absl::InfiniteDuration();
  };

  // Adds the route to `server`, which outlives it.
  Events(EventLoop& loop, http::Server& server, Options options);
  Events(const Events&) = delete;
  Events& operator=(const Events&) = delete;

  // A commit of the directory. One that touches neither Services nor endpoints is no event.
  void OnChanges(uint64_t generation, const DirectoryChanges& changes);
  // A sidecar's report arrived.
  void OnReport(std::string_view node_id);

  void AddMetrics(MetricFamilies& families) const;

 private:
  // What a listener has not been told.
  struct Untold {
    absl::btree_set<std::string> names;
    bool many = false;

    bool empty() const { return names.empty() && !many; }
    void Add(std::string_view name);
  };
  struct Listener {
    http::Stream stream;
    absl::Duration since;  // as Monotonic() has it
    Untold changes;
    Untold reports;
    bool told_changes_last = false;
  };

  void Listen(http::Responder responder);
  void TellSoon();
  void TellAll();
  void Tell(Listener& listener);
  void CommentToAll();

  const Options options_;
  uint64_t generation_ = 0;
  std::map<uint64_t, Listener> listeners_;
  uint64_t last_listener_ = 0;
  bool telling_ = false;  // tell_ is set
  EventLoop::Timer tell_;
  EventLoop::Timer comment_;
  Counter refused_;
  Counter sent_;
  Counter held_back_;
};

}  // namespace portolan::xds

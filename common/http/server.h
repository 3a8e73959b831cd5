// The one HTTP server of all programs: admin, metrics, API, dashboard and webhook.
//
//   auto server = http::Server::Listen(loop, {.name = "admin", .listen = {address}});
//   (*server)->Get("/ready", [](const http::Request&, http::Responder responder) {
//     responder.Send(http::TextResponse(200, "ready"));
//   });
//
// HTTP/1.1 and 1.0 with keep-alive and pipelining; everything a peer can make it hold is bounded
// (Options). Lives on one EventLoop: every method, handler and answer is on that loop's thread, and
// the server is destroyed there, though not from within one of its handlers. Handlers must not
// block or throw. Answers to unknown paths (404) and methods (405) are its own; GET handlers answer
// HEAD as well.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "common/event_loop.h"
#include "common/fd.h"
#include "common/http/connection.h"
#include "common/http/message.h"
#include "common/http/responder.h"
#include "common/http/session.h"
#include "common/ip.h"
#include "common/metrics.h"

namespace portolan::http {

using Handler = std::function<void(const Request&, Responder)>;

// Which requests a listener believes.
enum class Audience {
  kAnyone,
  // A loopback listener that trusts who can reach it: a browser on the same machine can too, on
  // behalf of any page. Host must be an IP literal or localhost (DNS rebinding), and Origin, where
  // there is one, must be that same host (cross-site requests); else 403.
  kThisMachine,
};

class Server : private Connection::Owner {
 public:
  struct Options {
    std::string name;  // in log lines and as the label "server" of the metrics
    std::vector<SocketAddress> listen;
    Audience audience = Audience::kAnyone;
    Limits limits{};
    Timeouts timeouts{};
    // Beyond it the connection that has been idle longest makes room; is none idle, the new one is
    // closed.
    size_t max_connections = 512;
  };

  // Listens at once, answers when the loop runs. An error names the address; then nothing is open.
  static absl::StatusOr<std::unique_ptr<Server>> Listen(EventLoop& loop, Options options);
  ~Server() override;
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  void Get(std::string path, Handler handler) { Route("GET", std::move(path), std::move(handler)); }
  void Post(std::string path, Handler handler) {
    Route("POST", std::move(path), std::move(handler));
  }
  // `path` as Request::path has it. One that ends in "/*" stands for all paths that begin with what
  // is before the star; the longest match counts, an exact one before all.
  void Route(std::string method, std::string path, Handler handler);

  // In the order of Options::listen, with the port that port 0 became.
  const std::vector<SocketAddress>& addresses() const { return addresses_; }

  // Accepts no more; what is connected stays served.
  void StopListening();

  size_t connection_count() const { return connections_.size(); }

  // Any thread, while the server lives.
  void AddMetrics(MetricFamilies& families) const;

 private:
  struct Listener {
    Fd fd;
    EventLoop::Watch watch;
  };
  struct RouteEntry {
    std::string method;
    std::string path;  // without the star
    bool is_prefix;
    Handler handler;
  };
  struct Counters {
    Counter accepted;
    Counter refused;
    Counter evicted;
    Counter malformed;
    Counter foreign;  // refused by Audience
    Counter requests;
    Counter timeouts[4];  // by Connection::Timeout
  };

  Server(EventLoop& loop, Options options);

  absl::Status Open(const SocketAddress& address);
  void Accept(int listener);
  bool EvictIdle();
  bool Believes(const Request& request) const;
  const RouteEntry* FindRoute(const Request& request, std::string* allowed) const;

  void OnRequest(Request request, Responder responder) override;
  void OnTimeout(Connection::Timeout timeout) override;
  void OnClosed(Connection& connection) override;

  EventLoop& loop_;
  const Options options_;
  std::vector<SocketAddress> addresses_;
  std::vector<RouteEntry> routes_;
  Counters counters_;
  std::vector<Listener> listeners_;
  EventLoop::Timer accept_again_;
  absl::flat_hash_map<Connection*, std::shared_ptr<Connection>> connections_;
  // Closed, but perhaps still on the call stack; emptied by `bury_`.
  std::vector<std::shared_ptr<Connection>> closed_;
  EventLoop::Timer bury_;
};

}  // namespace portolan::http

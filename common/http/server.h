// The one HTTP server of all programs: admin, metrics, API, dashboard and webhook.
//
//   auto server = http::Server::Listen(loop, {.name = "admin", .listen = {address}});
//   (*server)->Get("/ready", [](const http::Request&, http::Responder responder) {
//     responder.Send(http::TextResponse(200, "ready"));
//   });
//
// HTTP/1.1 and 1.0 with keep-alive and pipelining; over TLS (Options::tls) HTTP/2 as well, by ALPN.
// Everything a peer can make it hold is bounded (Options). Lives on one EventLoop: every method,
// handler and answer is on that loop's thread, and the server is destroyed there, though not from
// within one of its handlers. Handlers must not block or throw. Answers to unknown paths (404) and
// methods (405) are its own; GET handlers answer HEAD as well.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
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
#include "common/http/tls.h"
#include "common/ip.h"
#include "common/metrics.h"
#include "common/tls_files.h"

namespace portolan::http {

using Handler = std::function<void(const Request&, Responder)>;

// What a gate found: nothing, the request is handled; else that is the answer to it.
using Admitted = std::function<void(std::optional<Response>)>;
using Gate = std::function<void(const Request&, Admitted)>;

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
    // What it shows to its clients. Nothing: it speaks in the clear.
    std::optional<TlsIdentity> tls{};
    // Asked before every handler, where given, and before it is said whether there is one. Calls
    // its Admitted once, at once or later; the request is there until it returns.
    Gate admit{};
    // Of every answer, but where its handler gives a field of that name.
    std::vector<Header> fields{};
    Limits limits{};
    Timeouts timeouts{};
    // Beyond it the connection that has been idle longest, or is still in its handshake, makes
    // room; is there none, the one that carries nothing but streams (stream.h) and has been silent
    // longest, so that those never keep ordinary requests out; is there none, the new one is
    // closed.
    size_t max_connections = 512;
  };

  // Listens at once, answers when the loop runs. An error names the address, or says why the
  // identity cannot be used; then nothing is open.
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
  // Handles what `other` does, by the same handlers, beside its own. `other` outlives it, and is on
  // the same loop.
  void RouteAs(const Server& other) { other_ = &other; }

  // In the order of Options::listen, with the port that port 0 became.
  const std::vector<SocketAddress>& addresses() const { return addresses_; }

  // REQUIRES: Options::tls was given. Connections that begin from now on are shown this identity.
  // An error says why it cannot be used; then the one before it stays.
  absl::Status SetIdentity(const TlsIdentity& identity);

  // Accepts no more; what is connected stays served.
  void StopListening();

  // The way out that fails no request, once. For `grace`, which is how long clients take to learn
  // that this server leaves, new connections are still taken, and every connection is bid go
  // elsewhere: HTTP/1.1 by `Connection: close` in its next answer, HTTP/2 by GOAWAY. Then it
  // listens no more, closes what is idle, ends all streams and answers what is under way, for
  // Timeouts::answer at most. `on_gone` is called when no connection is left; it must not destroy
  // the server.
  void Drain(absl::Duration grace, std::function<void()> on_gone);

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
    Counter reset;
    Counter refused_streams;
    Counter floods;
    Counter timeouts[5];    // by Connection::Timeout
    Counter handshakes[4];  // by Connection::Handshake
  };

  Server(EventLoop& loop, Options options);

  absl::Status Open(const SocketAddress& address);
  void Accept(int listener);
  bool Evict();
  Connection* LongestSilent(bool (Connection::*of_these)() const) const;
  bool Believes(const Request& request) const;
  const RouteEntry* FindRoute(const Request& request, std::string* allowed) const;
  std::vector<const RouteEntry*> RoutesOf(const Request& request) const;
  void Handle(const Request& request, Responder responder) const;

  std::vector<std::shared_ptr<Connection>> Connections() const;
  void EndGrace();

  std::unique_ptr<Session> MakeSession(Protocol protocol, RequestSink& sink) override;
  void OnRequest(Request request, Responder responder) override;
  void OnTimeout(Connection::Timeout timeout) override;
  void OnHandshake(const SocketAddress& peer, Connection::Handshake result,
                   std::string_view why) override;
  void OnTally(const Session::Tally& tally) override;
  void OnStreamGone(std::weak_ptr<const std::function<void()>> on_gone) override;
  void OnClosed(Connection& connection) override;

  EventLoop& loop_;
  const Options options_;
  TlsContext tls_;
  std::vector<SocketAddress> addresses_;
  std::vector<RouteEntry> routes_;
  const Server* other_ = nullptr;
  Counters counters_;
  std::vector<Listener> listeners_;
  EventLoop::Timer accept_again_;
  absl::flat_hash_map<Connection*, std::shared_ptr<Connection>> connections_;
  // Closed, but perhaps still on the call stack; emptied by `bury_`.
  std::vector<std::shared_ptr<Connection>> closed_;
  // Of streams; called by it, so that nobody is called from within his own Send.
  std::vector<std::weak_ptr<const std::function<void()>>> gone_;
  EventLoop::Timer bury_;
  absl::Duration next_complaint_ = absl::ZeroDuration();  // of a handshake, by Monotonic
  bool draining_ = false;
  std::function<void()> on_gone_;  // set once the grace is over
  EventLoop::Timer leave_;
  // Gates that have yet to answer have a weak reference.
  const std::shared_ptr<Server*> self_ = std::make_shared<Server*>(this);
};

}  // namespace portolan::http

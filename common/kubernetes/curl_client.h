// The ApiClient that speaks to a real server: libcurl on the event loop, without a thread of its
// own (but for names, which libcurl resolves on one of its).
//
// HTTP/2 where the server offers it by ALPN: then all requests share one connection, up to 100 at a
// time; HTTP/1.1 otherwise. TLS 1.2 or 1.3. Answers may come gzipped. Redirects are not followed.
//
// A server that is gone without a word is found in two ways. TCP asks a connection that is idle for
// 15 s for a sign of life, and gives it up when nothing comes for 20 s. And where a request's time
// or silence is over, each connection from which nothing came for as long is closed, so that the
// next request does not take it again.
#pragma once

#include <curl/curl.h>
#include <sys/socket.h>

#include <array>
#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "common/event_loop.h"
#include "common/kubernetes/access.h"
#include "common/kubernetes/api_client.h"
#include "common/metrics.h"

namespace portolan {

class CurlClient : public ApiClient {
 public:
  // `user_agent` as "portolan-control/1.0": to one that begins with "curl/" the server sends
  // indented JSON. `loop` outlives the client; the client outlives its exchanges, and is not
  // destroyed by a call of theirs.
  CurlClient(EventLoop& loop, std::unique_ptr<AccessSource> access, std::string user_agent);
  ~CurlClient() override;
  CurlClient(const CurlClient&) = delete;
  CurlClient& operator=(const CurlClient&) = delete;

  std::unique_ptr<Exchange> Start(ApiRequest request, Listener& listener) override;

  // Any thread, while the client lives.
  void AddMetrics(MetricFamilies& families) const;

 private:
  class Running;
  class Handle;
  struct Socket;
  using RunningPtr = std::shared_ptr<Running>;
  // What became of a request: the class of its status, or that there was none.
  enum Outcome { k2xx, k3xx, k4xx, k5xx, kFailed, kCancelled, kOutcomes };

  // libcurl's callbacks; `client` is this.
  static int OnSocketWanted(CURL*, curl_socket_t fd, int what, void* client, void*);
  static int OnTimerWanted(CURLM*, long timeout_ms, void* client);
  static curl_socket_t OpenSocket(void* client, curlsocktype, curl_sockaddr* address);
  static int CloseSocket(void* client, curl_socket_t fd);

  void DoSoon();
  void Connect(const RunningPtr& running, const absl::StatusOr<AccessPtr>& access);
  void Bury(curl_socket_t fd);
  void OnReady(curl_socket_t fd, int events);
  void OnTime(Running& running);
  void CloseSilent(absl::Duration since);
  void Drive(curl_socket_t fd, int events);
  void Cancel(Running& running);
  void Finish(Running& running, const absl::Status& status);
  void Remove(Running& running);

  EventLoop& loop_;
  const std::unique_ptr<AccessSource> access_;
  const std::string user_agent_;
  std::array<Counter, kOutcomes> outcomes_;
  Counter connections_;

  CURLM* const multi_;
  bool in_curl_ = false;  // libcurl is on the stack: none of its handles may come or go
  EventLoop::Timer timer_;
  absl::flat_hash_map<curl_socket_t, std::unique_ptr<Socket>> sockets_;
  absl::flat_hash_map<Running*, RunningPtr> running_;

  // For the next turn of the loop: requests to be started; what is removed but may be on the stack.
  EventLoop::Timer soon_;
  std::vector<std::weak_ptr<Running>> waiting_;
  std::vector<RunningPtr> cancelled_in_curl_;
  std::vector<RunningPtr> removed_;
  std::vector<std::unique_ptr<Socket>> removed_sockets_;
};

}  // namespace portolan

#include "common/kubernetes/curl_client.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <optional>
#include <utility>

#include "common/kubernetes/curl_transfer.h"
#include "common/log.h"
#include "common/monotonic.h"
#include "common/socket_option.h"
#include "common/status.h"

namespace portolan {
namespace {

constexpr int kKeepaliveIdleSeconds = 15;
constexpr int kKeepaliveEverySeconds = 5;
constexpr int kUnansweredMs = 20'000;

CURLM* MakeMulti() {
  static const CURLcode started = curl_global_init(CURL_GLOBAL_DEFAULT);
  CURLM* multi = started == CURLE_OK ? curl_multi_init() : nullptr;
  if (multi == nullptr) {
    log::error("libcurl cannot be started");
    std::abort();  // out of memory
  }
  return multi;
}

}  // namespace

// A descriptor that libcurl has an interest in.
struct CurlClient::Socket {
  std::optional<EventLoop::Watch> read;
  std::optional<EventLoop::Watch> write;
  bool is_connection = false;  // else one of its resolver's
  absl::Duration heard;        // when something came last, as Monotonic() has it

  void Listen(const std::function<EventLoop::Watch(EventLoop::Interest)>& watch, int what) {
    Set(read, (what & CURL_POLL_IN) != 0, [&] { return watch(EventLoop::Interest::kRead); });
    Set(write, (what & CURL_POLL_OUT) != 0, [&] { return watch(EventLoop::Interest::kWrite); });
  }

  // A watch may be on the stack, so it is disabled, never destroyed.
  template <typename Make>
  static void Set(std::optional<EventLoop::Watch>& watch, bool wanted, Make make) {
    if (!watch.has_value()) {
      if (wanted) watch = make();
    } else if (wanted) {
      watch->Enable();
    } else {
      watch->Disable();
    }
  }
};

class CurlClient::Running : public CurlTransfer {
 public:
  Running(CurlClient& client, ApiRequest request, Listener& listener)
      : CurlTransfer(std::move(request), listener, *client.access_),
        timer_(client.loop_.AddTimer([this, &client] { client.OnTime(*this); })) {
    SetTimer();
  }

  // When the request's time or its silence is over, whichever is first.
  absl::Duration due() const {
    return std::min(made() + request().timeout, heard() + request().silence);
  }
  bool is_silent() const { return heard() + request().silence < made() + request().timeout; }
  void SetTimer() {
    if (due() != absl::InfiniteDuration()) timer_.Start(due() - Monotonic());
  }
  void End() {
    timer_.Cancel();
    ended_ = true;
  }
  bool ended() const { return ended_; }

  bool added = false;  // libcurl has it

 private:
  EventLoop::Timer timer_;
  bool ended_ = false;
};

class CurlClient::Handle : public Exchange {
 public:
  Handle(CurlClient& client, RunningPtr running) : client_(client), running_(std::move(running)) {}
  ~Handle() override {
    if (!running_->ended()) client_.Cancel(*running_);
  }

 private:
  CurlClient& client_;
  const RunningPtr running_;
};

CurlClient::CurlClient(EventLoop& loop, std::unique_ptr<AccessSource> access,
                       std::string user_agent)
    : loop_(loop),
      access_(std::move(access)),
      user_agent_(std::move(user_agent)),
      multi_(MakeMulti()),
      timer_(loop.AddTimer([this] { Drive(CURL_SOCKET_TIMEOUT, 0); })),
      soon_(loop.AddTimer([this] { DoSoon(); })) {
  curl_multi_setopt(multi_, CURLMOPT_PIPELINING, static_cast<long>(CURLPIPE_MULTIPLEX));
  curl_multi_setopt(multi_, CURLMOPT_SOCKETFUNCTION, OnSocketWanted);
  curl_multi_setopt(multi_, CURLMOPT_SOCKETDATA, this);
  curl_multi_setopt(multi_, CURLMOPT_TIMERFUNCTION, OnTimerWanted);
  curl_multi_setopt(multi_, CURLMOPT_TIMERDATA, this);
}

CurlClient::~CurlClient() {
  for (const auto& [key, running] : running_) {
    if (running->added) curl_multi_remove_handle(multi_, running->easy());
  }
  curl_multi_cleanup(multi_);  // closes what is connected
}

std::unique_ptr<ApiClient::Exchange> CurlClient::Start(ApiRequest request, Listener& listener) {
  auto running = std::make_shared<Running>(*this, std::move(request), listener);
  running_.emplace(running.get(), running);
  waiting_.push_back(running);
  soon_.Start(absl::ZeroDuration());
  return std::make_unique<Handle>(*this, std::move(running));
}

void CurlClient::DoSoon() {
  removed_.clear();
  removed_sockets_.clear();
  for (const auto& waiting : std::exchange(waiting_, {})) {
    const RunningPtr running = waiting.lock();
    if (running == nullptr || running->ended()) continue;
    access_->Get([this, waiting](const absl::StatusOr<AccessPtr>& access) {
      const RunningPtr still = waiting.lock();
      if (still != nullptr && !still->ended()) Connect(still, access);
    });
  }
}

void CurlClient::Connect(const RunningPtr& running, const absl::StatusOr<AccessPtr>& access) {
  if (!access.ok()) return Finish(*running, access.status());
  absl::Status prepared = running->Prepare(*access, user_agent_);
  if (!prepared.ok()) return Finish(*running, prepared);
  CURL* const easy = running->easy();
  curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, OpenSocket);
  curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, this);
  curl_easy_setopt(easy, CURLOPT_CLOSESOCKETFUNCTION, CloseSocket);
  curl_easy_setopt(easy, CURLOPT_CLOSESOCKETDATA, this);
  running->added = true;
  curl_multi_add_handle(multi_, easy);  // which sets the timer
}

curl_socket_t CurlClient::OpenSocket(void* client, curlsocktype, curl_sockaddr* address) {
  auto& self = *static_cast<CurlClient*>(client);
  const int fd = socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
  if (fd < 0) return CURL_SOCKET_BAD;
  SetOption(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
  SetOption(fd, IPPROTO_TCP, TCP_KEEPIDLE, kKeepaliveIdleSeconds);
  SetOption(fd, IPPROTO_TCP, TCP_KEEPINTVL, kKeepaliveEverySeconds);
  SetOption(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, kUnansweredMs);
  auto known = std::make_unique<Socket>();
  known->is_connection = true;
  known->heard = Monotonic();
  self.sockets_.insert_or_assign(fd, std::move(known));
  self.connections_.Add();
  return fd;
}

int CurlClient::CloseSocket(void* client, curl_socket_t fd) {
  static_cast<CurlClient*>(client)->Bury(fd);
  return close(fd);
}

int CurlClient::OnSocketWanted(CURL*, curl_socket_t fd, int what, void* client, void*) {
  auto& self = *static_cast<CurlClient*>(client);
  auto found = self.sockets_.find(fd);
  if (found == self.sockets_.end()) {
    if (what == CURL_POLL_REMOVE) return 0;
    found = self.sockets_.emplace(fd, std::make_unique<Socket>()).first;
  }
  Socket& socket = *found->second;
  socket.Listen(
      [&self, fd](EventLoop::Interest interest) {
        const int event =
            interest == EventLoop::Interest::kRead ? CURL_CSELECT_IN : CURL_CSELECT_OUT;
        return self.loop_.AddWatch(fd, interest, [&self, fd, event] { self.OnReady(fd, event); });
      },
      what == CURL_POLL_REMOVE ? 0 : what);
  if (what == CURL_POLL_REMOVE && !socket.is_connection) self.Bury(fd);
  return 0;
}

void CurlClient::Bury(curl_socket_t fd) {
  const auto found = sockets_.find(fd);
  if (found == sockets_.end()) return;
  Socket& socket = *found->second;
  if (socket.read.has_value()) socket.read->Disable();
  if (socket.write.has_value()) socket.write->Disable();
  removed_sockets_.push_back(std::move(found->second));
  sockets_.erase(found);
  soon_.Start(absl::ZeroDuration());
}

int CurlClient::OnTimerWanted(CURLM*, long timeout_ms, void* client) {
  auto& self = *static_cast<CurlClient*>(client);
  if (timeout_ms < 0) {
    self.timer_.Cancel();
  } else {
    self.timer_.Start(absl::Milliseconds(timeout_ms));
  }
  return 0;
}

void CurlClient::OnReady(curl_socket_t fd, int events) {
  const auto found = sockets_.find(fd);
  if (found == sockets_.end()) return;
  if ((events & CURL_CSELECT_IN) != 0) found->second->heard = Monotonic();
  Drive(fd, events);
}

void CurlClient::Drive(curl_socket_t fd, int events) {
  in_curl_ = true;
  int active = 0;
  curl_multi_socket_action(multi_, fd, events, &active);
  in_curl_ = false;
  for (const RunningPtr& cancelled : std::exchange(cancelled_in_curl_, {})) Remove(*cancelled);
  int left = 0;
  while (const CURLMsg* message = curl_multi_info_read(multi_, &left)) {
    if (message->msg != CURLMSG_DONE) continue;
    CurlTransfer* transfer = nullptr;
    curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &transfer);
    Finish(static_cast<Running&>(*transfer), transfer->Explain(message->data.result));
  }
}

void CurlClient::OnTime(Running& running) {
  if (Monotonic() < running.due()) return running.SetTimer();
  const bool silent = running.is_silent();
  const ApiRequest& request = running.request();
  const std::string fault =
      silent ? fmt::format("nothing came for {}", absl::FormatDuration(request.silence))
             : fmt::format("not done within {}", absl::FormatDuration(request.timeout));
  CloseSilent(silent ? running.heard() : running.made());
  Finish(running, running.Failure(absl::StatusCode::kDeadlineExceeded, fault));
}

// A connection that shares its silence with other requests ends them as well, with an error.
void CurlClient::CloseSilent(absl::Duration since) {
  for (const auto& [fd, socket] : sockets_) {
    if (socket->is_connection && socket->heard <= since) shutdown(fd, SHUT_RDWR);
  }
}

void CurlClient::Cancel(Running& running) {
  running.Silence();
  running.End();
  outcomes_[kCancelled].Add();
  if (in_curl_) {
    cancelled_in_curl_.push_back(running_.at(&running));
  } else {
    Remove(running);
  }
}

void CurlClient::Finish(Running& running, const absl::Status& status) {
  running.End();
  Remove(running);
  const int answered = std::min(running.status() / 100 - 2, static_cast<int>(k5xx));
  outcomes_[status.ok() && answered >= 0 ? static_cast<size_t>(answered) : size_t{kFailed}].Add();
  if (Listener* listener = running.TakeListener()) listener->OnEnd(status);
}

void CurlClient::Remove(Running& running) {
  if (running.added) curl_multi_remove_handle(multi_, running.easy());
  const auto found = running_.find(&running);
  removed_.push_back(std::move(found->second));
  running_.erase(found);
  soon_.Start(absl::ZeroDuration());
}

void CurlClient::AddMetrics(MetricFamilies& families) const {
  constexpr std::array<std::string_view, kOutcomes> kNames = {"2xx", "3xx",    "4xx",
                                                              "5xx", "failed", "cancelled"};
  for (size_t i = 0; i < kNames.size(); ++i) {
    AddCounterSample(families, "portolan_kubernetes_requests_total",
                     "Requests to the API server that have ended, by status.",
                     {{"result", kNames[i]}}, static_cast<double>(outcomes_[i].value()));
  }
  AddCounterSample(families, "portolan_kubernetes_connections_total",
                   "Connections to the API server that were tried.", {},
                   static_cast<double>(connections_.value()));
}

}  // namespace portolan

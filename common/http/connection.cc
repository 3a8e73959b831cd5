#include "common/http/connection.h"

#include <sys/socket.h>

#include <cerrno>
#include <utility>

namespace portolan::http {
namespace {

constexpr size_t kReadBytes = 16 * 1024;
constexpr size_t kMaxLingeredBytes = 8 * 1024 * 1024;

}  // namespace

void Connection::Start(const std::function<std::unique_ptr<Session>(RequestSink&)>& make_session) {
  session_ = make_session(*this);
  readable_ = loop_.AddWatch(fd_.get(), EventLoop::Interest::kRead, [this] { OnReadable(); });
  writable_ = loop_.AddWatch(fd_.get(), EventLoop::Interest::kWrite, [this] { Advance({}); });
  timer_ = loop_.AddTimer([this] { OnDeadline(); });
  Settle();
}

bool Connection::idle() const {
  return mode_ == Mode::kOpen && session_->phase() == Session::Phase::kIdle &&
         session_->output().empty();
}

void Connection::Close() {
  if (mode_ == Mode::kClosed) return;
  mode_ = Mode::kClosed;
  readable_.Disable();
  writable_.Disable();
  timer_.Cancel();
  fd_.Reset();
  owner_.OnClosed(*this);
}

void Connection::OnReadable() {
  char buffer[kReadBytes];
  const ssize_t n = recv(fd_.get(), buffer, sizeof buffer, 0);
  if (n < 0) {
    if (errno != EAGAIN && errno != EINTR) Close();
    return;
  }
  if (mode_ == Mode::kLingering) {
    lingered_bytes_ += static_cast<size_t>(n);
    if (n == 0 || lingered_bytes_ > kMaxLingeredBytes) Close();
    return;
  }
  if (n == 0) peer_done_ = true;
  Advance({buffer, static_cast<size_t>(n)});
}

void Connection::OnRequest(StreamId stream, Request request) {
  // The peer may be gone, and this object with it, when the handler answers.
  Responder responder([weak = weak_from_this(), stream](const Response& response) {
    if (auto self = weak.lock())
      std::static_pointer_cast<Connection>(self)->Answer(stream, response);
  });
  owner_.OnRequest(std::move(request), std::move(responder));
}

void Connection::Answer(StreamId stream, const Response& response) {
  if (mode_ != Mode::kOpen) return;
  session_->Respond(stream, response);
  if (!in_session_) Advance({});
}

// Lets the session make all the progress it can, then arranges for what comes next.
void Connection::Advance(std::string_view bytes) {
  if (mode_ != Mode::kOpen) return;
  do {
    in_session_ = true;
    session_->Receive(std::exchange(bytes, {}));
    in_session_ = false;
    if (WriteOutput() == Written::kFailed) {
      Close();
      return;
    }
  } while (session_->held_back());
  Settle();
}

Connection::Written Connection::WriteOutput() {
  std::string& output = session_->output();
  size_t sent = 0;
  Written written = Written::kAll;
  while (sent < output.size()) {
    const ssize_t n =
        send(fd_.get(), output.data() + sent, output.size() - sent, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n < 0) {
      if (errno == EINTR) continue;
      written = errno == EAGAIN ? Written::kSome : Written::kFailed;
      break;
    }
    sent += static_cast<size_t>(n);
  }
  output.erase(0, sent);
  wrote_ = wrote_ || sent > 0;
  return written;
}

bool Connection::over() const {
  return session_->finished() || (peer_done_ && session_->phase() != Session::Phase::kAnswering);
}

void Connection::Settle() {
  last_active_ = std::chrono::steady_clock::now();
  const bool pending = !session_->output().empty();
  if (over() && !pending) {
    Linger();
    return;
  }
  if (session_->wants_input() && !peer_done_) {
    readable_.Enable();
  } else {
    readable_.Disable();
  }
  if (pending) {
    writable_.Enable();
  } else {
    writable_.Disable();
  }
  SetDeadline();
}

void Connection::Linger() {
  if (peer_done_ || shutdown(fd_.get(), SHUT_WR) != 0) {
    Close();
    return;
  }
  mode_ = Mode::kLingering;
  writable_.Disable();
  readable_.Enable();
  timer_.Start(timeouts_.linger);
}

void Connection::SetDeadline() {
  Deadline next = Deadline::kIdle;
  absl::Duration delay = timeouts_.idle;
  switch (session_->phase()) {
    case Session::Phase::kIdle:
      break;
    case Session::Phase::kHead:
      next = Deadline::kHead;
      delay = timeouts_.header;
      break;
    case Session::Phase::kBody:
      next = Deadline::kBody;
      delay = timeouts_.body;
      break;
    case Session::Phase::kAnswering:
      next = Deadline::kAnswer;
      delay = timeouts_.answer;
      break;
  }
  if (!session_->output().empty()) {
    next = Deadline::kWrite;
    delay = timeouts_.idle;
  }
  const bool progress = next == Deadline::kWrite && wrote_;
  wrote_ = false;
  if (next == deadline_ && session_->requests_begun() == deadline_request_ && !progress) return;
  deadline_ = next;
  deadline_request_ = session_->requests_begun();
  timer_.Start(delay);
}

void Connection::OnDeadline() {
  if (mode_ == Mode::kLingering) {
    Close();
    return;
  }
  switch (deadline_) {
    case Deadline::kNone:
    case Deadline::kIdle:
      owner_.OnTimeout(Timeout::kIdle);
      Close();
      return;
    case Deadline::kWrite:
      owner_.OnTimeout(Timeout::kWrite);
      Close();
      return;
    case Deadline::kHead:
    case Deadline::kBody:
      owner_.OnTimeout(Timeout::kRead);
      session_->Abort(408, "the request did not arrive in time");
      break;
    case Deadline::kAnswer:
      owner_.OnTimeout(Timeout::kAnswer);
      session_->Abort(503, "no answer in time");
      break;
  }
  Advance({});
}

}  // namespace portolan::http

#include "common/http/connection.h"

#include <sys/socket.h>

#include <cerrno>
#include <utility>

namespace portolan::http {
namespace {

constexpr size_t kReadBytes = 16 * 1024;
constexpr size_t kMaxLingeredBytes = 8 * 1024 * 1024;

}  // namespace

// The peer may be gone, and the connection with it, when the handler answers.
class Connection::AnswerCarrier : public Responder::Carrier {
 public:
  AnswerCarrier(Connection& connection, StreamId stream)
      : connection_(connection.weak_self()), stream_(stream) {}

  void Send(const Response& response) override {
    if (const auto connection = connection_.lock()) connection->Answer(stream_, response);
  }
  Stream Begin(const Response& head, std::function<void()> on_gone) override {
    const auto connection = connection_.lock();
    if (connection == nullptr) return {};
    return connection->BeginStream(stream_, head, std::move(on_gone));
  }

 private:
  const std::weak_ptr<Connection> connection_;
  const StreamId stream_;
};

class Connection::StreamCarrier : public Stream::Carrier {
 public:
  StreamCarrier(Connection& connection, StreamId stream,
                std::shared_ptr<const std::function<void()>> on_gone)
      : connection_(connection.weak_self()), stream_(stream), on_gone_(std::move(on_gone)) {}

  void Send(std::string_view bytes) override {
    if (const auto connection = connection_.lock()) connection->SendStream(stream_, bytes);
  }
  void End() override {
    if (const auto connection = connection_.lock()) connection->EndStream(stream_);
  }
  size_t unsent() const override {
    const auto connection = connection_.lock();
    return connection == nullptr ? 0 : connection->Unsent(stream_);
  }
  bool open() const override {
    const auto connection = connection_.lock();
    return connection != nullptr && connection->streams_.contains(stream_);
  }

 private:
  const std::weak_ptr<Connection> connection_;
  const StreamId stream_;
  const std::shared_ptr<const std::function<void()>> on_gone_;
};

std::weak_ptr<Connection> Connection::weak_self() {
  return std::static_pointer_cast<Connection>(shared_from_this());
}

void Connection::Start() {
  if (tls_ == nullptr) session_ = owner_.MakeSession(Protocol::kHttp1, *this);
  readable_ = loop_.AddWatch(fd_.get(), EventLoop::Interest::kRead, [this] { OnReadable(); });
  writable_ = loop_.AddWatch(fd_.get(), EventLoop::Interest::kWrite, [this] { Advance({}); });
  timer_ = loop_.AddTimer([this] { OnDeadline(); });
  Settle();
}

bool Connection::idle() const {
  if (mode_ != Mode::kOpen) return false;
  return session_ == nullptr || (session_->phase() == Session::Phase::kIdle && !pending());
}

bool Connection::streaming() const {
  return mode_ == Mode::kOpen && session_ != nullptr &&
         session_->phase() == Session::Phase::kStreaming;
}

bool Connection::pending() const {
  if (tls_ == nullptr) return !session_->output().empty();
  if (!tls_->output().empty()) return true;
  return session_ != nullptr && tls_->state() != TlsStream::State::kFailed &&
         !session_->output().empty();
}

void Connection::Drain() {
  if (mode_ != Mode::kOpen || session_ == nullptr) return;
  session_->Drain();
  if (!in_session_) Advance({});
}

void Connection::Finish() {
  if (mode_ != Mode::kOpen || session_ == nullptr) return;
  session_->Finish();
  LoseStreams();
  if (!in_session_) Advance({});
}

void Connection::Close() {
  if (mode_ == Mode::kClosed) return;
  mode_ = Mode::kClosed;
  LoseStreams();
  readable_.Disable();
  writable_.Disable();
  timer_.Cancel();
  fd_.Reset();
  if (session_ != nullptr) owner_.OnTally(session_->TakeTally());
  owner_.OnClosed(*this);
}

void Connection::OnReadable() {
  char buffer[kReadBytes];
  const ssize_t n = recv(fd_.get(), buffer, sizeof buffer, 0);
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (n <= 0 && mode_ == Mode::kOpen && session_ == nullptr) {
    owner_.OnHandshake(peer_, Handshake::kGone, {});
    Close();
    return;
  }
  if (n < 0) {
    Close();
    return;
  }
  if (mode_ == Mode::kLingering) {
    lingered_bytes_ += static_cast<size_t>(n);
    if (n == 0 || lingered_bytes_ > kMaxLingeredBytes) Close();
    return;
  }
  if (n == 0) peer_done_ = true;
  const std::string_view received(buffer, static_cast<size_t>(n));
  if (tls_ != nullptr) {
    Decrypt(received);
  } else {
    Advance(received);
  }
}

void Connection::Decrypt(std::string_view received) {
  std::string plaintext;
  tls_->Receive(received, plaintext);
  const TlsStream::State state = tls_->state();
  if (state == TlsStream::State::kEnded) peer_done_ = true;
  if (session_ == nullptr && state == TlsStream::State::kFailed) {
    owner_.OnHandshake(peer_, Handshake::kFailed, tls_->error());
  } else if (session_ == nullptr && state != TlsStream::State::kHandshaking) {
    const Protocol protocol = tls_->protocol();
    session_ = owner_.MakeSession(protocol, *this);
    owner_.OnHandshake(peer_, protocol == Protocol::kHttp2 ? Handshake::kHttp2 : Handshake::kHttp1,
                       {});
  }
  Advance(plaintext);
}

void Connection::OnRequest(StreamId stream, Request request) {
  owner_.OnRequest(std::move(request), Responder(std::make_unique<AnswerCarrier>(*this, stream)));
}

void Connection::Answer(StreamId stream, const Response& response) {
  if (mode_ != Mode::kOpen) return;
  session_->Respond(stream, response);
  if (!in_session_) Advance({});
}

Stream Connection::BeginStream(StreamId stream, const Response& head,
                               std::function<void()> on_gone) {
  if (mode_ != Mode::kOpen) return {};
  Stream made;
  if (session_->Begin(stream, head)) {
    const auto shared = std::make_shared<const std::function<void()>>(std::move(on_gone));
    streams_.emplace(stream, shared);
    made = Stream(std::make_unique<StreamCarrier>(*this, stream, shared));
  }
  if (!in_session_) Advance({});
  return made;
}

void Connection::SendStream(StreamId stream, std::string_view bytes) {
  if (mode_ != Mode::kOpen || !streams_.contains(stream)) return;
  session_->Send(stream, bytes);
  if (!in_session_) Advance({});
}

void Connection::EndStream(StreamId stream) {
  if (mode_ != Mode::kOpen || streams_.erase(stream) == 0) return;
  session_->End(stream);
  if (!in_session_) Advance({});
}

size_t Connection::Unsent(StreamId stream) const {
  if (mode_ != Mode::kOpen || !streams_.contains(stream)) return 0;
  return session_->held(stream) + session_->output().size() +
         (tls_ == nullptr ? 0 : tls_->output().size());
}

void Connection::OnGone(StreamId stream) {
  const auto it = streams_.find(stream);
  if (it == streams_.end()) return;
  owner_.OnStreamGone(std::move(it->second));
  streams_.erase(it);
}

void Connection::LoseStreams() {
  for (auto& [stream, on_gone] : streams_) owner_.OnStreamGone(std::move(on_gone));
  streams_.clear();
}

// Lets the session make all the progress it can, then arranges for what comes next.
void Connection::Advance(std::string_view bytes) {
  if (mode_ != Mode::kOpen) return;
  do {
    if (session_ != nullptr) {
      in_session_ = true;
      session_->Receive(std::exchange(bytes, {}));
      in_session_ = false;
    }
    if (WriteOutput() == Written::kFailed) {
      Close();
      return;
    }
  } while (session_ != nullptr && session_->held_back());
  if (session_ != nullptr) owner_.OnTally(session_->TakeTally());
  Settle();
}

Connection::Written Connection::WriteOutput() {
  if (tls_ == nullptr) return Write(session_->output());
  Written written = Write(tls_->output());
  if (session_ == nullptr) return written;
  std::string& plaintext = session_->output();
  size_t taken = 0;
  while (written == Written::kAll && taken < plaintext.size()) {
    const size_t n = tls_->Send(std::string_view(plaintext).substr(taken));
    if (n == 0) break;
    taken += n;
    written = Write(tls_->output());
  }
  plaintext.erase(0, taken);
  return written;
}

Connection::Written Connection::Write(std::string& bytes) {
  size_t sent = 0;
  Written written = Written::kAll;
  while (sent < bytes.size()) {
    const ssize_t n =
        send(fd_.get(), bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n < 0) {
      if (errno == EINTR) continue;
      written = errno == EAGAIN ? Written::kSome : Written::kFailed;
      break;
    }
    sent += static_cast<size_t>(n);
  }
  bytes.erase(0, sent);
  wrote_ = wrote_ || sent > 0;
  return written;
}

bool Connection::over() const {
  if (tls_ != nullptr && tls_->state() == TlsStream::State::kFailed) return true;
  if (session_ == nullptr) return false;
  return session_->finished() || (peer_done_ && session_->phase() != Session::Phase::kAnswering);
}

void Connection::Settle() {
  // A handshake that drags on does not count as activity.
  if (session_ != nullptr) last_active_ = std::chrono::steady_clock::now();
  const bool ended = over();
  if (ended && !pending()) {
    Linger();
    return;
  }
  const bool wants_input = session_ == nullptr || session_->wants_input();
  if (wants_input && !ended && !peer_done_) {
    readable_.Enable();
  } else {
    readable_.Disable();
  }
  if (pending()) {
    writable_.Enable();
  } else {
    writable_.Disable();
  }
  SetDeadline();
}

void Connection::Linger() {
  if (tls_ != nullptr) {
    tls_->End();
    Write(tls_->output());
  }
  if (peer_done_ || shutdown(fd_.get(), SHUT_WR) != 0) {
    Close();
    return;
  }
  mode_ = Mode::kLingering;
  writable_.Disable();
  readable_.Enable();
  timer_.Start(timeouts_.linger);
}

std::pair<Connection::Deadline, absl::Duration> Connection::NextDeadline() const {
  if (session_ == nullptr) return {Deadline::kHandshake, timeouts_.handshake};
  if (pending()) return {Deadline::kWrite, timeouts_.idle};
  switch (session_->phase()) {
    case Session::Phase::kIdle:
      break;
    case Session::Phase::kHead:
      return {Deadline::kHead, timeouts_.header};
    case Session::Phase::kBody:
      return {Deadline::kBody, timeouts_.body};
    case Session::Phase::kAnswering:
      return {Deadline::kAnswer, timeouts_.answer};
    case Session::Phase::kSending:
      return {Deadline::kSend, timeouts_.idle};
    case Session::Phase::kStreaming:
      return {Deadline::kNever, absl::InfiniteDuration()};
  }
  return {Deadline::kIdle, timeouts_.idle};
}

void Connection::SetDeadline() {
  const auto [next, delay] = NextDeadline();
  const StreamId request = session_ == nullptr ? 0 : session_->phase_stream();
  const uint64_t sent = next == Deadline::kSend ? session_->phase_progress() : 0;
  const bool progress = (next == Deadline::kWrite && wrote_) || sent != deadline_progress_;
  wrote_ = false;
  if (next == deadline_ && request == deadline_request_ && !progress) return;
  deadline_ = next;
  deadline_request_ = request;
  deadline_progress_ = sent;
  if (next == Deadline::kNever) return timer_.Cancel();
  timer_.Start(delay);
}

void Connection::OnDeadline() {
  if (mode_ == Mode::kLingering) {
    Close();
    return;
  }
  const Deadline missed = std::exchange(deadline_, Deadline::kNone);
  switch (missed) {
    case Deadline::kNone:
    case Deadline::kNever:
    case Deadline::kIdle:
      owner_.OnTimeout(Timeout::kIdle);
      session_->Finish();
      break;
    case Deadline::kHandshake:
      owner_.OnTimeout(Timeout::kHandshake);
      Close();
      return;
    case Deadline::kSend:
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

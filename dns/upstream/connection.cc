#include "dns/upstream/connection.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>

#include "common/socket_option.h"
#include "dns/upstream/stream_pool.h"
#include "dns/wire/bytes.h"

namespace portolan::dns::upstream {
namespace {

// Reads in one turn, so that one server does not starve the loop.
constexpr int kReadsPerTurn = 16;

// What was read in one call goes into the room for one.
static_assert(std::tuple_size_v<decltype(Context::datagram)> <= Framing::kReadBytes);

void Append(std::vector<uint8_t>& out, std::span<const uint8_t> bytes) {
  out.insert(out.end(), bytes.begin(), bytes.end());
}

}  // namespace

Connection::Connection(Context& context, StreamPool& pool)
    : context_(context),
      pool_(pool),
      socket_(context),
      timer_(context.loop.AddTimer([this] { OnTimer(); })) {}

Connection::~Connection() {
  if (gone_ != nullptr) *gone_ = true;
}

Started Connection::Open() {
  const Started started = socket_.Open(pool_.address(), SOCK_STREAM);
  if (started != Started::kYes) return started;
  SetOption(socket_.fd(), IPPROTO_TCP, TCP_NODELAY);
  write_ =
      context_.loop.AddWatch(socket_.fd(), EventLoop::Interest::kWrite, [this] { OnWritable(); });
  heard_at_ = Clock::now();
  timer_.Start(kDeadAfter);
  return Started::kYes;
}

uint16_t Connection::Send(Attempt& attempt, const Outgoing& outgoing) {
  Slot& slot = *std::find_if(slots_.begin(), slots_.end(), [](const Slot& s) { return !s.taken; });
  uint16_t id = context_.random.Next16();
  while (Find(id) != nullptr) ++id;
  slot = {true, id, &attempt};
  if (in_flight_++ == 0 && state_ == State::kOpen) {
    heard_at_ = Clock::now();
    timer_.Start(kDeadAfter);
  }
  uint8_t front[4];
  wire::Store16(front, static_cast<uint16_t>(outgoing.request.size()));
  wire::Store16(front + 2, id);
  std::vector<uint8_t>& out = pool_.trust() != nullptr ? plain_ : out_;
  Append(out, front);
  Append(out, outgoing.header().subspan(2));
  Append(out, outgoing.question);
  Append(out, outgoing.tail());
  if (state_ == State::kOpen) {
    Encrypt();
    // Sent when the loop turns: what is asked together travels together, and nothing fails here.
    write_.Enable();
  }
  return id;
}

void Connection::Encrypt() {
  if (!tls_.has_value() || plain_.empty()) return;
  tls_->Write(plain_);
  plain_.clear();
  tls_->TakeOutput(out_);
}

void Connection::Abandon(const Attempt& attempt) {
  for (Slot& slot : slots_) {
    if (slot.attempt == &attempt) slot.attempt = nullptr;
  }
}

void Connection::Finish(uint16_t id) {
  *Find(id) = Slot();
  --in_flight_;
}

bool Connection::wanted() const {
  return std::any_of(slots_.begin(), slots_.end(),
                     [](const Slot& slot) { return slot.attempt != nullptr; });
}

Connection::Slot* Connection::Find(uint16_t id) {
  const auto found = std::find_if(slots_.begin(), slots_.end(),
                                  [&](const Slot& s) { return s.taken && s.id == id; });
  return found == slots_.end() ? nullptr : &*found;
}

void Connection::OnWritable() {
  if (state_ == State::kConnecting) {
    int error = 0;
    socklen_t length = sizeof error;
    getsockopt(socket_.fd(), SOL_SOCKET, SO_ERROR, &error, &length);
    if (error != 0) return Fail(AttemptError::kNetwork);
    read_ =
        context_.loop.AddWatch(socket_.fd(), EventLoop::Interest::kRead, [this] { OnReadable(); });
    state_ = State::kOpen;
    if (pool_.trust() != nullptr) {
      state_ = State::kHandshaking;
      tls_.emplace(*pool_.trust(), pool_.tls_name(), pool_.address().ip, pool_.session());
      tls_->Receive({});
      tls_->TakeOutput(out_);
    }
  }
  Flush();
}

void Connection::Flush() {
  while (out_at_ < out_.size()) {
    const ssize_t n =
        send(socket_.fd(), out_.data() + out_at_, out_.size() - out_at_, MSG_NOSIGNAL);
    if (n < 0) {
      if (WouldBlock()) return write_.Enable();
      return Fail(AttemptError::kNetwork);
    }
    out_at_ += static_cast<size_t>(n);
  }
  out_.clear();
  out_at_ = 0;
  write_.Disable();
}

void Connection::OnReadable() {
  for (int i = 0; i < kReadsPerTurn; ++i) {
    const ssize_t n = recv(socket_.fd(), context_.datagram.data(), context_.datagram.size(), 0);
    if (n < 0 && WouldBlock()) break;
    if (n <= 0) {
      return state_ == State::kHandshaking ? FailTls() : Fail(AttemptError::kNetwork);
    }
    if (!Receive({context_.datagram.data(), static_cast<size_t>(n)})) return;
  }
  Settle();
}

bool Connection::Receive(std::span<const uint8_t> bytes) {
  if (!tls_.has_value()) {
    const auto room = frames_.Room();
    std::copy(bytes.begin(), bytes.end(), room.begin());
    frames_.Filled(bytes.size());
    return DeliverMessages();
  }
  tls_->Receive(bytes);
  if (state_ == State::kHandshaking && tls_->state() == TlsStream::State::kOpen) {
    state_ = State::kOpen;
    pool_.CountHandshake(tls_->resumed());
    Encrypt();
  }
  while (tls_->state() == TlsStream::State::kOpen) {
    const size_t read = tls_->Read(frames_.Room());
    if (read == 0) break;
    frames_.Filled(read);
    if (!DeliverMessages()) return false;
  }
  tls_->TakeOutput(out_);
  if (!out_.empty()) write_.Enable();
  if (tls_->state() != TlsStream::State::kFailed) return true;
  if (state_ == State::kHandshaking) {
    FailTls();
  } else {
    Fail(AttemptError::kNetwork);  // the server's close, as a rule
  }
  return false;
}

bool Connection::DeliverMessages() {
  for (std::span<const uint8_t> message; frames_.Next(message);) {
    if (!Deliver(message)) return false;
  }
  if (!frames_.broken()) return true;
  context_.malformed.Add();
  Fail(AttemptError::kNetwork);
  return false;
}

bool Connection::Deliver(std::span<const uint8_t> message) {
  Slot* slot = Find(wire::Load16(message.data()));
  if (slot == nullptr) {
    context_.wrong_id.Add();
    return true;
  }
  heard_at_ = Clock::now();
  if (slot->attempt == nullptr) {
    Finish(slot->id);
    return true;
  }
  bool gone = false;
  gone_ = &gone;
  slot->attempt->OnMessage(message);
  if (gone) return false;
  gone_ = nullptr;
  return true;
}

void Connection::Settle() {
  if (state_ != State::kOpen) return;
  if (in_flight_ > 0) return timer_.Start(kDeadAfter);
  timer_.Start(pool_.expire());
  pool_.OnIdle(*this);
}

void Connection::OnTimer() {
  if (idle()) return pool_.Remove(*this);
  if (state_ == State::kHandshaking) return FailTls();
  Fail(AttemptError::kNetwork);
}

void Connection::FailTls() {
  pool_.OnTlsError(tls_->error(), tls_->ErrorText());
  Fail(AttemptError::kTls);
}

void Connection::Fail(AttemptError error) {
  const bool was_open = state_ == State::kOpen;
  // Lives on to the end of this call: the attempts may do anything.
  const std::unique_ptr<Connection> self = pool_.Take(*this);
  if (in_flight_ > 0) context_.socket_errors.Add();
  read_ = EventLoop::Watch();
  write_ = EventLoop::Watch();
  socket_.Close();
  for (Slot& slot : slots_) {
    Attempt* attempt = std::exchange(slot.attempt, nullptr);
    if (attempt != nullptr) attempt->OnConnectionLost(was_open, error);
  }
}

}  // namespace portolan::dns::upstream

#include "dns/upstream/attempt.h"

#include <sys/socket.h>

#include <utility>

#include "dns/upstream/connection.h"
#include "dns/upstream/stream_pool.h"
#include "dns/wire/bytes.h"

namespace portolan::dns::upstream {
namespace {

// Datagrams read in one turn, so that a flood of forged ones does not starve the loop.
constexpr int kDatagramsPerTurn = 16;

iovec Part(std::span<const uint8_t> bytes) {
  return {const_cast<uint8_t*>(bytes.data()), bytes.size()};
}

}  // namespace

Started Attempt::StartUdp(const SocketAddress& server, const Outgoing& outgoing) {
  Stop();
  over_stream_ = false;
  outgoing_ = outgoing;
  id_ = context_.random.Next16();
  const Started opened = socket_.Open(server, SOCK_DGRAM);
  if (opened != Started::kYes) return opened;
  // In parts, since the request's bytes are shared by several attempts.
  uint8_t id[2];
  wire::Store16(id, id_);
  iovec parts[] = {Part(id), Part(outgoing.header().subspan(2)), Part(outgoing.question),
                   Part(outgoing.tail())};
  msghdr message{};
  message.msg_iov = parts;
  message.msg_iovlen = std::size(parts);
  if (sendmsg(socket_.fd(), &message, MSG_NOSIGNAL) < 0) {
    context_.socket_errors.Add();
    Stop();
    return Started::kUnreachable;
  }
  watch_ =
      context_.loop.AddWatch(socket_.fd(), EventLoop::Interest::kRead, [this] { OnDatagrams(); });
  return Started::kYes;
}

Started Attempt::StartStream(StreamPool& pool, const Outgoing& outgoing) {
  retried_ = false;
  return StartOn(pool, &StreamPool::Find, outgoing);
}

Started Attempt::StartFreshStream(StreamPool& pool, const Outgoing& outgoing) {
  retried_ = true;
  return StartOn(pool, &StreamPool::Open, outgoing);
}

Started Attempt::StartOn(StreamPool& pool, Started (StreamPool::*choose)(Connection*&),
                         const Outgoing& outgoing) {
  Stop();
  over_stream_ = true;
  outgoing_ = outgoing;
  pool_ = &pool;
  Connection* connection = nullptr;
  const Started started = (pool.*choose)(connection);
  if (started != Started::kYes) return started;
  id_ = connection->Send(*this, outgoing);
  connection_ = connection;
  return Started::kYes;
}

void Attempt::Stop() {
  watch_ = EventLoop::Watch();
  socket_.Close();
  if (connection_ == nullptr) return;
  connection_->Abandon(*this);
  connection_ = nullptr;
}

bool Attempt::Take(std::span<const uint8_t> message, Reply& reply) {
  switch (ReadReply(message, id_, outgoing_.question, outgoing_.spelling, reply)) {
    case ReplyCheck::kOk:
      return true;
    case ReplyCheck::kWrongId:
      context_.wrong_id.Add();
      return false;
    case ReplyCheck::kWrongQuestion:
      context_.wrong_question.Add();
      return false;
    case ReplyCheck::kWrongCase:
      context_.wrong_case.Add();
      return false;
    case ReplyCheck::kMalformed:
      context_.malformed.Add();
      return false;
  }
  return false;
}

void Attempt::OnDatagrams() {
  for (int i = 0; i < kDatagramsPerTurn; ++i) {
    const ssize_t n = recv(socket_.fd(), context_.datagram.data(), context_.datagram.size(), 0);
    if (n < 0) {
      if (WouldBlock()) return;
      context_.socket_errors.Add();
      return Fail(AttemptError::kNetwork);  // an ICMP error: nobody listens there
    }
    Reply reply;
    if (Take({context_.datagram.data(), static_cast<size_t>(n)}, reply)) {
      return listener_.OnReply(*this, reply);
    }
  }
}

void Attempt::OnMessage(std::span<const uint8_t> message) {
  // A copy, since the connection may end while the clients are answered.
  context_.message.assign(message.begin(), message.end());
  Reply reply;
  if (!Take(context_.message, reply)) return;
  std::exchange(connection_, nullptr)->Finish(id_);
  listener_.OnReply(*this, reply);
}

void Attempt::OnConnectionLost(bool was_established, AttemptError error) {
  connection_ = nullptr;
  if (was_established && !retried_) {
    context_.retried_on_fresh_connection.Add();
    if (StartFreshStream(*pool_, outgoing_) == Started::kYes) return;
  }
  Fail(error);
}

void Attempt::Fail(AttemptError error) {
  Stop();
  listener_.OnFailure(*this, error);
}

}  // namespace portolan::dns::upstream

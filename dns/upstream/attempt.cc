#include "dns/upstream/attempt.h"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

#include "dns/wire/bytes.h"

namespace portolan::dns::upstream {
namespace {

constexpr size_t kLengthBytes = 2;
// Datagrams read in one turn, so that a flood of forged ones does not starve the loop.
constexpr int kDatagramsPerTurn = 16;

bool WouldBlock() { return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR; }

}  // namespace

bool Attempt::Open(const SocketAddress& server, std::span<const uint8_t> request, int type) {
  Stop();
  request_ = request;
  const int domain = server.ip.is_v4() ? AF_INET : AF_INET6;
  socket_ = Fd(socket(domain, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  sockaddr_storage address;
  const socklen_t length = server.ToSockaddr(&address);
  if (socket_.valid() &&
      (connect(socket_.get(), reinterpret_cast<const sockaddr*>(&address), length) == 0 ||
       errno == EINPROGRESS)) {
    return true;
  }
  context_.socket_errors.Add();
  Stop();
  return false;
}

bool Attempt::StartUdp(const SocketAddress& server, std::span<const uint8_t> request, uint16_t id) {
  over_tcp_ = false;
  id_ = id;
  if (!Open(server, request, SOCK_DGRAM)) return false;
  // The id and the rest from two places: the request's bytes are shared by several attempts.
  uint8_t id_bytes[2];
  wire::Store16(id_bytes, id);
  iovec parts[2] = {{id_bytes, sizeof id_bytes},
                    {const_cast<uint8_t*>(request.data()) + 2, request.size() - 2}};
  msghdr message{};
  message.msg_iov = parts;
  message.msg_iovlen = 2;
  if (sendmsg(socket_.get(), &message, MSG_NOSIGNAL) < 0) {
    context_.socket_errors.Add();
    Stop();
    return false;
  }
  watch_ =
      context_.loop.AddWatch(socket_.get(), EventLoop::Interest::kRead, [this] { OnDatagrams(); });
  return true;
}

bool Attempt::StartTcp(const SocketAddress& server, std::span<const uint8_t> request, uint16_t id) {
  over_tcp_ = true;
  id_ = id;
  if (!Open(server, request, SOCK_STREAM)) return false;
  stream_.resize(kLengthBytes + request.size());
  wire::Store16(stream_.data(), static_cast<uint16_t>(request.size()));
  std::copy(request.begin(), request.end(), stream_.begin() + kLengthBytes);
  wire::Store16(stream_.data() + kLengthBytes, id);
  stream_at_ = 0;
  watch_ = context_.loop.AddWatch(socket_.get(), EventLoop::Interest::kWrite,
                                  [this] { OnTcpWritable(); });
  return true;
}

void Attempt::Stop() {
  watch_ = EventLoop::Watch();
  socket_.Reset();
}

bool Attempt::Take(std::span<const uint8_t> message, Reply& reply) {
  switch (ReadReply(message, id_, QuestionOf(request_), reply)) {
    case ReplyCheck::kOk:
      return true;
    case ReplyCheck::kWrongId:
      context_.wrong_id.Add();
      return false;
    case ReplyCheck::kWrongQuestion:
      context_.wrong_question.Add();
      return false;
    case ReplyCheck::kMalformed:
      context_.malformed.Add();
      return false;
  }
  return false;
}

void Attempt::OnDatagrams() {
  for (int i = 0; i < kDatagramsPerTurn; ++i) {
    const ssize_t n = recv(socket_.get(), context_.datagram.data(), context_.datagram.size(), 0);
    if (n < 0) {
      if (WouldBlock()) return;
      return Fail();  // an ICMP error: nobody listens there
    }
    Reply reply;
    if (Take({context_.datagram.data(), static_cast<size_t>(n)}, reply)) {
      return listener_.OnReply(*this, reply);
    }
  }
}

void Attempt::OnTcpWritable() {
  const ssize_t n =
      send(socket_.get(), stream_.data() + stream_at_, stream_.size() - stream_at_, MSG_NOSIGNAL);
  if (n < 0) {
    if (WouldBlock()) return;
    return Fail();
  }
  stream_at_ += static_cast<size_t>(n);
  if (stream_at_ < stream_.size()) return;
  stream_.resize(kLengthBytes);
  stream_at_ = 0;
  // Replaces the watch whose callback this is; nothing of it is used afterwards.
  watch_ = context_.loop.AddWatch(socket_.get(), EventLoop::Interest::kRead,
                                  [this] { OnTcpReadable(); });
}

void Attempt::OnTcpReadable() {
  while (true) {
    const ssize_t n =
        recv(socket_.get(), stream_.data() + stream_at_, stream_.size() - stream_at_, 0);
    if (n < 0 && WouldBlock()) return;
    if (n <= 0) return Fail();
    stream_at_ += static_cast<size_t>(n);
    if (stream_at_ < stream_.size()) continue;
    const size_t message_bytes = wire::Load16(stream_.data());
    if (stream_.size() == kLengthBytes) {
      if (message_bytes < wire::kHeaderBytes) return Fail();
      stream_.resize(kLengthBytes + message_bytes);
      continue;
    }
    Reply reply;
    // On a connection of our own to the server there is nobody else to wait for.
    if (!Take(std::span<const uint8_t>(stream_).subspan(kLengthBytes), reply)) return Fail();
    return listener_.OnReply(*this, reply);
  }
}

void Attempt::Fail() {
  context_.socket_errors.Add();
  Stop();
  listener_.OnFailure(*this);
}

}  // namespace portolan::dns::upstream

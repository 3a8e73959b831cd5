#include "proxy/forwarder/relay.h"

#include <fcntl.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <utility>

namespace portolan::proxy {
namespace {

// Reads of one direction in a row, 256 KB at most, before other connections have their turn.
constexpr int kReadsPerTurn = 8;

// So many more full reads than small ones make a direction bulk; as many more small ones end it.
constexpr int kBulky = 4;
constexpr size_t kSmallRead = kBufferBytes / 4;

}  // namespace

void Relay::Start(int client_fd, int endpoint_fd) {
  client_.fd = client_fd;
  endpoint_.fd = endpoint_fd;
}

void Relay::OnReady(Side side, uint8_t what) {
  Peer& peer = side == Side::kClient ? client_ : endpoint_;
  peer.readable |= (what & (kRead | kEnd | kError | kUrgent)) != 0;
  peer.writable |= (what & (kWrite | kError)) != 0;
  peer.ending |= (what & (kEnd | kError)) != 0;
  peer.urgent |= (what & kUrgent) != 0;
  peer.unchecked |= (what & kError) != 0;
}

void Relay::Release(RelayWorkspace& workspace) {
  for (Direction* direction : {&up_, &down_}) {
    workspace.buffers.Give(std::move(direction->kept));
    if (direction->pipe != nullptr)
      workspace.pipes.GiveFull(std::exchange(direction->pipe, nullptr));
  }
}

void Relay::Direction::NoteRead(size_t size) {
  if (size >= kBufferBytes && bulky < kBulky) ++bulky;
  if (size < kSmallRead && bulky > 0) --bulky;
  if (bulky == kBulky) bulk = true;
  if (bulky == 0) bulk = false;
}

Relay::Progress Relay::Run(RelayWorkspace& workspace) {
  const uint64_t up_before = up_.bytes;
  const uint64_t down_before = down_.bytes;
  const Progress progress = MoveBothWays(workspace);
  workspace.counters.bytes_up.Add(up_.bytes - up_before);
  workspace.counters.bytes_down.Add(down_.bytes - down_before);
  return progress;
}

Relay::Progress Relay::MoveBothWays(RelayWorkspace& workspace) {
  const Step up = client_held_ ? Step::kBlocked : Move(client_, endpoint_, up_, workspace);
  if (up == Step::kReadFailed) return Broken(Side::kClient);
  // Also when writing up failed: an answer that the endpoint gave before it reset (a server that
  // refuses a long upload, say) still reaches the client.
  const Step down = Move(endpoint_, client_, down_, workspace);
  if (up == Step::kWriteFailed) return Broken(Side::kEndpoint);
  if (down == Step::kReadFailed) return Broken(Side::kEndpoint);
  if (down == Step::kWriteFailed) return Broken(Side::kClient);
  if (HasFailed(client_, endpoint_)) return Broken(Side::kClient);
  if (HasFailed(endpoint_, client_)) return Broken(Side::kEndpoint);
  if (client_.shut && endpoint_.shut) return Progress::kClosed;
  return up == Step::kAgain || down == Step::kAgain ? Progress::kMore : Progress::kWaiting;
}

bool Relay::HasFailed(Peer& peer, const Peer& other) {
  if (!peer.unchecked || (!peer.ended && other.writable)) return false;
  peer.unchecked = false;
  int error = 0;
  socklen_t length = sizeof error;
  if (getsockopt(peer.fd, SOL_SOCKET, SO_ERROR, &error, &length) != 0) error = errno;
  if (error == 0) return false;
  error_ = error;
  return true;
}

Relay::Progress Relay::Broken(Side side) const {
  if (error_ == ETIMEDOUT) return Progress::kTimedOut;
  return side == Side::kClient ? Progress::kResetByClient : Progress::kResetByEndpoint;
}

Relay::Step Relay::Move(Peer& from, Peer& to, Direction& direction, RelayWorkspace& workspace) {
  for (int i = 0; i < kReadsPerTurn; ++i) {
    const Step step = MoveOnce(from, to, direction, workspace);
    if (step != Step::kAgain) return step;
  }
  return Step::kAgain;
}

Relay::Step Relay::MoveOnce(Peer& from, Peer& to, Direction& direction, RelayWorkspace& workspace) {
  if (direction.kept != nullptr) {
    const Step step = WriteKept(to, direction, workspace.buffers);
    if (step != Step::kAgain) return step;
  }
  if (direction.pipe != nullptr) {
    const Step step = WritePiped(to, direction, workspace);
    if (step != Step::kAgain) return step;
  }
  if (from.ended) {
    if (from.lost) return Step::kReadFailed;
    // The last of the two is left to close. A failure means that the peer is gone, which its own
    // event will tell.
    if (!std::exchange(to.shut, true) && !from.shut) shutdown(to.fd, SHUT_WR);
    return Step::kBlocked;
  }
  if (!from.readable || !to.writable) return Step::kBlocked;
  if (direction.bulk && !from.urgent) {
    direction.pipe = workspace.pipes.Take();
    if (direction.pipe != nullptr) return Splice(from, to, direction, workspace);
  }
  return workspace.buffers.has_buffer() ? ReadAndWrite(from, to, direction, workspace)
                                        : PeekAndWrite(from, to, direction, workspace);
}

Relay::Step Relay::WriteKept(Peer& to, Direction& direction, BufferPool& buffers) {
  if (!to.writable) return Step::kBlocked;
  const size_t size = direction.kept_end - direction.kept_begin;
  // MoveOnce found it there; the analyzer takes a pointer that was once given back for null.
  // NOLINTNEXTLINE(clang-analyzer-cplusplus.Move)
  const std::span<const std::byte> kept = *direction.kept;
  const ptrdiff_t written = Write(to, kept.subspan(direction.kept_begin, size), direction);
  if (written < 0) return Step::kWriteFailed;
  direction.kept_begin += static_cast<uint32_t>(written);
  if (direction.kept_begin < direction.kept_end) return Step::kBlocked;
  buffers.Give(std::move(direction.kept));
  return Step::kAgain;
}

Relay::Step Relay::Splice(Peer& from, Peer& to, Direction& direction, RelayWorkspace& workspace) {
  ssize_t size;
  do {
    size = splice(from.fd, nullptr, direction.pipe->write.get(), nullptr, kPipeBytes,
                  SPLICE_F_NONBLOCK);
  } while (size < 0 && errno == EINTR);
  if (size <= 0) {
    const ptrdiff_t nothing = NothingRead(from, size);
    workspace.pipes.GiveEmpty(std::exchange(direction.pipe, nullptr));
    if (nothing < 0) return Step::kReadFailed;
    return from.ended ? Step::kAgain : Step::kBlocked;
  }
  direction.NoteRead(size);
  direction.piped = static_cast<uint32_t>(size);
  return WritePiped(to, direction, workspace);
}

Relay::Step Relay::WritePiped(Peer& to, Direction& direction, RelayWorkspace& workspace) {
  while (direction.piped > 0) {
    if (!to.writable) return Step::kBlocked;
    const ssize_t written = splice(direction.pipe->read.get(), nullptr, to.fd, nullptr,
                                   direction.piped, SPLICE_F_NONBLOCK);
    if (written > 0) {
      direction.piped -= static_cast<uint32_t>(written);
      direction.bytes += written;
      workspace.counters.bytes_spliced.Add(written);
    } else if (written < 0 && errno == EAGAIN) {
      to.writable = false;
    } else if (written == 0 || errno != EINTR) {
      error_ = written == 0 ? EIO : errno;
      to.lost = true;
      return Step::kWriteFailed;
    }
  }
  workspace.pipes.GiveEmpty(std::exchange(direction.pipe, nullptr));
  return Step::kAgain;
}

Relay::Step Relay::ReadAndWrite(Peer& from, Peer& to, Direction& direction,
                                RelayWorkspace& workspace) {
  const ptrdiff_t size = Read(from, workspace.scratch, 0);
  if (size < 0) return Step::kReadFailed;
  if (size == 0) return from.ended ? Step::kAgain : Step::kBlocked;
  direction.NoteRead(size);
  const auto bytes = std::span<const std::byte>(workspace.scratch).first(size);
  const ptrdiff_t written = Write(to, bytes, direction);
  if (written < 0) return Step::kWriteFailed;
  if (written == size) return from.readable ? Step::kAgain : Step::kBlocked;
  const auto rest = bytes.subspan(written);
  direction.kept = workspace.buffers.Take();
  direction.kept_begin = 0;
  direction.kept_end = static_cast<uint32_t>(rest.size());
  std::copy(rest.begin(), rest.end(), direction.kept->begin());
  return Step::kBlocked;
}

Relay::Step Relay::PeekAndWrite(Peer& from, Peer& to, Direction& direction,
                                RelayWorkspace& workspace) {
  workspace.counters.buffers_exhausted.Add();
  const ptrdiff_t size = Read(from, workspace.scratch, MSG_PEEK);
  if (size < 0) return Step::kReadFailed;
  if (size == 0) return from.ended ? Step::kAgain : Step::kBlocked;
  const ptrdiff_t written =
      Write(to, std::span<const std::byte>(workspace.scratch).first(size), direction);
  if (written < 0) return Step::kWriteFailed;
  // MSG_TRUNC on TCP takes bytes without copying them, tcp(7).
  if (written > 0 && recv(from.fd, workspace.scratch.data(), written, MSG_TRUNC) != written) {
    error_ = EIO;
    return Step::kReadFailed;
  }
  // What was not taken can be read again.
  from.readable |= written < size;
  return written == size && from.readable ? Step::kAgain : Step::kBlocked;
}

ptrdiff_t Relay::Write(Peer& to, std::span<const std::byte> bytes, Direction& direction) {
  ssize_t written;
  do {
    written = send(to.fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
  } while (written < 0 && errno == EINTR);
  if (written < 0 && errno != EAGAIN) {
    error_ = errno;
    to.lost = true;
    return -1;
  }
  written = std::max<ssize_t>(written, 0);
  // The next event comes when there is room again (epoll(7) on partial writes).
  if (static_cast<size_t>(written) < bytes.size()) to.writable = false;
  direction.bytes += written;
  return written;
}

ptrdiff_t Relay::Read(Peer& from, std::span<std::byte> into, int flags) {
  ssize_t size;
  do {
    size = recv(from.fd, into.data(), into.size(), flags);
  } while (size < 0 && errno == EINTR);
  if (size > 0) {
    // That was all (epoll(7) on stream sockets), unless the read stopped at urgent data, or an end
    // is behind it that had its event already.
    if (static_cast<size_t>(size) < into.size() && !from.urgent && !from.ending) {
      from.readable = false;
    }
    return size;
  }
  return NothingRead(from, size);
}

ptrdiff_t Relay::NothingRead(Peer& from, ssize_t result) {
  if (result == 0) {
    from.ended = true;
  } else if (errno == EAGAIN) {
    from.readable = false;
    from.unchecked = false;
  } else {
    if (!from.lost) error_ = errno;
    return -1;
  }
  return 0;
}

}  // namespace portolan::proxy

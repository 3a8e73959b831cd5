// Joins two connected TCP sockets: what one sends the other gets, in both directions, with
// half-close, reset and back-pressure carried through.
//
// A Relay knows nothing of the event loop. Its owner tells it what became ready (edge-triggered:
// once for each change) and calls Run, which moves bytes until neither side can go on. One thread.
//
// Bytes are read into a scratch buffer that all relays of a worker share and written on at once.
// Only what the other side does not take is kept, in a buffer borrowed from the worker's pool; as
// long as it is kept nothing more is read, so a slow reader costs one buffer and then slows its
// sender down. With no buffer left to borrow bytes are peeked, written, and only then taken from
// the socket.
//
// A direction that keeps filling the scratch buffer is bulk, and its bytes are spliced through a
// pipe borrowed from the worker's pool, without being copied; with no pipe to be had they are read
// and written as before. It holds the pipe only while bytes are in hand, and stops being bulk when
// they come in small pieces again. What the other side does not take stays in the pipe, with the
// same consequences as in a buffer.
//
// Urgent data (MSG_OOB) is not carried: that byte is dropped, what follows it is not held up.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "proxy/forwarder/buffer_pool.h"
#include "proxy/forwarder/counters.h"
#include "proxy/forwarder/pipe_pool.h"

namespace portolan::proxy {

// What the relays of a worker share. REQUIRES: the process ignores SIGPIPE, which splice(2) has no
// flag against.
struct RelayWorkspace {
  Buffer scratch;
  BufferPool buffers;
  PipePool pipes;
  ForwarderCounters& counters;
};

class Relay {
 public:
  enum class Progress {
    kWaiting,  // nothing to do until a socket becomes ready
    kMore,     // there is more to do, but others have a turn first: call Run again soon
    kClosed,   // both sides were through; close both
    // The connection is broken: reset both.
    kResetByClient,
    kResetByEndpoint,
    kTimedOut,
  };
  enum class Side : uint8_t { kClient, kEndpoint };
  // Bits of what an event says.
  enum Readiness : uint8_t {
    kRead = 1,
    kWrite = 2,
    kBoth = 3,
    kEnd = 4,    // the end of the stream, or an error, comes after what can be read
    kError = 8,  // the socket has one to tell
    kUrgent = 16,
  };

  // The sockets are non-blocking, connected, and stay the caller's. They count as ready for what
  // OnReady said, which may be called for a side before.
  void Start(int client_fd, int endpoint_fd);

  // `what` are bits of Readiness.
  void OnReady(Side side, uint8_t what);

  // While held nothing is read from the client; the other direction goes on.
  void HoldClient(bool held) { client_held_ = held; }
  // Nothing will come from the client but what can be read now, or has been.
  bool client_ending() const { return client_.ending; }
  // It sent urgent data: a peek may stop there, before what Run goes on to read.
  bool client_urgent() const { return client_.urgent; }
  Progress Run(RelayWorkspace& workspace);

  // Gives what is borrowed back. To be called before the relay goes.
  void Release(RelayWorkspace& workspace);

  uint64_t bytes_up() const { return up_.bytes; }
  uint64_t bytes_down() const { return down_.bytes; }

 private:
  struct Peer {
    int fd = -1;
    bool readable = false;
    bool writable = false;
    bool ending = false;     // an end or an error is behind what can be read
    bool urgent = false;     // it sent urgent data: reads stop there, and splicing never passes it
    bool ended = false;      // its FIN was read
    bool shut = false;       // it was sent ours, or will be by close
    bool lost = false;       // writing to it failed; what it sent before may still be read
    bool unchecked = false;  // it has an error that was not looked at
  };
  struct Direction {
    // How bulky the last reads were; see NoteRead.
    void NoteRead(size_t size);

    // What was read on one side and not yet written on the other: in a buffer or in a pipe.
    std::unique_ptr<Buffer> kept;
    uint32_t kept_begin = 0;
    uint32_t kept_end = 0;
    uint32_t piped = 0;
    Pipe* pipe = nullptr;
    bool bulk = false;
    uint8_t bulky = 0;
    uint64_t bytes = 0;
  };
  enum class Step { kAgain, kBlocked, kReadFailed, kWriteFailed };

  Progress MoveBothWays(RelayWorkspace& workspace);
  Step Move(Peer& from, Peer& to, Direction& direction, RelayWorkspace& workspace);
  Step MoveOnce(Peer& from, Peer& to, Direction& direction, RelayWorkspace& workspace);
  Step WriteKept(Peer& to, Direction& direction, BufferPool& buffers);
  Step Splice(Peer& from, Peer& to, Direction& direction, RelayWorkspace& workspace);
  Step WritePiped(Peer& to, Direction& direction, RelayWorkspace& workspace);
  Step ReadAndWrite(Peer& from, Peer& to, Direction& direction, RelayWorkspace& workspace);
  Step PeekAndWrite(Peer& from, Peer& to, Direction& direction, RelayWorkspace& workspace);
  // Bytes written, 0 if the socket takes none now, -1 on an error that `error_` then holds.
  ptrdiff_t Write(Peer& to, std::span<const std::byte> bytes, Direction& direction);
  // As above; end of stream sets from.ended and gives 0.
  ptrdiff_t Read(Peer& from, std::span<std::byte> into, int flags);
  // What a read that gave nothing means.
  ptrdiff_t NothingRead(Peer& from, ssize_t result);
  // Asks the socket where no read will tell: it has ended, or reading waits for the other side.
  bool HasFailed(Peer& peer, const Peer& other);
  Progress Broken(Side side) const;

  Peer client_;
  Peer endpoint_;
  Direction up_;
  Direction down_;
  bool client_held_ = false;
  int error_ = 0;
};

}  // namespace portolan::proxy

// DNS over UDP on one address: queries are read and replies sent in batches (recvmmsg, sendmmsg).
//
// Each worker has a socket of its own on the same port (SO_REUSEPORT). A reply leaves from the
// address that was asked: on a wildcard address IP_PKTINFO says which that was. What the kernel
// does not take at once is dropped and counted: clients of UDP ask again. The worker's thread only.
#pragma once

#include <sys/socket.h>

#include <array>
#include <cstdint>
#include <memory>

#include "absl/status/statusor.h"
#include "common/event_loop.h"
#include "common/fd.h"
#include "common/ip.h"
#include "common/metrics.h"
#include "dns/server/query_handler.h"

namespace portolan::dns {

// The buffers of one recvmmsg and the sendmmsg that follows; shared by a worker's listeners.
class UdpBatch {
 public:
  static constexpr size_t kMessages = 64;
  // A longer datagram is no query of ours: it is cut, and so is FORMERR.
  static constexpr size_t kQueryBytes = 2048;

  UdpBatch();

 private:
  friend class UdpListener;
  // A cache line more than the buffer: at a power of two all buffers would share one set of the
  // processor's cache.
  static constexpr size_t kQueryStride = kQueryBytes + 64;
  static constexpr size_t kControlBytes = 64;

  struct Control {
    alignas(8) std::array<uint8_t, kControlBytes> bytes;
  };

  // Replies stand close together, each on cache lines of its own: a batch of short ones takes a few
  // pages of memory instead of one each.
  std::unique_ptr<uint8_t[]> queries_, replies_;
  std::array<mmsghdr, kMessages> in_, out_;
  std::array<iovec, kMessages> in_bytes_, out_bytes_;
  std::array<sockaddr_storage, kMessages> clients_;
  std::array<Control, kMessages> in_control_, out_control_;
  // The query that is answered and the one after it, and who sent them.
  std::array<QueryHandler::Read, 2> read_;
  std::array<SocketAddress, 2> from_;
};

class UdpListener : public ReplySink {
 public:
  // `batch` and `handler` outlive the listener. Port 0 takes a free one: see address().
  static absl::StatusOr<std::unique_ptr<UdpListener>> Listen(EventLoop& loop,
                                                             const SocketAddress& address,
                                                             QueryHandler& handler,
                                                             UdpBatch& batch);

  const SocketAddress& address() const { return address_; }

  void SendReply(const ReplyTo& to, const SocketAddress& client,
                 std::span<const uint8_t> reply) override;
  void Forget(const ReplyTo&) override {}

  void Collect(MetricFamilies& families) const;  // any thread

 private:
  UdpListener(EventLoop& loop, Fd fd, const SocketAddress& address, QueryHandler& handler,
              UdpBatch& batch);

  void OnReadable();
  int Receive();
  void ReadAhead(size_t in, Exchange::Time received);
  // Fills out_[out] if message `in` is answered at once, with the reply in `room`. Its length; 0 if
  // there is none.
  size_t Answer(size_t in, size_t out, std::span<uint8_t> room);
  void SendBatch(size_t count);

  Fd fd_;
  SocketAddress address_;
  QueryHandler& handler_;
  UdpBatch& batch_;
  const bool wildcard_;
  EventLoop::Watch watch_;

  struct {
    Counter no_address, own_address, unsendable, kernel_full;
  } dropped_;
};

}  // namespace portolan::dns

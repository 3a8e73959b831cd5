#include "dns/server/udp_listener.h"

#include <netinet/in.h>

#include <cerrno>
#include <chrono>
#include <cstring>

#include "common/socket_option.h"
#include "common/status.h"

namespace portolan::dns {
namespace {

// After this many batches the loop's other events get their turn.
constexpr int kBatchesPerTurn = 8;
// So many queries at once are load, which is worth the two system calls that its relief costs.
constexpr int kLoad = 16;
constexpr size_t kCacheLine = 64;

absl::Status Prepare(int fd, const SocketAddress& address) {
  const bool v6 = address.ip.is_v6();
  if (!SetOption(fd, SOL_SOCKET, SO_REUSEPORT)) return ErrnoError(errno, "SO_REUSEPORT");
  if (v6 && !SetOption(fd, IPPROTO_IPV6, IPV6_V6ONLY)) return ErrnoError(errno, "IPV6_V6ONLY");
  if (address.ip.is_unspecified()) {
    const bool set =
        v6 ? SetOption(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO) : SetOption(fd, IPPROTO_IP, IP_PKTINFO);
    if (!set) return ErrnoError(errno, "IP_PKTINFO");
  }
  // Path MTU messages may be forged to have replies cut into fragments; they are not heeded.
  // Kernels without the option do without.
  SetOption(
      fd, v6 ? IPPROTO_IPV6 : IPPROTO_IP, v6 ? IPV6_MTU_DISCOVER : IP_MTU_DISCOVER,
      v6 ? IPV6_PMTUDISC_OMIT : IP_PMTUDISC_OMIT);  // NOLINT(bugprone-branch-clone): one value
  sockaddr_storage bound;
  const socklen_t length = address.ToSockaddr(&bound);
  if (bind(fd, reinterpret_cast<sockaddr*>(&bound), length) != 0) return ErrnoError(errno, "bind");
  return absl::OkStatus();
}

// The port is 0 if it is no address of ours to reply to.
SocketAddress ReadClient(const sockaddr_storage& name, socklen_t length) {
  SocketAddress client;
  if (name.ss_family == AF_INET && length >= sizeof(sockaddr_in)) {
    const auto& in = reinterpret_cast<const sockaddr_in&>(name);
    client.ip = IpAddress::V4(
        std::span<const uint8_t, 4>(reinterpret_cast<const uint8_t*>(&in.sin_addr), 4));
    client.port = ntohs(in.sin_port);
  } else if (name.ss_family == AF_INET6 && length >= sizeof(sockaddr_in6)) {
    const auto& in = reinterpret_cast<const sockaddr_in6&>(name);
    client.ip = IpAddress::V6(std::span<const uint8_t, 16>(in.sin6_addr.s6_addr, 16));
    client.port = ntohs(in.sin6_port);
  }
  return client;
}

// The address a datagram was sent to.
std::optional<IpAddress> ReadPacketInfo(const msghdr& header) {
  for (const cmsghdr* c = CMSG_FIRSTHDR(&header); c != nullptr;
       c = CMSG_NXTHDR(const_cast<msghdr*>(&header), const_cast<cmsghdr*>(c))) {
    if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
      in_pktinfo info;
      std::memcpy(&info, CMSG_DATA(c), sizeof info);
      return IpAddress::V4(
          std::span<const uint8_t, 4>(reinterpret_cast<const uint8_t*>(&info.ipi_addr), 4));
    }
    if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
      in6_pktinfo info;
      std::memcpy(&info, CMSG_DATA(c), sizeof info);
      return IpAddress::V6(std::span<const uint8_t, 16>(info.ipi6_addr.s6_addr, 16));
    }
  }
  return std::nullopt;
}

// Makes `header` leave from `local`.
void WritePacketInfo(msghdr& header, uint8_t* control, const IpAddress& local) {
  header.msg_control = control;
  header.msg_controllen =
      local.is_v4() ? CMSG_SPACE(sizeof(in_pktinfo)) : CMSG_SPACE(sizeof(in6_pktinfo));
  std::memset(control, 0, header.msg_controllen);
  cmsghdr* c = CMSG_FIRSTHDR(&header);
  if (local.is_v4()) {
    c->cmsg_level = IPPROTO_IP;
    c->cmsg_type = IP_PKTINFO;
    c->cmsg_len = CMSG_LEN(sizeof(in_pktinfo));
    in_pktinfo info{};
    std::memcpy(&info.ipi_spec_dst, local.bytes().data(), 4);
    std::memcpy(CMSG_DATA(c), &info, sizeof info);
  } else {
    c->cmsg_level = IPPROTO_IPV6;
    c->cmsg_type = IPV6_PKTINFO;
    c->cmsg_len = CMSG_LEN(sizeof(in6_pktinfo));
    in6_pktinfo info{};
    std::memcpy(&info.ipi6_addr, local.bytes().data(), 16);
    std::memcpy(CMSG_DATA(c), &info, sizeof info);
  }
}

}  // namespace

UdpBatch::UdpBatch()
    : queries_(std::make_unique_for_overwrite<uint8_t[]>(kMessages * kQueryStride)),
      replies_(std::make_unique_for_overwrite<uint8_t[]>(kMessages * kMaxUdpReplyBytes)) {
  std::memset(in_.data(), 0, sizeof in_);
  std::memset(out_.data(), 0, sizeof out_);
  for (size_t i = 0; i < kMessages; ++i) {
    in_bytes_[i] = {queries_.get() + i * kQueryStride, kQueryBytes};
    in_[i].msg_hdr.msg_name = &clients_[i];
    in_[i].msg_hdr.msg_iov = &in_bytes_[i];
    in_[i].msg_hdr.msg_iovlen = 1;
    out_[i].msg_hdr.msg_iov = &out_bytes_[i];
    out_[i].msg_hdr.msg_iovlen = 1;
  }
}

absl::StatusOr<std::unique_ptr<UdpListener>> UdpListener::Listen(EventLoop& loop,
                                                                 const SocketAddress& address,
                                                                 QueryHandler& handler,
                                                                 UdpBatch& batch) {
  const std::string what = "DNS over UDP on " + address.ToString();
  Fd fd(socket(address.ip.is_v6() ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK,
               0));
  if (!fd.valid()) return ErrnoError(errno, what);
  if (absl::Status status = Prepare(fd.get(), address); !status.ok()) {
    return FailedPrecondition("{}: {}", what, Message(status));
  }
  sockaddr_storage bound;
  socklen_t length = sizeof bound;
  if (getsockname(fd.get(), reinterpret_cast<sockaddr*>(&bound), &length) != 0) {
    return ErrnoError(errno, what);
  }
  auto actual = SocketAddress::From(reinterpret_cast<sockaddr*>(&bound), length);
  if (!actual.ok()) return actual.status();
  return std::unique_ptr<UdpListener>(
      new UdpListener(loop, std::move(fd), *actual, handler, batch));
}

UdpListener::UdpListener(EventLoop& loop, Fd fd, const SocketAddress& address,
                         QueryHandler& handler, UdpBatch& batch)
    : fd_(std::move(fd)),
      address_(address),
      handler_(handler),
      batch_(batch),
      wildcard_(address.ip.is_unspecified()),
      watch_(loop.AddWatch(fd_.get(), EventLoop::Interest::kRead, [this] { OnReadable(); })) {}

void UdpListener::OnReadable() {
  // Under load the loop does not watch the socket meanwhile. The kernel would tell the loop's epoll
  // of every reply that has left, since the socket could take another: an eighth of what sending
  // costs.
  bool watched = true;
  for (int i = 0; i < kBatchesPerTurn; ++i) {
    const int received = Receive();
    if (received <= 0) break;
    if (watched && received >= kLoad) {
      watch_.Disable();
      watched = false;
    }
    const auto now = std::chrono::steady_clock::now();
    size_t replies = 0, bytes = 0;
    const auto messages = static_cast<size_t>(received);
    ReadAhead(0, now);
    for (size_t in = 0; in < messages; ++in) {
      if (in + 1 < messages) ReadAhead(in + 1, now);
      const size_t reply = Answer(in, replies, {batch_.replies_.get() + bytes, kMaxUdpReplyBytes});
      if (reply == 0) continue;
      ++replies;
      bytes += (reply + kCacheLine - 1) / kCacheLine * kCacheLine;
    }
    SendBatch(replies);
    handler_.CountDurations();
    // A single query is the rule on a quiet pod, and asking again would cost a system call. More
    // than one mean load: the next are there by now, and a turn of the loop costs more than asking.
    if (received == 1) break;
  }
  // Fires at once if there are more.
  if (!watched) watch_.Enable();
}

int UdpListener::Receive() {
  for (size_t i = 0; i < UdpBatch::kMessages; ++i) {
    msghdr& header = batch_.in_[i].msg_hdr;
    header.msg_namelen = sizeof(sockaddr_storage);
    header.msg_control = wildcard_ ? batch_.in_control_[i].bytes.data() : nullptr;
    header.msg_controllen = wildcard_ ? UdpBatch::kControlBytes : 0;
  }
  return recvmmsg(fd_.get(), batch_.in_.data(), UdpBatch::kMessages, MSG_DONTWAIT, nullptr);
}

void UdpListener::ReadAhead(size_t in, Exchange::Time received) {
  handler_.ReadAhead(
      {static_cast<const uint8_t*>(batch_.in_bytes_[in].iov_base), batch_.in_[in].msg_len},
      received, batch_.read_[in % 2]);
  batch_.from_[in % 2] = ReadClient(batch_.clients_[in], batch_.in_[in].msg_hdr.msg_namelen);
}

size_t UdpListener::Answer(size_t in, size_t out, std::span<uint8_t> room) {
  const mmsghdr& received = batch_.in_[in];
  const SocketAddress& client = batch_.from_[in % 2];
  if (client.port == 0) {
    dropped_.no_address.Add();
    return 0;
  }
  // A forged query in our own name would have us talk to ourselves. Ports tell most apart.
  if (client.port == address_.port && client == address_) {
    dropped_.own_address.Add();
    return 0;
  }
  ReplyTo to{this, std::nullopt, 0};
  if (wildcard_) to.local = ReadPacketInfo(received.msg_hdr);
  const auto handled = handler_.Handle(batch_.read_[in % 2], client, Transport::kUdp, room, to);
  if (handled.outcome != QueryHandler::Outcome::kReply) return 0;

  batch_.out_bytes_[out] = {room.data(), handled.reply_bytes};
  msghdr& header = batch_.out_[out].msg_hdr;
  header.msg_name = &batch_.clients_[in];
  header.msg_namelen = received.msg_hdr.msg_namelen;
  header.msg_control = nullptr;
  header.msg_controllen = 0;
  if (to.local.has_value()) {
    WritePacketInfo(header, batch_.out_control_[out].bytes.data(), *to.local);
  }
  return handled.reply_bytes;
}

void UdpListener::SendBatch(size_t count) {
  size_t at = 0;
  while (at < count) {
    const int sent = sendmmsg(fd_.get(), batch_.out_.data() + at, static_cast<unsigned>(count - at),
                              MSG_DONTWAIT);
    if (sent > 0) {
      at += static_cast<size_t>(sent);
    } else if (errno == EAGAIN || errno == ENOBUFS) {
      dropped_.kernel_full.Add(count - at);
      return;
    } else if (errno != EINTR) {
      // This one cannot be sent (no route, a firewall); the others can.
      dropped_.unsendable.Add();
      ++at;
    }
  }
}

void UdpListener::SendReply(const ReplyTo& to, const SocketAddress& client,
                            std::span<const uint8_t> reply) {
  sockaddr_storage name;
  iovec bytes{const_cast<uint8_t*>(reply.data()), reply.size()};
  alignas(8) std::array<uint8_t, UdpBatch::kControlBytes> control;
  msghdr header{};
  header.msg_namelen = client.ToSockaddr(&name);
  header.msg_name = &name;
  header.msg_iov = &bytes;
  header.msg_iovlen = 1;
  if (to.local.has_value()) WritePacketInfo(header, control.data(), *to.local);
  if (sendmsg(fd_.get(), &header, MSG_DONTWAIT) >= 0) return;
  (errno == EAGAIN || errno == ENOBUFS ? dropped_.kernel_full : dropped_.unsendable).Add();
}

void UdpListener::Collect(MetricFamilies& families) const {
  auto add = [&](std::string_view reason, const Counter& counter) {
    AddCounterSample(families, "portolan_dns_udp_dropped_total",
                     "Datagrams that were dropped, queries or replies, by reason.",
                     {{"reason", reason}}, static_cast<double>(counter.value()));
  };
  add("no_return_address", dropped_.no_address);
  add("own_address", dropped_.own_address);
  add("unsendable", dropped_.unsendable);
  add("kernel_full", dropped_.kernel_full);
}

}  // namespace portolan::dns

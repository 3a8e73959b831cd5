#include "proxy/forwarder/datagram_batch.h"

#include <cerrno>
#include <cstring>

namespace portolan::proxy {

DatagramBatch::DatagramBatch()
    : buffers_(std::make_unique_for_overwrite<std::byte[]>(kMost * kBufferBytes)) {
  for (size_t i = 0; i < kMost; ++i) {
    slots_[i].part = {.iov_base = &buffers_[i * kBufferBytes], .iov_len = kBufferBytes};
  }
}

int DatagramBatch::Receive(int fd) {
  for (size_t i = 0; i < kMost; ++i) {
    // The kernel writes the lengths anew each time.
    msghdr& header = received_[i].msg_hdr;
    header = {};
    header.msg_name = &slots_[i].source;
    header.msg_namelen = sizeof slots_[i].source;
    header.msg_iov = &slots_[i].part;
    header.msg_iovlen = 1;
    header.msg_control = slots_[i].control.data();
    header.msg_controllen = slots_[i].control.size();
  }
  int count;
  do {
    count = recvmmsg(fd, received_.data(), kMost, 0, nullptr);
  } while (count < 0 && errno == EINTR);
  size_ = count < 0 ? 0 : static_cast<size_t>(count);
  return count < 0 ? errno : 0;
}

std::span<const std::byte> DatagramBatch::payload(size_t i) const {
  return {&buffers_[i * kBufferBytes], received_[i].msg_len};
}

size_t DatagramBatch::Bytes(size_t begin, size_t end) const {
  size_t bytes = 0;
  for (size_t i = begin; i < end; ++i) bytes += payload(i).size();
  return bytes;
}

bool DatagramBatch::truncated(size_t i) const {
  return (received_[i].msg_hdr.msg_flags & MSG_TRUNC) != 0;
}

std::optional<SocketAddress> DatagramBatch::source(size_t i) const {
  const auto address = SocketAddress::From(reinterpret_cast<const sockaddr*>(&slots_[i].source),
                                           received_[i].msg_hdr.msg_namelen);
  if (!address.ok()) return std::nullopt;
  return *address;
}

std::optional<SocketAddress> DatagramBatch::dialled(size_t i) const {
  // The macros do not take a const header.
  msghdr header = received_[i].msg_hdr;
  for (cmsghdr* c = CMSG_FIRSTHDR(&header); c != nullptr; c = CMSG_NXTHDR(&header, c)) {
    const bool says = (c->cmsg_level == SOL_IP && c->cmsg_type == IP_ORIGDSTADDR) ||
                      (c->cmsg_level == SOL_IPV6 && c->cmsg_type == IPV6_ORIGDSTADDR);
    if (!says) continue;
    const auto address = SocketAddress::From(reinterpret_cast<const sockaddr*>(CMSG_DATA(c)),
                                             static_cast<socklen_t>(c->cmsg_len - CMSG_LEN(0)));
    if (address.ok()) return *address;
  }
  return std::nullopt;
}

DatagramBatch::Sent DatagramBatch::SendOn(int fd, size_t begin, size_t end) {
  for (size_t i = begin; i < end; ++i) {
    const auto bytes = payload(i);
    outgoing_[i].parts[0] = {.iov_base = const_cast<std::byte*>(bytes.data()),
                             .iov_len = bytes.size()};
    sent_[i].msg_hdr = {};
    sent_[i].msg_hdr.msg_iov = outgoing_[i].parts.data();
    sent_[i].msg_hdr.msg_iovlen = 1;
  }
  return Send(fd, begin, end);
}

DatagramBatch::Sent DatagramBatch::SendRaw(int raw, const SocketAddress& from,
                                           const SocketAddress& to, size_t begin, size_t end) {
  sockaddr_storage destination;
  // A raw socket takes a port for a protocol, ipv6(7).
  const socklen_t length = SocketAddress{to.ip, 0}.ToSockaddr(&destination);
  for (size_t i = begin; i < end; ++i) {
    const auto bytes = payload(i);
    Outgoing& out = outgoing_[i];
    out.headers.Write(from, to, bytes);
    out.parts[0] = {.iov_base = const_cast<uint8_t*>(out.headers.bytes().data()),
                    .iov_len = out.headers.bytes().size()};
    out.parts[1] = {.iov_base = const_cast<std::byte*>(bytes.data()), .iov_len = bytes.size()};
    sent_[i].msg_hdr = {};
    sent_[i].msg_hdr.msg_name = &destination;
    sent_[i].msg_hdr.msg_namelen = length;
    sent_[i].msg_hdr.msg_iov = out.parts.data();
    sent_[i].msg_hdr.msg_iovlen = out.parts.size();
  }
  return Send(raw, begin, end);
}

DatagramBatch::Sent DatagramBatch::Send(int fd, size_t begin, size_t end) {
  Sent sent;
  while (begin + sent.count < end) {
    const size_t at = begin + sent.count;
    const int count = sendmmsg(fd, &sent_[at], static_cast<unsigned>(end - at), MSG_NOSIGNAL);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) {
      sent.error = errno;
      break;
    }
    sent.count += static_cast<size_t>(count);
  }
  return sent;
}

}  // namespace portolan::proxy

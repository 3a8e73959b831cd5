// The least a UDP server can do: recvmmsg, a canned reply of the size asked for to each, sendmmsg,
// over a socket set up as UdpListener's. Looks at nothing but the id, which the load generator
// wants back.
//
//   dns_bench_floor 127.0.0.1:5400 REPLY_EXTRA_BYTES
#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "common/fd.h"
#include "common/ip.h"

namespace {

constexpr size_t kMessages = 64, kStride = 2048 + 64;

int Serve(int fd, size_t extra) {
  auto in_memory = std::make_unique<uint8_t[]>(kMessages * kStride);
  auto out_memory = std::make_unique<uint8_t[]>(kMessages * kStride);
  std::array<mmsghdr, kMessages> in{}, out{};
  std::array<iovec, kMessages> in_bytes, out_bytes;
  std::array<sockaddr_storage, kMessages> clients;
  for (size_t i = 0; i < kMessages; ++i) {
    in_bytes[i] = {in_memory.get() + i * kStride, 2048};
    out_bytes[i] = {out_memory.get() + i * kStride, 0};
    in[i].msg_hdr.msg_iov = &in_bytes[i];
    out[i].msg_hdr.msg_iov = &out_bytes[i];
    in[i].msg_hdr.msg_iovlen = out[i].msg_hdr.msg_iovlen = 1;
    in[i].msg_hdr.msg_name = out[i].msg_hdr.msg_name = &clients[i];
  }
  for (;;) {
    for (auto& message : in) message.msg_hdr.msg_namelen = sizeof(sockaddr_storage);
    const int n = recvmmsg(fd, in.data(), kMessages, MSG_WAITFORONE, nullptr);
    if (n < 0) return EXIT_FAILURE;
    for (int i = 0; i < n; ++i) {
      const auto at = static_cast<size_t>(i);
      std::memcpy(out_bytes[at].iov_base, in_bytes[at].iov_base, 2);
      out_bytes[at].iov_len = in[at].msg_len + extra;
      out[at].msg_hdr.msg_namelen = in[at].msg_hdr.msg_namelen;
    }
    for (int at = 0; at < n;) {
      const int sent = sendmmsg(fd, out.data() + at, static_cast<unsigned>(n - at), 0);
      if (sent <= 0) break;
      at += sent;
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  const auto address = argc == 3 ? portolan::SocketAddress::Parse(argv[1])
                                 : absl::InvalidArgumentError("ADDRESS:PORT REPLY_EXTRA_BYTES");
  if (!address.ok()) return std::fprintf(stderr, "%s\n", address.status().ToString().c_str()), 2;
  portolan::Fd fd(socket(address->ip.is_v6() ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  const int one = 1, omit = IP_PMTUDISC_OMIT;
  setsockopt(fd.get(), SOL_SOCKET, SO_REUSEPORT, &one, sizeof one);
  setsockopt(fd.get(), IPPROTO_IP, IP_MTU_DISCOVER, &omit, sizeof omit);
  sockaddr_storage name;
  const socklen_t length = address->ToSockaddr(&name);
  if (bind(fd.get(), reinterpret_cast<sockaddr*>(&name), length) != 0) {
    std::perror("bind");
    return EXIT_FAILURE;
  }
  return Serve(fd.get(), static_cast<size_t>(std::atoi(argv[2])));
}

#include "tests/proxy/capture/pod_network.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sched.h>
#include <sys/fsuid.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <string_view>

#include "common/status.h"
#include "proxy/capture/tool.h"

namespace portolan::proxy {
namespace {

// SO_ORIGINAL_DST and IP6T_SO_ORIGINAL_DST; the kernel's headers for them clash with libc's.
constexpr int kOriginalDestination = 80;

Addresses Make(const std::vector<const char*>& ips, const char* services, const char* pods) {
  auto ip = [&](size_t i) { return *IpAddress::Parse(ips[i]); };
  return {.pod = ip(0),
          .nameserver = ip(1),
          .second_nameserver = ip(2),
          .outside = ip(3),
          .service = ip(4),
          .other_pod = ip(5),
          .loopback = ip(6),
          .service_cidr = *Cidr::Parse(services),
          .pod_cidr = *Cidr::Parse(pods)};
}

Fd CurrentNamespace() { return Fd(open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC)); }

Fd Socket(IpFamily family, int type) {
  Fd fd(socket(family == IpFamily::kIpv4 ? AF_INET : AF_INET6, type | SOCK_CLOEXEC, 0));
  EXPECT_TRUE(fd.valid()) << ErrnoError(errno, "socket");
  const timeval limit{.tv_sec = 2, .tv_usec = 0};
  setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  return fd;
}

bool Bind(const Fd& fd, const SocketAddress& address) {
  const int on = 1;
  setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  sockaddr_storage raw;
  const socklen_t length = address.ToSockaddr(&raw);
  const bool bound = bind(fd.get(), reinterpret_cast<sockaddr*>(&raw), length) == 0;
  EXPECT_TRUE(bound) << ErrnoError(errno, "bind " + address.ToString());
  return bound;
}

bool Readable(const Fd& fd, int timeout_ms) {
  pollfd waiting{.fd = fd.get(), .events = POLLIN, .revents = 0};
  return poll(&waiting, 1, timeout_ms) == 1;
}

}  // namespace

const Addresses& AddressesOf(IpFamily family) {
  static const Addresses v4 = Make({"10.42.1.5", "10.43.0.10", "169.254.20.10", "8.8.8.8",
                                    "10.43.0.123", "10.42.2.7", "127.0.0.1"},
                                   "10.43.0.0/16", "10.42.0.0/16");
  static const Addresses v6 = Make({"fd00:42::5", "fd00:43::a", "fd00:99::a", "2001:db8::8",
                                    "fd00:43::7b", "fd00:42:2::7", "::1"},
                                   "fd00:43::/112", "fd00:42::/32");
  return family == IpFamily::kIpv4 ? v4 : v6;
}

absl::Status PodNetwork::Begin() {
  original_ = CurrentNamespace();
  if (unshare(CLONE_NEWNET) != 0) return ErrnoError(errno, "unshare(CLONE_NEWNET)");
  world_ = CurrentNamespace();
  if (unshare(CLONE_NEWNET) != 0) return ErrnoError(errno, "unshare(CLONE_NEWNET)");
  pod_ = CurrentNamespace();
  const std::string world = fmt::format("/proc/{}/fd/{}", getpid(), world_.get());
  Call({"ip", "link", "set", "lo", "up"});
  Call({"ip", "link", "add", "eth0", "type", "veth", "peer", "name", "world0"});
  Call({"ip", "link", "set", "world0", "netns", world});
  Call({"ip", "address", "add", "10.42.1.5/24", "dev", "eth0"});
  Call({"ip", "address", "add", "fd00:42::5/64", "dev", "eth0", "nodad"});
  Call({"ip", "link", "set", "eth0", "up"});
  InWorld([] {
    Call({"ip", "link", "set", "lo", "up"});
    Call({"ip", "address", "add", "10.42.1.1/24", "dev", "world0"});
    Call({"ip", "address", "add", "fd00:42::1/64", "dev", "world0", "nodad"});
    for (IpFamily family : {IpFamily::kIpv4, IpFamily::kIpv6}) {
      const Addresses& a = AddressesOf(family);
      for (const IpAddress& address :
           {a.nameserver, a.second_nameserver, a.outside, a.service, a.other_pod}) {
        Call({"ip", "address", "add", address.ToString(), "dev", "world0", "nodad"});
      }
    }
    Call({"ip", "link", "set", "world0", "up"});
  });
  Call({"ip", "route", "add", "default", "via", "10.42.1.1"});
  Call({"ip", "-6", "route", "add", "default", "via", "fd00:42::1"});
  return absl::OkStatus();
}

PodNetwork::~PodNetwork() {
  if (original_.valid()) setns(original_.get(), CLONE_NEWNET);
}

void PodNetwork::InWorld(const std::function<void()>& run) {
  ASSERT_EQ(setns(world_.get(), CLONE_NEWNET), 0);
  run();
  ASSERT_EQ(setns(pod_.get(), CLONE_NEWNET), 0);
}

std::string Call(const std::vector<std::string>& command, const std::string& input) {
  auto result = RunTool(command, input, absl::Seconds(20));
  EXPECT_TRUE(result.ok()) << result.status();
  if (!result.ok()) return {};
  EXPECT_EQ(result->exit_status, 0)
      << fmt::format("{}", fmt::join(command, " ")) << ": " << result->err << input;
  return result->out;
}

void As(uid_t uid, gid_t gid, const std::function<void()>& run) {
  // The owner match looks at the file system ids of the socket's maker, which are per thread.
  setfsgid(gid);
  setfsuid(uid);
  run();
  setfsuid(0);
  setfsgid(0);
}

Fd UdpSocket(const SocketAddress& bind_to) {
  Fd fd = Socket(bind_to.ip.family(), SOCK_DGRAM);
  return Bind(fd, bind_to) ? std::move(fd) : Fd();
}

Fd TcpListener(const SocketAddress& bind_to) {
  Fd fd = Socket(bind_to.ip.family(), SOCK_STREAM);
  if (!Bind(fd, bind_to) || listen(fd.get(), 16) != 0) return Fd();
  return fd;
}

void GiveAddress(const IpAddress& address) {
  Call({"ip", "address", "add", address.ToString(), "dev", "eth0", "nodad"});
  const std::string ask = "ip route get " + address.ToString();
  for (int attempt = 0; attempt < 500; ++attempt) {
    char route[256] = {};
    FILE* answer = popen(ask.c_str(), "r");
    if (answer == nullptr) break;
    const bool answered = fgets(route, sizeof route, answer) != nullptr;
    pclose(answer);
    if (answered && std::string_view(route).starts_with("local ")) return;
    usleep(10'000);
  }
  FAIL() << address.ToString() << " is not routed locally";
}

Fd TcpConnect(const SocketAddress& from, const SocketAddress& to) {
  Fd fd = Socket(to.ip.family(), SOCK_STREAM);
  if (!Bind(fd, from)) return Fd();
  sockaddr_storage raw;
  const socklen_t length = to.ToSockaddr(&raw);
  if (connect(fd.get(), reinterpret_cast<sockaddr*>(&raw), length) == 0) return fd;
  ADD_FAILURE() << ErrnoError(errno, "connect " + to.ToString());
  return Fd();
}

Fd UnconnectedTcp(const SocketAddress& from) {
  Fd fd = Socket(from.ip.family(), SOCK_STREAM);
  return Bind(fd, from) ? std::move(fd) : Fd();
}

Fd ForeignSocket(int type, const SocketAddress& from) {
  Fd fd = Socket(from.ip.family(), type);
  const int on = 1;
  if (from.ip.is_v4()) {
    setsockopt(fd.get(), SOL_IP, IP_TRANSPARENT, &on, sizeof on);
  } else {
    setsockopt(fd.get(), SOL_IPV6, IPV6_TRANSPARENT, &on, sizeof on);
  }
  return Bind(fd, from) ? std::move(fd) : Fd();
}

void BeginToConnect(const Fd& socket, const SocketAddress& to) {
  fcntl(socket.get(), F_SETFL, O_NONBLOCK);
  sockaddr_storage raw;
  const socklen_t length = to.ToSockaddr(&raw);
  // Some are refused at once, as IPv6 is by lo.
  static_cast<void>(connect(socket.get(), reinterpret_cast<sockaddr*>(&raw), length));
}

Fd Accept(const Fd& listener, int timeout_ms) {
  if (!Readable(listener, timeout_ms)) return Fd();
  return Fd(accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
}

uint16_t PortOf(const Fd& socket) {
  sockaddr_storage raw;
  socklen_t length = sizeof raw;
  getsockname(socket.get(), reinterpret_cast<sockaddr*>(&raw), &length);
  return SocketAddress::From(reinterpret_cast<sockaddr*>(&raw), length)->port;
}

SocketAddress PeerOf(const Fd& socket) {
  sockaddr_storage raw;
  socklen_t length = sizeof raw;
  if (getpeername(socket.get(), reinterpret_cast<sockaddr*>(&raw), &length) != 0) return {};
  return *SocketAddress::From(reinterpret_cast<sockaddr*>(&raw), length);
}

SocketAddress OriginalDestinationOf(const Fd& accepted, IpFamily family) {
  sockaddr_storage raw;
  socklen_t length = sizeof raw;
  const int level = family == IpFamily::kIpv4 ? SOL_IP : SOL_IPV6;
  if (getsockopt(accepted.get(), level, kOriginalDestination, &raw, &length) != 0) {
    ADD_FAILURE() << ErrnoError(errno, "SO_ORIGINAL_DST");
    return {};
  }
  return *SocketAddress::From(reinterpret_cast<sockaddr*>(&raw), length);
}

void Send(const Fd& socket, const SocketAddress& to, const std::string& datagram) {
  sockaddr_storage raw;
  const socklen_t length = to.ToSockaddr(&raw);
  const ssize_t n = sendto(socket.get(), datagram.data(), datagram.size(), 0,
                           reinterpret_cast<sockaddr*>(&raw), length);
  EXPECT_EQ(n, static_cast<ssize_t>(datagram.size())) << ErrnoError(errno, "sendto");
}

Received Receive(const Fd& socket, int timeout_ms) {
  if (!Readable(socket, timeout_ms)) return {};
  char data[512];
  sockaddr_storage raw;
  socklen_t length = sizeof raw;
  const ssize_t n =
      recvfrom(socket.get(), data, sizeof data, 0, reinterpret_cast<sockaddr*>(&raw), &length);
  if (n < 0) return {};
  return {.data = std::string(data, static_cast<size_t>(n)),
          .from = *SocketAddress::From(reinterpret_cast<sockaddr*>(&raw), length)};
}

}  // namespace portolan::proxy

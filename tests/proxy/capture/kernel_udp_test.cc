// UDP under the rules of --udp tproxy: who reaches the sidecar, and with which destination.

#include <gtest/gtest.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proxy/capture/capture.h"
#include "proxy/capture/ip_tool.h"
#include "proxy/capture/iptables_tools.h"
#include "tests/proxy/capture/pod_network.h"

namespace portolan::proxy {
namespace {

constexpr uint16_t kPort = 5000;

struct Captured {
  std::string data;  // empty if nothing came
  SocketAddress from;
  SocketAddress dialled;
};

class CapturedUdp : public testing::TestWithParam<std::tuple<Backend, IpFamily>> {
 protected:
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "needs root: network namespaces and iptables";
    if (auto status = network_.Begin(); !status.ok())
      GTEST_SKIP() << "needs namespaces: " << status;
    settings_.udp = UdpCapture::kTproxy;
    settings_.nameservers = {at_.nameserver, at_.second_nameserver};
    settings_.service_cidrs = {at_.service_cidr};
    settings_.pod_cidrs = {at_.pod_cidr};
    dns_ = UdpSocket({at_.loopback, settings_.dns_port});
    forwarder_ = UdpSocket({at_.loopback, settings_.forward_port});
    const int on = 1;
    const int level = is_v4() ? SOL_IP : SOL_IPV6;
    const int transparent = is_v4() ? IP_TRANSPARENT : IPV6_TRANSPARENT;
    const int destination = is_v4() ? IP_RECVORIGDSTADDR : IPV6_RECVORIGDSTADDR;
    ASSERT_EQ(setsockopt(forwarder_.get(), level, transparent, &on, sizeof on), 0);
    ASSERT_EQ(setsockopt(forwarder_.get(), level, destination, &on, sizeof on), 0);
  }

  void Apply() {
    const auto choice = std::get<Backend>(GetParam()) == Backend::kNft ? BackendChoice::kNft
                                                                       : BackendChoice::kLegacy;
    ASSERT_EQ(*proxy::Apply(tools_, routing_, choice, settings_), Applied::kWritten);
  }

  Fd WorldUdp(const SocketAddress& address) {
    Fd fd;
    network_.InWorld([&] { fd = UdpSocket(address); });
    return fd;
  }
  Fd UdpAs(uid_t uid, uint16_t port = 0) {
    Fd fd;
    As(uid, uid, [&] { fd = UdpSocket({at_.pod, port}); });
    return fd;
  }

  Captured ReceiveCaptured(int timeout_ms = 2000) {
    const timeval limit{.tv_sec = timeout_ms / 1000, .tv_usec = timeout_ms % 1000 * 1000};
    setsockopt(forwarder_.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    static char data[65536];
    alignas(cmsghdr) char control[128];
    sockaddr_storage from;
    iovec part{.iov_base = data, .iov_len = sizeof data};
    msghdr message{.msg_name = &from,
                   .msg_namelen = sizeof from,
                   .msg_iov = &part,
                   .msg_iovlen = 1,
                   .msg_control = control,
                   .msg_controllen = sizeof control,
                   .msg_flags = 0};
    const ssize_t n = recvmsg(forwarder_.get(), &message, 0);
    if (n < 0) return {};
    Captured captured{
        .data = std::string(data, static_cast<size_t>(n)),
        .from = *SocketAddress::From(reinterpret_cast<sockaddr*>(&from), message.msg_namelen),
        .dialled = {}};
    for (cmsghdr* c = CMSG_FIRSTHDR(&message); c != nullptr; c = CMSG_NXTHDR(&message, c)) {
      captured.dialled = *SocketAddress::From(reinterpret_cast<const sockaddr*>(CMSG_DATA(c)),
                                              static_cast<socklen_t>(c->cmsg_len - CMSG_LEN(0)));
    }
    return captured;
  }

  void ExpectCaptured(const Fd& client, const SocketAddress& to) {
    Send(client, to, "to " + to.ToString());
    const Captured captured = ReceiveCaptured();
    EXPECT_EQ(captured.data, "to " + to.ToString());
    EXPECT_EQ(captured.from, (SocketAddress{at_.pod, PortOf(client)}));
    EXPECT_EQ(captured.dialled, to);
  }

  void ExpectPassed(const Fd& client, const SocketAddress& to) {
    const Fd server = WorldUdp(to);
    Send(client, to, "to " + to.ToString());
    const Received received = Receive(server);
    EXPECT_EQ(received.data, "to " + to.ToString());
    EXPECT_EQ(received.from, (SocketAddress{at_.pod, PortOf(client)}));
    Send(server, received.from, "answer");
    EXPECT_EQ(Receive(client).data, "answer");
    EXPECT_EQ(ReceiveCaptured(1).data, "");
  }

  bool is_v4() const { return std::get<IpFamily>(GetParam()) == IpFamily::kIpv4; }
  IpAddress AnyAddress() const { return is_v4() ? IpAddress() : *IpAddress::Parse("::"); }
  Cidr BlockOf(const IpAddress& ip) const {
    return {ip, static_cast<uint8_t>(ip.is_v4() ? 32 : 128)};
  }

  const Addresses& at_ = AddressesOf(std::get<IpFamily>(GetParam()));
  PodNetwork network_;
  IptablesTools tools_;
  IpTool routing_;
  CaptureSettings settings_;
  Fd dns_;
  Fd forwarder_;
};

TEST_P(CapturedUdp, ServiceUdpReachesTheForwarderWithItsDestination) {
  Apply();
  const Fd client = UdpAs(kApplicationUid);
  ExpectCaptured(client, {at_.service, kPort});
  ExpectCaptured(client, {at_.service, kPort + 1});
  // A Service's port 53 that is no nameserver of the pod is a Service like any other.
  ExpectCaptured(client, {at_.service, 53});
  ExpectCaptured(client, {at_.nameserver, kPort});
}

TEST_P(CapturedUdp, DatagramsWiderThanTheWireArriveWhole) {
  Apply();
  const Fd client = UdpAs(kApplicationUid);
  const std::string large(60'000, 'x');
  Send(client, {at_.service, kPort}, large);
  EXPECT_EQ(ReceiveCaptured().data, large);
}

TEST_P(CapturedUdp, ApplicationThatServesTheSamePortIsNoObstacle) {
  Apply();
  const Fd server = UdpSocket({AnyAddress(), kPort});
  ExpectCaptured(UdpAs(kApplicationUid), {at_.service, kPort});
  EXPECT_EQ(Receive(server, 0).data, "");
}

TEST_P(CapturedUdp, DnsGoesToTheDnsServerAndPodsAndTheOutsideAreLeftAlone) {
  Apply();
  const Fd client = UdpAs(kApplicationUid);
  Send(client, {at_.nameserver, 53}, "query");
  EXPECT_EQ(Receive(dns_).data, "query");
  ExpectPassed(client, {at_.other_pod, kPort});
  ExpectPassed(client, {at_.outside, kPort});
}

TEST_P(CapturedUdp, EveryAddressIsCapturedInAllMode) {
  settings_.forward = ForwardCapture::kAll;
  Apply();
  const Fd client = UdpAs(kApplicationUid);
  ExpectCaptured(client, {at_.other_pod, kPort});
  ExpectCaptured(client, {at_.outside, kPort});
  Send(client, {at_.nameserver, 53}, "query");
  EXPECT_EQ(Receive(dns_).data, "query");
}

TEST_P(CapturedUdp, AnswersToClientsOfThePodAreNotCaptured) {
  settings_.forward = ForwardCapture::kAll;
  Apply();
  const Fd server = UdpAs(kApplicationUid, kPort);
  const Fd client = WorldUdp({at_.other_pod, 0});
  Send(client, {at_.pod, kPort}, "question");
  const Received asked = Receive(server);
  ASSERT_EQ(asked.data, "question");
  Send(server, asked.from, "answer");
  EXPECT_EQ(Receive(client).data, "answer");
  EXPECT_EQ(ReceiveCaptured(1).data, "");
}

TEST_P(CapturedUdp, SidecarsAndExcludedUdpIsNot) {
  settings_.exclude_uids = {70};
  settings_.exclude_cidrs = {BlockOf(at_.nameserver)};
  settings_.exclude_ports = {6000};
  Apply();
  ExpectPassed(UdpAs(kSidecarUid), {at_.service, kPort});
  ExpectPassed(UdpAs(70), {at_.service, kPort});
  ExpectPassed(UdpAs(kApplicationUid), {at_.nameserver, kPort});
  ExpectPassed(UdpAs(kApplicationUid), {at_.service, 6000});
}

TEST_P(CapturedUdp, IncludedAddressesAndPortsAre) {
  settings_.include_cidrs = {BlockOf(at_.outside)};
  settings_.include_ports = {9000};
  Apply();
  const Fd client = UdpAs(kApplicationUid);
  ExpectCaptured(client, {at_.outside, kPort});
  ExpectCaptured(client, {at_.other_pod, 9000});
}

TEST_P(CapturedUdp, SidecarMayTakeTheSourcePortOfAnApplication) {
  // The tracker remembers the application's flow; as nothing is translated, it has no say.
  Apply();
  Fd application = UdpAs(kApplicationUid);
  const uint16_t port = PortOf(application);
  ExpectCaptured(application, {at_.service, kPort});
  application.Reset();
  Fd sidecar = UdpAs(kSidecarUid, port);
  ExpectPassed(sidecar, {at_.service, kPort});
  sidecar.Reset();
  ExpectCaptured(UdpAs(kApplicationUid, port), {at_.service, kPort});
}

TEST_P(CapturedUdp, MulticastAndBroadcastAreNeverCaptured) {
  settings_.forward = ForwardCapture::kAll;
  Apply();
  const Fd neighbour = WorldUdp({AnyAddress(), kPort});
  const Fd client = UdpAs(kApplicationUid);
  const int on = 1;
  setsockopt(client.get(), SOL_SOCKET, SO_BROADCAST, &on, sizeof on);
  const unsigned eth0 = if_nametoindex("eth0");
  setsockopt(client.get(), IPPROTO_IPV6, IPV6_MULTICAST_IF, &eth0, sizeof eth0);
  const auto all =
      is_v4() ? std::vector{"224.0.0.1", "255.255.255.255", "10.42.1.255"} : std::vector{"ff02::1"};
  for (const char* to : all) {
    Send(client, {*IpAddress::Parse(to), kPort}, to);
    EXPECT_EQ(Receive(neighbour).data, to);
    EXPECT_EQ(ReceiveCaptured(1).data, "");
  }
}

TEST_P(CapturedUdp, LinkLocalMachinesAreCapturedInAllModeAlone) {
  if (!is_v4()) GTEST_SKIP() << "a redirect cannot carry those of IPv6";
  const SocketAddress machine{*IpAddress::Parse("169.254.20.10"), kPort + 1};
  settings_.include_ports = {machine.port};
  Apply();
  ExpectPassed(UdpAs(kApplicationUid), machine);
  settings_.forward = ForwardCapture::kAll;
  Apply();
  ExpectCaptured(UdpAs(kApplicationUid), machine);
}

// The tracker has forgotten the flow by then, and would take what comes for the first of another.
TEST_P(CapturedUdp, AnAnswerThatComesLateTurnsNothingRound) {
  settings_.forward = ForwardCapture::kAll;
  Apply();
  const SocketAddress server{at_.outside, kPort};
  for (const uid_t uid : {kSidecarUid, kApplicationUid}) {
    const Fd client = UdpAs(kApplicationUid);
    As(uid, uid, [&] {
      Send(ForeignSocket(SOCK_DGRAM, server), {at_.pod, PortOf(client)}, "late");
    });
    EXPECT_EQ(Receive(client).from, server);
    ExpectCaptured(client, server);
  }
}

TEST_P(CapturedUdp, OffAndCleanLeaveUdpAlone) {
  Apply();
  settings_.udp = UdpCapture::kOff;
  Apply();
  ExpectPassed(UdpAs(kApplicationUid), {at_.service, kPort});
  settings_.udp = UdpCapture::kTproxy;
  Apply();
  ASSERT_TRUE(Clean(tools_, routing_).ok());
  ExpectPassed(UdpAs(kApplicationUid), {at_.service, kPort});
}

INSTANTIATE_TEST_SUITE_P(BackendsAndFamilies, CapturedUdp,
                         testing::Combine(testing::Values(Backend::kNft, Backend::kLegacy),
                                          testing::Values(IpFamily::kIpv4, IpFamily::kIpv6)),
                         [](const auto& param) {
                           return std::string(Name(std::get<Backend>(param.param))) +
                                  std::string(Name(std::get<IpFamily>(param.param)));
                         });

}  // namespace
}  // namespace portolan::proxy

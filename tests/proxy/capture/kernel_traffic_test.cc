// Packets under the rules: who reaches the sidecar, who reaches the world, and whose answer it is.

#include <gmock/gmock.h>
#include <linux/filter.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>

#include "proxy/capture/capture.h"
#include "proxy/capture/ip_tool.h"
#include "proxy/capture/iptables_tools.h"
#include "tests/proxy/capture/pod_network.h"

namespace portolan::proxy {
namespace {

// Long enough for a packet between two namespaces, short enough to wait for one that must not come.
constexpr int kNothingComesMs = 100;

class CapturedPod : public testing::TestWithParam<std::tuple<Backend, IpFamily>> {
 protected:
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "needs root: network namespaces and iptables";
    if (auto status = network_.Begin(); !status.ok())
      GTEST_SKIP() << "needs namespaces: " << status;
    settings_.nameservers = {at_.nameserver, at_.second_nameserver};
    settings_.service_cidrs = {at_.service_cidr};
    settings_.pod_cidrs = {at_.pod_cidr};
    dns_ = UdpSocket({at_.loopback, settings_.dns_port});
    dns_tcp_ = TcpListener({at_.loopback, settings_.dns_port});
    forwarder_ = TcpListener({at_.loopback, settings_.forward_port});
  }

  void Apply() {
    const auto choice = std::get<Backend>(GetParam()) == Backend::kNft ? BackendChoice::kNft
                                                                       : BackendChoice::kLegacy;
    ASSERT_EQ(*proxy::Apply(tools_, routing_, choice, settings_), Applied::kWritten);
  }

  Fd WorldUdp(const IpAddress& address) {
    Fd fd;
    network_.InWorld([&] { fd = UdpSocket({address, 53}); });
    return fd;
  }
  Fd WorldTcp(const IpAddress& address, uint16_t port) {
    Fd fd;
    network_.InWorld([&] { fd = TcpListener({address, port}); });
    return fd;
  }
  Fd ApplicationUdp(uint16_t port = 0) {
    Fd fd;
    As(kApplicationUid, kApplicationUid, [&] { fd = UdpSocket({at_.pod, port}); });
    return fd;
  }
  Fd SidecarUdp(uint16_t port = 0) {
    Fd fd;
    As(kSidecarUid, kSidecarUid, [&] { fd = UdpSocket({at_.pod, port}); });
    return fd;
  }
  Fd ConnectAs(uid_t uid, const SocketAddress& to, uint16_t from_port = 0) {
    Fd fd;
    As(uid, uid, [&] { fd = TcpConnect({at_.pod, from_port}, to); });
    return fd;
  }

  // One query of `client` to `to` that `server` answers; the answer comes from the address asked.
  void ExpectAnswerBy(const Fd& server, const Fd& client, const SocketAddress& to,
                      const std::string& query) {
    Send(client, to, query);
    const Received asked = Receive(server);
    ASSERT_EQ(asked.data, query);
    Send(server, asked.from, "answer to " + query);
    const Received answer = Receive(client);
    EXPECT_EQ(answer.data, "answer to " + query);
    EXPECT_EQ(answer.from, to);
  }

  static void ResetBy(Fd& one, const Fd& other) {
    const linger at_once{.l_onoff = 1, .l_linger = 0};
    setsockopt(one.get(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    one.Reset();
    char byte;
    EXPECT_EQ(read(other.get(), &byte, 1), -1) << "the reset has arrived";
  }

  IpFamily family() const { return std::get<IpFamily>(GetParam()); }

  const Addresses& at_ = AddressesOf(std::get<IpFamily>(GetParam()));
  PodNetwork network_;
  IptablesTools tools_;
  IpTool routing_;
  CaptureSettings settings_;
  Fd dns_;
  Fd dns_tcp_;
  Fd forwarder_;
};

TEST_P(CapturedPod, UdpQueryIsAnsweredBySidecarInTheNameserversName) {
  Apply();
  const Fd world = WorldUdp(at_.nameserver);
  const Fd application = ApplicationUdp();
  ExpectAnswerBy(dns_, application, {at_.nameserver, 53}, "one");
  ExpectAnswerBy(dns_, application, {at_.nameserver, 53}, "two");
  EXPECT_EQ(Receive(world, 0).data, "");
}

TEST_P(CapturedPod, OneSocketMayAskSeveralNameserversAtOnce) {
  // As musl's resolver does: it drops an answer that comes from an address it did not ask.
  Apply();
  const Fd application = ApplicationUdp();
  Send(application, {at_.nameserver, 53}, "first");
  Send(application, {at_.second_nameserver, 53}, "second");
  for (int i = 0; i < 2; ++i) {
    const Received asked = Receive(dns_);
    Send(dns_, asked.from, asked.data);
  }
  for (int i = 0; i < 2; ++i) {
    const Received answer = Receive(application);
    const IpAddress asked = answer.data == "first" ? at_.nameserver : at_.second_nameserver;
    EXPECT_EQ(answer.from, (SocketAddress{asked, 53})) << answer.data;
  }
}

TEST_P(CapturedPod, TcpQueryReachesSidecarAndShowsTheNameserverItWasMeantFor) {
  Apply();
  const Fd application = ConnectAs(kApplicationUid, {at_.nameserver, 53});
  const Fd accepted = Accept(dns_tcp_);
  ASSERT_TRUE(accepted.valid());
  EXPECT_EQ(OriginalDestinationOf(accepted, family()), (SocketAddress{at_.nameserver, 53}));
  EXPECT_EQ(PeerOf(application), (SocketAddress{at_.nameserver, 53}));
  char answer[6] = {};
  EXPECT_EQ(write(accepted.get(), "answer", 6), 6);
  EXPECT_EQ(read(application.get(), answer, 6), 6);
}

TEST_P(CapturedPod, ServiceAndPodConnectionsReachTheForwarderWithTheirDestination) {
  Apply();
  for (const SocketAddress& to :
       {SocketAddress{at_.service, 8080}, SocketAddress{at_.other_pod, 8080},
        // A Service's port 53 that is no nameserver of the pod is a Service like any other.
        SocketAddress{at_.service, 53}}) {
    const Fd application = ConnectAs(kApplicationUid, to);
    const Fd accepted = Accept(forwarder_);
    ASSERT_TRUE(accepted.valid()) << to.ToString();
    EXPECT_EQ(OriginalDestinationOf(accepted, family()), to);
  }
}

TEST_P(CapturedPod, WhatTheSidecarSendsIsNeverCaptured) {
  Apply();
  const Fd nameserver = WorldUdp(at_.nameserver);
  const Fd service = WorldTcp(at_.service, 8080);
  const Fd dns_over_tcp = WorldTcp(at_.nameserver, 53);
  ExpectAnswerBy(nameserver, SidecarUdp(), {at_.nameserver, 53}, "upstream");
  EXPECT_TRUE(ConnectAs(kSidecarUid, {at_.service, 8080}).valid());
  EXPECT_TRUE(Accept(service).valid());
  EXPECT_TRUE(ConnectAs(kSidecarUid, {at_.nameserver, 53}).valid());
  EXPECT_TRUE(Accept(dns_over_tcp).valid());
}

TEST_P(CapturedPod, ExemptGroupAloneIsEnough) {
  Apply();
  const Fd nameserver = WorldUdp(at_.nameserver);
  Fd client;
  As(kApplicationUid, kSidecarUid, [&] { client = UdpSocket({at_.pod, 0}); });
  ExpectAnswerBy(nameserver, client, {at_.nameserver, 53}, "by group");
}

TEST_P(CapturedPod, OtherResolversAreLeftAloneInResolversMode) {
  Apply();
  const Fd outside = WorldUdp(at_.outside);
  const Fd outside_tcp = WorldTcp(at_.outside, 53);
  ExpectAnswerBy(outside, ApplicationUdp(), {at_.outside, 53}, "dig @8.8.8.8");
  EXPECT_TRUE(ConnectAs(kApplicationUid, {at_.outside, 53}).valid());
  EXPECT_TRUE(Accept(outside_tcp).valid());
}

TEST_P(CapturedPod, EveryResolverIsCapturedInAllMode) {
  settings_.dns = DnsCapture::kAll;
  settings_.nameservers.clear();
  Apply();
  ExpectAnswerBy(dns_, ApplicationUdp(), {at_.outside, 53}, "dig @8.8.8.8");
  const Fd application = ConnectAs(kApplicationUid, {at_.outside, 53});
  EXPECT_TRUE(Accept(dns_tcp_).valid());
}

TEST_P(CapturedPod, OwnResolverOnLoopbackOrOnThePodsAddressKeepsWorking) {
  settings_.dns = DnsCapture::kAll;
  settings_.forward = ForwardCapture::kAll;
  Apply();
  for (const IpAddress& own : {at_.loopback, at_.pod}) {
    const Fd resolver = UdpSocket({own, 53});
    const Fd server = TcpListener({own, 8080});
    Fd client;
    As(kApplicationUid, kApplicationUid, [&] { client = UdpSocket({own, 0}); });
    ExpectAnswerBy(resolver, client, {own, 53}, "own");
    Fd connection;
    As(kApplicationUid, kApplicationUid, [&] { connection = TcpConnect({own, 0}, {own, 8080}); });
    EXPECT_TRUE(Accept(server).valid()) << own.ToString();
  }
}

TEST_P(CapturedPod, AddressGivenToThePodLaterIsItsOwn) {
  Apply();
  GiveAddress(at_.service);
  const Fd server = TcpListener({at_.service, 8080});
  const Fd application = ConnectAs(kApplicationUid, {at_.service, 8080});
  EXPECT_TRUE(Accept(server).valid());
}

TEST_P(CapturedPod, ConnectionsBeyondTheRangesPassInClusterModeAndAreCapturedInAllMode) {
  Apply();
  const Fd outside = WorldTcp(at_.outside, 443);
  EXPECT_TRUE(ConnectAs(kApplicationUid, {at_.outside, 443}).valid());
  EXPECT_TRUE(Accept(outside).valid());
  settings_.forward = ForwardCapture::kAll;
  Apply();
  const Fd captured = ConnectAs(kApplicationUid, {at_.outside, 443});
  const Fd accepted = Accept(forwarder_);
  ASSERT_TRUE(accepted.valid());
  EXPECT_EQ(OriginalDestinationOf(accepted, family()), (SocketAddress{at_.outside, 443}));
}

// The tracker remembers the first packet of a connection, and what the rules made of it holds for
// all that has its addresses and ports.
TEST_P(CapturedPod, WhatWasSentByLoOpensNoWayOut) {
  settings_.forward = ForwardCapture::kAll;
  Apply();
  const SocketAddress to{at_.outside, 443};
  constexpr uint16_t kFrom = 40'000;
  As(kApplicationUid, kApplicationUid, [&] {
    const Fd by_lo = ForeignSocket(SOCK_STREAM, {at_.pod, kFrom});
    setsockopt(by_lo.get(), SOL_SOCKET, SO_BINDTODEVICE, "lo", sizeof "lo");
    BeginToConnect(by_lo, to);
  });
  const Fd world = WorldTcp(to.ip, to.port);
  const Fd application = ConnectAs(kApplicationUid, to, kFrom);
  EXPECT_TRUE(Accept(forwarder_).valid());
  EXPECT_FALSE(Accept(world, kNothingComesMs).valid());
}

TEST_P(CapturedPod, NorDoesAConnectionInSomebodyElsesName) {
  settings_.forward = ForwardCapture::kAll;
  Apply();
  const SocketAddress to{at_.outside, 443};
  constexpr uint16_t kFrom = 40'000;
  As(kApplicationUid, kApplicationUid, [&] {
    // Its queue is full, so that nothing answers: an answer would end what the tracker knows.
    const Fd full = TcpListener({at_.pod, kFrom});
    listen(full.get(), 0);
    const Fd waiting = TcpConnect({at_.pod, 0}, {at_.pod, kFrom});
    BeginToConnect(ForeignSocket(SOCK_STREAM, to), {at_.pod, kFrom});
  });
  const Fd world = WorldTcp(to.ip, to.port);
  const Fd application = ConnectAs(kApplicationUid, to, kFrom);
  EXPECT_TRUE(Accept(forwarder_).valid());
  EXPECT_FALSE(Accept(world, kNothingComesMs).valid());
}

// The tracker keeps a connection that the other side reset for a while, and takes a SYN for a part
// of it.
TEST_P(CapturedPod, NorDoesAPortOfTheSidecarsWhoseConnectionWasReset) {
  constexpr int kSecondSynComesMs = 5000;
  Call({"sh", "-c", "echo 1 > /proc/sys/net/netfilter/nf_conntrack_tcp_timeout_close"});
  for (const auto& [mode, ip] :
       {std::pair(ForwardCapture::kAll, at_.outside), {ForwardCapture::kCluster, at_.other_pod}}) {
    settings_.forward = mode;
    Apply();
    const SocketAddress to{ip, 443};
    const Fd world = WorldTcp(to.ip, to.port);
    Fd sidecar = ConnectAs(kSidecarUid, to);
    const uint16_t port = PortOf(sidecar);
    Fd upstream = Accept(world);
    ASSERT_TRUE(upstream.valid());
    ResetBy(upstream, sidecar);
    sidecar.Reset();

    Fd application;
    As(kApplicationUid, kApplicationUid, [&] {
      application = UnconnectedTcp({at_.pod, port});
      BeginToConnect(application, to);
    });
    EXPECT_FALSE(Accept(world, kNothingComesMs).valid());
    EXPECT_TRUE(Accept(forwarder_, kSecondSynComesMs).valid()) << "once the tracker has forgotten";
  }
}

// Nor is nat asked twice: the tracker takes a SYN for the first of what nobody has answered yet.
TEST_P(CapturedPod, NorDoesAPortOfTheSidecarsWhoseConnectionNobodyAnswered) {
  settings_.forward = ForwardCapture::kAll;
  Apply();
  const SocketAddress to{at_.outside, 443};
  constexpr uint16_t kFrom = 40'000;
  {
    const Fd full = WorldTcp(to.ip, to.port);
    listen(full.get(), 0);
    Fd waiting;
    network_.InWorld([&] { waiting = TcpConnect({to.ip, 0}, to); });
    As(kSidecarUid, kSidecarUid, [&] { BeginToConnect(UnconnectedTcp({at_.pod, kFrom}), to); });
  }
  const Fd world = WorldTcp(to.ip, to.port);
  As(kApplicationUid, kApplicationUid, [&] {
    const Fd application = UnconnectedTcp({at_.pod, kFrom});
    BeginToConnect(application, to);
    EXPECT_FALSE(Accept(world, kNothingComesMs).valid());
  });
}

TEST_P(CapturedPod, NorDoesAConnectionThatTheOtherSideBegan) {
  settings_.forward = ForwardCapture::kAll;
  Apply();
  const SocketAddress to{at_.outside, 443};
  constexpr uint16_t kFrom = 40'000;
  {
    const Fd full = TcpListener({at_.pod, kFrom});
    listen(full.get(), 0);
    const Fd waiting = TcpConnect({at_.pod, 0}, {at_.pod, kFrom});
    network_.InWorld([&] { BeginToConnect(UnconnectedTcp(to), {at_.pod, kFrom}); });
  }
  const Fd world = WorldTcp(to.ip, to.port);
  As(kApplicationUid, kApplicationUid, [&] {
    const Fd application = UnconnectedTcp({at_.pod, kFrom});
    BeginToConnect(application, to);
    EXPECT_FALSE(Accept(world, kNothingComesMs).valid());
  });
}

TEST_P(CapturedPod, WhomTheSidecarResetMayTryAgainAtOnceFromTheSamePort) {
  settings_.forward = ForwardCapture::kAll;
  Apply();
  const SocketAddress to{at_.outside, 443};
  Fd application = ConnectAs(kApplicationUid, to);
  const uint16_t port = PortOf(application);
  Fd captured = Accept(forwarder_);
  ASSERT_TRUE(captured.valid());
  ResetBy(captured, application);
  application.Reset();
  EXPECT_TRUE(ConnectAs(kApplicationUid, to, port).valid());
  EXPECT_TRUE(Accept(forwarder_).valid());
}

TEST_P(CapturedPod, IncludedAddressesAndPortsAreCaptured) {
  settings_.include_cidrs = {{at_.outside, static_cast<uint8_t>(at_.outside.is_v4() ? 32 : 128)}};
  settings_.include_ports = {9000};
  Apply();
  const Fd by_address = ConnectAs(kApplicationUid, {at_.outside, 443});
  EXPECT_TRUE(Accept(forwarder_).valid());
  const Fd by_port = ConnectAs(kApplicationUid, {at_.second_nameserver, 9000});
  EXPECT_TRUE(Accept(forwarder_).valid());
}

TEST_P(CapturedPod, ExcludedUsersAddressesAndPortsAreNot) {
  settings_.exclude_uids = {70};
  settings_.exclude_cidrs = {
      {at_.other_pod, static_cast<uint8_t>(at_.other_pod.is_v4() ? 32 : 128)}};
  settings_.exclude_ports = {22};
  Apply();
  const Fd service = WorldTcp(at_.service, 8080);
  const Fd pod = WorldTcp(at_.other_pod, 8080);
  const Fd ssh = WorldTcp(at_.service, 22);
  EXPECT_TRUE(ConnectAs(70, {at_.service, 8080}).valid());
  EXPECT_TRUE(Accept(service).valid());
  EXPECT_TRUE(ConnectAs(kApplicationUid, {at_.other_pod, 8080}).valid());
  EXPECT_TRUE(Accept(pod).valid());
  EXPECT_TRUE(ConnectAs(kApplicationUid, {at_.service, 22}).valid());
  EXPECT_TRUE(Accept(ssh).valid());
}

TEST_P(CapturedPod, SidecarMayTakeTheSourcePortOfAnApplicationsQuery) {
  // The connection tracker remembers the application's query for 30 s. Without a zone the sidecar's
  // own would follow that entry, back to the sidecar.
  Apply();
  const Fd nameserver = WorldUdp(at_.nameserver);
  Fd application = ApplicationUdp();
  const uint16_t port = PortOf(application);
  ExpectAnswerBy(dns_, application, {at_.nameserver, 53}, "application's");
  application.Reset();
  ExpectAnswerBy(nameserver, SidecarUdp(port), {at_.nameserver, 53}, "sidecar's");
  EXPECT_EQ(Receive(dns_, 0).data, "");
}

TEST_P(CapturedPod, ApplicationMayTakeTheSourcePortOfASidecarsQuery) {
  Apply();
  const Fd nameserver = WorldUdp(at_.nameserver);
  Fd sidecar = SidecarUdp();
  const uint16_t port = PortOf(sidecar);
  ExpectAnswerBy(nameserver, sidecar, {at_.nameserver, 53}, "sidecar's");
  sidecar.Reset();
  ExpectAnswerBy(dns_, ApplicationUdp(port), {at_.nameserver, 53}, "application's");
  EXPECT_EQ(Receive(nameserver, 0).data, "");
}

TEST_P(CapturedPod, AnswersOfTheSameSourcePortReachTheSocketThatAsked) {
  // Both queries under way at once, as SO_REUSEPORT or a late answer makes it.
  Apply();
  const Fd nameserver = WorldUdp(at_.nameserver);
  Fd application = ApplicationUdp();
  const uint16_t port = PortOf(application);
  Send(application, {at_.nameserver, 53}, "application's");
  const Received captured = Receive(dns_);
  application.Reset();
  const Fd sidecar = SidecarUdp(port);
  Send(sidecar, {at_.nameserver, 53}, "sidecar's");
  const Received upstream = Receive(nameserver);
  ASSERT_EQ(upstream.data, "sidecar's");
  EXPECT_EQ(upstream.from, (SocketAddress{at_.pod, port})) << "the source port is kept";
  Send(nameserver, upstream.from, "from the nameserver");
  const Received answer = Receive(sidecar);
  EXPECT_EQ(answer.data, "from the nameserver");
  EXPECT_EQ(answer.from, (SocketAddress{at_.nameserver, 53}));
  ASSERT_EQ(captured.data, "application's");
}

TEST_P(CapturedPod, TcpSourcePortMayBeTakenOverOnceItsConnectionIsFinished) {
  Apply();
  const Fd nameserver = WorldTcp(at_.nameserver, 53);
  auto finish = [](Fd& client, Fd& server) {
    // The far end closes first, so that the near one has no TIME_WAIT that keeps the port.
    server.Reset();
    char byte;
    EXPECT_EQ(read(client.get(), &byte, 1), 0);
    client.Reset();
  };
  Fd application = ConnectAs(kApplicationUid, {at_.nameserver, 53});
  const uint16_t port = PortOf(application);
  Fd captured = Accept(dns_tcp_);
  ASSERT_TRUE(captured.valid());
  finish(application, captured);

  Fd sidecar = ConnectAs(kSidecarUid, {at_.nameserver, 53}, port);
  Fd upstream = Accept(nameserver);
  ASSERT_TRUE(upstream.valid()) << "the sidecar's connection was captured";
  finish(sidecar, upstream);

  const Fd again = ConnectAs(kApplicationUid, {at_.nameserver, 53}, port);
  EXPECT_TRUE(Accept(dns_tcp_).valid()) << "the application's connection escaped";
  EXPECT_FALSE(Accept(nameserver, kNothingComesMs).valid());
}

TEST_P(CapturedPod, WhatAClosedSocketStillHasToSendArrives) {
  // Its packets have no owner any more. A conntrack zone by user would lose them (see rules.h).
  Apply();
  const Fd nameserver = WorldTcp(at_.nameserver, 53);
  Fd sidecar = ConnectAs(kSidecarUid, {at_.nameserver, 53});
  const Fd upstream = Accept(nameserver);
  ASSERT_TRUE(upstream.valid());
  const std::string block(65536, 'x');
  size_t sent = 0;
  for (ssize_t n = 1; n > 0; sent += static_cast<size_t>(std::max<ssize_t>(n, 0))) {
    n = send(sidecar.get(), block.data(), block.size(), MSG_DONTWAIT);
  }
  sidecar.Reset();
  size_t received = 0;
  std::string part(65536, '\0');
  for (ssize_t n = 1; n > 0; received += static_cast<size_t>(std::max<ssize_t>(n, 0))) {
    n = read(upstream.get(), part.data(), part.size());
  }
  EXPECT_EQ(received, sent);
}

TEST_P(CapturedPod, TcpSourcePortMayBeTakenOverOnceItsConnectionIsReset) {
  Apply();
  const Fd nameserver = WorldTcp(at_.nameserver, 53);
  Fd application = ConnectAs(kApplicationUid, {at_.nameserver, 53});
  const uint16_t port = PortOf(application);
  const Fd captured = Accept(dns_tcp_);
  ASSERT_TRUE(captured.valid());
  ResetBy(application, captured);

  Fd sidecar = ConnectAs(kSidecarUid, {at_.nameserver, 53}, port);
  const Fd upstream = Accept(nameserver);
  ASSERT_TRUE(upstream.valid()) << "the sidecar's connection was captured";
  ResetBy(sidecar, upstream);

  const Fd again = ConnectAs(kApplicationUid, {at_.nameserver, 53}, port);
  EXPECT_TRUE(Accept(dns_tcp_).valid()) << "the application's connection escaped";
}

TEST_P(CapturedPod, NobodyListeningIsSeenByTheApplicationAtOnce) {
  Apply();
  dns_.Reset();
  const Fd application = ApplicationUdp();
  sockaddr_storage raw;
  const socklen_t length = SocketAddress{at_.nameserver, 53}.ToSockaddr(&raw);
  ASSERT_EQ(connect(application.get(), reinterpret_cast<sockaddr*>(&raw), length), 0);
  ASSERT_EQ(send(application.get(), "query", 5, 0), 5);
  char answer[16];
  EXPECT_EQ(recv(application.get(), answer, sizeof answer, 0), -1);
  EXPECT_EQ(errno, ECONNREFUSED);
}

TEST_P(CapturedPod, ConnectionsThatThePodServesAreNotTouched) {
  const Fd server = TcpListener({at_.pod, 8080});
  Fd client;
  network_.InWorld([&] { client = TcpConnect({at_.other_pod, 0}, {at_.pod, 8080}); });
  const Fd before = Accept(server);
  ASSERT_TRUE(before.valid());
  settings_.forward = ForwardCapture::kAll;
  Apply();
  char byte = 0;
  EXPECT_EQ(write(before.get(), "x", 1), 1) << "a connection from before the rules";
  EXPECT_EQ(read(client.get(), &byte, 1), 1);
  Fd second;
  network_.InWorld([&] { second = TcpConnect({at_.other_pod, 0}, {at_.pod, 8080}); });
  EXPECT_TRUE(Accept(server).valid());
}

TEST_P(CapturedPod, CleanLetsEverythingThrough) {
  Apply();
  ASSERT_TRUE(Clean(tools_, routing_).ok());
  const Fd nameserver = WorldUdp(at_.nameserver);
  ExpectAnswerBy(nameserver, ApplicationUdp(), {at_.nameserver, 53}, "not captured");
}

INSTANTIATE_TEST_SUITE_P(BackendsAndFamilies, CapturedPod,
                         testing::Combine(testing::Values(Backend::kNft, Backend::kLegacy),
                                          testing::Values(IpFamily::kIpv4, IpFamily::kIpv6)),
                         [](const auto& param) {
                           return std::string(Name(std::get<Backend>(param.param))) +
                                  std::string(Name(std::get<IpFamily>(param.param)));
                         });

}  // namespace
}  // namespace portolan::proxy

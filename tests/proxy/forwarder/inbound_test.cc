// What comes to a pod, under the rules of portolan-init, in network namespaces made for the test:
// an inbound Forwarder on a thread of its own as user 1337, clients in the world beyond. Needs
// root.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/fsuid.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "common/line_output.h"
#include "common/log.h"
#include "proxy/capture/capture.h"
#include "proxy/capture/ip_tool.h"
#include "proxy/capture/iptables_tools.h"
#include "proxy/forwarder/forwarder.h"
#include "tests/common/run_on_loop.h"
#include "tests/proxy/capture/pod_network.h"
#include "tests/proxy/policy/test_policy.h"

namespace portolan::proxy {
namespace {

constexpr uint16_t kPort = 8080;
constexpr uint16_t kExcludedPort = 9090;
constexpr char kPolicy[] = "NetworkPolicy/default/web";

void SendAll(const Fd& fd, const std::string& bytes) {
  for (size_t sent = 0; sent < bytes.size();) {
    const ssize_t n = send(fd.get(), bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL);
    ASSERT_GT(n, 0) << strerror(errno);
    sent += static_cast<size_t>(n);
  }
}

// What came until the stream ended, and how it ended: 0 by a FIN, else errno.
std::pair<std::string, int> ReceiveAll(const Fd& fd) {
  std::string all;
  char buffer[65536];
  while (true) {
    const ssize_t n = recv(fd.get(), buffer, sizeof buffer, 0);
    if (n <= 0) return {std::move(all), n == 0 ? 0 : errno};
    all.append(buffer, static_cast<size_t>(n));
  }
}

// The one that the sidecar dials by `n` connections later.
uint16_t PortAfter(uint16_t port, int n) {
  constexpr int kFirst = ClientSources::kFirstPort;
  return static_cast<uint16_t>(kFirst + (port - kFirst + n) % (65536 - kFirst));
}

class InboundTest : public testing::TestWithParam<IpFamily> {
 protected:
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "needs root: network namespaces and iptables";
    if (auto status = network_.Begin(); !status.ok())
      GTEST_SKIP() << "needs namespaces: " << status;
    signal(SIGPIPE, SIG_IGN);  // as main does
    CaptureSettings settings;
    settings.inbound = InboundCapture::kTproxy;
    settings.exclude_inbound_ports = {kExcludedPort};
    IptablesTools tools;
    IpTool routing;
    ASSERT_TRUE(Apply(tools, routing, BackendChoice::kNft, settings).ok());
  }
  ~InboundTest() override { Stop(); }

  void Start(IngressGate::Options policy = {}, ForwarderOptions options = {}) {
    gate_ = std::make_unique<IngressGate>(policy, denials_);
    options.direction = ForwarderOptions::Direction::kInbound;
    options.listen = {{at_.loopback, 15006}};
    options.original_destination = LocalAddress;
    options.ingress_gate = gate_.get();
    auto started = Forwarder::Start(loop_, std::move(options));
    ASSERT_TRUE(started.ok()) << started.status();
    forwarder_ = *std::move(started);
    counters_ = forwarder_->counters();
    spdlog::default_logger();  // made before there is a second thread, as main does
    thread_ = std::thread([this] {
      setfsgid(kSidecarUid);
      setfsuid(kSidecarUid);
      loop_.Run();
    });
  }
  void Stop() {
    if (!thread_.joinable()) return;
    loop_.Post([this] { forwarder_.reset(); });
    loop_.Stop();
    thread_.join();
  }

  void SetRules(std::vector<PolicyInput> policies) {
    RunOnLoop(loop_, [&] {
      const auto rules = Compile(std::move(policies));
      denials_.SetRules(rules);
      gate_->SetRules(rules);
      forwarder_->ReviewDenied();
    });
  }
  void Admit(const IpAddress& source) {
    SetRules({NetworkPolicyOf("web", {ToBlock(source.ToString(), {}, {Tcp(kPort)})})});
  }
  uint64_t Denials(PolicyMode mode) {
    uint64_t sum = 0;
    denials_.counters().ForEach(
        [&](const std::string& policy, Denied what, PolicyMode as, uint64_t count) {
          if (policy == kPolicy && what == Denied::kInbound && as == mode) sum += count;
        });
    return sum;
  }

  Fd Serve(uint16_t port = kPort) {
    Fd listener;
    As(kApplicationUid, kApplicationUid, [&] { listener = TcpListener({at_.pod, port}); });
    return listener;
  }
  Fd Call(const IpAddress& from, uint16_t port = kPort) {
    return Call(SocketAddress{from, 0}, port);
  }
  Fd Call(const SocketAddress& from, uint16_t port = kPort) {
    Fd client;
    network_.InWorld([&] { client = TcpConnect(from, {at_.pod, port}); });
    return client;
  }
  // Under way, from an address that is not the pod's.
  Fd DialAsSidecar(const SocketAddress& from) {
    const int family = GetParam() == IpFamily::kIpv4 ? AF_INET : AF_INET6;
    Fd fd;
    As(kSidecarUid, kSidecarUid, [&] { fd = Fd(socket(family, SOCK_STREAM | SOCK_NONBLOCK, 0)); });
    EXPECT_TRUE(SetTransparent(fd.get(), GetParam()));
    sockaddr_storage raw;
    auto* generic = reinterpret_cast<sockaddr*>(&raw);
    EXPECT_EQ(bind(fd.get(), generic, from.ToSockaddr(&raw)), 0) << strerror(errno);
    EXPECT_EQ(connect(fd.get(), generic, SocketAddress{at_.pod, kPort}.ToSockaddr(&raw)), -1);
    EXPECT_EQ(errno, EINPROGRESS);
    return fd;
  }
  void DropDials(const std::string& how) {
    proxy::Call({GetParam() == IpFamily::kIpv4 ? "iptables-nft" : "ip6tables-nft", how, "INPUT",
                 "-i", "lo", "-p", "tcp", "--dport", std::to_string(kPort), "-j", "DROP"});
  }
  void ExpectDenied(const Fd& client, const Fd& listener) {
    EXPECT_EQ(ReceiveAll(client).second, ECONNRESET);
    EXPECT_FALSE(Accept(listener, 20).valid());
  }

  const Addresses& at_ = AddressesOf(GetParam());
  PodNetwork network_;
  EventLoop loop_;
  portolan::proxy::Denials denials_;
  std::unique_ptr<IngressGate> gate_;
  std::unique_ptr<Forwarder> forwarder_;
  std::shared_ptr<const ForwarderCounters> counters_;
  std::thread thread_;
};

TEST_P(InboundTest, TheApplicationSeesTheClientsAddressAndAnswersIt) {
  Start();
  const Fd listener = Serve();
  for (const IpAddress& from : {at_.other_pod, at_.outside}) {
    const Fd client = Call(from);
    const Fd server = Accept(listener);
    ASSERT_TRUE(server.valid());
    EXPECT_EQ(PeerOf(server).ip, from);
    EXPECT_NE(PeerOf(server).port, PortOf(client)) << "it would be the client's own connection";
    EXPECT_GE(PeerOf(server).port, ClientSources::kFirstPort);
    EXPECT_EQ(PeerOf(client), (SocketAddress{at_.pod, kPort}));
    SendAll(client, "question");
    ASSERT_EQ(shutdown(client.get(), SHUT_WR), 0);
    EXPECT_EQ(ReceiveAll(server), std::pair(std::string("question"), 0));
    SendAll(server, "answer");
    ASSERT_EQ(shutdown(server.get(), SHUT_WR), 0);
    EXPECT_EQ(ReceiveAll(client), std::pair(std::string("answer"), 0));
  }
  EXPECT_EQ(counters_->passed_through.value(), 2u);
}

TEST_P(InboundTest, TheAccessLogSaysWhoCameAndWhoWasNotLetIn) {
  int ends[2];
  ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0);
  const Fd lines(ends[0]), write(ends[1]);
  LineOutput output(write.get());
  Start({}, {.access_log = &output});
  const Fd listener = Serve();
  Admit(at_.other_pod);
  ExpectDenied(Call(at_.outside), listener);
  {
    const Fd client = Call(at_.other_pod);
    ASSERT_TRUE(Accept(listener).valid());
  }
  std::string log;
  while (std::count(log.begin(), log.end(), '\n') < 2) {
    char buffer[4096];
    const ssize_t n = read(lines.get(), buffer, sizeof buffer);
    ASSERT_GT(n, 0);
    log.append(buffer, static_cast<size_t>(n));
  }
  const std::string own = SocketAddress{at_.pod, kPort}.ToString();
  const auto denied = nlohmann::json::parse(log.substr(0, log.find('\n')));
  EXPECT_EQ(denied["direction"], "inbound");
  EXPECT_EQ(denied["dialled"], own);
  EXPECT_EQ(denied["outcome"], "policy_denied");
  const auto joined = nlohmann::json::parse(log.substr(log.find('\n') + 1));
  EXPECT_EQ(joined["direction"], "inbound");
  EXPECT_EQ(SocketAddress::Parse(joined["source"].get<std::string>())->ip, at_.other_pod);
  EXPECT_EQ(joined["endpoint"], own);
  EXPECT_EQ(joined["outcome"], "joined");
  EXPECT_EQ(counters_->access_logged.value(), 2u);
  Stop();  // before what it writes to goes
}

TEST_P(InboundTest, MegabytesGoBothWaysAtOnce) {
  Start();
  const Fd listener = Serve();
  const Fd client = Call(at_.other_pod);
  const Fd server = Accept(listener);
  const std::string up(8 << 20, 'u'), down(8 << 20, 'd');
  std::thread upload([&] {
    SendAll(client, up);
    shutdown(client.get(), SHUT_WR);
  });
  std::thread download([&] {
    SendAll(server, down);
    shutdown(server.get(), SHUT_WR);
  });
  std::string arrived;
  std::thread drain([&] { arrived = ReceiveAll(server).first; });
  EXPECT_TRUE(ReceiveAll(client).first == down);
  for (std::thread* thread : {&upload, &download, &drain}) thread->join();
  EXPECT_TRUE(arrived == up);
}

TEST_P(InboundTest, ConnectionsOfOneClientStandBesideEachOther) {
  Start();
  const Fd listener = Serve();
  std::vector<Fd> clients, servers;
  for (int i = 0; i < 50; ++i) {
    clients.push_back(Call(at_.other_pod));
    servers.push_back(Accept(listener));
    ASSERT_TRUE(servers.back().valid());
    SendAll(clients.back(), std::to_string(i));
  }
  for (int i = 0; i < 50; ++i) {
    clients[i].Reset();
    EXPECT_EQ(ReceiveAll(servers[i]), std::pair(std::to_string(i), 0));
  }
  EXPECT_EQ(counters_->source_ports_out.value(), 0u);
}

TEST_P(InboundTest, AConnectionWhosePortIsTakenForAnotherGoesOn) {
  Start();
  const Fd listener = Serve();
  const Fd client = Call(at_.other_pod);
  const Fd server = Accept(listener);
  ASSERT_TRUE(server.valid());
  const Fd dial = DialAsSidecar({at_.other_pod, PortOf(client)});
  EXPECT_FALSE(Accept(listener, 100).valid()) << "the kernel cannot tell the two apart";
  SendAll(server, "still here");
  ASSERT_EQ(shutdown(server.get(), SHUT_WR), 0);
  EXPECT_EQ(ReceiveAll(client), std::pair(std::string("still here"), 0));
}

TEST_P(InboundTest, WhereTheClientUsesTheNextPortItsConnectionGoesOnAndTheNewOneIsMade) {
  Start();
  const Fd listener = Serve();
  const Fd before = Call(at_.other_pod);
  const uint16_t port = PeerOf(Accept(listener)).port;
  const Fd client = Call(SocketAddress{at_.other_pod, PortAfter(port, 2)});
  const Fd server = Accept(listener);
  ASSERT_EQ(PeerOf(server).port, PortAfter(port, 1));
  const Fd next = Call(at_.other_pod);
  EXPECT_EQ(PeerOf(Accept(listener)), (SocketAddress{at_.other_pod, PortAfter(port, 3)}));
  SendAll(server, "still here");
  ASSERT_EQ(shutdown(server.get(), SHUT_WR), 0);
  EXPECT_EQ(ReceiveAll(client), std::pair(std::string("still here"), 0));
}

TEST_P(InboundTest, AClientWhosePortIsInUseInItsPlaceComesInOnceThatConnectionEnds) {
  Start();
  const Fd listener = Serve();
  Fd client = Call(at_.other_pod);
  Fd server = Accept(listener);
  const SocketAddress port = PeerOf(server);
  std::thread end([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(300));
    client.Reset();
    EXPECT_EQ(ReceiveAll(server), std::pair(std::string(), 0)) << "the client's SYN does no harm";
    server.Reset();
  });
  const Fd later = Call(port);  // its second SYN, after a second
  end.join();
  EXPECT_TRUE(Accept(listener).valid());
}

TEST_P(InboundTest, WhereNothingAnswersAnotherPortIsTriedAndTheLastForAsLongAsTheKernelDoes) {
  Start({}, {.connect_timeout = absl::Milliseconds(50)});
  const Fd listener = Serve();
  DropDials("-I");
  const Fd client = Call(at_.other_pod);
  SendAll(client, "question");
  std::this_thread::sleep_for(std::chrono::milliseconds(500));
  EXPECT_EQ(counters_->retried.value(), 3u);
  EXPECT_EQ(counters_->active(), 1u);
  DropDials("-D");
  const Fd server = Accept(listener);
  ASSERT_TRUE(server.valid());
  ASSERT_EQ(shutdown(client.get(), SHUT_WR), 0);
  EXPECT_EQ(ReceiveAll(server), std::pair(std::string("question"), 0));
  EXPECT_EQ(counters_->connect_timeout.value(), 0u);
}

TEST_P(InboundTest, WhoIsNotAllowedIsResetAndTheApplicationHearsNothing) {
  Start();
  Admit(at_.outside);
  const Fd listener = Serve();
  const Fd other = Serve(kPort + 1);
  ExpectDenied(Call(at_.other_pod), listener);
  ExpectDenied(Call(at_.outside, kPort + 1), other);
  EXPECT_EQ(counters_->denied.value(), 2u);
  EXPECT_EQ(Denials(PolicyMode::kEnforced), 2u);
  const Fd allowed = Call(at_.outside);
  EXPECT_TRUE(Accept(listener).valid());
  Admit(at_.other_pod);
  const Fd by_now = Call(at_.other_pod);
  EXPECT_TRUE(Accept(listener).valid());
}

TEST_P(InboundTest, WhatPoliciesInAuditWouldDenyGoesThroughAndIsCounted) {
  Start();
  SetRules({InAudit(NetworkPolicyOf("web", {ToBlock(at_.outside.ToString(), {}, {})}))});
  const Fd listener = Serve();
  const Fd audited = Call(at_.other_pod);
  EXPECT_TRUE(Accept(listener).valid());
  const Fd allowed = Call(at_.outside);
  EXPECT_TRUE(Accept(listener).valid());
  EXPECT_EQ(Denials(PolicyMode::kAudit), 1u);
  EXPECT_EQ(counters_->denied.value(), 0u);
}

TEST_P(InboundTest, BeforeAnyPolicyIsKnownItIsClosedWhereAsked) {
  Start({.on_no_policy = OnNoPolicy::kClosed});
  const Fd listener = Serve();
  ExpectDenied(Call(at_.other_pod), listener);
  SetRules({});
  const Fd client = Call(at_.other_pod);
  EXPECT_TRUE(Accept(listener).valid());
}

TEST_P(InboundTest, WhereAskedANewDenialEndsWhatIsJoined) {
  ForwarderOptions options;
  options.end_denied = true;
  Start({}, std::move(options));
  const Fd listener = Serve();
  const Fd client = Call(at_.other_pod);
  const Fd server = Accept(listener);
  SendAll(client, "x");
  char byte;
  ASSERT_EQ(recv(server.get(), &byte, 1, 0), 1);
  Admit(at_.outside);
  EXPECT_EQ(ReceiveAll(client).second, ECONNRESET);
  EXPECT_EQ(ReceiveAll(server).second, ECONNRESET);
  EXPECT_EQ(counters_->denied_joined.value(), 1u);
}

TEST_P(InboundTest, WhereNobodyListensTheClientIsReset) {
  Start();
  EXPECT_EQ(ReceiveAll(Call(at_.other_pod)).second, ECONNRESET);
  EXPECT_EQ(counters_->connect_failed.value(), 1u);
}

TEST_P(InboundTest, WhatThePodSendsItselfAndWhatItDialsIsNotCaptured) {
  Start();
  Admit(at_.outside);  // and nobody else
  const Fd listener = Serve();
  Fd own;
  As(kApplicationUid, kApplicationUid, [&] { own = TcpConnect({at_.pod, 0}, {at_.pod, kPort}); });
  EXPECT_EQ(PeerOf(Accept(listener)), (SocketAddress{at_.pod, PortOf(own)}));
  Fd world_listener;
  network_.InWorld([&] { world_listener = TcpListener({at_.other_pod, kPort}); });
  Fd dialled;
  As(kApplicationUid, kApplicationUid, [&] {
    dialled = TcpConnect({at_.pod, 0}, {at_.other_pod, kPort});
  });
  const Fd far = Accept(world_listener);
  SendAll(far, "answer");
  ASSERT_EQ(shutdown(far.get(), SHUT_WR), 0);
  EXPECT_EQ(ReceiveAll(dialled).first, "answer");
  EXPECT_EQ(counters_->accepted.value(), 0u);
}

TEST_P(InboundTest, WhatTheConnectionTrackerDoesNotSeeIsJudgedToo) {
  proxy::Call({GetParam() == IpFamily::kIpv4 ? "iptables-nft" : "ip6tables-nft", "-t", "raw", "-I",
               "PREROUTING", "-i", "eth0", "-p", "tcp", "-j", "CT", "--notrack"});
  Start();
  Admit(at_.outside);
  const Fd listener = Serve();
  ExpectDenied(Call(at_.other_pod), listener);
  const Fd client = Call(at_.outside);
  EXPECT_EQ(PeerOf(Accept(listener)).ip, at_.outside);
}

TEST_P(InboundTest, ExcludedPortsAreNotCaptured) {
  Start();
  Admit(at_.outside);
  const Fd listener = Serve(kExcludedPort);
  const Fd client = Call(at_.other_pod, kExcludedPort);
  EXPECT_EQ(PeerOf(Accept(listener)), (SocketAddress{at_.other_pod, PortOf(client)}));
  EXPECT_EQ(counters_->accepted.value(), 0u);
}

INSTANTIATE_TEST_SUITE_P(Families, InboundTest, testing::Values(IpFamily::kIpv4, IpFamily::kIpv6));

}  // namespace
}  // namespace portolan::proxy

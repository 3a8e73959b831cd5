// Datagrams of an application through the rules of portolan-init, a UdpForwarder and back, in
// network namespaces made for the test: endpoints are in the world beyond the pod. Needs root.

#include "proxy/forwarder/udp_forwarder.h"

#include <gtest/gtest.h>
#include <sys/fsuid.h>
#include <sys/resource.h>
#include <unistd.h>

#include <functional>
#include <future>
#include <map>
#include <set>
#include <thread>

#include "common/log.h"
#include "proxy/capture/capture.h"
#include "proxy/capture/ip_tool.h"
#include "proxy/capture/iptables_tools.h"
#include "tests/proxy/capture/pod_network.h"

namespace portolan::proxy {
namespace {

constexpr uint16_t kPort = 5000;
constexpr uint16_t kEndpointPort = 6001;  // of the first endpoint

class UdpForwarding : public testing::TestWithParam<IpFamily> {
 protected:
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "needs root: network namespaces and iptables";
    if (auto status = network_.Begin(); !status.ok())
      GTEST_SKIP() << "needs namespaces: " << status;
    CaptureSettings settings;
    settings.udp = UdpCapture::kTproxy;
    settings.service_cidrs = {at_.service_cidr};
    settings.include_ports = {kPort + 100};
    IptablesTools tools;
    IpTool routing;
    ASSERT_TRUE(Apply(tools, routing, BackendChoice::kNft, settings).ok());
  }

  ~UdpForwarding() override { Stop(); }

  void Start(UdpForwarderOptions options = {}, BalancerOptions balancing = {}) {
    auto sockets = OpenUdpSockets({{at_.loopback, 15001}}, 1);
    ASSERT_TRUE(sockets.ok()) << sockets.status();
    balancer_ = std::make_unique<Balancer>(balancing, tcp_counters_, 1);
    forwarder_ =
        std::make_unique<UdpForwarder>(loop_, std::move(sockets->front()), options, *balancer_);
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

  template <typename F>
  auto OnLoop(F f) {
    std::packaged_task<decltype(f())()> task(std::move(f));
    auto result = task.get_future();
    loop_.Post([&task] { task(); });
    return result.get();
  }

  // The Service at service:kPort has so many endpoints, at ports from kEndpointPort on.
  void Serve(
      const std::vector<uint16_t>& ports,
      const std::function<void(Service&)>& change = [](Service&) {},
      const std::function<void(Endpoint&)>& condition = [](Endpoint&) {}) {
    Service service;
    service.name = {"default", "echo"};
    service.cluster_ips = {at_.service};
    service.ports = {{"", Protocol::kUdp, kPort}};
    change(service);
    directory_.Put(service);
    for (uint16_t port = kEndpointPort; port < kEndpointPort + 4; ++port) {
      EndpointSlice slice;
      slice.name = {"default", "echo-" + std::to_string(port)};
      slice.service = "echo";
      slice.family = GetParam();
      slice.ports = {{"", Protocol::kUdp, port}};
      if (std::count(ports.begin(), ports.end(), port) > 0) {
        Endpoint& endpoint = slice.endpoints.emplace_back();
        endpoint.addresses = {at_.other_pod};
        endpoint.pod = {"default", "pod-" + std::to_string(port)};
        condition(endpoint);
      }
      directory_.Put(slice);
    }
    SetRoutes();
  }
  void SetRoutes() {
    auto table = builder_.Apply(directory_.Commit(), EndpointsHeld::kAll);
    OnLoop([&] { forwarder_->SetRoutes(table); });
  }

  Fd World(const SocketAddress& address) {
    Fd fd;
    network_.InWorld([&] { fd = UdpSocket(address); });
    return fd;
  }
  Fd Server(uint16_t port) { return World({at_.other_pod, port}); }
  Fd Client() {
    Fd fd;
    As(kApplicationUid, kApplicationUid, [&] { fd = UdpSocket({at_.pod, 0}); });
    return fd;
  }

  // `server` gets what `client` sends to the Service, and its answer comes from the Service.
  void ExpectExchange(const Fd& client, const Fd& server, const std::string& data = "question") {
    Send(client, service_, data);
    const Received asked = Receive(server);
    ASSERT_EQ(asked.data, data);
    Send(server, asked.from, "answer to " + data);
    const Received answer = Receive(client);
    EXPECT_EQ(answer.data, "answer to " + data);
    EXPECT_EQ(answer.from, service_);
  }

  bool Eventually(const std::function<bool()>& holds) {
    for (int i = 0; i < 5000 && !holds(); ++i) usleep(1000);
    return holds();
  }
  // When the loop is through with what it does: a datagram may be here before it is counted.
  uint64_t Count(const Counter& counter) {
    return OnLoop([&] { return counter.value(); });
  }
  uint64_t Active() {
    return OnLoop([&] { return counters_->active(); });
  }
  bool Reaches(const Counter& counter, uint64_t value) {
    return Eventually([&] { return counter.value() == value; });
  }

  const Addresses& at_ = AddressesOf(GetParam());
  const SocketAddress service_{at_.service, kPort};
  PodNetwork network_;
  EventLoop loop_;
  ForwarderCounters tcp_counters_;
  std::unique_ptr<Balancer> balancer_;
  std::unique_ptr<UdpForwarder> forwarder_;
  std::shared_ptr<const UdpCounters> counters_;
  Directory directory_;
  RouteTableBuilder builder_;
  std::thread thread_;
};

TEST_P(UdpForwarding, AnswersComeFromTheAddressDialled) {
  Start();
  Serve({kEndpointPort});
  const Fd server = Server(kEndpointPort);
  const Fd client = Client();
  ExpectExchange(client, server, "one");
  ExpectExchange(client, server, "two");
  EXPECT_EQ(Count(counters_->forwarded), 2u);
  EXPECT_EQ(Count(counters_->answered), 2u);
  EXPECT_EQ(Count(counters_->opened), 1u);
  EXPECT_EQ(Count(counters_->bytes_up), 6u);
  EXPECT_EQ(Count(counters_->bytes_down), 2 * std::string("answer to one").size());
}

TEST_P(UdpForwarding, AConnectedSocketTakesTheAnswer) {
  Start();
  Serve({kEndpointPort});
  const Fd server = Server(kEndpointPort);
  const Fd client = Client();
  sockaddr_storage raw;
  const socklen_t length = service_.ToSockaddr(&raw);
  ASSERT_EQ(connect(client.get(), reinterpret_cast<sockaddr*>(&raw), length), 0);
  ASSERT_EQ(send(client.get(), "question", 8, 0), 8);
  const Received asked = Receive(server);
  EXPECT_EQ(asked.from.ip, at_.pod) << "the endpoint sees the pod's address";
  Send(server, asked.from, "answer");
  EXPECT_EQ(Receive(client).data, "answer");
}

TEST_P(UdpForwarding, AFlowStaysWithItsEndpointAndFlowsAreSpread) {
  Start();
  Serve({kEndpointPort, kEndpointPort + 1});
  const Fd servers[] = {Server(kEndpointPort), Server(kEndpointPort + 1)};
  int took[2] = {};
  for (int i = 0; i < 10; ++i) {
    const Fd client = Client();
    for (int repeat = 0; repeat < 3; ++repeat) Send(client, service_, "x");
    ASSERT_TRUE(Reaches(counters_->forwarded, static_cast<uint64_t>(3 * i + 3)));
    const int taker = Receive(servers[0], 100).data.empty() ? 1 : 0;
    for (int left = taker == 0 ? 2 : 3; left > 0; --left) {
      EXPECT_EQ(Receive(servers[taker]).data, "x");
    }
    EXPECT_EQ(Receive(servers[1 - taker], 0).data, "");
    ++took[taker];
  }
  EXPECT_EQ(took[0], 5);
  EXPECT_EQ(took[1], 5);
}

TEST_P(UdpForwarding, OneSocketMayDialSeveralAddresses) {
  Start();
  Serve({kEndpointPort});
  const SocketAddress other{at_.other_pod, kPort + 100};  // captured by its port
  const Fd server = Server(kEndpointPort);
  const Fd passed = World(other);
  const Fd client = Client();
  ExpectExchange(client, server);
  Send(client, other, "through");
  const Received asked = Receive(passed);
  ASSERT_EQ(asked.data, "through");
  Send(passed, asked.from, "back");
  const Received answer = Receive(client);
  EXPECT_EQ(answer.data, "back");
  EXPECT_EQ(answer.from, other);
  EXPECT_EQ(Count(counters_->passed_through), 1u);
}

TEST_P(UdpForwarding, AnApplicationOfThePodMayServeTheDialledPort) {
  Start();
  Serve({kEndpointPort});
  const Fd application =
      UdpSocket({at_.pod.is_v4() ? IpAddress() : *IpAddress::Parse("::"), kPort});
  ExpectExchange(Client(), Server(kEndpointPort));
  EXPECT_EQ(Receive(application, 0).data, "");
}

TEST_P(UdpForwarding, DatagramsOfEverySizeArriveAsTheyWere) {
  Start();
  Serve({kEndpointPort});
  const Fd server = Server(kEndpointPort);
  const Fd client = Client();
  const size_t largest = at_.pod.is_v4() ? 65'507 : 65'488;
  for (size_t size : {size_t{0}, size_t{1}, size_t{1472}, size_t{1473}, size_t{9001}, largest}) {
    std::string data(size, '\0');
    for (size_t i = 0; i < size; ++i) data[i] = static_cast<char>(i * 7 + i / 251);
    Send(client, service_, data);
    std::string got(70'000, '\0');
    sockaddr_storage from;
    socklen_t length = sizeof from;
    ssize_t n = recvfrom(server.get(), got.data(), got.size(), 0,
                         reinterpret_cast<sockaddr*>(&from), &length);
    ASSERT_EQ(n, static_cast<ssize_t>(size));
    EXPECT_EQ(got.substr(0, size), data);
    ASSERT_EQ(
        sendto(server.get(), data.data(), size, 0, reinterpret_cast<sockaddr*>(&from), length),
        static_cast<ssize_t>(size));
    n = recv(client.get(), got.data(), got.size(), 0);
    ASSERT_EQ(n, static_cast<ssize_t>(size));
    EXPECT_EQ(got.substr(0, size), data);
  }
}

TEST_P(UdpForwarding, AnswerTooLargeForTheLoopbackIsDroppedAndCounted) {
  if (GetParam() == IpFamily::kIpv4) GTEST_SKIP() << "the largest fits";
  Start();
  Serve({kEndpointPort});
  const Fd server = Server(kEndpointPort);
  const Fd client = Client();
  Send(client, service_, "question");
  Send(server, Receive(server).from, std::string(65'489, 'x'));
  EXPECT_TRUE(Reaches(counters_->answer_too_large, 1));
  ExpectExchange(client, server);
}

TEST_P(UdpForwarding, BurstsKeepTheirOrder) {
  Start();
  Serve({kEndpointPort});
  const Fd server = Server(kEndpointPort);
  const Fd client = Client();
  for (int i = 0; i < 100; ++i) Send(client, service_, std::to_string(i));
  SocketAddress from;
  for (int i = 0; i < 100; ++i) {
    const Received asked = Receive(server);
    ASSERT_EQ(asked.data, std::to_string(i));
    from = asked.from;
  }
  for (int i = 0; i < 100; ++i) Send(server, from, std::to_string(i));
  for (int i = 0; i < 100; ++i) ASSERT_EQ(Receive(client).data, std::to_string(i));
  EXPECT_EQ(Count(counters_->opened), 1u);
}

TEST_P(UdpForwarding, BeforeAnyRoutesAllPassesThrough) {
  Start();
  ExpectExchange(Client(), World(service_));
  EXPECT_EQ(Count(counters_->passed_through), 1u);
  EXPECT_EQ(Count(counters_->forwarded), 0u);
}

TEST_P(UdpForwarding, AFlowMovesToTheEndpointsOnceTheyAreKnown) {
  Start();
  const Fd client = Client();
  ExpectExchange(client, World(service_));
  Serve({kEndpointPort});
  ExpectExchange(client, Server(kEndpointPort));
  EXPECT_EQ(Count(counters_->rerouted), 1u);
}

TEST_P(UdpForwarding, WithoutEndpointsItIsDroppedAndSoIsAPortThatTheServiceHasNot) {
  Start();
  Serve({});
  const Fd client = Client();
  Send(client, service_, "x");
  EXPECT_TRUE(Reaches(counters_->no_endpoints, 1));
  Send(client, {at_.service, kPort + 1}, "x");
  EXPECT_TRUE(Reaches(counters_->no_port, 1));
  EXPECT_EQ(Active(), 0u);
}

TEST_P(UdpForwarding, ItsOwnListenerIsRefused) {
  Start();
  const Fd client = UdpSocket({at_.loopback, 0});
  Send(client, {at_.loopback, 15001}, "x");
  EXPECT_TRUE(Reaches(counters_->loop_refused, 1));
  EXPECT_EQ(Active(), 0u);
}

TEST_P(UdpForwarding, AFlowMovesOffAnEndpointThatWasDeleted) {
  Start();
  Serve({kEndpointPort});
  const Fd gone = Server(kEndpointPort);
  const Fd next = Server(kEndpointPort + 1);
  const Fd client = Client();
  ExpectExchange(client, gone);
  Serve({kEndpointPort + 1});
  ExpectExchange(client, next);
  EXPECT_EQ(Receive(gone, 0).data, "");
  EXPECT_EQ(Count(counters_->rerouted), 1u);
  Serve({});
  Send(client, service_, "x");
  EXPECT_TRUE(Reaches(counters_->no_endpoints, 1));
  EXPECT_EQ(Count(counters_->rerouted), 2u);
}

TEST_P(UdpForwarding, AFlowStaysWithAnEndpointThatIsStillThere) {
  Start();
  Serve({kEndpointPort});
  const Fd server = Server(kEndpointPort);
  const Fd client = Client();
  ExpectExchange(client, server);
  Serve({kEndpointPort, kEndpointPort + 1, kEndpointPort + 2});
  ExpectExchange(client, server);
  Serve(
      {kEndpointPort, kEndpointPort + 1}, [](Service&) {},
      [](Endpoint& endpoint) {
        const bool first = endpoint.pod.name == "pod-6001";
        endpoint.conditions = {.ready = !first, .serving = true, .terminating = first};
      });
  ExpectExchange(client, server);
  EXPECT_EQ(Count(counters_->rerouted), 0u);
  Serve(
      {kEndpointPort, kEndpointPort + 1}, [](Service&) {},
      [](Endpoint& endpoint) {
        const bool first = endpoint.pod.name == "pod-6001";
        endpoint.conditions = {.ready = !first, .serving = !first, .terminating = first};
      });
  ExpectExchange(client, Server(kEndpointPort + 1));
}

TEST_P(UdpForwarding, AFlowMovesOffAnEndpointThatRefuses) {
  Start();
  Serve({kEndpointPort, kEndpointPort + 1});
  // Only one of them listens; whichever is chosen first, the second attempt reaches it.
  const Fd server = Server(kEndpointPort + 1);
  std::set<SocketAddress> seen;
  for (int i = 0; i < 4; ++i) {
    const Fd client = Client();
    Received asked;
    for (int attempt = 0; attempt < 3 && asked.data.empty(); ++attempt) {
      Send(client, service_, "question");
      asked = Receive(server, 200);
    }
    EXPECT_EQ(asked.data, "question");
  }
  EXPECT_GE(Count(counters_->refused), 2u);
  EXPECT_EQ(Count(counters_->refused_ended), Count(counters_->refused));
}

TEST_P(UdpForwarding, TheOnlyEndpointIsTriedAgainAfterItRefused) {
  Start();
  Serve({kEndpointPort});
  const Fd client = Client();
  Send(client, service_, "lost");
  EXPECT_TRUE(Reaches(counters_->refused, 1));
  ExpectExchange(client, Server(kEndpointPort));
}

TEST_P(UdpForwarding, APassedThroughFlowOutlivesARefusal) {
  Start();
  const Fd client = Client();
  Send(client, service_, "lost");
  EXPECT_TRUE(Reaches(counters_->refused, 1));
  ExpectExchange(client, World(service_));
  EXPECT_EQ(Count(counters_->opened), 1u);
}

TEST_P(UdpForwarding, TheOldestFlowMakesRoom) {
  Start({.max_flows = 2});
  Serve({kEndpointPort});
  const Fd server = Server(kEndpointPort);
  const Fd first = Client();
  const Fd second = Client();
  const Fd third = Client();
  ExpectExchange(first, server);
  ExpectExchange(second, server);
  ExpectExchange(first, server);
  ExpectExchange(third, server);
  EXPECT_EQ(Count(counters_->evicted), 1u);
  EXPECT_EQ(Active(), 2u);
  ExpectExchange(first, server);
  EXPECT_EQ(Count(counters_->opened), 3u) << "the second one made room";
}

TEST_P(UdpForwarding, AnIdleFlowEndsSoonerIfItWasNeverAnswered) {
  Start({.timeout = absl::Milliseconds(1), .stream_timeout = absl::Hours(1)});
  Serve({kEndpointPort});
  const Fd server = Server(kEndpointPort);
  const Fd answered = Client();
  const Fd unanswered = Client();
  ExpectExchange(answered, server);
  Send(unanswered, service_, "x");
  EXPECT_EQ(Receive(server).data, "x");
  EXPECT_TRUE(Reaches(counters_->idle, 1));
  EXPECT_EQ(Active(), 1u);
  ExpectExchange(answered, server);
  EXPECT_EQ(Count(counters_->opened), 2u);
}

TEST_P(UdpForwarding, SessionAffinityKeepsNewFlowsWithOneEndpoint) {
  Start();
  Serve({kEndpointPort, kEndpointPort + 1, kEndpointPort + 2, kEndpointPort + 3},
        [](Service& service) { service.session_affinity = SessionAffinity::kClientIp; });
  Fd servers[4];
  for (uint16_t i = 0; i < 4; ++i) servers[i] = Server(static_cast<uint16_t>(kEndpointPort + i));
  for (int i = 0; i < 8; ++i) Send(Client(), service_, "x");
  ASSERT_TRUE(Reaches(counters_->forwarded, 8));
  std::multiset<int> took;
  for (const Fd& server : servers) {
    int count = 0;
    while (!Receive(server, 50).data.empty()) ++count;
    took.insert(count);
  }
  EXPECT_EQ(took, (std::multiset<int>{0, 0, 0, 8}));
}

TEST_P(UdpForwarding, AServiceHasNoMoreFlowsThanItIsToHave) {
  Start();
  Serve({kEndpointPort}, [](Service& service) {
    ServiceExtras extras;
    extras.annotations = {{"portolan.dev/max-connections", "1"}};
    service.extras = std::move(extras);
  });
  const Fd server = Server(kEndpointPort);
  const Fd first = Client();
  ExpectExchange(first, server);
  Send(Client(), service_, "x");
  EXPECT_TRUE(Reaches(counters_->over_limit, 1));
  ExpectExchange(first, server);
}

TEST_P(UdpForwarding, WithoutADescriptorItIsDroppedAndLaterDatagramsPass) {
  Start();
  Serve({kEndpointPort});
  const Fd server = Server(kEndpointPort);
  const Fd client = Client();
  rlimit before;
  getrlimit(RLIMIT_NOFILE, &before);
  const rlimit none{.rlim_cur = 3, .rlim_max = before.rlim_max};
  setrlimit(RLIMIT_NOFILE, &none);
  Send(client, service_, "lost");
  EXPECT_TRUE(Reaches(counters_->no_descriptor, 1));
  setrlimit(RLIMIT_NOFILE, &before);
  ExpectExchange(client, server);
  EXPECT_EQ(Active(), 1u);
}

TEST_P(UdpForwarding, FlowsAreListedWithServiceAndPod) {
  Start();
  Serve({kEndpointPort});
  const Fd client = Client();
  ExpectExchange(client, Server(kEndpointPort), "four");
  const auto flows = OnLoop([&] { return forwarder_->Flows(10); });
  ASSERT_EQ(flows.size(), 1u);
  EXPECT_EQ(flows[0].protocol, Protocol::kUdp);
  EXPECT_EQ(flows[0].client, (SocketAddress{at_.pod, PortOf(client)}));
  EXPECT_EQ(flows[0].dialled, service_);
  EXPECT_EQ(flows[0].endpoint, (SocketAddress{at_.other_pod, kEndpointPort}));
  EXPECT_EQ(flows[0].service, "default/echo");
  EXPECT_EQ(flows[0].pod, "default/pod-6001");
  EXPECT_EQ(flows[0].bytes_up, 4u);
  EXPECT_EQ(flows[0].bytes_down, std::string("answer to four").size());
}

TEST_P(UdpForwarding, ItsEndLeavesNothingBehind) {
  Start();
  Serve({kEndpointPort});
  ExpectExchange(Client(), Server(kEndpointPort));
  const auto target = OnLoop([&] {
    return (*builder_.Apply({directory_.snapshot(), {}}, EndpointsHeld::kAll)
                 ->Find(service_, Protocol::kUdp)
                 .route)
        ->target;
  });
  EXPECT_EQ(target->shared->connections, 1u);
  Stop();
  EXPECT_EQ(counters_->cut.value(), 1u);
  EXPECT_EQ(counters_->active(), 0u);
  EXPECT_EQ(target->shared->connections, 0u);
}

INSTANTIATE_TEST_SUITE_P(Families, UdpForwarding, testing::Values(IpFamily::kIpv4, IpFamily::kIpv6),
                         [](const auto& param) { return std::string(Name(param.param)); });

}  // namespace
}  // namespace portolan::proxy

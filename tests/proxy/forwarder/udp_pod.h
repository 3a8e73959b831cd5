// A pod under the rules of portolan-init, in network namespaces made for the test, with a
// UdpForwarder on a thread of its own as user 1337; endpoints are in the world beyond. Needs root.
#pragma once

#include <gtest/gtest.h>
#include <sys/fsuid.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "common/log.h"
#include "proxy/capture/capture.h"
#include "proxy/capture/ip_tool.h"
#include "proxy/capture/iptables_tools.h"
#include "proxy/forwarder/udp_forwarder.h"
#include "tests/common/run_on_loop.h"
#include "tests/proxy/capture/pod_network.h"

namespace portolan::proxy {

inline constexpr uint16_t kPort = 5000;
inline constexpr uint16_t kEndpointPort = 6001;  // of the first endpoint

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
    tally_ = std::make_unique<ServiceTally>(balancing.metrics);
    metrics_ = balancing.metrics;
    forwarder_ = std::make_unique<UdpForwarder>(
        loop_, std::move(sockets->front()), options,
        ForwarderParts{*balancer_, *tally_, passed_through_, access_log_, gate_});
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
    return RunOnLoop(loop_, std::move(f));
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
  void SetRoutes(EndpointsHeld held = EndpointsHeld::kAll) {
    auto table = builder_.Apply(directory_.Commit(), held);
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

  void Connect(const Fd& client, const SocketAddress& to) {
    sockaddr_storage raw;
    const socklen_t length = to.ToSockaddr(&raw);
    ASSERT_EQ(connect(client.get(), reinterpret_cast<sockaddr*>(&raw), length), 0);
  }
  // What a connected client is told when it waits for an answer.
  int ErrorOf(const Fd& client) {
    char byte;
    return recv(client.get(), &byte, 1, 0) < 0 ? errno : 0;
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
  std::unique_ptr<ServiceTally> tally_;
  std::shared_ptr<ServiceMetrics> metrics_;
  PassedThrough passed_through_;
  AccessLog* access_log_ = nullptr;
  EgressGate* gate_ = nullptr;
  std::unique_ptr<UdpForwarder> forwarder_;
  std::shared_ptr<const UdpCounters> counters_;
  Directory directory_;
  RouteTableBuilder builder_;
  std::thread thread_;
};

}  // namespace portolan::proxy

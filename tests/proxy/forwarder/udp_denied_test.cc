// What policy does to UDP flows.
#include <gtest/gtest.h>

#include <atomic>

#include "common/monotonic.h"
#include "tests/proxy/forwarder/udp_pod.h"
#include "tests/proxy/policy/test_policy.h"

namespace portolan::proxy {
namespace {

constexpr char kPolicy[] = "NetworkPolicy/default/web";
constexpr uint16_t kOther = kEndpointPort + 1;

class UdpDenied : public UdpForwarding {
 protected:
  explicit UdpDenied(EgressGate::Options options = {}) : policy_(std::move(options)) {
    gate_ = &policy_.gate;
  }
  ~UdpDenied() override { Stop(); }

  void SetRules(std::vector<PolicyInput> policies) {
    OnLoop([&] {
      policy_.SetRules(std::move(policies));
      forwarder_->ReviewDenied();
    });
  }
  // Endpoints at these ports alone.
  PolicyInput Allowing(const std::vector<uint16_t>& ports) {
    std::vector<PortInput> inputs;
    for (const uint16_t port : ports) inputs.push_back(Udp(port));
    return NetworkPolicyOf("web", {ToBlock(at_.other_pod.ToString(), {}, inputs)});
  }
  double Denials() {
    return OnLoop([&] { return policy_.Denials(kPolicy, Denied::kFlow); });
  }
  uint32_t Live() {
    return OnLoop([&] { return policy_.live(); });
  }
  // What is sent to the Service is rejected.
  void ExpectRefused(const Fd& client) {
    ASSERT_EQ(send(client.get(), "x", 1, 0), 1);
    EXPECT_EQ(ErrorOf(client), ECONNREFUSED);
  }

  TestPolicy policy_;
};

TEST_P(UdpDenied, ADeniedEndpointIsNotChosenAndWhereNoneIsAllowedTheClientIsToldByIcmp) {
  Start();
  Serve({kEndpointPort, kOther});
  const Fd servers[] = {Server(kEndpointPort), Server(kOther)};
  SetRules({Allowing({kOther})});
  for (int i = 0; i < 5; ++i) ExpectExchange(Client(), servers[1]);
  EXPECT_EQ(Denials(), 0);
  SetRules({Allowing({})});
  SetRules({NetworkPolicyOf("web", {})});
  const Fd client = Client();
  Connect(client, service_);
  ExpectRefused(client);
  EXPECT_TRUE(Reaches(counters_->denied, 1));
  EXPECT_TRUE(Reaches(counters_->rejected, 1));
}

TEST_P(UdpDenied, WhatPassesThroughIsJudgedAsItIsDialled) {
  Start();
  SetRoutes();
  SetRules({NetworkPolicyOf("web", {ToBlock(at_.service.ToString(), {}, {Udp(7000)})})});
  const Fd client = Client();
  Connect(client, {at_.service, 7001});
  ExpectRefused(client);
  EXPECT_TRUE(Reaches(counters_->denied, 1));
  EXPECT_EQ(Denials(), 1);
  const Fd server = World({at_.service, 7000});
  Send(Client(), {at_.service, 7000}, "question");
  EXPECT_EQ(Receive(server).data, "question");
}

TEST_P(UdpDenied, ANewDenialEndsAFlowAtOnceAndTheNextDatagramIsRejected) {
  Start();
  Serve({kEndpointPort});
  const Fd server = Server(kEndpointPort);
  const Fd client = Client();
  Connect(client, service_);
  ASSERT_EQ(send(client.get(), "question", 8, 0), 8);
  const SocketAddress asker = Receive(server).from;
  SetRules({Allowing({kOther})});
  EXPECT_EQ(Active(), 0u);
  EXPECT_EQ(Count(counters_->denied_ended), 1u);
  EXPECT_EQ(Denials(), 1);
  Send(server, asker, "too late");
  EXPECT_EQ(Receive(client, 100).data, "");
  ExpectRefused(client);
  EXPECT_TRUE(Reaches(counters_->denied, 1));
}

TEST_P(UdpDenied, AFlowWhoseEndpointIsDeniedMovesToOneThatIsAllowed) {
  Start();
  Serve({kEndpointPort, kOther});
  const Fd servers[] = {Server(kEndpointPort), Server(kOther)};
  SetRules({Allowing({kEndpointPort})});
  const Fd client = Client();
  ExpectExchange(client, servers[0]);
  SetRules({Allowing({kOther})});
  ExpectExchange(client, servers[1]);
  EXPECT_EQ(Count(counters_->rerouted), 1u);
  EXPECT_EQ(Count(counters_->denied_ended), 0u);
  EXPECT_EQ(Denials(), 0);
}

TEST_P(UdpDenied, AuditCountsAFlowWhereNoEndpointIsAllowedAlone) {
  Start();
  Serve({kEndpointPort, kOther});
  SetRules({InAudit(Allowing({kOther}))});
  for (int i = 0; i < 4; ++i) Send(Client(), service_, "question");
  ASSERT_TRUE(Reaches(counters_->forwarded, 4));
  const auto audited = [&] {
    return OnLoop([&] { return policy_.Denials(kPolicy, Denied::kFlow, PolicyMode::kAudit); });
  };
  EXPECT_EQ(audited(), 0);
  SetRules({InAudit(Allowing({kOther + 1}))});
  Send(Client(), service_, "question");
  ASSERT_TRUE(Reaches(counters_->forwarded, 5));
  EXPECT_EQ(audited(), 1);
}

TEST_P(UdpDenied, AFlowThatIsStillAllowedGoesOn) {
  Start();
  Serve({kEndpointPort});
  const Fd server = Server(kEndpointPort);
  const Fd client = Client();
  SetRules({Allowing({kEndpointPort})});
  ExpectExchange(client, server);
  SetRules({Allowing({kEndpointPort, kOther})});
  ExpectExchange(client, server);
  EXPECT_EQ(Count(counters_->opened), 1u);
}

TEST_P(UdpDenied, AFlowByNameHoldsTheAddressUntilItEnds) {
  Start();
  Serve({kEndpointPort});
  const Fd server = Server(kEndpointPort);
  SetRules({NetworkPolicyOf("web", {ToNames({"echo.example.com"}, {})})});
  OnLoop([&] { policy_.Learn("echo.example.com", at_.service, absl::Minutes(1), Monotonic()); });
  const Fd client = Client();
  ExpectExchange(client, server);
  EXPECT_EQ(Live(), 1u);
  SetRules(
      {NetworkPolicyOf("web", {ToNames({"echo.example.com"}, {})}), NetworkPolicyOf("more", {})});
  ExpectExchange(client, server);
  EXPECT_EQ(Count(counters_->opened), 1u);
  EXPECT_EQ(Live(), 1u);
  SetRules({NetworkPolicyOf("web", {})});
  EXPECT_EQ(Active(), 0u);
  EXPECT_EQ(Live(), 0u);
}

TEST_P(UdpDenied, WhatIsDeniedDoesNotMakeAnotherFlowGiveWay) {
  Start({.max_flows = 1});
  Serve({kEndpointPort});
  const Fd server = Server(kEndpointPort);
  SetRules({Allowing({kEndpointPort})});
  const Fd client = Client();
  ExpectExchange(client, server);
  Send(Client(), {at_.service, kPort + 1}, "no such port");
  Send(Client(), {at_.nameserver, 7001}, "denied");
  ASSERT_TRUE(Reaches(counters_->denied, 1));
  EXPECT_EQ(Count(counters_->evicted), 0u);
  ExpectExchange(client, server);
}

TEST_P(UdpDenied, TheOwnAddressOfAServiceOfUnknownEndpointsAllowsNothing) {
  UdpForwarderOptions options;
  options.want_endpoints = [](const ServiceKey&) {};
  Start(options);
  Service service;
  service.name = {"default", "echo"};
  service.cluster_ips = {at_.service};
  service.ports = {{"", Protocol::kUdp, kPort}};
  directory_.Put(service);
  SetRoutes(EndpointsHeld::kSome);
  const Fd before = Client();
  Send(before, service_, "no policy yet");
  ASSERT_TRUE(Reaches(counters_->endpoints_unknown, 1));
  const RuleInput block = ToBlock(at_.service.ToString(), {}, {});
  SetRules({NetworkPolicyOf("web", {block})});
  EXPECT_EQ(Count(counters_->denied_ended), 1u);
  const Fd client = Client();
  Connect(client, service_);
  ExpectRefused(client);
  EXPECT_TRUE(Reaches(counters_->denied, 1));
  EXPECT_EQ(Denials(), 2);
  SetRules({NetworkPolicyOf("web", {block, ToNames({"echo.example.com"}, {})})});
  OnLoop([&] { policy_.Learn("echo.example.com", at_.service, absl::Minutes(1), Monotonic()); });
  Send(Client(), service_, "by name");
  EXPECT_TRUE(Reaches(counters_->endpoints_unknown, 2));
}

// With the Services' ranges, and no Service.
class UdpUnknownService : public UdpDenied {
 protected:
  UdpUnknownService() : UdpDenied({.service_ranges = {AddressesOf(GetParam()).service_cidr}}) {}
};

TEST_P(UdpUnknownService, ItsAddressAllowsNothingAndIsJudgedByItsEndpointsOnceItIsKnown) {
  Start();
  SetRoutes();
  Send(Client(), service_, "no policy yet");
  ASSERT_TRUE(Reaches(counters_->endpoints_unknown, 1));
  const RuleInput block = ToBlock(at_.service.ToString(), {}, {});
  const RuleInput endpoints = Allowing({kEndpointPort}).rules[0];
  SetRules({NetworkPolicyOf("web", {block, endpoints})});
  EXPECT_EQ(Count(counters_->denied_ended), 1u);
  const Fd client = Client();
  Connect(client, service_);
  ExpectRefused(client);
  EXPECT_TRUE(Reaches(counters_->denied, 1));
  Serve({kEndpointPort});
  const Fd server = Server(kEndpointPort);
  ExpectExchange(client, server);
}

TEST_P(UdpUnknownService, AFlowSetsOutAnewOnceTheServiceIsKnownToWaitForItsEndpoints) {
  std::atomic<int> asked{0};
  UdpForwarderOptions options;
  options.want_endpoints = [&](const ServiceKey&) { ++asked; };
  Start(options);
  SetRoutes();
  SetRules({NetworkPolicyOf("web", {ToAnybody({})})});
  const Fd client = Client();
  Send(client, service_, "unknown");
  ASSERT_TRUE(Reaches(counters_->endpoints_unknown, 1));
  Service service;
  service.name = {"default", "echo"};
  service.cluster_ips = {at_.service};
  service.ports = {{"", Protocol::kUdp, kPort}};
  directory_.Put(service);
  SetRoutes(EndpointsHeld::kSome);
  Send(client, service_, "known");
  EXPECT_TRUE(Reaches(counters_->rerouted, 1));
  EXPECT_TRUE(Reaches(counters_->endpoints_unknown, 2));
  EXPECT_EQ(asked, 1);
  Stop();
}

INSTANTIATE_TEST_SUITE_P(Families, UdpUnknownService,
                         testing::Values(IpFamily::kIpv4, IpFamily::kIpv6),
                         [](const auto& param) { return std::string(Name(param.param)); });
INSTANTIATE_TEST_SUITE_P(Families, UdpDenied, testing::Values(IpFamily::kIpv4, IpFamily::kIpv6),
                         [](const auto& param) { return std::string(Name(param.param)); });

}  // namespace
}  // namespace portolan::proxy

// What policy does to connections.
//
// In a network namespace with addresses of its own, as loopback addresses are always allowed.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <sched.h>

#include <algorithm>
#include <fstream>

#include "common/line_output.h"
#include "common/monotonic.h"
#include "proxy/capture/tool.h"
#include "tests/proxy/forwarder/loopback.h"
#include "tests/proxy/policy/test_policy.h"

namespace portolan::proxy {
namespace {

using testing::HasSubstr;

constexpr char kGood[] = "10.66.0.1";
constexpr char kBad[] = "10.66.0.2";
constexpr char kSilent[] = "10.67.0.1";
constexpr char kPolicy[] = "NetworkPolicy/default/web";

class DeniedTest : public ForwarderTest {
 protected:
  explicit DeniedTest(EgressGate::Options options = {}) : policy_(std::move(options)) {}
  void SetUp() override {
    if (unshare(CLONE_NEWNET) != 0) GTEST_SKIP() << "needs root: network namespaces";
    Ip({"link", "set", "lo", "up"});
    for (const char* ip : {kGood, kBad, kSilent}) Ip({"address", "add", ip, "dev", "lo"});
    good_.emplace(kGood);
    bad_.emplace(kBad);
  }
  static void Ip(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), "ip");
    const auto result = RunTool(arguments, "", absl::Seconds(20));
    ASSERT_TRUE(result.ok() && result->exit_status == 0) << result->err;
  }

  // It asks the gate until then.
  ~DeniedTest() override {
    StopForwarder();
    setns(machine_.get(), CLONE_NEWNET);
  }

  void Start(ForwarderOptions options = {}) {
    options.gate = &policy_.gate;
    options.balancer.metrics = metrics_;
    StartForwarder(std::move(options));
  }
  void SetRules(std::vector<PolicyInput> policies) {
    OnLoop([&] {
      policy_.SetRules(std::move(policies));
      forwarder_->ReviewDenied();
    });
  }
  void AllowGoodAlone() { SetRules({NetworkPolicyOf("web", {ToBlock(kGood, {}, {})})}); }
  void Learn(const char* name, const SocketAddress& address) {
    OnLoop([&] { policy_.Learn(name, address.ip, absl::Minutes(5), Monotonic()); });
  }
  double Denials() {
    return OnLoop([&] { return policy_.Denials(kPolicy, Denied::kConnection); });
  }
  uint32_t Live() {
    return OnLoop([&] { return policy_.live(); });
  }
  std::string Page() {
    MetricsPage page;
    page.AddSource([this](MetricFamilies& families) { metrics_->Collect(families, Monotonic()); });
    return page.Render();
  }
  void ExpectReset(const Fd& client) { EXPECT_EQ(ReceiveAll(client).error, ECONNRESET); }

  const Fd machine_{open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC)};
  std::optional<Endpoint> good_, bad_;
  std::shared_ptr<ServiceMetrics> metrics_ = std::make_shared<ServiceMetrics>();
  TestPolicy policy_;
};

TEST_F(DeniedTest, ADeniedEndpointIsNotChosen) {
  Start();
  Serve({bad_->address(), good_->address()});
  AllowGoodAlone();
  for (int i = 0; i < 10; ++i) {
    const Fd client = Call();
    EXPECT_TRUE(good_->Accept().valid());
  }
  EXPECT_FALSE(bad_->IsCalled(std::chrono::milliseconds(20)));
  EXPECT_EQ(counters_->retried.value(), 0u);
  EXPECT_EQ(counters_->denied.value(), 0u);
  EXPECT_EQ(Denials(), 0);
}

TEST_F(DeniedTest, WhereNoEndpointIsAllowedTheConnectionIsResetAndNamedInTheLog) {
  char name[] = "/tmp/portolan-denied-XXXXXX";
  const Fd file(mkostemp(name, O_CLOEXEC));
  {
    LineOutput output(file.get());
    Start({.access_log = &output});
    Serve({bad_->address()});
    AllowGoodAlone();
    ExpectReset(Call());
    EXPECT_TRUE(AllGone());
    StopForwarder();
  }
  EXPECT_EQ(counters_->denied.value(), 1u);
  EXPECT_EQ(policy_.Denials(kPolicy, Denied::kConnection), 1);
  EXPECT_THAT(Page(), HasSubstr("portolan_forwarder_service_connections_total{service_namespace="
                                "\"default\",service=\"backend\",port=\"8080\",protocol=\"tcp\","
                                "outcome=\"policy_denied\"} 1\n"));
  std::string line;
  std::getline(std::ifstream(name) >> std::ws, line);
  EXPECT_THAT(line, HasSubstr("\"service\":\"default/backend\""));
  EXPECT_THAT(line, HasSubstr("\"attempts\":0,\"outcome\":\"policy_denied\""));
  unlink(name);
}

TEST_F(DeniedTest, ADenialGivesBackThePlaceThatTheServiceLimits) {
  Start();
  SetRoutes(RoutesTo(At(kService), {bad_->address()},
                     [](Service& service) { service.extras = MaxConnections("1"); }));
  AllowGoodAlone();
  ExpectReset(Call());
  ExpectReset(Call());
  EXPECT_EQ(counters_->denied.value(), 2u);
  EXPECT_EQ(counters_->over_limit.value(), 0u);
}

TEST_F(DeniedTest, WhatPassesThroughIsJudgedAsItIsDialled) {
  Start();
  AllowGoodAlone();
  const Fd allowed = Redirected(good_->address());
  EXPECT_TRUE(good_->Accept().valid());
  ExpectReset(Redirected(bad_->address()));
  EXPECT_FALSE(bad_->IsCalled(std::chrono::milliseconds(20)));
  EXPECT_EQ(counters_->denied.value(), 1u);
  EXPECT_EQ(Denials(), 1);
}

TEST_F(DeniedTest, ANameThatLedToTheServicesAddressLetsItsEndpointsAsLongAsItIsOpen) {
  Start();
  Serve({bad_->address()});
  SetRules({NetworkPolicyOf("web", {ToNames({"backend.example.com"}, {Tcp(8080)})})});
  ExpectReset(Call());
  Learn("backend.example.com", At(kService));
  Fd client = Call();
  Fd server = bad_->Accept();
  ASSERT_TRUE(Eventually([&] { return counters_->forwarded.value() == 1; }));
  EXPECT_EQ(Live(), 1u);
  client.Reset();
  server.Reset();
  ASSERT_TRUE(AllGone());
  EXPECT_EQ(Live(), 0u);
}

TEST_F(DeniedTest, OfTheAllowedThatFailTheLastIsTheOutcome) {
  Start();
  Serve({bad_->address(), {*IpAddress::Parse(kGood), 1}});
  AllowGoodAlone();
  ExpectReset(Call());
  EXPECT_TRUE(AllGone());
  EXPECT_EQ(counters_->connect_failed.value(), 1u);
  EXPECT_EQ(counters_->retried.value(), 0u);
  EXPECT_EQ(counters_->denied.value(), 0u);
}

TEST_F(DeniedTest, ARetryIsJudgedByTheRulesOfThen) {
  BlackHole silent(kSilent);
  Start({.connect_timeout = absl::Milliseconds(300)});
  SetRoutes(RoutesTo(At(kService), {silent.address(), bad_->address()}, [](Service& service) {
    ServiceExtras extras;
    extras.annotations = {{"portolan.dev/load-balancer", "round-robin"}};
    service.extras = extras;
  }));
  SetRules({NetworkPolicyOf("web", {ToBlock(kSilent, {}, {})})});
  const Fd client = Call();  // tries the silent one
  SetRules({NetworkPolicyOf("web", {ToBlock(kSilent, {}, {}), ToBlock(kBad, {}, {})})});
  EXPECT_TRUE(bad_->Accept().valid());
  EXPECT_EQ(counters_->retried.value(), 1u);
}

TEST_F(DeniedTest, ANewDenialOfTheEndpointTriedLeadsToAnotherThatIsAllowed) {
  BlackHole silent(kSilent);
  Start({.connect_timeout = absl::Seconds(30)});
  Serve({silent.address(), good_->address()});
  SetRules({NetworkPolicyOf("web", {ToBlock(kSilent, {}, {})})});
  const Fd client = Call();  // tries the silent one
  AllowGoodAlone();
  const Fd server = good_->Accept();
  EXPECT_TRUE(SendAll(client, "moved"));
  EXPECT_EQ(Receive(server, 5), "moved");
  EXPECT_EQ(counters_->retried.value(), 1u);
  EXPECT_EQ(counters_->connect_failed.value(), 0u);
  EXPECT_EQ(counters_->denied.value(), 0u);
  EXPECT_EQ(Denials(), 0);
}

TEST_F(DeniedTest, WhereNoneIsLeftTheDenialIsOfTheEndpointTried) {
  BlackHole silent(kSilent);
  Start({.connect_timeout = absl::Seconds(30)});
  Serve({{*IpAddress::Parse(kGood), 1}, silent.address()});
  SetRules({NetworkPolicyOf("web", {ToBlock(kSilent, {}, {}), ToBlock(kGood, {}, {})})});
  // Whichever is first in turn, some try the one that refuses before.
  const Fd clients[] = {Call(), Call(), Call()};
  ASSERT_TRUE(Eventually([&] {
    return OnLoop([&] {
      const auto all = forwarder_->Connections(10);
      return std::ranges::all_of(
          all, [&](const ConnectionInfo& one) { return one.endpoint == silent.address(); });
    });
  }));
  ASSERT_GE(counters_->retried.value(), 1u);
  AllowGoodAlone();
  for (const Fd& client : clients) ExpectReset(client);
  const auto kinds = OnLoop([&] { return policy_.denials.TakeLatest(); });
  ASSERT_FALSE(kinds.empty());
  for (const auto& kind : kinds) EXPECT_EQ(kind.latest.to(), silent.address());
}

TEST_F(DeniedTest, ANewDenialEndsWhatIsBeingConnected) {
  BlackHole silent(kSilent);
  Start({.connect_timeout = absl::Seconds(30)});
  Serve({silent.address()});
  SetRules({NetworkPolicyOf("web", {ToBlock(kSilent, {}, {})})});
  const Fd client = Call();
  EXPECT_EQ(counters_->active(), 1u);
  AllowGoodAlone();
  ExpectReset(client);
  EXPECT_EQ(counters_->denied.value(), 1u);
  EXPECT_EQ(Denials(), 1);
}

TEST_F(DeniedTest, ANewDenialLeavesWhatIsJoined) {
  Start();
  Serve({bad_->address()});
  const Fd client = Call();
  const Fd server = bad_->Accept();
  ASSERT_TRUE(Eventually([&] { return counters_->forwarded.value() == 1; }));
  AllowGoodAlone();
  EXPECT_TRUE(SendAll(client, "still"));
  EXPECT_EQ(Receive(server, 5), "still");
  ExpectReset(Call());
}

TEST_F(DeniedTest, WhereAskedANewDenialEndsWhatIsJoinedAndNothingElse) {
  Start({.end_denied = true});
  Serve({bad_->address(), good_->address()});
  SetRules({NetworkPolicyOf("web",
                            {ToBlock("10.66.0.0/16", {}, {}), ToNames({"api.example.com"}, {})})});
  Learn("api.example.com", bad_->address());
  const Fd clients[] = {Call(), Call()};
  const Fd to_good = good_->Accept(), to_bad = bad_->Accept();
  const Fd by_name = Redirected(bad_->address());
  const Fd named = bad_->Accept();
  ASSERT_TRUE(Eventually(
      [&] { return counters_->forwarded.value() == 2 && counters_->passed_through.value() == 1; }));
  SetRules({NetworkPolicyOf("web", {ToBlock(kGood, {}, {}), ToNames({"api.example.com"}, {})})});
  EXPECT_EQ(ReceiveAll(to_bad).error, ECONNRESET);
  EXPECT_EQ(counters_->denied_joined.value(), 1u);
  EXPECT_EQ(counters_->active(), 2u);
  EXPECT_TRUE(SendAll(by_name, "still"));
  EXPECT_EQ(Receive(named, 5), "still");
}

// Of a Service whose endpoints are had on demand.
class DeniedUnheld : public DeniedTest {
 protected:
  explicit DeniedUnheld(EgressGate::Options options = {}) : DeniedTest(std::move(options)) {}
  void StartAwaiting(const SocketAddress& service, ForwarderOptions options = {}) {
    options.want_endpoints = [](const ServiceKey&) {};
    options.endpoints_timeout = absl::Seconds(30);
    Start(std::move(options));
    Service object;
    object.name = {"default", "backend"};
    object.cluster_ips = {service.ip};
    object.ports = {{"", Protocol::kTcp, service.port}};
    directory_.Put(object);
    SetRoutes(builder_.Apply(directory_.Commit(), EndpointsHeld::kSome));
    SetAnswering(true);
  }
  void SetAnswering(bool answering) {
    OnLoop([&] { forwarder_->SetFeedAnswering(answering); });
  }

  Directory directory_{Directory::Slices::kOfThoseAskedFor};
  RouteTableBuilder builder_;
};

// A kube-proxy is stood for by who listens at the Service's address.
TEST_F(DeniedUnheld, ItsOwnAddressAllowsNothing) {
  StartAwaiting(good_->address());
  AllowGoodAlone();
  const Fd waits = Redirected(good_->address());
  SetAnswering(false);
  ExpectReset(waits);
  ExpectReset(Redirected(good_->address()));
  EXPECT_FALSE(good_->IsCalled(std::chrono::milliseconds(20)));
  EXPECT_EQ(counters_->denied.value(), 2u);
  EXPECT_EQ(counters_->endpoints_unknown.value(), 0u);
  EXPECT_EQ(Denials(), 2);
}

TEST_F(DeniedUnheld, WhoFindsNoPlaceToWaitIsDenied) {
  StartAwaiting(good_->address());
  AllowGoodAlone();
  std::vector<Fd> waiting;
  for (int i = 0; i < 256; ++i) waiting.push_back(Redirected(good_->address()));
  ExpectReset(Redirected(good_->address()));
  EXPECT_EQ(counters_->wait_no_place.value(), 1u);
  EXPECT_EQ(counters_->denied.value(), 1u);
}

TEST_F(DeniedUnheld, ANameOrARuleForAllLetsItPass) {
  StartAwaiting(good_->address());
  SetAnswering(false);
  SetRules({NetworkPolicyOf("web", {ToNames({"backend.example.com"}, {})})});
  Learn("backend.example.com", good_->address());
  const Fd by_name = Redirected(good_->address());
  EXPECT_TRUE(good_->Accept().valid());
  SetRules({NetworkPolicyOf("web", {ToAnybody({})})});
  const Fd by_rule = Redirected(good_->address());
  EXPECT_TRUE(good_->Accept().valid());
  EXPECT_EQ(counters_->endpoints_unknown.value(), 2u);
  EXPECT_EQ(counters_->denied.value(), 0u);
}

TEST_F(DeniedUnheld, ANewPolicyJudgesItTheSame) {
  StartAwaiting(good_->address(), {.end_denied = true});
  SetAnswering(false);
  const Fd client = Redirected(good_->address());
  const Fd server = good_->Accept();
  ASSERT_TRUE(Eventually([&] { return counters_->passed_through.value() == 1; }));
  AllowGoodAlone();
  ExpectReset(client);
  EXPECT_EQ(counters_->denied_joined.value(), 1u);
}

TEST_F(DeniedUnheld, WhatWaitsForEndpointsIsJudgedWhenItProceeds) {
  StartAwaiting(At(kService));
  SetRules({NetworkPolicyOf("web", {ToBlock("10.66.0.0/16", {}, {})})});
  const Fd client = Call();
  AllowGoodAlone();
  EXPECT_EQ(counters_->active(), 1u) << "it goes nowhere yet";
  EndpointSlice slice;
  slice.name = {"default", "backend-1"};
  slice.service = "backend";
  slice.ports = {{"", Protocol::kTcp, bad_->address().port}};
  slice.endpoints.emplace_back().addresses = {bad_->address().ip};
  directory_.Put(slice);
  SetRoutes(builder_.Apply(directory_.Commit(), EndpointsHeld::kSome));
  ExpectReset(client);
  EXPECT_EQ(counters_->denied.value(), 1u);
}

// What passes through to an address that is no known Service's, in the Services' ranges or not.
class DeniedUnknownService : public DeniedUnheld {
 protected:
  DeniedUnknownService() : DeniedUnheld({.service_ranges = {*Cidr::Parse("10.66.0.0/24")}}) {}
};

TEST_F(DeniedUnknownService, ItsAddressAllowsNothing) {
  Start();
  AllowGoodAlone();
  ExpectReset(Redirected(good_->address()));
  EXPECT_FALSE(good_->IsCalled(std::chrono::milliseconds(20)));
  EXPECT_EQ(counters_->denied.value(), 1u);
  SetRules({NetworkPolicyOf("web", {ToBlock("0.0.0.0/0", {"10.42.0.0/16"}, {})})});
  ExpectReset(Redirected(good_->address()));
  EXPECT_EQ(counters_->endpoints_unknown.value(), 0u);
  EXPECT_EQ(Denials(), 2);
}

TEST_F(DeniedUnknownService, ARuleForAllOrANameOrNoPolicyLetsItPass) {
  Start();
  const Fd without = Redirected(good_->address());
  EXPECT_TRUE(good_->Accept().valid());
  SetRules({NetworkPolicyOf("web", {ToBlock("0.0.0.0/0", {}, {})})});
  const Fd by_rule = Redirected(good_->address());
  EXPECT_TRUE(good_->Accept().valid());
  SetRules({NetworkPolicyOf("web", {ToNames({"backend.example.com"}, {})})});
  Learn("backend.example.com", good_->address());
  const Fd by_name = Redirected(good_->address());
  EXPECT_TRUE(good_->Accept().valid());
  EXPECT_EQ(counters_->endpoints_unknown.value(), 3u);
  EXPECT_EQ(counters_->denied.value(), 0u);
}

TEST_F(DeniedUnknownService, WhatLiesElsewhereIsJudgedAsItIsDialled) {
  BlackHole silent(kSilent);
  Start();
  SetRules({NetworkPolicyOf("web", {ToBlock(kSilent, {}, {})})});
  const Fd client = Redirected(silent.address());
  EXPECT_TRUE(Eventually([&] { return counters_->opened.value() == 1; }));
  EXPECT_EQ(counters_->active(), 1u);
  EXPECT_EQ(counters_->denied.value(), 0u);
}

TEST_F(DeniedUnknownService, OneThatIsKnownIsJudgedByItsEndpoints) {
  Start();
  SetRoutes(RoutesTo(good_->address(), {bad_->address()}));
  SetRules({NetworkPolicyOf("web", {ToBlock(kBad, {}, {})})});
  const Fd client = Redirected(good_->address());
  EXPECT_TRUE(bad_->Accept().valid());
}

TEST_F(DeniedUnknownService, OneThatGoesWhileItsEndpointsAreWaitedForAllowsNothing) {
  StartAwaiting(good_->address());
  AllowGoodAlone();
  const Fd waits = Redirected(good_->address());
  ASSERT_TRUE(Eventually([&] { return counters_->active() == 1; }));
  SetRoutes(std::make_shared<const RouteTable>());
  ExpectReset(waits);
  EXPECT_EQ(counters_->denied.value(), 1u);
}

TEST_F(DeniedTest, WhereAnotherEndpointIsAllowedAuditCountsNothing) {
  Start();
  Serve({bad_->address(), good_->address()});
  SetRules({InAudit(NetworkPolicyOf("web", {ToBlock(kGood, {}, {})}))});
  const Fd clients[] = {Call(), Call(), Call()};
  EXPECT_TRUE(bad_->Accept().valid());
  EXPECT_TRUE(good_->Accept().valid());
  EXPECT_EQ(
      OnLoop([&] { return policy_.Denials(kPolicy, Denied::kConnection, PolicyMode::kAudit); }), 0);
}

TEST_F(DeniedTest, WhatPoliciesInAuditWouldDenyGoesThroughAndIsCounted) {
  Start();
  Serve({bad_->address()});
  SetRules({InAudit(NetworkPolicyOf("web", {ToBlock(kGood, {}, {})}))});
  const Fd client = Call();
  EXPECT_TRUE(bad_->Accept().valid());
  EXPECT_EQ(
      OnLoop([&] { return policy_.Denials(kPolicy, Denied::kConnection, PolicyMode::kAudit); }), 1);
  EXPECT_EQ(counters_->denied.value(), 0u);
}

}  // namespace
}  // namespace portolan::proxy

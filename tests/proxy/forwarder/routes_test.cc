#include "proxy/forwarder/routes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "common/status.h"

namespace portolan::proxy {
namespace {

using testing::ElementsAre;
using Match = RouteTable::Match;

IpAddress Ip(std::string_view text) { return *IpAddress::Parse(text); }
SocketAddress At(std::string_view text) { return *SocketAddress::Parse(text); }

Service MakeService(std::string name, std::vector<std::string> cluster_ips,
                    std::vector<ServicePort> ports = {{"http", Protocol::kTcp, 80}}) {
  Service service;
  service.name = {"default", std::move(name)};
  for (const std::string& ip : cluster_ips) service.cluster_ips.push_back(Ip(ip));
  service.ports.assign(ports.begin(), ports.end());
  return service;
}

ServiceExtras WithExternalIp(std::string_view ip) {
  ServiceExtras extras;
  extras.external_ips = {Ip(ip)};
  return extras;
}

Endpoint MakeEndpoint(std::string_view ip, EndpointConditions conditions = {}) {
  Endpoint endpoint;
  endpoint.addresses = {Ip(ip)};
  endpoint.conditions = conditions;
  return endpoint;
}

EndpointSlice MakeSlice(std::string name, std::string service, std::vector<Endpoint> endpoints,
                        std::vector<EndpointPort> ports = {{"http", Protocol::kTcp, 8080}}) {
  EndpointSlice slice;
  slice.name = {"default", std::move(name)};
  slice.service = std::move(service);
  slice.endpoints = std::move(endpoints);
  slice.ports = std::move(ports);
  if (!slice.endpoints.empty()) slice.family = slice.endpoints[0].addresses[0].family();
  return slice;
}

constexpr EndpointConditions kNotReady = {.ready = false, .serving = false, .terminating = false};
constexpr EndpointConditions kLeaving = {.ready = false, .serving = true, .terminating = true};

class Routes : public testing::Test {
 protected:
  explicit Routes(Directory::Slices slices = Directory::Slices::kOfAll) : directory_(slices) {}

  void Commit(EndpointsHeld held = EndpointsHeld::kAll) {
    table_ = builder_.Apply(directory_.Commit(), held);
  }
  Match MatchOf(std::string_view dialled, Protocol protocol = Protocol::kTcp) const {
    return table_->Find(At(dialled), protocol).match;
  }
  std::vector<std::string> EndpointsOf(std::string_view dialled) const {
    std::vector<std::string> all;
    const auto found = table_->Find(At(dialled), Protocol::kTcp);
    if (found.route == nullptr) return all;
    for (const auto& endpoint : (*found.route)->endpoints) {
      all.push_back(endpoint.address.ToString());
    }
    return all;
  }
  std::string ServiceOf(std::string_view dialled) const {
    const auto found = table_->Find(At(dialled), Protocol::kTcp);
    return found.route == nullptr ? "" : (*found.route)->target->service.name;
  }

  Directory directory_;
  RouteTableBuilder builder_;
  std::shared_ptr<const RouteTable> table_ = std::make_shared<const RouteTable>();
};

TEST_F(Routes, LeadFromEveryAddressOfAServiceToItsEndpoints) {
  Service service = MakeService("backend", {"10.43.0.1"});
  ServiceExtras extras = WithExternalIp("192.0.2.1");
  extras.load_balancer_ips = {Ip("198.51.100.1")};
  service.extras = extras;
  directory_.Put(service);
  directory_.Put(
      MakeSlice("b-1", "backend", {MakeEndpoint("10.42.0.1"), MakeEndpoint("10.42.0.2")}));
  Commit();
  for (const char* dialled : {"10.43.0.1:80", "192.0.2.1:80", "198.51.100.1:80"}) {
    EXPECT_THAT(EndpointsOf(dialled), ElementsAre("10.42.0.1:8080", "10.42.0.2:8080")) << dialled;
  }
}

TEST_F(Routes, AnUnknownAddressIsNoService) {
  Commit();
  EXPECT_EQ(MatchOf("10.42.0.1:80"), Match::kNotAService);
}

TEST_F(Routes, AClusterIpHasItsPortsAloneAnExternalAddressMayHaveOthers) {
  Service service = MakeService("backend", {"10.43.0.1"});
  service.extras = WithExternalIp("192.0.2.1");
  directory_.Put(service);
  Commit();
  EXPECT_EQ(MatchOf("10.43.0.1:81"), Match::kNoSuchPort);
  EXPECT_EQ(MatchOf("10.43.0.1:80", Protocol::kUdp), Match::kNoSuchPort);
  EXPECT_EQ(MatchOf("192.0.2.1:22"), Match::kNotAService);
  EXPECT_EQ(MatchOf("192.0.2.1:80"), Match::kNoEndpoints);
}

class RoutesOnDemand : public Routes {
 protected:
  RoutesOnDemand() : Routes(Directory::Slices::kOfThoseAskedFor) {}
};

TEST_F(RoutesOnDemand, EndpointsAreUnknownUntilTheyAreHeldOrItIsThatThereAreNone) {
  Service service = MakeService("backend", {"10.43.0.1"});
  service.extras = WithExternalIp("192.0.2.1");
  directory_.Put(service);
  Commit(EndpointsHeld::kSome);
  EXPECT_EQ(MatchOf("10.43.0.1:80"), Match::kEndpointsUnknown);
  EXPECT_EQ(MatchOf("192.0.2.1:80"), Match::kEndpointsUnknown);
  EXPECT_EQ(MatchOf("10.43.0.1:81"), Match::kNoSuchPort);
  directory_.PutNoSlices("default/backend");
  Commit(EndpointsHeld::kSome);
  EXPECT_EQ(MatchOf("10.43.0.1:80"), Match::kNoEndpoints);
  EXPECT_EQ(MatchOf("192.0.2.1:80"), Match::kNoEndpoints);
  directory_.Put(MakeSlice("b-1", "backend", {MakeEndpoint("10.42.0.1")}));
  Commit(EndpointsHeld::kSome);
  EXPECT_THAT(EndpointsOf("10.43.0.1:80"), ElementsAre("10.42.0.1:8080"));
  directory_.ForgetSlices("default/backend");
  Commit(EndpointsHeld::kSome);
  EXPECT_EQ(MatchOf("10.43.0.1:80"), Match::kEndpointsUnknown);
  EXPECT_EQ(MatchOf("192.0.2.1:80"), Match::kEndpointsUnknown);
}

TEST_F(Routes, AServiceIsInUseByConnectionsSinceTheLastLookOpenOnesAndAffinity) {
  Service service = MakeService("backend", {"10.43.0.1"});
  service.session_affinity = SessionAffinity::kClientIp;
  directory_.Put(service);
  directory_.Put(MakeSlice("b-1", "backend", {MakeEndpoint("10.42.0.1")}));
  Commit();
  const RouteTarget& target = *(*table_->Find(At("10.43.0.1:80"), Protocol::kTcp).route)->target;
  const absl::Duration now = absl::Hours(10);
  EXPECT_FALSE(table_->TakeUse(service, now));
  ASSERT_TRUE(target.Enter(0));
  EXPECT_TRUE(table_->TakeUse(service, now));
  EXPECT_TRUE(table_->TakeUse(service, now)) << "it is open";
  target.Leave();
  EXPECT_FALSE(table_->TakeUse(service, now));
  ASSERT_TRUE(target.Enter(0));
  target.Leave();
  EXPECT_TRUE(table_->TakeUse(service, now)) << "it was, since the last look";

  Affinity& kept = target.shared->affinity[0];
  ASSERT_TRUE(kept.Keep(kept.Look(now, absl::Hours(3)), 1, now));
  EXPECT_TRUE(table_->TakeUse(service, now + absl::Hours(2)));
  EXPECT_FALSE(table_->TakeUse(service, now + absl::Hours(4)));
}

TEST_F(Routes, EndpointsAreUnknownUntilTheControlPlaneHasSaidAll) {
  directory_.Put(MakeService("backend", {"10.43.0.1"}));
  Commit(EndpointsHeld::kSome);
  EXPECT_EQ(MatchOf("10.43.0.1:80"), Match::kEndpointsUnknown);
  Commit(EndpointsHeld::kAll);
  EXPECT_EQ(MatchOf("10.43.0.1:80"), Match::kNoEndpoints);
  directory_.Put(MakeSlice("b-1", "backend", {}));
  Commit(EndpointsHeld::kSome);
  EXPECT_EQ(MatchOf("10.43.0.1:80"), Match::kNoEndpoints) << "an empty slice says it";
}

TEST_F(Routes, PortsAreMatchedByNameAndProtocolInEachSlice) {
  directory_.Put(MakeService("backend", {"10.43.0.1"},
                             {{"http", Protocol::kTcp, 80}, {"admin", Protocol::kTcp, 81}}));
  directory_.Put(MakeSlice("b-1", "backend", {MakeEndpoint("10.42.0.1")},
                           {{"http", Protocol::kTcp, 8080}, {"admin", Protocol::kTcp, 9090}}));
  directory_.Put(MakeSlice("b-2", "backend", {MakeEndpoint("10.42.0.2")},
                           {{"http", Protocol::kTcp, 8081}, {"admin", Protocol::kUdp, 9090}}));
  directory_.Put(MakeSlice("b-3", "backend", {MakeEndpoint("10.42.0.3")}, {{"http"}}));
  Commit();
  EXPECT_THAT(EndpointsOf("10.43.0.1:80"), ElementsAre("10.42.0.1:8080", "10.42.0.2:8081"));
  EXPECT_THAT(EndpointsOf("10.43.0.1:81"), ElementsAre("10.42.0.1:9090"));
}

TEST_F(Routes, KeepAddressFamiliesApart) {
  directory_.Put(MakeService("backend", {"10.43.0.1", "fd00::1"}));
  directory_.Put(MakeSlice("b-4", "backend", {MakeEndpoint("10.42.0.1")}));
  directory_.Put(MakeSlice("b-6", "backend", {MakeEndpoint("fd01::1")}));
  Commit();
  EXPECT_THAT(EndpointsOf("10.43.0.1:80"), ElementsAre("10.42.0.1:8080"));
  EXPECT_THAT(EndpointsOf("[fd00::1]:80"), ElementsAre("[fd01::1]:8080"));
}

TEST_F(Routes, UseLeavingEndpointsOnlyWhereNoneIsReady) {
  directory_.Put(MakeService("backend", {"10.43.0.1"}));
  directory_.Put(MakeSlice("b-1", "backend",
                           {MakeEndpoint("10.42.0.1"), MakeEndpoint("10.42.0.2", kNotReady),
                            MakeEndpoint("10.42.0.3", kLeaving)}));
  Commit();
  EXPECT_THAT(EndpointsOf("10.43.0.1:80"), ElementsAre("10.42.0.1:8080"));
  directory_.Put(
      MakeSlice("b-1", "backend",
                {MakeEndpoint("10.42.0.1", kNotReady), MakeEndpoint("10.42.0.2", kNotReady),
                 MakeEndpoint("10.42.0.3", kLeaving)}));
  Commit();
  EXPECT_THAT(EndpointsOf("10.43.0.1:80"), ElementsAre("10.42.0.3:8080"));
}

TEST_F(Routes, AnEndpointInTwoSlicesCountsOnce) {
  directory_.Put(MakeService("backend", {"10.43.0.1"}));
  directory_.Put(MakeSlice("b-1", "backend", {MakeEndpoint("10.42.0.1", kNotReady)}));
  directory_.Put(MakeSlice("b-2", "backend", {MakeEndpoint("10.42.0.1")}));
  directory_.Put(MakeSlice("b-3", "backend", {MakeEndpoint("10.42.0.1")}));
  Commit();
  EXPECT_THAT(EndpointsOf("10.43.0.1:80"), ElementsAre("10.42.0.1:8080"));
}

TEST_F(Routes, ExternalNameAndHeadlessServicesHaveNone) {
  Service external = MakeService("external", {"10.43.0.1"});
  external.type = ServiceType::kExternalName;
  Service headless = MakeService("headless", {});
  headless.headless = true;
  headless.extras = WithExternalIp("192.0.2.1");
  directory_.Put(external);
  directory_.Put(headless);
  Commit();
  EXPECT_EQ(MatchOf("10.43.0.1:80"), Match::kNotAService);
  EXPECT_EQ(MatchOf("192.0.2.1:80"), Match::kNotAService);
}

TEST_F(Routes, AClusterIpIsNotTakenOverByAnExternalAddress) {
  Service thief = MakeService("a-thief", {"10.43.0.9"});
  thief.extras = WithExternalIp("10.43.0.1");
  directory_.Put(thief);
  directory_.Put(MakeSlice("t-1", "a-thief", {MakeEndpoint("10.42.0.9")}));
  Commit();
  EXPECT_EQ(ServiceOf("10.43.0.1:80"), "a-thief");
  directory_.Put(MakeService("backend", {"10.43.0.1"}));
  Commit();
  EXPECT_EQ(MatchOf("10.43.0.1:80"), Match::kNoEndpoints);
  directory_.Put(MakeSlice("b-1", "backend", {MakeEndpoint("10.42.0.1")}));
  Commit();
  EXPECT_EQ(ServiceOf("10.43.0.1:80"), "backend");
  directory_.RemoveSlice({"default", "b-1"});
  Commit();
  EXPECT_EQ(MatchOf("10.43.0.1:80"), Match::kNoEndpoints);
  directory_.RemoveService({"default", "backend"});
  Commit();
  EXPECT_EQ(ServiceOf("10.43.0.1:80"), "a-thief");
  directory_.RemoveService({"default", "a-thief"});
  Commit();
  EXPECT_EQ(MatchOf("10.43.0.1:80"), Match::kNotAService);
}

TEST_F(Routes, ATargetOutlivesChangesOfItsEndpoints) {
  directory_.Put(MakeService("backend", {"10.43.0.1"}));
  directory_.Put(MakeSlice("b-1", "backend", {MakeEndpoint("10.42.0.1")}));
  Commit();
  const auto before = (*table_->Find(At("10.43.0.1:80"), Protocol::kTcp).route)->target;
  directory_.Put(MakeSlice("b-1", "backend", {MakeEndpoint("10.42.0.2")}));
  Commit();
  EXPECT_EQ((*table_->Find(At("10.43.0.1:80"), Protocol::kTcp).route)->target, before);
}

TEST_F(Routes, AreBuiltAnewWhenACommitWasMissed) {
  directory_.Put(MakeService("first", {"10.43.0.1"}));
  directory_.Put(MakeSlice("f-1", "first", {MakeEndpoint("10.42.0.1")}));
  Commit();
  directory_.Put(MakeService("second", {"10.43.0.2"}));
  directory_.Put(MakeSlice("s-1", "second", {MakeEndpoint("10.42.0.2")}));
  directory_.RemoveService({"default", "first"});
  directory_.Commit();
  directory_.Put(MakeService("third", {"10.43.0.3"}));
  Commit();
  EXPECT_EQ(MatchOf("10.43.0.1:80"), Match::kNotAService);
  EXPECT_THAT(EndpointsOf("10.43.0.2:80"), ElementsAre("10.42.0.2:8080"));
  EXPECT_EQ(MatchOf("10.43.0.3:80"), Match::kNoEndpoints);
}

// What a table says of every address and port of a RandomCluster, as text that two tables can be
// compared by.
std::map<std::string, std::string> Describe(const RouteTable& table) {
  std::map<std::string, std::string> all;
  for (const std::string network : {"10.43.0.", "fd00::"}) {
    for (int host = 0; host < 4; ++host) {
      for (const uint16_t port : {7, 80, 81, 82}) {
        for (const Protocol protocol : {Protocol::kTcp, Protocol::kUdp}) {
          const SocketAddress dialled{Ip(network + std::to_string(host)), port};
          const auto found = table.Find(dialled, protocol);
          std::string line = std::to_string(static_cast<int>(found.match));
          if (found.route != nullptr) {
            const Route& route = **found.route;
            line += " " + route.target->service.ToString() + ":" + route.target->port_name;
            for (const auto& endpoint : route.endpoints) line += " " + endpoint.address.ToString();
          }
          all[fmt::format("{}/{}", dialled.ToString(), static_cast<int>(protocol))] = line;
        }
      }
    }
  }
  return all;
}

// A small cluster in which addresses, ports and slices collide often.
class RandomCluster {
 public:
  explicit RandomCluster(uint32_t seed) : random_(seed) {}

  void Change(Directory& directory) {
    const std::string service = "s" + std::to_string(Pick(6));
    const std::string slice = "e" + std::to_string(Pick(8));
    switch (Pick(6)) {
      case 0:
        return directory.RemoveService({"default", service});
      case 1:
        return directory.RemoveSlice({"default", slice});
      case 2:
      case 3:
        return directory.Put(RandomService(service));
      default:
        return directory.Put(RandomSlice(slice, service));
    }
  }

 private:
  int Pick(int below) { return static_cast<int>(random_() % below); }

  Service RandomService(std::string name) {
    Service service = MakeService(std::move(name), {}, {});
    for (int i = Pick(3); i > 0; --i) {
      service.cluster_ips.push_back(Ip("10.43.0." + std::to_string(Pick(4))));
    }
    if (Pick(2) == 0) service.cluster_ips.push_back(Ip("fd00::" + std::to_string(Pick(4))));
    if (Pick(2) == 0) service.extras = WithExternalIp("10.43.0." + std::to_string(Pick(4)));
    for (int i = Pick(4); i > 0; --i) {
      service.ports.push_back({"p" + std::to_string(Pick(3)),
                               Pick(2) ? Protocol::kTcp : Protocol::kUdp,
                               static_cast<uint16_t>(80 + Pick(3))});
    }
    service.headless = Pick(8) == 0;
    if (Pick(8) == 0) service.type = ServiceType::kExternalName;
    return service;
  }

  EndpointSlice RandomSlice(std::string name, std::string service) {
    const bool v6 = Pick(3) == 0;
    std::vector<Endpoint> endpoints;
    for (int i = Pick(4); i > 0; --i) {
      const std::string base = v6 ? "fd01::" : "10.42.0.";
      endpoints.push_back(
          MakeEndpoint(base + std::to_string(Pick(6)), {Pick(2) == 0, Pick(2) == 0, Pick(2) == 0}));
    }
    std::vector<EndpointPort> ports;
    for (int i = 0; i < 3; ++i) {
      ports.push_back({"p" + std::to_string(i), Pick(2) ? Protocol::kTcp : Protocol::kUdp,
                       static_cast<uint16_t>(8080 + Pick(2))});
    }
    return MakeSlice(std::move(name), std::move(service), endpoints, ports);
  }

  std::mt19937 random_;
};

TEST(RouteTableBuilder, AChangedTableEqualsOneBuiltFromScratch) {
  for (uint32_t seed = 0; seed < 40; ++seed) {
    RandomCluster cluster(seed);
    Directory directory;
    RouteTableBuilder builder;
    for (int step = 0; step < 120; ++step) {
      for (uint32_t i = 0; i <= seed % 4; ++i) cluster.Change(directory);
      const auto table = builder.Apply(directory.Commit(), EndpointsHeld::kAll);
      const auto fresh = RouteTableBuilder().Apply({directory.snapshot(), {}}, EndpointsHeld::kAll);
      ASSERT_EQ(Describe(*table), Describe(*fresh)) << "seed " << seed << " step " << step;
    }
  }
}

Endpoint OnNode(Endpoint endpoint, std::string node) {
  endpoint.node_name = std::move(node);
  return endpoint;
}

TEST(RoutesHere, InternalTrafficPolicyLocalIsForClusterIpsAlone) {
  Directory directory;
  Service service = MakeService("agent", {"10.43.0.1"});
  service.extras = WithExternalIp("192.0.2.1");
  service.internal_traffic_policy = TrafficPolicy::kLocal;
  directory.Put(service);
  directory.Put(MakeSlice(
      "a-1", "agent",
      {OnNode(MakeEndpoint("10.42.0.1"), "n1"), OnNode(MakeEndpoint("10.42.0.2"), "n2")}));
  const auto committed = directory.Commit();
  const auto count = [&](const char* node, const char* dialled) {
    const auto table =
        RouteTableBuilder({.node = node, .zone = ""}).Apply(committed, EndpointsHeld::kAll);
    const auto found = table->Find(At(dialled), Protocol::kTcp);
    return std::pair(found.match, found.route == nullptr ? 0 : (*found.route)->endpoints.size());
  };
  EXPECT_EQ(count("n1", "10.43.0.1:80"), std::pair(Match::kEndpoints, size_t{1}));
  EXPECT_EQ(count("n1", "192.0.2.1:80"), std::pair(Match::kEndpoints, size_t{2}));
  EXPECT_EQ(count("n3", "10.43.0.1:80"), std::pair(Match::kNoLocalEndpoints, size_t{0}));
  EXPECT_EQ(count("n3", "192.0.2.1:80"), std::pair(Match::kEndpoints, size_t{2}));
}

TEST(RoutesHere, WithoutAnyEndpointPolicyLocalIsNotToBlame) {
  Directory directory;
  Service service = MakeService("agent", {"10.43.0.1"});
  service.internal_traffic_policy = TrafficPolicy::kLocal;
  directory.Put(service);
  directory.Put(MakeSlice("a-1", "agent", {OnNode(MakeEndpoint("10.42.0.2", kNotReady), "n2")}));
  const auto table =
      RouteTableBuilder({.node = "n1", .zone = ""}).Apply(directory.Commit(), EndpointsHeld::kAll);
  EXPECT_EQ(table->Find(At("10.43.0.1:80"), Protocol::kTcp).match, Match::kNoEndpoints);
}

TEST_F(Routes, ThatMoveElsewhereAreMadeAnewAndKeepTheirTargets) {
  Service service = MakeService("agent", {"10.43.0.1"});
  service.internal_traffic_policy = TrafficPolicy::kLocal;
  directory_.Put(service);
  directory_.Put(MakeSlice(
      "a-1", "agent",
      {OnNode(MakeEndpoint("10.42.0.1"), "n1"), OnNode(MakeEndpoint("10.42.0.2"), "n2")}));
  builder_.MoveTo({.node = "n1", .zone = ""});
  Commit();
  EXPECT_THAT(EndpointsOf("10.43.0.1:80"), ElementsAre("10.42.0.1:8080"));
  const auto before = *table_->Find(At("10.43.0.1:80"), Protocol::kTcp).route;
  builder_.MoveTo({.node = "n2", .zone = ""});
  Commit();
  EXPECT_THAT(EndpointsOf("10.43.0.1:80"), ElementsAre("10.42.0.2:8080"));
  EXPECT_EQ((*table_->Find(At("10.43.0.1:80"), Protocol::kTcp).route)->target, before->target);
}

TEST_F(Routes, APolicyThatChangesKeepsTheTarget) {
  directory_.Put(MakeService("backend", {"10.43.0.1"}));
  directory_.Put(MakeSlice("b-1", "backend", {MakeEndpoint("10.42.0.1")}));
  Commit();
  const auto before = *table_->Find(At("10.43.0.1:80"), Protocol::kTcp).route;
  Service service = MakeService("backend", {"10.43.0.1"});
  service.session_affinity = SessionAffinity::kClientIp;
  directory_.Put(service);
  Commit();
  const auto after = *table_->Find(At("10.43.0.1:80"), Protocol::kTcp).route;
  EXPECT_EQ(before->policy.affinity_seconds, 0u);
  EXPECT_EQ(after->policy.affinity_seconds, 10800u);
  EXPECT_EQ(before->target, after->target);
}

TEST(RouteTarget, CountsNoMoreConnectionsThanItIsToHave) {
  const RouteTarget target;
  EXPECT_TRUE(target.Enter(2));
  EXPECT_TRUE(target.Enter(2));
  EXPECT_FALSE(target.Enter(2));
  target.Leave();
  EXPECT_TRUE(target.Enter(2));
  EXPECT_TRUE(target.Enter(0));
}

TEST(RouteTableBuilder, OneChangeAmong50000ServicesCostsMicroseconds) {
  Directory directory;
  for (int i = 0; i < 50'000; ++i) {
    const std::string name = "s" + std::to_string(i);
    directory.Put(
        MakeService(name, {fmt::format("10.{}.{}.{}", 43 + i / 65536, i / 256 % 256, i % 256)}));
    directory.Put(MakeSlice(name + "-1", name, {MakeEndpoint("10.42.0.1")}));
  }
  using Clock = std::chrono::steady_clock;
  using Micros = std::chrono::duration<double, std::micro>;
  RouteTableBuilder builder;
  const auto all = directory.Commit();
  const auto started = Clock::now();
  builder.Apply(all, EndpointsHeld::kAll);
  const double whole = Micros(Clock::now() - started).count();
  std::vector<double> micros;
  for (int i = 0; i < 101; ++i) {
    const std::string name = "s" + std::to_string(i * 400);
    directory.Put(MakeSlice(name + "-1", name, {MakeEndpoint("10.42.0.2")}));
    const auto committed = directory.Commit();
    const auto start = Clock::now();
    builder.Apply(committed, EndpointsHeld::kAll);
    micros.push_back(Micros(Clock::now() - start).count());
  }
  std::nth_element(micros.begin(), micros.begin() + 50, micros.end());
  std::printf("one changed Service of 50,000: median %.0f us; all: %.0f us\n", micros[50], whole);
  EXPECT_LT(micros[50], whole / 100);
}

}  // namespace
}  // namespace portolan::proxy

#include "proxy/explain/connections.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "policy/policy_compiler.h"
#include "tests/directory/small_cluster.h"
#include "tests/policy/policies.h"

namespace portolan::proxy {
namespace {

using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

// The small cluster, with a third pod of default/backend that is ready.
class ConnectionsTest : public ::testing::Test {
 protected:
  ConnectionsTest() {
    PutSmallCluster(directory_);
    EndpointSlice more;
    more.name = {"default", "backend-more"};
    more.service = "backend";
    more.ports = {{"http", Protocol::kTcp, 8080}};
    more.endpoints.resize(1);
    more.endpoints[0].addresses = {*IpAddress::Parse("10.42.0.3")};
    more.endpoints[0].pod = {"default", "backend-3"};
    directory_.Put(more);
    Commit();
  }

  void Commit() { builder_.Apply(directory_.Commit(), EndpointsHeld::kAll); }

  json Explain(const char* address, std::vector<std::vector<Balancer::EndpointState>> workers) {
    const auto connections = ConnectionsTo({*IpAddress::Parse(address)}, *builder_.table());
    if (connections.size() != 1) return connections.size();
    return ConnectionJson(connections[0], workers,
                          {*directory_.snapshot(), {}, false, policy_, asked_, port_});
  }

  static ExplainedPolicy Policies(std::vector<PolicyInput> policies) {
    PolicyCompiler compiler;
    compiler.SetPolicies(std::move(policies), {});
    ExplainedPolicy policy;
    policy.rules = compiler.Commit();
    return policy;
  }

  static Balancer::EndpointState State(const char* address) {
    Balancer::EndpointState state;
    state.address = *SocketAddress::Parse(address);
    return state;
  }

  static std::string Next(const json& connection, size_t endpoint) {
    return connection["endpoints"].at(endpoint)["next"];
  }

  Directory directory_;
  RouteTableBuilder builder_;
  ExplainedPolicy policy_;
  std::string asked_;
  uint16_t port_ = 0;
};

TEST_F(ConnectionsTest, EachEndpointSaysWhetherItMayBeNextAndWhyNot) {
  Balancer::EndpointState first = State("10.42.0.1:8080");
  first.active = 2;
  const json connection = Explain("10.43.0.123", {{first}, {first}});
  EXPECT_EQ(connection["outcome"], "forwarded");
  EXPECT_EQ(connection["service"], "default/backend");
  EXPECT_EQ(connection["port"], 8080);
  EXPECT_EQ(connection["policy"]["verdict"], "allowed");
  EXPECT_EQ(connection["choice"]["how"], "least-load");
  ASSERT_EQ(connection["endpoints"].size(), 3u);
  const json& ready = connection["endpoints"][0];
  EXPECT_EQ(ready["pod"], "default/backend-1");
  EXPECT_EQ(ready["zone"], "zone-a");
  EXPECT_EQ(ready["open"], 4) << "of both workers";
  EXPECT_EQ(ready["next"], "one of");
  const json& leaving = connection["endpoints"][1];
  EXPECT_EQ(leaving["eligible"], false);
  EXPECT_EQ(leaving["why"], "terminating, and others are ready");
  EXPECT_EQ(leaving["next"], "no");
  EXPECT_EQ(Next(connection, 2), "one of");
}

TEST_F(ConnectionsTest, OneThatAllWorkersPassOverIsNotNextAndItsTimeIsSaid) {
  Balancer::EndpointState out = State("10.42.0.1:8080");
  out.ejected = true;
  out.failures = 3;
  out.ejected_for = absl::Milliseconds(4321);
  const json all = Explain("10.43.0.123", {{out}, {out}});
  EXPECT_EQ(Next(all, 0), "no");
  EXPECT_EQ(
      all["endpoints"][0]["why"],
      "ejected: could not be connected to 3 times in a row, passed over by 2 of 2 workers for "
      "4.4s more");
  EXPECT_EQ(Next(all, 2), "chosen") << "the only one left";
  // Another worker may still choose it.
  const json one = Explain("10.43.0.123", {{out}, {}});
  EXPECT_EQ(Next(one, 0), "one of");
  EXPECT_EQ(Next(one, 2), "one of");
}

TEST_F(ConnectionsTest, SessionAffinityNamesTheOneThatIsChosen) {
  Service sticky = *directory_.snapshot()->FindService("default/backend");
  sticky.session_affinity = SessionAffinity::kClientIp;
  directory_.Put(sticky);
  Commit();
  Balancer::EndpointState kept = State("10.42.0.3:8080");
  kept.kept = true;
  const json connection = Explain("10.43.0.123", {{kept}});
  EXPECT_EQ(Next(connection, 0), "no");
  EXPECT_EQ(connection["endpoints"][0]["why"], "session affinity keeps another one");
  EXPECT_EQ(Next(connection, 2), "chosen");
  EXPECT_EQ(connection["choice"]["affinity"]["kept"], "10.42.0.3:8080");
  EXPECT_EQ(connection["choice"]["affinity"]["seconds"], 10800);
  const json none_kept = Explain("10.43.0.123", {{}});
  EXPECT_EQ(Next(none_kept, 0), "one of");
  EXPECT_TRUE(none_kept["choice"]["affinity"]["kept"].is_null());
}

TEST_F(ConnectionsTest, WithoutAnEligibleEndpointTheConnectionIsReset) {
  for (const char* slice : {"backend-4", "backend-more"}) {
    EndpointSlice unready = *directory_.snapshot()->FindSlices("default/backend")->at(slice);
    for (Endpoint& endpoint : unready.endpoints) endpoint.conditions = {false, false, false};
    directory_.Put(unready);
  }
  Commit();
  const json connection = Explain("10.43.0.123", {});
  EXPECT_EQ(connection["outcome"], "no_endpoints");
  EXPECT_FALSE(connection.contains("choice"));
  ASSERT_EQ(connection["endpoints"].size(), 3u);
  EXPECT_EQ(connection["endpoints"][2]["why"], "not ready");
}

// --- Policy ---

TEST_F(ConnectionsTest, ADeniedEndpointIsNotNextAndSaysWhy) {
  policy_ = Policies({NetworkPolicyOf("web", {ToBlock("10.42.0.3/32", {}, {Tcp(8080)})})});
  const json connection = Explain("10.43.0.123", {});
  EXPECT_EQ(connection["outcome"], "forwarded");
  EXPECT_EQ(connection["policy"]["verdict"], "allowed");
  EXPECT_EQ(connection["policy"]["says"], "of 2 eligible endpoints 1 are allowed");
  EXPECT_EQ(Next(connection, 0), "no");
  EXPECT_EQ(connection["endpoints"][0]["policy"]["verdict"], "denied");
  EXPECT_THAT(connection["endpoints"][0]["why"].get<std::string>(), HasSubstr("denied by policy"));
  EXPECT_EQ(Next(connection, 2), "chosen") << "the only one left";
  EXPECT_EQ(connection["endpoints"][2]["policy"]["says"],
            "rule 0 of NetworkPolicy/default/web allows it");
}

TEST_F(ConnectionsTest, WhereNoEndpointIsAllowedPolicyDeniesTheConnection) {
  policy_ = Policies({NetworkPolicyOf("web", {})});
  const json connection = Explain("10.43.0.123", {});
  EXPECT_EQ(connection["outcome"], "policy_denied");
  EXPECT_EQ(connection["policy"]["verdict"], "denied");
  EXPECT_THAT(connection["policy"]["isolatedBy"], ElementsAre("NetworkPolicy/default/web"));
}

TEST_F(ConnectionsTest, AServiceIsAuditedWhereAllItsEligibleEndpointsAre) {
  policy_ = Policies({InAudit(NetworkPolicyOf("web", {ToBlock("10.42.0.3/32", {}, {Tcp(8080)})}))});
  const json connection = Explain("10.43.0.123", {});
  EXPECT_EQ(connection["policy"]["verdict"], "allowed");
  EXPECT_EQ(connection["policy"]["says"], "no policy isolates the pod");
  EXPECT_EQ(connection["endpoints"][0]["policy"]["verdict"], "audited");
  EXPECT_EQ(connection["endpoints"][2]["policy"]["verdict"], "allowed");
  policy_ = Policies({InAudit(NetworkPolicyOf("web", {}))});
  EXPECT_EQ(Explain("10.43.0.123", {})["policy"]["verdict"], "audited");
}

TEST_F(ConnectionsTest, WithoutEndpointsThatAreHeldItsOwnAddressDoesNotCount) {
  Service unheld = *directory_.snapshot()->FindService("default/backend");
  unheld.name.name = "unheld";
  unheld.cluster_ips = {*IpAddress::Parse("10.43.0.200")};
  directory_.Put(unheld);
  builder_.Apply(directory_.Commit(), EndpointsHeld::kSome);
  EXPECT_EQ(Explain("10.43.0.200", {})["outcome"], "passed_through");
  policy_ = Policies({NetworkPolicyOf("web", {ToBlock("10.42.0.0/16", {}, {Tcp(8080)})})});
  const json denied = Explain("10.43.0.200", {});
  EXPECT_EQ(denied["outcome"], "policy_denied");
  EXPECT_THAT(denied["says"].get<std::string>(), HasSubstr("not held"));
  EXPECT_EQ(denied["policy"]["verdict"], "denied");
  policy_ = Policies({NetworkPolicyOf("web", {ToBlock("10.43.0.200/32", {}, {Tcp(8080)})})});
  EXPECT_EQ(Explain("10.43.0.200", {})["outcome"], "policy_denied");
  policy_ = Policies({NetworkPolicyOf("web", {ToAnybody({})})});
  EXPECT_EQ(Explain("10.43.0.200", {})["outcome"], "passed_through");
  EXPECT_EQ(Explain("10.43.0.200", {})["policy"]["says"],
            "rule 0 of NetworkPolicy/default/web allows it, whatever its endpoints are");
}

TEST_F(ConnectionsTest, ARuleByNameLetsEveryEndpoint) {
  policy_ = Policies({DnsPolicyOf("web", {ToNames({"backend.example.com"}, {Tcp(8080)})})});
  EXPECT_EQ(Explain("10.43.0.123", {})["outcome"], "policy_denied");
  asked_ = "backend.example.com.";
  const json connection = Explain("10.43.0.123", {});
  EXPECT_EQ(connection["policy"]["verdict"], "allowed");
  EXPECT_EQ(Next(connection, 0), "one of");
}

TEST_F(ConnectionsTest, WhatIsPassedThroughIsJudgedAtThePortOrAtTheUsualOnes) {
  policy_ = Policies({NetworkPolicyOf("web", {ToBlock("192.0.2.0/24", {}, {Tcp(443)})})});
  const json connection = Explain("192.0.2.1", {});
  EXPECT_EQ(connection["policy"]["verdict"], "by port");
  EXPECT_EQ(connection["policy"]["ports"][0]["port"], 443);
  EXPECT_EQ(connection["policy"]["ports"][0]["verdict"], "allowed");
  EXPECT_EQ(connection["policy"]["ports"][1]["verdict"], "denied");
  EXPECT_EQ(connection["outcome"], "passed_through");
  port_ = 80;
  EXPECT_EQ(Explain("192.0.2.1", {})["outcome"], "policy_denied");
  EXPECT_EQ(Explain("198.51.100.1", {})["policy"]["verdict"], "denied");
}

TEST_F(ConnectionsTest, OfAServiceThatIsNotKnownTheAddressDoesNotCount) {
  const PolicyInput web = NetworkPolicyOf("web", {ToBlock("10.43.0.0/16", {}, {Tcp(443)})});
  policy_ = Policies({web});
  EXPECT_EQ(Explain("10.43.0.200", {})["policy"]["verdict"], "by port") << "no ranges are known";
  policy_.service_ranges = {*Cidr::Parse("10.43.0.0/16")};
  const json denied = Explain("10.43.0.200", {});
  EXPECT_EQ(denied["outcome"], "policy_denied");
  EXPECT_THAT(denied["says"].get<std::string>(), HasSubstr("no known Service's"));
  EXPECT_EQ(denied["policy"]["verdict"], "denied");
  EXPECT_EQ(Explain("10.44.0.1", {})["says"], "policy denies the address: reset");
  for (const char* all : {"0.0.0.0/0", "::/0"}) {
    const auto ranges = policy_.service_ranges;
    policy_ = Policies({web, NetworkPolicyOf("all", {ToBlock(all, {}, {Tcp(0)})})});
    policy_.service_ranges = ranges;
    EXPECT_EQ(Explain("10.43.0.200", {})["outcome"],
              all[0] == '0' ? "passed_through" : "policy_denied");
  }
}

TEST_F(ConnectionsTest, WhatIsNoServicesPassesThrough) {
  const json connection = Explain("10.42.0.9", {});
  EXPECT_EQ(connection["outcome"], "passed_through");
  EXPECT_FALSE(connection.contains("endpoints"));
  EXPECT_THAT(connection["captured"].get<std::string>(), HasSubstr("portolan-init"));
}

TEST_F(ConnectionsTest, WhatIsLeftToKubeProxyIsNotSaidToBeForwarded) {
  Service both = *directory_.snapshot()->FindService("default/backend");
  for (const Protocol protocol : {Protocol::kUdp, Protocol::kSctp}) {
    both.ports = {{"http", protocol, 80}};
    directory_.Put(both);
    Commit();
    const json connection = Explain("10.43.0.123", {});
    EXPECT_EQ(connection["outcome"], "not_captured");
    EXPECT_EQ(connection["says"], "kube-proxy carries it");
    EXPECT_THAT(connection["captured"].get<std::string>(), HasSubstr("no: "));
    EXPECT_FALSE(connection.contains("endpoints"));
  }
}

TEST(AddressesIn, TakesAddressRecordsOnceEach) {
  std::vector<std::string> texts;
  for (const IpAddress& one : AddressesIn(json::parse(
           R"(["a. 30 IN CNAME b.", "b. 30 IN A 10.0.0.1", "b. 30 IN A 10.0.0.1",
               "b. 30 IN AAAA fd00::1", "b. 30 IN A nonsense", ""])"))) {
    texts.push_back(one.ToString());
  }
  EXPECT_THAT(texts, ElementsAre("10.0.0.1", "fd00::1"));
}

}  // namespace
}  // namespace portolan::proxy

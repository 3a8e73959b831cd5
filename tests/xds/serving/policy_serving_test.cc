// What policies are made of, as sidecars get it.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <grpcpp/support/proto_buffer_reader.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "tests/xds/policy/cluster.h"
#include "tests/xds/serving/delta_client.h"
#include "tests/xds/serving/delta_server.h"
#include "xds/api/policy_codec.h"
#include "xds/serving/delta_session.h"

namespace portolan::xds {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr auto kPeerSet = ResourceType::kPeerSet;
constexpr auto kPolicyRules = ResourceType::kPolicyRules;
constexpr auto kEgressPolicy = ResourceType::kEgressPolicy;

// The set that AdmitDb names.
std::string DbSet() {
  return PeerSelector{{"shop", {}, Labelled({{"app", "db"}})}, "", {}}.SetName();
}

NetworkPolicy AdmitDb(const std::string& name = "db") {
  return MakePolicy("shop", name, {{"app", "web"}}, {{{PodsWith({{"app", "db"}})}, {Tcp(5432)}}});
}

Pod Web() { return MakePod("shop", "web-1", {{"app", "web"}}, {"10.9.0.1"}); }

// 10.0.x.y and, where asked for, fd00::xxyy.
Pod Db(size_t number, bool v4 = true, bool v6 = false) {
  std::vector<std::string> ips;
  if (v4) ips.push_back(fmt::format("10.0.{}.{}", number >> 8, number & 255));
  if (v6) ips.push_back(fmt::format("fd00:10:244:17::{:x}", number + 0x1000));
  return MakePod("shop", fmt::format("db-{}", number), {{"app", "db"}}, ips);
}

DeltaClient::Request AskAs(const std::string& node, ResourceType type,
                           const DeltaClient::Names& names) {
  auto request = DeltaClient::Ask(type, names);
  request.mutable_node()->set_id(node);
  return request;
}

class PolicyServer : public DeltaServer {
 protected:
  void PutDbs(size_t begin, size_t end) {
    for (size_t i = begin; i < end; ++i) directory_.Put(Db(i));
    Commit();
  }
  static api::PeerSet PeersIn(const DeltaClient::Response& response) {
    EXPECT_EQ(response.resources_size(), 1) << response.ShortDebugString();
    if (response.resources_size() != 1) return {};
    const auto set = api::ParsePeerSet(response.resources(0));
    EXPECT_TRUE(set.ok()) << set.status();
    return *set;
  }
};

TEST_F(PolicyServer, APodIsToldWhichPoliciesAreForItAndWhatItsNodesAddressesAre) {
  Node node;
  node.name = "n1";
  node.internal_ips = {Ip("192.0.2.1"), Ip("fd00::1")};
  Pod web = Web();
  web.node_name = "n1";
  Put(node, web, AdmitDb("db"), AdmitDb("a"));
  DeltaClient client(port());
  client.Send(AskAs("shop/web-1", kEgressPolicy, {"shop/web-1"}));
  const auto first = client.Receive();
  ASSERT_THAT(NamesIn(first), ElementsAre("shop/web-1"));
  const auto policy = api::ParseEgressPolicy(first.resources(0));
  ASSERT_TRUE(policy.ok()) << policy.status();
  EXPECT_THAT(policy->policies, ElementsAre("NetworkPolicy/shop/a", "NetworkPolicy/shop/db"));
  EXPECT_EQ(policy->node_addresses, node.internal_ips);

  node.internal_ips.pop_back();
  Put(node);
  EXPECT_EQ(api::ParseEgressPolicy(client.Receive().resources(0))->node_addresses,
            node.internal_ips);
  directory_.RemoveNetworkPolicy({"shop", "a"});
  Commit();
  EXPECT_THAT(api::ParseEgressPolicy(client.Receive().resources(0))->policies,
              ElementsAre("NetworkPolicy/shop/db"));
  directory_.RemoveNetworkPolicy({"shop", "db"});
  Commit();
  EXPECT_THAT(RemovedIn(client.Receive()), ElementsAre("shop/web-1"));
}

TEST_F(PolicyServer, OfANodesAddressesAPodIsToldNoMoreThanItTakes) {
  Node node;
  node.name = "n1";
  for (int i = 0; i <= api::kMaxNodeAddresses; ++i) {
    node.internal_ips.push_back(Ip(fmt::format("192.0.2.{}", i)));
  }
  Pod web = Web();
  web.node_name = "n1";
  Put(node, web, AdmitDb());
  DeltaClient client(port());
  client.Send(AskAs("shop/web-1", kEgressPolicy, {"shop/web-1"}));
  const auto policy = api::ParseEgressPolicy(client.Receive().resources(0));
  ASSERT_TRUE(policy.ok()) << policy.status();
  node.internal_ips.pop_back();
  EXPECT_EQ(policy->node_addresses, node.internal_ips);
}

TEST_F(PolicyServer, APodIsToldWhoMayConnectAndWhatItsPortsAreCalled) {
  const std::vector<ContainerPort> ports = {{"web", Protocol::kTcp, 8080}};
  Put(WithPorts(Web(), ports),
      MakeIngress("shop", "in", {{"app", "web"}}, {{{}, {NamedTcp("web")}}}));
  DeltaClient client(port());
  client.Send(AskAs("shop/web-1", kEgressPolicy, {"shop/web-1"}));
  const auto policy = api::ParseEgressPolicy(client.Receive().resources(0));
  ASSERT_TRUE(policy.ok()) << policy.status();
  EXPECT_THAT(policy->policies, IsEmpty());
  EXPECT_THAT(policy->ingress, ElementsAre("NetworkPolicy/shop/in/ingress"));
  EXPECT_EQ(policy->ports, ports);
  DeltaClient other(port());
  other.Send(kPolicyRules, {"NetworkPolicy/shop/in/ingress"});
  const auto rules = api::ParsePolicyRules(other.Receive().resources(0));
  ASSERT_TRUE(rules.ok()) << rules.status();
  EXPECT_EQ(rules->rules[0].ports[0].name, "web");

  Put(AdmitDb("db"));
  const auto both = api::ParseEgressPolicy(client.Receive().resources(0));
  EXPECT_THAT(both->policies, ElementsAre("NetworkPolicy/shop/db"));
  EXPECT_EQ(both->ports, ports);
  // Without policies of ingress its ports are nobody's affair.
  directory_.RemoveNetworkPolicy({"shop", "in"});
  Commit();
  EXPECT_THAT(api::ParseEgressPolicy(client.Receive().resources(0))->ports, IsEmpty());
}

TEST_F(PolicyServer, AnEgressPolicyIsShownToItsOwnPodAlone) {
  Put(Web(), AdmitDb());
  for (const char* node : {"shop/web-2", "other/web-1", "shop", ""}) {
    DeltaClient client(port());
    client.Send(AskAs(node, kEgressPolicy, {"shop/web-1"}));
    EXPECT_THAT(RemovedIn(client.Receive()), ElementsAre("shop/web-1")) << node;
  }
}

TEST_F(PolicyServer, OfAPodThatIsNotKnownNothingIsSaid) {
  Put(AdmitDb());
  DeltaClient client(port());
  client.Send(AskAs("shop/web-1", kEgressPolicy, {"shop/web-1"}));
  const auto first = client.Receive();
  EXPECT_THAT(NamesIn(first), IsEmpty());
  EXPECT_THAT(RemovedIn(first), IsEmpty());
  Put(MakePod("shop", "web-1", {{"app", "db"}}, {}));
  EXPECT_THAT(RemovedIn(client.Receive()), ElementsAre("shop/web-1")) << "known, and free";
  Put(Web());
  EXPECT_THAT(NamesIn(client.Receive()), ElementsAre("shop/web-1"));
  directory_.RemovePod({"shop", "web-1"});
  Commit();
  EXPECT_THAT(RemovedIn(client.Receive()), IsEmpty()) << "it ends as it was";
}

// Two replicas: the second has not heard of the pod whose policies the client has from the first.
TEST_F(PolicyServer, AReplicaThatLagsTakesNoPolicyAway) {
  Put(AdmitDb());
  DeltaClient client(port());
  auto request = AskAs("shop/web-1", kEgressPolicy, {"shop/web-1"});
  (*request.mutable_initial_resource_versions())["shop/web-1"] = "0123456789abcdef";
  client.Send(request);
  EXPECT_THAT(RemovedIn(client.Receive()), IsEmpty());
  Put(Web());
  EXPECT_THAT(NamesIn(client.Receive()), ElementsAre("shop/web-1"));
}

TEST_F(PolicyServer, WhoHasATokenIsThePodOfTheToken) {
  Put(Web(), AdmitDb());
  for (const char* pod : {"shop/web-1", "shop/web-2"}) {
    DeltaSession session({.set = cache_.current(), .peer = "peer", .identifier = "test"});
    session.Admit(pod);
    // Names no node, as a token does that.
    const std::string bytes = DeltaClient::Ask(kEgressPolicy, {"shop/web-1"}).SerializeAsString();
    const grpc::Slice slice(bytes);
    ASSERT_TRUE(session.OnRequest(grpc::ByteBuffer(&slice, 1)).ok());
    auto sent = session.NextResponse();
    grpc::ProtoBufferReader reader(&*sent);
    DeltaClient::Response response;
    ASSERT_TRUE(response.ParseFromZeroCopyStream(&reader));
    EXPECT_EQ(response.resources_size(), std::string(pod) == "shop/web-1" ? 1 : 0);
  }
}

TEST_F(PolicyServer, APolicyForManyPodsIsToldToEachThatAsked) {
  for (int i = 0; i < 300; ++i) {
    directory_.Put(MakePod("shop", fmt::format("web-{}", i), {{"app", "web"}}, {}));
  }
  Commit();
  DeltaClient client(port());
  client.Send(AskAs("shop/web-17", kEgressPolicy, {"shop/web-17"}));
  EXPECT_THAT(RemovedIn(client.Receive()), ElementsAre("shop/web-17"));
  Put(AdmitDb());
  EXPECT_THAT(NamesIn(client.Receive()), ElementsAre("shop/web-17"));
  EXPECT_TRUE(client.IsQuiet());
  // Many are others now, and this one is not.
  for (int i = 100; i < 300; ++i) directory_.RemovePod({"shop", fmt::format("web-{}", i)});
  Commit();
  EXPECT_TRUE(client.IsQuiet());
}

TEST_F(PolicyServer, RulesAreServedToAnybodyByName) {
  NetworkPolicy policy = AdmitDb();
  policy.origin.resource_version = absl::Cord("17");
  Put(policy);
  DeltaClient client(port());
  client.Send(kPolicyRules, {"NetworkPolicy/shop/db", "NetworkPolicy/shop/none"});
  const auto first = client.Receive();
  ASSERT_THAT(NamesIn(first), ElementsAre("NetworkPolicy/shop/db"));
  EXPECT_THAT(RemovedIn(first), ElementsAre("NetworkPolicy/shop/none"));
  EXPECT_TRUE(first.resources(0).has_metadata());
  const auto rules = api::ParsePolicyRules(first.resources(0));
  ASSERT_TRUE(rules.ok()) << rules.status();
  EXPECT_TRUE(rules->isolates);
  ASSERT_THAT(rules->rules, SizeIs(1));
  EXPECT_THAT(rules->rules[0].peer_sets, ElementsAre(DbSet()));

  policy.audit = true;
  Put(policy);
  EXPECT_TRUE(api::ParsePolicyRules(client.Receive().resources(0))->audit);
  Put(Db(1));
  EXPECT_TRUE(client.IsQuiet());
}

TEST_F(PolicyServer, NoWildcardCoversThem) {
  Put(Web(), AdmitDb(), Db(1));
  DeltaClient client(port());
  for (const ResourceType type : {kPeerSet, kPolicyRules, kEgressPolicy}) {
    client.Send(AskAs("shop/web-1", type, {"*"}));
    const auto first = client.Receive();
    EXPECT_THAT(NamesIn(first), IsEmpty());
    EXPECT_EQ(first.system_version_info(), Generation());
  }
  Put(AdmitDb("another"), Db(2));
  EXPECT_TRUE(client.IsQuiet());
}

TEST_F(PolicyServer, PeersAreSentWholeAndThenAsDifferences) {
  directory_.Put(AdmitDb());
  PutDbs(0, 300);
  DeltaClient client(port());
  client.Send(kPeerSet, {DbSet()});
  const auto first = client.Receive();
  const api::PeerSet whole = PeersIn(first);
  EXPECT_TRUE(whole.is_whole());
  EXPECT_THAT(whole.added, SizeIs(300));
  EXPECT_FALSE(first.resources(0).has_metadata());

  Put(Db(300));
  const auto second = client.Receive();
  EXPECT_EQ(PeersIn(second).base, first.resources(0).version());
  EXPECT_THAT(PeersIn(second).added, ElementsAre(Peer{Ip("10.0.1.44"), 0}));
  directory_.RemovePod({"shop", "db-7"});
  Put(Db(301));
  const auto third = client.Receive();
  EXPECT_EQ(PeersIn(third).base, second.resources(0).version());
  EXPECT_THAT(PeersIn(third).added, ElementsAre(Peer{Ip("10.0.1.45"), 0}));
  EXPECT_THAT(PeersIn(third).removed, ElementsAre(Peer{Ip("10.0.0.7"), 0}));

  directory_.RemoveNetworkPolicy({"shop", "db"});
  Commit();
  EXPECT_THAT(RemovedIn(client.Receive()), ElementsAre(DbSet()));
  Put(AdmitDb());
  EXPECT_TRUE(PeersIn(client.Receive()).is_whole());
}

TEST_F(PolicyServer, ASetWithoutMembersIsThereAndOneThatNoPolicyNamesIsNot) {
  Put(AdmitDb());
  DeltaClient client(port());
  client.Send(kPeerSet, {DbSet(), "0123456789abcdef"});
  const auto first = client.Receive();
  EXPECT_THAT(PeersIn(first).added, IsEmpty());
  EXPECT_THAT(RemovedIn(first), ElementsAre("0123456789abcdef"));
}

TEST_F(PolicyServer, WhoComesBackIsSentWhatDiffersFromWhatItHas) {
  directory_.Put(AdmitDb());
  PutDbs(0, 300);
  std::string held;
  {
    DeltaClient client(port());
    client.Send(kPeerSet, {DbSet()});
    held = client.Receive().resources(0).version();
  }
  {
    DeltaClient client(port());
    client.Send(DeltaClient::Ask(kPeerSet, {DbSet()}, {}, {{DbSet(), held}}));
    EXPECT_EQ(client.Receive().resources_size(), 0);
    // It is known all the same what it has.
    Put(Db(300));
    EXPECT_EQ(PeersIn(client.Receive()).base, held);
  }
  {
    DeltaClient client(port());
    client.Send(DeltaClient::Ask(kPeerSet, {DbSet()}, {}, {{DbSet(), held}}));
    EXPECT_EQ(PeersIn(client.Receive()).base, held);
  }
  for (const std::string unknown : {"123456789abcdef", "", "no version that we gave"}) {
    DeltaClient client(port());
    client.Send(DeltaClient::Ask(kPeerSet, {DbSet()}, {}, {{DbSet(), unknown}}));
    EXPECT_TRUE(PeersIn(client.Receive()).is_whole()) << unknown;
  }
}

TEST_F(PolicyServer, WhoAsksAnewIsSentAllOfIt) {
  directory_.Put(AdmitDb());
  PutDbs(0, 300);
  DeltaClient client(port());
  client.Send(kPeerSet, {DbSet()});
  const std::string version = client.Receive().resources(0).version();
  client.Send(kPeerSet, {DbSet()}, {DbSet()});
  EXPECT_TRUE(PeersIn(client.Receive()).is_whole());
  client.Send(kPeerSet, {DbSet()});
  EXPECT_TRUE(PeersIn(client.Receive()).is_whole());
  // But for who says in the same breath what it has.
  client.Send(DeltaClient::Ask(kPeerSet, {DbSet()}, {DbSet()}, {{DbSet(), version}}));
  EXPECT_EQ(client.Receive().resources_size(), 0);
}

TEST_F(PolicyServer, AfterARefusalDifferencesAreFromNothing) {
  directory_.Put(AdmitDb());
  PutDbs(0, 300);
  DeltaClient client(port());
  client.Send(kPeerSet, {DbSet()});
  client.Receive();
  Put(Db(300));
  const auto refused = client.Receive();
  EXPECT_FALSE(PeersIn(refused).is_whole());
  client.Nack(refused, "not from there");
  // Answered once the refusal was taken.
  client.Send(kPolicyRules, {"NetworkPolicy/none/none"});
  client.Receive();
  Put(Db(301));
  EXPECT_TRUE(PeersIn(client.Receive()).is_whole());
}

TEST_F(PolicyServer, AClientThatIsSlowIsSentOneDifferenceOrTheWhole) {
  directory_.Put(AdmitDb());
  PutDbs(0, 300);
  // Answers nothing by itself.
  DiscoveryClient<DeltaClient::Request, DeltaClient::Response> client(port(),
                                                                      DeltaClient::kAggregated, {});
  client.Send(DeltaClient::Ask(kPeerSet, {DbSet()}));
  auto last = client.Receive();
  Put(Db(300));
  last = client.Receive();
  for (size_t i = 301; i < 310; ++i) Put(Db(i));
  client.Send(client.AnswerTo(last));
  auto next = client.Receive();
  EXPECT_EQ(PeersIn(next).base, last.resources(0).version());
  EXPECT_THAT(PeersIn(next).added, SizeIs(9));
  // The second on its way again, and now more changes than are remembered.
  Put(Db(310));
  last = client.Receive();
  for (size_t i = 311; i < 312 + PeerSet::kMostChanges; ++i) Put(Db(i));
  client.Send(client.AnswerTo(last));
  next = client.Receive();
  EXPECT_TRUE(PeersIn(next).is_whole());
  EXPECT_THAT(PeersIn(next).added, SizeIs(312 + PeerSet::kMostChanges));
}

// Issue 8: "one pod more in a namespace of 5,000 that 1,000 sidecars admit costs each at most 200
// bytes".
TEST_F(PolicyServer, OnePodMoreInASetOf5000CostsASidecarAtMost200Bytes) {
  for (const auto& [v4, v6] : {std::pair(true, false), {false, true}, {true, true}}) {
    directory_.Put(AdmitDb());
    for (size_t i = 0; i < 5000; ++i) directory_.Put(Db(i, v4, v6));
    Commit();
    DeltaClient client(port());
    client.Send(kPeerSet, {DbSet()});
    EXPECT_THAT(PeersIn(client.Receive()).added, SizeIs(v4 && v6 ? 10'000 : 5000));
    Put(Db(5000, v4, v6));
    const auto added = client.Receive();
    EXPECT_THAT(PeersIn(added).added, SizeIs(v4 && v6 ? 2 : 1));
    EXPECT_LE(added.ByteSizeLong(), 200u);
    directory_.RemovePod({"shop", "db-5000"});
    Commit();
    EXPECT_LE(client.Receive().ByteSizeLong(), 200u);
    std::cout << "one pod more, " << (v4 ? v6 ? "both" : "IPv4" : "IPv6") << ": "
              << added.ByteSizeLong() << " bytes\n";
  }
}

TEST_F(PolicyServer, WhoTheControlPlaneIsStandsInAStreamsFirstResponseAlone) {
  Put(AdmitDb());
  DeltaClient client(port());
  client.Send(kPeerSet, {DbSet()});
  EXPECT_EQ(client.Receive().control_plane().identifier(), "test");
  client.Send(kPolicyRules, {"NetworkPolicy/shop/db"});
  EXPECT_FALSE(client.Receive().has_control_plane());
}

}  // namespace
}  // namespace portolan::xds

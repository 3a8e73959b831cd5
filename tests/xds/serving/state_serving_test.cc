// The state-of-the-world protocol, and the streams of single types.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "envoy/config/endpoint/v3/endpoint.pb.h"
#include "tests/xds/serving/delta_client.h"
#include "tests/xds/serving/delta_server.h"
#include "tests/xds/serving/services.h"
#include "tests/xds/serving/state_client.h"

namespace portolan::xds {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr auto kCluster = ResourceType::kCluster;
constexpr auto kAssignment = ResourceType::kLoadAssignment;
constexpr auto kListener = ResourceType::kListener;
constexpr auto kRoute = ResourceType::kRoute;

std::string NameOf(const std::string& service) { return service + ".default.svc.cluster.local:80"; }
const std::string kA = NameOf("a");
const std::string kB = NameOf("b");
const std::string kC = NameOf("c");

class StateServer : public DeltaServer {
 protected:
  static Service At(const std::string& name, const std::string& ip) {
    return MakeClusterIpService(name, ip, {{"", 80}});
  }
  static EndpointSlice SliceOf(const std::string& service, const std::string& address) {
    return MakeSliceOf(service, service + "-1", {{"", Protocol::kTcp, 80}}, {{address}});
  }
  void PutThree() { Put(At("a", "10.43.0.1"), At("b", "10.43.0.2"), At("c", "10.43.0.3")); }
};

TEST_F(StateServer, NothingAndStarAreTheSameWildcard) {
  PutThree();
  for (const StateClient::Names& names : {StateClient::Names{}, StateClient::Names{"*"}}) {
    StateClient client(port());
    client.Send(kCluster, names);
    const auto first = client.Receive();
    EXPECT_THAT(NamesIn(first), ElementsAre(kA, kB, kC));
    EXPECT_EQ(first.version_info(), Generation());
    EXPECT_EQ(first.control_plane().identifier(), "test");
    client.Ack(first, names);
    EXPECT_TRUE(client.IsQuiet());
  }
}

TEST_F(StateServer, AWildcardOfListenersHoldsThoseOfClusterIps) {
  PutThree();
  StateClient client(port());
  client.Send(kListener);
  const auto first = client.Receive();
  EXPECT_THAT(NamesIn(first), ElementsAre("10.43.0.1:80", "10.43.0.2:80", "10.43.0.3:80"));
  client.Ack(first);
  // One by name on top.
  client.Ack(first, {"*", kA});
  EXPECT_THAT(NamesIn(client.Receive()),
              ElementsAre("10.43.0.1:80", "10.43.0.2:80", "10.43.0.3:80", kA));
}

TEST_F(StateServer, ClustersAndListenersAreCompleteWhateverChanged) {
  PutThree();
  for (const ResourceType type : {kCluster, kListener}) {
    StateClient client(port());
    const StateClient::Names names = {kA, kB, NameOf("none")};
    client.Send(type, names);
    auto response = client.Receive();
    EXPECT_THAT(NamesIn(response), ElementsAre(kA, kB));
    client.Ack(response, names);
    // Not asked for.
    directory_.RemoveService({"default", "c"});
    Commit();
    EXPECT_TRUE(client.IsQuiet());
    directory_.RemoveService({"default", "a"});
    Commit();
    response = client.Receive();
    EXPECT_THAT(NamesIn(response), ElementsAre(kB));
    client.Ack(response, names);
    Put(At("none", "10.43.0.9"));
    EXPECT_THAT(NamesIn(client.Receive()), ElementsAre(kB, NameOf("none")));
    directory_.RemoveService({"default", "none"});
    PutThree();
  }
}

TEST_F(StateServer, EndpointsAndRoutesAreOnlyWhatIsNewOrChanged) {
  PutThree();
  Put(SliceOf("a", "10.42.0.1"), SliceOf("b", "10.42.0.2"));
  StateClient client(port());
  client.Send(kAssignment, {kA, kB});
  auto response = client.Receive();
  EXPECT_THAT(NamesIn(response), ElementsAre(kA, kB));
  client.Ack(response, {kA, kB});
  Put(SliceOf("b", "10.42.0.3"));
  response = client.Receive();
  EXPECT_THAT(NamesIn(response), ElementsAre(kB));
  client.Ack(response, {kA, kB, kC});
  response = client.Receive();
  EXPECT_THAT(NamesIn(response), ElementsAre(kC));
  // Not wanted any more, and wanted again.
  client.Ack(response, {kB});
  EXPECT_TRUE(client.IsQuiet());
  Put(SliceOf("a", "10.42.0.4"));
  EXPECT_TRUE(client.IsQuiet());
  client.Ack(response, {kA, kB});
  EXPECT_THAT(NamesIn(client.Receive()), ElementsAre(kA));

  client.Send(kRoute, {kA});
  response = client.Receive();
  EXPECT_THAT(NamesIn(response), ElementsAre(kA));
  client.Ack(response, {kA, kB});
  EXPECT_THAT(NamesIn(client.Receive()), ElementsAre(kB));
}

TEST_F(StateServer, WhoAsksForNoEndpointsGetsNone) {
  PutThree();
  StateClient client(port());
  client.Send(kAssignment);
  EXPECT_TRUE(client.IsQuiet());
}

TEST_F(StateServer, ANameThatDoesNotExistIsAnsweredAndSentOnceItDoes) {
  StateClient client(port());
  for (const ResourceType type : {kListener, kRoute, kCluster, kAssignment}) {
    client.Send(type, {kA});
    const auto response = client.Receive();
    EXPECT_EQ(response.type_url(), TypeUrl(type));
    EXPECT_THAT(NamesIn(response), IsEmpty());
    client.Ack(response, {kA});
  }
  Put(At("a", "10.43.0.1"));
  // Make before break: clusters and endpoints before what leads to them.
  for (const ResourceType type : {kCluster, kAssignment, kListener, kRoute}) {
    const auto response = client.Receive();
    EXPECT_EQ(response.type_url(), TypeUrl(type));
    EXPECT_THAT(NamesIn(response), ElementsAre(kA));
  }
}

TEST_F(StateServer, AnEmptyListAfterNamesIsNoWildcard) {
  PutThree();
  StateClient client(port());
  client.Send(kCluster, {kA});
  const auto response = client.Receive();
  client.Ack(response, {kA});
  client.Ack(response, {});
  EXPECT_TRUE(client.IsQuiet());
  directory_.RemoveService({"default", "a"});
  Commit();
  EXPECT_TRUE(client.IsQuiet());
}

TEST_F(StateServer, AStaleNonceIsIgnored) {
  PutThree();
  StateClient client(port());
  client.Send(kAssignment, {kA});
  const auto first = client.Receive();
  client.Ack(first, {kA});
  Put(SliceOf("a", "10.42.0.1"));
  const auto second = client.Receive();
  client.Ack(first, {kA, kB});
  EXPECT_TRUE(client.IsQuiet());
  client.Ack(second, {kA, kB});
  EXPECT_THAT(NamesIn(client.Receive()), ElementsAre(kB));
}

TEST_F(StateServer, ANonceOfAnEarlierStreamIsNoReasonToIgnoreTheFirstRequest) {
  PutThree();
  StateClient client(port());
  auto request = StateClient::Ask(kCluster, {kA});
  request.set_response_nonce("77");
  request.set_version_info("12");
  client.Send(request);
  EXPECT_THAT(NamesIn(client.Receive()), ElementsAre(kA));
}

TEST_F(StateServer, NamesMayBeAddedBeforeTheFirstResponseCame) {
  PutThree();
  StateClient client(port());
  client.Send(kListener, {kA});
  client.Send(kListener, {kA, kB});
  auto response = client.Receive();
  if (NamesIn(response).size() == 1) {
    client.Ack(response, {kA, kB});
    response = client.Receive();
  }
  EXPECT_THAT(NamesIn(response), ElementsAre(kA, kB));
}

TEST_F(StateServer, AClientThatDoesNotAnswerIsSentTheNewestStateOnceItDoes) {
  PutThree();
  StateClient client(port());
  client.Send(kAssignment, {kA});
  const auto first = client.Receive();
  for (int i = 1; i <= 50; ++i) Put(SliceOf("a", "10.42.0." + std::to_string(i)));
  client.Ack(first, {kA});
  const auto second = client.Receive();
  envoy::config::endpoint::v3::ClusterLoadAssignment assignment;
  ASSERT_TRUE(second.resources(0).UnpackTo(&assignment));
  EXPECT_EQ(assignment.endpoints(0).lb_endpoints(0).endpoint().address().socket_address().address(),
            "10.42.0.50");
  client.Ack(second, {kA});
  EXPECT_TRUE(client.IsQuiet());
}

// Envoy answers for Clusters only when it has the endpoints of all of them.
TEST_F(StateServer, EndpointsComeWhileClustersWaitForAnAnswerAndListenersDoNot) {
  PutThree();
  StateClient client(port());
  client.Send(kCluster);
  const auto clusters = client.Receive();
  client.Send(kListener);
  client.Ack(client.Receive());
  EXPECT_TRUE(client.IsQuiet());
  Put(At("d", "10.43.0.4"));
  client.Send(kAssignment, {kA});
  EXPECT_THAT(NamesIn(client.Receive()), ElementsAre(kA));
  client.Ack(clusters);
  EXPECT_EQ(client.Receive().type_url(), TypeUrl(kCluster));
  EXPECT_EQ(client.Receive().type_url(), TypeUrl(kListener));
}

TEST_F(StateServer, ErrorDetailIsANackKeptUntilTheNextAckAndNothingIsSentAgain) {
  PutThree();
  StateClient client(port());
  auto request = StateClient::Ask(kAssignment, {kA});
  request.mutable_node()->set_id("grpc-1");
  client.Send(request);
  client.Nack(client.Receive(), {kA}, "no\nthanks");
  TypeStatus status = StatusOnce(kAssignment, [](const auto& s) { return s.nacks == 1; });
  EXPECT_EQ(status.last_nack, "no thanks");
  EXPECT_EQ(status.acknowledged_generation, 0u);
  EXPECT_TRUE(client.IsQuiet());
  Put(SliceOf("a", "10.42.0.1"));
  client.Ack(client.Receive(), {kA});
  status = StatusOnce(kAssignment, [](const auto& s) { return s.acknowledged_generation > 0; });
  EXPECT_EQ(status.last_nack, "");
  EXPECT_EQ(server_->Clients()[0].node_id, "grpc-1");
}

TEST_F(StateServer, ManyAssignmentsAreCutAndManyClustersAreNot) {
  constexpr int kServices = 3000;
  StateClient::Names names;
  for (int i = 0; i < kServices; ++i) {
    const std::string name = fmt::format("service-{}", i);
    Service service = At(name, "10.43.0.1");
    service.cluster_ips.clear();
    service.headless = true;
    directory_.Put(service);
    EndpointSlice slice = SliceOf(name, "10.42.0.1");
    for (int k = 0; k < 20; ++k) {
      Endpoint& endpoint = slice.endpoints.emplace_back();
      endpoint.addresses = {
          *IpAddress::Parse(fmt::format("10.{}.{}.{}", 64 + i / 256, i % 256, k))};
    }
    directory_.Put(slice);
    names.push_back(NameOf(name));
  }
  Commit();
  StateClient client(port());
  client.Send(kAssignment, names);
  std::set<std::string> seen;
  int responses = 0;
  while (seen.size() < kServices) {
    const auto response = client.Receive();
    EXPECT_LE(response.ByteSizeLong(), (1u << 20) + 4096);
    seen.merge(NamesIn(response));
    ++responses;
    client.Ack(response, names);
  }
  EXPECT_GT(responses, 1);
  EXPECT_TRUE(client.IsQuiet());
  client.Send(kCluster);
  EXPECT_EQ(NamesIn(client.Receive()).size(), static_cast<size_t>(kServices));
}

TEST_F(StateServer, PortolansOwnTypesAreNotServed) {
  PutThree();
  StateClient client(port());
  client.Send(ResourceType::kService);
  EXPECT_THAT(client.Receive().resources(), IsEmpty());
}

TEST_F(StateServer, AStreamOfOneTypeNeedNotNameIt) {
  PutThree();
  const std::pair<const char*, ResourceType> methods[] = {
      {"listener.v3.ListenerDiscoveryService/*Listeners", kListener},
      {"route.v3.RouteDiscoveryService/*Routes", kRoute},
      {"cluster.v3.ClusterDiscoveryService/*Clusters", kCluster},
      {"endpoint.v3.EndpointDiscoveryService/*Endpoints", kAssignment}};
  for (const auto& [pattern, type] : methods) {
    const auto method = [pattern = std::string(pattern)](const std::string& protocol) {
      std::string name = "/envoy.service." + pattern;
      return name.replace(name.find('*'), 1, protocol);
    };
    const std::string stream = method("Stream");
    StateClient state(port(), stream.c_str());
    auto request = StateClient::Ask(type, {kA});
    request.clear_type_url();
    state.Send(request);
    const auto response = state.Receive();
    EXPECT_EQ(response.type_url(), TypeUrl(type));
    EXPECT_THAT(NamesIn(response), ElementsAre(kA));

    const std::string delta_method = method("Delta");
    DeltaClient delta(port(), {}, delta_method.c_str());
    auto delta_request = DeltaClient::Ask(type, {kA});
    delta_request.clear_type_url();
    delta.Send(delta_request);
    EXPECT_THAT(NamesIn(delta.Receive()), ElementsAre(kA));

    state.Send(StateClient::Ask(ResourceType::kService));
    EXPECT_EQ(state.Finish().error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  }
}

TEST_F(StateServer, DeltaServesTheStandardTypesToo) {
  PutThree();
  Put(SliceOf("a", "10.42.0.1"));
  DeltaClient client(port());
  client.Send(kCluster);
  const auto clusters = client.Receive();
  EXPECT_THAT(NamesIn(clusters), ElementsAre(kA, kB, kC));
  client.Send(kAssignment, {kA, NameOf("none")});
  const auto endpoints = client.Receive();
  EXPECT_THAT(NamesIn(endpoints), ElementsAre(kA));
  EXPECT_THAT(RemovedIn(endpoints), ElementsAre(NameOf("none")));
  Put(SliceOf("a", "10.42.0.2"));
  EXPECT_THAT(NamesIn(client.Receive()), ElementsAre(kA));
  directory_.RemoveService({"default", "a"});
  Commit();
  EXPECT_THAT(RemovedIn(client.Receive()), ElementsAre(kA));
  EXPECT_THAT(RemovedIn(client.Receive()), ElementsAre(kA));

  DeltaClient again(port());
  again.Send(DeltaClient::Ask(kCluster, {"*"}, {}, VersionsIn(clusters)));
  const auto rest = again.Receive();
  EXPECT_THAT(NamesIn(rest), IsEmpty());
  EXPECT_THAT(RemovedIn(rest), ElementsAre(kA));
}

}  // namespace
}  // namespace portolan::xds

#include "xds/serving/server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <malloc.h>

#include <thread>

#include "common/status.h"
#include "portolan/v1/config.pb.h"
#include "portolan/v1/directory.pb.h"
#include "tests/xds/serving/delta_client.h"
#include "tests/xds/serving/delta_server.h"

namespace portolan::xds {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using Response = DeltaClient::Response;

constexpr auto kService = ResourceType::kService;
constexpr auto kEndpoints = ResourceType::kEndpoints;
constexpr auto kNamespace = ResourceType::kNamespace;
constexpr auto kProxyConfig = ResourceType::kProxyConfig;

Service MakeService(const std::string& name, uint16_t port = 80) {
  Service service;
  service.name = {"default", name};
  service.headless = true;
  service.ports = {{"http", Protocol::kTcp, port}};
  service.labels = {{"app", name}, {"tier", "x"}};
  service.origin = {absl::Cord("7"), absl::FromUnixSeconds(1700000000), {}};
  return service;
}

EndpointSlice MakeSlice(const std::string& service, const std::string& name, int endpoints) {
  EndpointSlice slice;
  slice.name = {"default", name};
  slice.service = service;
  slice.ports = {{"http", Protocol::kTcp, 8080}};
  for (int i = 0; i < endpoints; ++i) {
    Endpoint endpoint;
    endpoint.addresses = {*IpAddress::Parse(fmt::format("10.42.{}.{}", i / 256, i % 256))};
    endpoint.pod = {"default", fmt::format("{}-7d9c4b8f6d-{:05d}", service, i)};
    endpoint.node_name = fmt::format("node-{}.example.internal", i % 50);
    endpoint.zone = "eu-central-1a";
    slice.endpoints.push_back(endpoint);
  }
  return slice;
}

TEST_F(DeltaServer, EmptyFirstRequestAndStarAreTheSameWildcard) {
  Put(MakeService("a"), MakeService("b"));
  for (const DeltaClient::Names& names : {DeltaClient::Names{}, DeltaClient::Names{"*"}}) {
    DeltaClient client(port());
    client.Send(kService, names);
    const Response first = client.Receive();
    EXPECT_THAT(NamesIn(first), ElementsAre("default/a", "default/b"));
    EXPECT_EQ(first.system_version_info(), Generation());
    EXPECT_EQ(first.control_plane().identifier(), "test");
    Put(MakeService("c", names.empty() ? 1 : 2));
    EXPECT_THAT(NamesIn(client.Receive()), ElementsAre("default/c"));
    directory_.RemoveService({"default", "c"});
    Commit();
    EXPECT_THAT(RemovedIn(client.Receive()), ElementsAre("default/c"));
  }
}

TEST_F(DeltaServer, AWildcardOfAnEmptySetIsAnsweredAndComplete) {
  DeltaClient client(port());
  for (const ResourceType type : {kService, kEndpoints, kNamespace, kProxyConfig}) {
    client.Send(type);
    const Response first = client.Receive();
    EXPECT_EQ(first.type_url(), TypeUrl(type));
    EXPECT_THAT(NamesIn(first), IsEmpty());
    EXPECT_EQ(first.system_version_info(), "0");
  }
}

TEST_F(DeltaServer, AStaleNonceIsNoReasonToIgnoreASubscription) {
  Put(MakeService("a"), MakeService("b"));
  DeltaClient client(port());
  client.Send(kService, {"default/a"});
  client.Receive();
  auto request = DeltaClient::Ask(kService, {"default/b"});
  request.set_response_nonce("never sent");
  client.Send(request);
  EXPECT_THAT(NamesIn(client.Receive()), ElementsAre("default/b"));
  Put(MakeService("a", 81));
  EXPECT_THAT(NamesIn(client.Receive()), ElementsAre("default/a"));
}

TEST_F(DeltaServer, ErrorDetailIsANackKeptUntilTheNextAck) {
  Put(MakeService("a"));
  DeltaClient client(port());
  auto request = DeltaClient::Ask(kService);
  request.mutable_node()->set_id("default/frontend-1");
  request.mutable_node()->set_user_agent_version("0.1.0");
  client.Send(request);
  client.Nack(client.Receive(), "no\nthanks");
  TypeStatus status = StatusOnce(kService, [](const auto& s) { return s.nacks == 1; });
  EXPECT_EQ(status.last_nack, "no thanks");
  EXPECT_EQ(status.acknowledged_generation, 0u);
  EXPECT_EQ(status.sent_generation, 1u);
  EXPECT_TRUE(status.wildcard);
  EXPECT_TRUE(client.IsQuiet());  // what was refused is not sent again

  Put(MakeService("a", 81));
  client.Ack(client.Receive());
  status = StatusOnce(kService, [](const auto& s) { return s.acknowledged_generation == 2; });
  EXPECT_EQ(status.nacks, 1u);
  EXPECT_EQ(status.last_nack, "");
  const auto clients = server_->Clients();
  ASSERT_THAT(clients, SizeIs(1));
  // The node came with the first request only.
  EXPECT_EQ(clients[0].node_id, "default/frontend-1");
  EXPECT_EQ(clients[0].version, "0.1.0");
  EXPECT_THAT(clients[0].peer, ::testing::StartsWith("ipv4:127.0.0.1:"));
}

TEST_F(DeltaServer, HowLongAChangeTookIsKnownOnceItIsAcknowledged) {
  Put(MakeService("a"));
  DeltaClient client(port());
  client.Send(kService);
  client.Ack(client.Receive());
  TypeStatus status = StatusOnce(kService, [](const auto& s) { return s.acknowledged_generation; });
  // What was asked for is no change.
  EXPECT_EQ(status.lag, absl::ZeroDuration());
  EXPECT_EQ(status.last_propagation, absl::ZeroDuration());

  directory_.Put(MakeService("a", 81));
  server_->Publish(cache_.Update(directory_.Commit(), absl::Now() - absl::Minutes(1)));
  const Response response = client.Receive();
  status = StatusOnce(kService, [](const auto& s) { return s.sent_generation == 2; });
  EXPECT_GE(status.lag, absl::Minutes(1));
  client.Ack(response);
  status = StatusOnce(kService, [](const auto& s) { return s.acknowledged_generation == 2; });
  EXPECT_EQ(status.lag, absl::ZeroDuration());
  EXPECT_GE(status.last_propagation, absl::Minutes(1));
  EXPECT_LT(status.last_propagation, absl::Minutes(2));
  EXPECT_GE(status.propagation_p50, absl::Seconds(59));
  EXPECT_EQ(status.propagation_p50, status.propagation_p99);

  MetricsPage page;
  page.AddSource([this](MetricFamilies& families) { server_->AddMetrics(families); });
  for (const char* stage : {"sent", "acknowledged"}) {
    EXPECT_THAT(page.Render(),
                HasSubstr(fmt::format("portolan_propagation_seconds_count{{type=\"Service\","
                                      "stage=\"{}\"}} 1\n",
                                      stage)));
  }
}

TEST_F(DeltaServer, SubscribingAgainSendsAgain) {
  Put(MakeService("a"));
  DeltaClient client(port());
  client.Send(kService, {"default/a"});
  client.Ack(client.Receive());
  client.Send(kService, {"default/a"});
  EXPECT_THAT(NamesIn(client.Receive()), ElementsAre("default/a"));
  client.Send(kService, {"*"});
  EXPECT_THAT(NamesIn(client.Receive()), ElementsAre("default/a"));
}

TEST_F(DeltaServer, AnUnknownNameIsRemovedAndSentOnceItExists) {
  DeltaClient client(port());
  client.Send(kService, {"default/a"});
  const Response first = client.Receive();
  EXPECT_THAT(RemovedIn(first), ElementsAre("default/a"));
  EXPECT_EQ(first.system_version_info(), "0");
  Put(MakeService("a"), MakeService("b"));
  EXPECT_THAT(NamesIn(client.Receive()), ElementsAre("default/a"));
  EXPECT_TRUE(client.IsQuiet());
}

TEST_F(DeltaServer, WhatAClientHoldsIsNotSentAgainAndWhatVanishedIsRemoved) {
  Put(MakeService("same"), MakeService("changed"), MakeService("vanished"));
  std::map<std::string, std::string> held;
  {
    DeltaClient client(port());
    client.Send(kService);
    held = VersionsIn(client.Receive());
  }
  directory_.RemoveService({"default", "vanished"});
  Put(MakeService("changed", 99), MakeService("new"));
  DeltaClient client(port());
  client.Send(DeltaClient::Ask(kService, {}, {}, held));
  const Response first = client.Receive();
  EXPECT_THAT(NamesIn(first), ElementsAre("default/changed", "default/new"));
  EXPECT_THAT(RemovedIn(first), ElementsAre("default/vanished"));

  held = VersionsIn(first);
  held["default/gone"] = "1";
  held["default/not-asked-for"] = "1";
  DeltaClient named(port());
  named.Send(DeltaClient::Ask(kService, {"default/changed", "default/gone"}, {}, held));
  const Response answer = named.Receive();
  EXPECT_THAT(NamesIn(answer), IsEmpty());
  EXPECT_THAT(RemovedIn(answer), ElementsAre("default/gone"));
}

TEST_F(DeltaServer, AClientThatHoldsEverythingIsToldSo) {
  Put(MakeService("a"));
  DeltaClient earlier(port());
  earlier.Send(kService);
  const auto held = VersionsIn(earlier.Receive());
  DeltaClient client(port());
  client.Send(DeltaClient::Ask(kService, {"*"}, {}, held));
  const Response first = client.Receive();
  EXPECT_THAT(NamesIn(first), IsEmpty());
  EXPECT_THAT(RemovedIn(first), IsEmpty());
  EXPECT_EQ(first.system_version_info(), Generation());
}

TEST_F(DeltaServer, UnsubscribingANameThatTheWildcardCoversIsAnswered) {
  Put(MakeService("a"));
  DeltaClient client(port());
  client.Send(kService, {"*", "default/a"});
  client.Receive();
  client.Send(kService, {}, {"default/a"});
  EXPECT_THAT(NamesIn(client.Receive()), ElementsAre("default/a"));
  client.Send(kService, {}, {"default/none"});
  EXPECT_THAT(RemovedIn(client.Receive()), ElementsAre("default/none"));
}

TEST_F(DeltaServer, UnsubscribedNamesAreSentNoMore) {
  Put(MakeService("a"), MakeService("b"));
  DeltaClient client(port());
  client.Send(kService, {"default/a", "default/b"});
  client.Receive();
  client.Send(kService, {}, {"default/a"});
  EXPECT_TRUE(client.IsQuiet());
  Put(MakeService("a", 2), MakeService("b", 2));
  EXPECT_THAT(NamesIn(client.Receive()), ElementsAre("default/b"));
  client.Send(kService, {"*"});
  EXPECT_THAT(NamesIn(client.Receive()), SizeIs(2));
  client.Send(kService, {}, {"*"});
  EXPECT_TRUE(client.IsQuiet());
  Put(MakeService("a", 3), MakeService("b", 3));
  EXPECT_THAT(NamesIn(client.Receive()), ElementsAre("default/b"));
}

TEST_F(DeltaServer, AHeadCoversItsSlices) {
  Put(MakeService("web"), MakeSlice("web", "web-1", 250), MakeSlice("other", "other-1", 1));
  DeltaClient client(port());
  client.Send(kEndpoints, {"default/web"});
  const Response first = client.Receive();
  EXPECT_THAT(NamesIn(first), ElementsAre("default/web", "default/web/web-1", "default/web/web-1#2",
                                          "default/web/web-1#3"));
  const auto versions = VersionsIn(first);
  v1::Endpoints head;
  ASSERT_TRUE(first.resources(0).resource().UnpackTo(&head));
  ASSERT_EQ(head.head().slices_size(), 3);
  for (const auto& slice : head.head().slices()) {
    EXPECT_EQ(slice.version(), versions.at("default/web/" + slice.name()));
  }
  v1::Endpoints last;
  ASSERT_TRUE(first.resources(3).resource().UnpackTo(&last));
  EXPECT_EQ(last.slice().endpoints_size(), 50);
  EXPECT_EQ(last.slice().name(), "web-1#3");

  // One endpoint changed: its part and the head.
  EndpointSlice changed = MakeSlice("web", "web-1", 250);
  changed.endpoints[120].conditions.ready = false;
  Put(changed);
  const Response second = client.Receive();
  EXPECT_THAT(NamesIn(second), ElementsAre("default/web", "default/web/web-1#2"));

  Put(MakeSlice("web", "web-1", 10), MakeSlice("web", "web-2", 1));
  const Response third = client.Receive();
  EXPECT_THAT(NamesIn(third), ElementsAre("default/web", "default/web/web-1", "default/web/web-2"));
  EXPECT_THAT(RemovedIn(third), ElementsAre("default/web/web-1#2", "default/web/web-1#3"));

  client.Send(kEndpoints, {}, {"default/web"});
  EXPECT_TRUE(client.IsQuiet());
  Put(MakeSlice("web", "web-3", 1));
  EXPECT_TRUE(client.IsQuiet());
}

TEST_F(DeltaServer, OneEndpointOf5000ResendsTenKilobytesAtMost) {
  const auto name = [](int i) { return fmt::format("checkout-x{:04}", i); };
  const auto make = [&](int i) {
    EndpointSlice slice = MakeSlice("checkout", name(i), 100);
    for (Endpoint& endpoint : slice.endpoints) {
      endpoint.node_name = "ip-10-120-201-101.eu-central-1.compute.internal";
      endpoint.zone_hints = {"eu-central-1b"};
    }
    return slice;
  };
  for (int i = 0; i < 50; ++i) directory_.Put(make(i));
  Commit();
  DeltaClient client(port());
  client.Send(kEndpoints, {"default/checkout"});
  while (client.Receive().system_version_info().empty()) {
  }
  EndpointSlice changed = make(20);
  changed.endpoints[50].conditions.ready = false;
  Put(changed);
  const Response response = client.Receive();
  EXPECT_THAT(NamesIn(response), ElementsAre("default/checkout", "default/checkout/" + name(20)));
  EXPECT_LE(response.ByteSizeLong(), 10'000u);
}

TEST_F(DeltaServer, AServiceWithoutSlicesHasNoHeadAndWhoAsksForItIsTold) {
  Put(MakeService("web"));
  DeltaClient client(port());
  client.Send(kEndpoints, {"default/web"});
  EXPECT_THAT(RemovedIn(client.Receive()), ElementsAre("default/web"));
  Put(MakeSlice("web", "web-1", 1));
  EXPECT_THAT(NamesIn(client.Receive()), ElementsAre("default/web", "default/web/web-1"));
  directory_.RemoveSlice({"default", "web-1"});
  Commit();
  EXPECT_THAT(RemovedIn(client.Receive()), ElementsAre("default/web", "default/web/web-1"));
}

TEST_F(DeltaServer, VanishedSlicesOfAHeldHeadAreRemovedAfterAReconnect) {
  Put(MakeService("web"), MakeSlice("web", "web-1", 1), MakeSlice("web", "web-2", 1));
  DeltaClient earlier(port());
  earlier.Send(kEndpoints, {"default/web"});
  const auto held = VersionsIn(earlier.Receive());
  directory_.RemoveSlice({"default", "web-1"});
  Commit();
  DeltaClient client(port());
  client.Send(DeltaClient::Ask(kEndpoints, {"default/web"}, {}, held));
  const Response first = client.Receive();
  EXPECT_THAT(NamesIn(first), ElementsAre("default/web"));
  EXPECT_THAT(RemovedIn(first), ElementsAre("default/web/web-1"));
}

TEST_F(DeltaServer, NamespacesAndServicesComeBeforeEndpoints) {
  DeltaClient client(port());
  for (const ResourceType type : {kEndpoints, kService, kNamespace}) {
    client.Send(type);
    client.Receive();
  }
  Namespace ns;
  ns.name = "default";
  Put(ns, MakeService("web"), MakeSlice("web", "web-1", 1));
  EXPECT_EQ(client.Receive().type_url(), TypeUrl(kNamespace));
  EXPECT_EQ(client.Receive().type_url(), TypeUrl(kService));
  EXPECT_EQ(client.Receive().type_url(), TypeUrl(kEndpoints));
}

TEST_F(DeltaServer, ANamespacesLabelsTravelWithItsServices) {
  Namespace ns;
  ns.name = "default";
  Put(ns, MakeService("web"));
  DeltaClient client(port());
  client.Send(kService);
  client.Receive();
  ns.labels = {{"team", "a"}};
  Put(ns);
  const Response next = client.Receive();
  v1::Service service;
  ASSERT_TRUE(next.resources(0).resource().UnpackTo(&service));
  EXPECT_EQ(service.namespace_labels().at("team"), "a");
}

TEST_F(DeltaServer, ManyServicesAreCutAndRemovalsComeLast) {
  constexpr int kServices = 10'000;
  for (int i = 0; i < kServices; ++i) directory_.Put(MakeService(fmt::format("service-{}", i)));
  Commit();
  DeltaClient client(port());
  auto request = DeltaClient::Ask(kService);
  for (int i = 0; i < 20'000; ++i) {
    (*request.mutable_initial_resource_versions())[fmt::format("default/vanished-{}", i)] = "1";
  }
  client.Send(request);
  std::set<std::string> names;
  size_t removed = 0;
  int responses = 0;
  for (;;) {
    const Response next = client.Receive();
    if (HasFailure()) break;
    ++responses;
    EXPECT_LE(next.ByteSizeLong(), (256u << 10) + 65'536u);
    EXPECT_TRUE(removed == 0 || next.resources_size() == 0) << "a resource after a removal";
    names.merge(NamesIn(next));
    removed += RemovedIn(next).size();
    if (next.system_version_info().empty()) continue;
    EXPECT_EQ(next.system_version_info(), Generation());
    break;
  }
  EXPECT_EQ(names.size(), static_cast<size_t>(kServices));
  EXPECT_EQ(removed, 20'000u);
  EXPECT_GT(responses, 4);
  EXPECT_TRUE(client.IsQuiet());
}

TEST_F(DeltaServer, OtherTypesAreAnsweredEmpty) {
  DeltaClient client(port());
  DeltaClient::Request request;
  request.set_type_url("type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret");
  client.Send(request);
  const Response all = client.Receive();
  EXPECT_EQ(all.type_url(), request.type_url());
  EXPECT_EQ(all.system_version_info(), "0");
  request.add_resource_names_subscribe("x");
  client.Send(request);
  EXPECT_THAT(RemovedIn(client.Receive()), ElementsAre("x"));
}

TEST_F(DeltaServer, TheCorefileIsTheDefaultProxyConfig) {
  DeltaClient client(port());
  client.Send(kProxyConfig, {"default"});
  EXPECT_THAT(RemovedIn(client.Receive()), ElementsAre("default"));
  server_->Publish(cache_.SetCorefile("default", ".:53 { errors }"));
  const Response next = client.Receive();
  v1::ProxyConfig config;
  ASSERT_TRUE(next.resources(0).resource().UnpackTo(&config));
  EXPECT_EQ(config.corefile(), ".:53 { errors }");
}

TEST_F(DeltaServer, ACorefileReachesThoseWhoAskForItsNameAndItsEndToo) {
  server_->Publish(cache_.SetCorefile("default", "one"));
  server_->Publish(cache_.SetCorefile("quiet", "two"));
  DeltaClient client(port());
  client.Send(kProxyConfig, {"quiet"});
  EXPECT_THAT(NamesIn(client.Receive()), ElementsAre("quiet"));
  server_->Publish(cache_.SetCorefile("default", "three"));
  server_->Publish(cache_.RemoveCorefile("quiet"));
  EXPECT_THAT(RemovedIn(client.Receive()), ElementsAre("quiet"));
}

TEST_F(DeltaServer, OriginTravelsBesideTheHashedBytes) {
  Put(MakeService("a"));
  DeltaClient client(port());
  client.Send(kService);
  const Response first = client.Receive();
  const auto& origin =
      first.resources(0).metadata().filter_metadata().at("portolan.dev/origin").fields();
  EXPECT_EQ(origin.at("resource_version").string_value(), "7");
  EXPECT_EQ(origin.at("arrived_unix_ns").number_value(), 1.7e18);
  // Only the origin differs: nothing is sent.
  Service later = MakeService("a");
  later.origin = {absl::Cord("8"), absl::Now(), {}};
  Put(later);
  EXPECT_TRUE(client.IsQuiet());
}

TEST_F(DeltaServer, AChangeReachesTheClientWithinMilliseconds) {
  Put(MakeService("a"));
  DeltaClient client(port());
  client.Send(kService);
  client.Receive();
  std::vector<absl::Duration> taken;
  for (uint16_t i = 0; i < 21; ++i) {
    const absl::Time begin = absl::Now();
    Put(MakeService("a", static_cast<uint16_t>(1000 + i)));
    client.Receive();
    taken.push_back(absl::Now() - begin);
  }
  std::sort(taken.begin(), taken.end());
  EXPECT_LT(taken[10], absl::Milliseconds(20)) << "median";
}

// In use, of the main thread's heap, where states are encoded; a sanitizer's own is not counted.
size_t HeapBytes() {
  const struct mallinfo2 info = mallinfo2();
  return info.uordblks + info.hblkhd;
}

TEST_F(DeltaServer, AClientThatDoesNotAnswerIsSentTheNewestStateOnceItDoes) {
  Put(MakeService("a", 1));
  DeltaClient client(port());
  client.Send(kService);
  client.Receive();
  Put(MakeService("a", 2));
  const uint64_t second = directory_.snapshot()->generation();
  StatusOnce(kService, [&](const TypeStatus& s) { return s.sent_generation == second; });
  // Two unanswered: no more is sent.
  Put(MakeService("a", 3));
  Put(MakeService("a", 4));
  const auto port_in = [](const Response& response) {
    v1::Service service;
    EXPECT_TRUE(response.resources(0).resource().UnpackTo(&service));
    return service.ports(0).port();
  };
  EXPECT_EQ(port_in(client.Receive()), 2u);
  EXPECT_EQ(port_in(client.Receive()), 4u);
}

TEST_F(DeltaServer, ASlowClientSkipsStatesAndCostsNoMemory) {
  Service big = MakeService("big");
  const auto state = [&](int i) {
    ServiceExtras extras;
    extras.annotations = {{"portolan.dev/x", std::string(100'000, 'x') + std::to_string(i)}};
    big.extras = std::move(extras);
    return big;
  };
  Put(state(0));
  DeltaClient client(port());
  client.Send(kService);
  client.Receive();
  constexpr int kStates = 2000;  // 200 MB if they were all kept
  for (int i = 1; i <= 100; ++i) Put(state(i));
  const size_t before = HeapBytes();
  for (int i = 101; i <= kStates; ++i) Put(state(i));
  const size_t after = HeapBytes();
  EXPECT_LT(after, before + (30u << 20));
  int responses = 0;
  for (;; ++responses) {
    const Response next = client.Receive();
    v1::Service service;
    ASSERT_TRUE(next.resources(0).resource().UnpackTo(&service));
    if (service.annotations().at("portolan.dev/x").ends_with("x2000")) break;
  }
  EXPECT_LT(responses, kStates / 2);
}

TEST_F(DeltaServer, AMethodThatIsNotThereIsUnimplemented) {
  for (const char* method : {"/envoy.service.listener.v3.ListenerDiscoveryService/FetchListeners",
                             "/envoy.service.secret.v3.SecretDiscoveryService/DeltaSecrets"}) {
    DeltaClient client(port(), {}, method);
    EXPECT_EQ(client.Finish().error_code(), grpc::StatusCode::UNIMPLEMENTED) << method;
  }
}

TEST_F(DeltaServer, ARequestWithoutATypeEndsTheStream) {
  DeltaClient client(port());
  client.Send(DeltaClient::Request());
  EXPECT_EQ(client.Finish().error_code(), grpc::StatusCode::INVALID_ARGUMENT);
}

TEST_F(DeltaServer, EndingSaysUnavailable) {
  DeltaClient client(port());
  client.Send(kService);
  client.Receive();
  server_.reset();
  EXPECT_EQ(client.Finish().error_code(), grpc::StatusCode::UNAVAILABLE);
}

TEST_F(DeltaServer, ClientsAreHandedOverAFewAtATimeAndTheOthersServedMeanwhile) {
  Put(MakeService("a"));
  std::vector<std::unique_ptr<DeltaClient>> clients;
  for (int i = 0; i < 5; ++i) {
    clients.push_back(std::make_unique<DeltaClient>(port()));
    clients.back()->Send(kService);
    clients.back()->Receive();
  }
  EXPECT_EQ(server_->EndStreams(2), 3u);
  DeltaClient late(port());
  EXPECT_EQ(late.Finish().error_code(), grpc::StatusCode::UNAVAILABLE);

  Put(MakeService("b"));
  int served = 0;
  for (const auto& client : clients) served += client->ReceiveUnlessEnded().has_value() ? 1 : 0;
  EXPECT_EQ(served, 3);
  EXPECT_EQ(server_->EndStreams(2), 1u);
  EXPECT_EQ(server_->EndStreams(2), 0u);
  EXPECT_EQ(server_->EndStreams(2), 0u);
}

TEST_F(DeltaServer, ClientsThatLeaveAreForgotten) {
  {
    DeltaClient client(port());
    client.Send(kService);
    client.Receive();
    EXPECT_THAT(server_->Clients(), SizeIs(1));
  }
  for (int i = 0; i < 500 && !server_->Clients().empty(); ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  EXPECT_THAT(server_->Clients(), IsEmpty());
}

TEST_F(DeltaServer, APortInUseIsAnError) {
  const auto second = Server::Start({{server_->listening()[0]}, "second"}, cache_.current());
  ASSERT_FALSE(second.ok());
  EXPECT_THAT(std::string(Message(second.status())), ::testing::HasSubstr("cannot listen on"));
}

// gRPC's own default takes the third ping within five minutes for an attack.
TEST_F(DeltaServer, ClientsMayPingWithoutCalls) {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, 2100);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  arguments.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  DeltaClient client(port(), arguments);
  client.Send(kService);
  client.Receive();
  std::this_thread::sleep_for(std::chrono::milliseconds(9000));
  EXPECT_EQ(client.channel().GetState(false), GRPC_CHANNEL_READY);
  EXPECT_TRUE(client.IsQuiet());
}

TEST(ResourceVersions, AreTheSameOnEveryReplica) {
  std::vector<std::map<std::string, std::string>> seen;
  for (const bool reversed : {false, true}) {
    Directory directory;
    ResourceCache cache;
    std::vector<std::string> names = {"a", "b", "c"};
    if (reversed) std::reverse(names.begin(), names.end());
    for (const std::string& name : names) {
      Service service = MakeService(name);
      service.origin.arrived = absl::Now();
      directory.Put(service);
      directory.Put(MakeSlice(name, name + "-2", 120));
      directory.Put(MakeSlice(name, name + "-1", 1));
      cache.Update(directory.Commit());
    }
    auto& versions = seen.emplace_back();
    for (const ResourceType type : {kService, kEndpoints}) {
      cache.current()->ForEach(type, Viewer(), [&](const std::string& name, const ResourcePtr& r) {
        if (r != nullptr) versions[fmt::format("{} {}", static_cast<int>(type), name)] = r->version;
      });
    }
  }
  EXPECT_THAT(seen[0], SizeIs(3 + 3 * 4));
  EXPECT_EQ(seen[0], seen[1]);
  // Replicas of two releases run side by side during an upgrade: if this changes, every sidecar
  // fetches everything anew whenever it changes replica. So it is a decision, not an accident.
  EXPECT_EQ(seen[0]["2 default/a"], "405e3d066ad6a80");
}

TEST(ResourceVersions, UnchangedSlicesAreNotEncodedAgain) {
  Directory directory;
  ResourceCache cache;
  directory.Put(MakeSlice("web", "web-1", 10));
  directory.Put(MakeSlice("web", "web-2", 10));
  cache.Update(directory.Commit());
  const ResourcePtr before = cache.current()->Find(kEndpoints, "default/web/web-1", Viewer());
  directory.Put(MakeSlice("web", "web-2", 11));
  const auto published = cache.Update(directory.Commit());
  EXPECT_EQ(published.set->Find(kEndpoints, "default/web/web-1", Viewer()), before);
  EXPECT_THAT(published.changed[static_cast<size_t>(kEndpoints)],
              ElementsAre("default/web", "default/web/web-2"));
}

}  // namespace
}  // namespace portolan::xds

#include "xds/serving/client_status_service.h"

#include <gmock/gmock.h>
#include <grpcpp/create_channel.h>
#include <gtest/gtest.h>

#include "tests/xds/serving/delta_server.h"
#include "tests/xds/serving/services.h"
#include "tests/xds/serving/state_client.h"

namespace portolan::xds {
namespace {

namespace status = envoy::service::status::v3;
using Request = ClientStatusService::Request;
using Response = ClientStatusService::Response;
using ::testing::HasSubstr;
using ::testing::SizeIs;

constexpr char kHere[] = "ipv4:127.0.0.1:1";

ClientStatus ClientWith(const std::string& node, const TypeStatus& type) {
  ClientStatus client;
  client.node_id = node;
  client.peer = "ipv4:10.42.0.7:40112";
  client.types = {type};
  return client;
}

TypeStatus Accepted() {
  TypeStatus type;
  type.type_url = "type.example/Thing";
  type.sent_generation = type.acknowledged_generation = 7;
  type.last_sent = type.last_acknowledged = absl::FromUnixMillis(1'700'000'000'250);
  return type;
}

status::ClientConfig::GenericXdsConfig EntryOf(const TypeStatus& type) {
  const ClientStatusService service([&] { return std::vector{ClientWith("a/b", type)}; });
  Response response;
  EXPECT_TRUE(service.Answer(kHere, {}, response).ok());
  return response.config(0).generic_xds_configs(0);
}

TEST(ClientStatusService, SaysWhatWasAccepted) {
  const auto entry = EntryOf(Accepted());
  EXPECT_EQ(entry.type_url(), "type.example/Thing");
  EXPECT_EQ(entry.version_info(), "7");
  EXPECT_EQ(entry.config_status(), status::SYNCED);
  EXPECT_EQ(entry.client_status(), envoy::admin::v3::ACKED);
  EXPECT_EQ(entry.last_updated().seconds(), 1'700'000'000);
  EXPECT_EQ(entry.last_updated().nanos(), 250'000'000);
  EXPECT_FALSE(entry.has_error_state());
}

TEST(ClientStatusService, SaysWhatIsOwedAndWhatWasRefused) {
  TypeStatus type = Accepted();
  type.sent_generation = 8;
  EXPECT_EQ(EntryOf(type).config_status(), status::STALE);
  EXPECT_EQ(EntryOf(type).client_status(), envoy::admin::v3::ACKED);
  type.last_nack = "no thanks";
  const auto refused = EntryOf(type);
  EXPECT_EQ(refused.config_status(), status::ERROR);
  EXPECT_EQ(refused.client_status(), envoy::admin::v3::NACKED);
  EXPECT_EQ(refused.error_state().details(), "no thanks");
  EXPECT_EQ(refused.error_state().version_info(), "8");
  EXPECT_EQ(refused.version_info(), "7");
  TypeStatus asked;
  EXPECT_EQ(EntryOf(asked).config_status(), status::NOT_SENT);
  EXPECT_EQ(EntryOf(asked).client_status(), envoy::admin::v3::REQUESTED);
  EXPECT_EQ(EntryOf(asked).version_info(), "");
}

TEST(ClientStatusService, ChoosesClientsByNodeId) {
  const ClientStatusService service([] {
    return std::vector{ClientWith("shop/cart-1", Accepted()), ClientWith("shop/pay-1", Accepted())};
  });
  const auto chosen = [&](const std::function<void(envoy::type::matcher::v3::StringMatcher&)>& by) {
    Request request;
    by(*request.add_node_matchers()->mutable_node_id());
    Response response;
    EXPECT_TRUE(service.Answer(kHere, request, response).ok());
    return response.config_size();
  };
  EXPECT_EQ(chosen([](auto& id) { id.set_exact("shop/pay-1"); }), 1);
  EXPECT_EQ(chosen([](auto& id) { id.set_exact("shop/pay"); }), 0);
  EXPECT_EQ(chosen([](auto& id) { id.set_prefix("shop/"); }), 2);
  EXPECT_EQ(chosen([](auto& id) { id.set_suffix("cart-1"); }), 1);
  EXPECT_EQ(chosen([](auto& id) { id.set_contains("P/C"); }), 0);
  EXPECT_EQ(chosen([](auto& id) {
              id.set_contains("P/C");
              id.set_ignore_case(true);
            }),
            1);
  Request unknown;
  unknown.add_node_matchers();
  Response response;
  EXPECT_EQ(service.Answer(kHere, unknown, response).error_code(),
            grpc::StatusCode::INVALID_ARGUMENT);
}

TEST(ClientStatusService, IsBoundedAndForThisMachineAlone) {
  TypeStatus type = Accepted();
  type.last_nack = std::string(1024, 'x');
  const ClientStatusService service(
      [&] { return std::vector<ClientStatus>(5000, ClientWith("a/b", type)); });
  Response response;
  EXPECT_EQ(service.Answer(kHere, {}, response).error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_LE(response.ByteSizeLong(), ClientStatusService::kMaxResponseBytes);
  for (const char* elsewhere :
       {"ipv4:10.42.0.7:1", "ipv6:%5Bfd42::7%5D:1", "", "ipv4:12.7.0.1:1"}) {
    EXPECT_EQ(service.Answer(elsewhere, {}, response).error_code(),
              grpc::StatusCode::PERMISSION_DENIED);
  }
  for (const char* here : {"unix:", "unix:/run/x", "ipv6:%5B::1%5D:1", "ipv6:[::1]:1",
                           "ipv6:%5B::ffff:127.0.0.1%5D:1"}) {
    EXPECT_TRUE(IsThisMachine(here)) << here;
  }
}

TEST_F(DeltaServer, ClientStatusIsServedBesideTheStreamsAndByEachQuestion) {
  Put(MakeClusterIpService("a", "10.43.0.1", {{"", 80}}));
  StateClient client(port());
  auto request = StateClient::Ask(ResourceType::kCluster, {"a.default.svc.cluster.local:80"});
  request.mutable_node()->set_id("default/envoy-1");
  client.Send(request);
  client.Nack(client.Receive(), {"a.default.svc.cluster.local:80"}, "no thanks");
  EXPECT_TRUE(client.IsQuiet());

  const auto stub = status::ClientStatusDiscoveryService::NewStub(grpc::CreateChannel(
      "127.0.0.1:" + std::to_string(port()), grpc::InsecureChannelCredentials()));
  grpc::ClientContext fetch;
  Response once;
  ASSERT_TRUE(stub->FetchClientStatus(&fetch, Request(), &once).ok());
  ASSERT_THAT(once.config(), SizeIs(1));
  EXPECT_EQ(once.config(0).node().id(), "default/envoy-1");
  EXPECT_THAT(once.config(0).client_scope(), HasSubstr("127.0.0.1"));
  EXPECT_EQ(once.config(0).generic_xds_configs(0).error_state().details(), "no thanks");

  grpc::ClientContext follow;
  const auto stream = stub->StreamClientStatus(&follow);
  for (int i = 0; i < 3; ++i) {
    Response each;
    ASSERT_TRUE(stream->Write(Request()));
    ASSERT_TRUE(stream->Read(&each));
    EXPECT_THAT(each.config(), SizeIs(1));
  }
  stream->WritesDone();
  EXPECT_TRUE(stream->Finish().ok());

  const auto clients = server_->Clients(1);
  ASSERT_THAT(clients, SizeIs(1));
  EXPECT_THAT(clients[0].types[0].names, ::testing::ElementsAre("a.default.svc.cluster.local:80"));
  EXPECT_THAT(server_->Clients()[0].types[0].names, ::testing::IsEmpty());
}

}  // namespace
}  // namespace portolan::xds

// Connections to a Service whose endpoints are had on demand.
#include <gmock/gmock.h>

#include "common/guarded.h"
#include "tests/proxy/forwarder/loopback.h"

namespace portolan::proxy {
namespace {

using testing::ElementsAre;

class Awaiting : public ForwarderTest {
 protected:
  Awaiting() {
    // As the address is of the Service and of whoever serves it where we do not know.
    Service service;
    service.name = {"default", "backend"};
    service.cluster_ips = {kube_proxy_.address().ip};
    service.ports = {{"", Protocol::kTcp, kube_proxy_.address().port}};
    directory_.Put(service);
  }
  // It tells of what it wants until then.
  ~Awaiting() override { StopForwarder(); }

  void Start(absl::Duration timeout = absl::Seconds(30)) {
    ForwarderOptions options;
    options.want_endpoints = [this](const ServiceKey& key) {
      wanted_.With([&](auto& wanted) { wanted.emplace_back(key.view()); });
    };
    options.endpoints_timeout = timeout;
    StartForwarder(std::move(options));
    Publish();
    SetAnswering(true);
  }
  void SetAnswering(bool answering) {
    OnLoop([&] { forwarder_->SetFeedAnswering(answering); });
  }
  void Publish() { SetRoutes(builder_.Apply(directory_.Commit(), EndpointsHeld::kSome)); }
  void Hold(const SocketAddress& endpoint) {
    EndpointSlice slice;
    slice.name = {"default", "backend-1"};
    slice.service = "backend";
    slice.ports = {{"", Protocol::kTcp, endpoint.port}};
    slice.endpoints.emplace_back().addresses = {endpoint.ip};
    directory_.Put(slice);
    Publish();
  }
  Fd CallService() { return Redirected(kube_proxy_.address()); }
  std::vector<std::string> Wanted() {
    return wanted_.With([](const auto& wanted) { return wanted; });
  }

  Endpoint kube_proxy_;
  Directory directory_{Directory::Slices::kOfThoseAskedFor};
  RouteTableBuilder builder_;
  Guarded<std::vector<std::string>> wanted_;
};

TEST_F(Awaiting, TheyGoOnWhenTheEndpointsAreHeldWhichAreAskedForOnce) {
  Endpoint endpoint;
  Start();
  const Fd first = CallService(), second = CallService();
  EXPECT_TRUE(SendAll(first, "early"));
  EXPECT_THAT(Wanted(), ElementsAre("default/backend"));
  const auto shown = OnLoop([&] { return forwarder_->Connections(10); });
  ASSERT_EQ(shown.size(), 2u);
  EXPECT_EQ(shown[0].state, ConnectionInfo::State::kWaiting);
  EXPECT_EQ(shown[0].service, "default/backend");
  EXPECT_FALSE(endpoint.IsCalled(std::chrono::milliseconds(50)));
  Hold(endpoint.address());
  const Fd server = endpoint.Accept(), other = endpoint.Accept();
  EXPECT_EQ(Receive(server, 5), "early");
  EXPECT_EQ(counters_->wait_held.value(), 2u);
  EXPECT_TRUE(Eventually([&] { return counters_->forwarded.value() == 2; }));
  EXPECT_EQ(counters_->endpoints_unknown.value(), 0u);
}

TEST_F(Awaiting, ThatThereAreNoneResetsThem) {
  Start();
  const Fd client = CallService();
  directory_.PutNoSlices("default/backend");
  Publish();
  EXPECT_EQ(ReceiveAll(client).error, ECONNRESET);
  EXPECT_EQ(counters_->no_endpoints.value(), 1u);
  EXPECT_TRUE(AllGone());
}

TEST_F(Awaiting, WhenTheTimeIsOverTheyPassThrough) {
  Start(absl::Milliseconds(50));
  const Fd client = CallService();
  EXPECT_TRUE(kube_proxy_.Accept().valid());
  EXPECT_EQ(counters_->wait_timed_out.value(), 1u);
  EXPECT_EQ(counters_->endpoints_unknown.value(), 1u);
  EXPECT_TRUE(Eventually([&] { return counters_->passed_through.value() == 1; }));
}

TEST_F(Awaiting, WhenTheControlPlaneDoesNotAnswerTheyPassThroughAtOnce) {
  Start();
  const Fd waiting = CallService();
  SetAnswering(false);
  const Fd served = kube_proxy_.Accept();
  EXPECT_EQ(counters_->wait_lost.value(), 1u);
  const Fd client = CallService();
  EXPECT_TRUE(kube_proxy_.Accept().valid());
  EXPECT_EQ(counters_->wait_not_answering.value(), 1u);
}

TEST_F(Awaiting, AClientThatGivesUpIsGone) {
  Start();
  Fd client = CallService();
  ResetAndClose(client);
  EXPECT_TRUE(AllGone());
  EXPECT_EQ(counters_->wait_ended.value(), 1u);
  EXPECT_EQ(counters_->client_gone.value(), 1u);
}

TEST_F(Awaiting, WhatWaitsAtTheEndIsReset) {
  Start();
  const Fd client = CallService();
  StopForwarder();
  EXPECT_EQ(ReceiveAll(client).error, ECONNRESET);
  EXPECT_EQ(counters_->wait_ended.value(), 1u);
  EXPECT_EQ(counters_->stopped.value(), 1u);
}

TEST_F(Awaiting, NoMoreWaitThanThereArePlaces) {
  Start();
  std::vector<Fd> clients;
  for (int i = 0; i < 256; ++i) clients.push_back(CallService());
  const Fd one_more = CallService();
  EXPECT_TRUE(kube_proxy_.Accept().valid());
  EXPECT_EQ(counters_->wait_no_place.value(), 1u);
}

}  // namespace
}  // namespace portolan::proxy

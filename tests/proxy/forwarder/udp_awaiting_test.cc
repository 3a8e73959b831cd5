// UDP flows to a Service whose endpoints are had on demand, in network namespaces made for the
// test.
#include <gmock/gmock.h>

#include "common/guarded.h"
#include "tests/proxy/forwarder/udp_pod.h"

namespace portolan::proxy {
namespace {

using testing::ElementsAre;

class UdpAwaiting : public UdpForwarding {
 protected:
  // It tells of what it wants until then.
  ~UdpAwaiting() override { Stop(); }

  void StartAwaiting(absl::Duration timeout = absl::Seconds(30)) {
    UdpForwarderOptions options;
    options.want_endpoints = [this](const ServiceKey& key) {
      wanted_.With([&](auto& wanted) { wanted.emplace_back(key.view()); });
    };
    options.endpoints_timeout = timeout;
    Start(options);
    SetAnswering(true);
    Service service;
    service.name = {"default", "echo"};
    service.cluster_ips = {at_.service};
    service.ports = {{"", Protocol::kUdp, kPort}};
    directory_.Put(service);
    SetRoutes(EndpointsHeld::kSome);
  }
  void SetAnswering(bool answering) {
    OnLoop([&] { forwarder_->SetFeedAnswering(answering); });
  }
  std::vector<std::string> Wanted() {
    return OnLoop([&] { return wanted_.With([](const auto& wanted) { return wanted; }); });
  }
  Guarded<std::vector<std::string>> wanted_;
};

TEST_P(UdpAwaiting, TheFirstDatagramsGoOnInOrderWhenTheEndpointsAreHeld) {
  StartAwaiting();
  const Fd client = Client(), server = Server(kEndpointPort);
  for (const char* data : {"one", "two", "three"}) Send(client, service_, data);
  ASSERT_TRUE(Eventually([&] { return !Wanted().empty(); }));
  EXPECT_THAT(Wanted(), ElementsAre("default/echo"));
  EXPECT_EQ(Active(), 0u);
  Serve({kEndpointPort});
  for (const char* data : {"one", "two", "three"}) EXPECT_EQ(Receive(server).data, data);
  EXPECT_TRUE(Reaches(counters_->wait_held, 1));
  EXPECT_EQ(Count(counters_->forwarded), 3u);
  ExpectExchange(client, server);
}

TEST_P(UdpAwaiting, AFlowKeepsSixteenMeanwhile) {
  StartAwaiting();
  const Fd client = Client(), server = Server(kEndpointPort);
  for (int i = 0; i < 20; ++i) Send(client, service_, std::to_string(i));
  ASSERT_TRUE(Reaches(counters_->await_dropped, 4));
  Serve({kEndpointPort});
  for (int i = 0; i < 16; ++i) EXPECT_EQ(Receive(server).data, std::to_string(i));
}

TEST_P(UdpAwaiting, ThatThereAreNoEndpointsRejectsThem) {
  StartAwaiting();
  const Fd client = Client();
  Connect(client, service_);
  ASSERT_EQ(send(client.get(), "x", 1, 0), 1);
  ASSERT_TRUE(Eventually([&] { return !Wanted().empty(); }));
  Serve({});
  EXPECT_EQ(ErrorOf(client), ECONNREFUSED);
  EXPECT_TRUE(Reaches(counters_->no_endpoints, 1));
}

TEST_P(UdpAwaiting, WhenTheTimeIsOverTheyPassThroughAndAreMovedWhenTheEndpointsCome) {
  StartAwaiting(absl::Milliseconds(50));
  const Fd client = Client(), server = Server(kEndpointPort);
  Send(client, service_, "one");
  EXPECT_TRUE(Reaches(counters_->wait_timed_out, 1));
  EXPECT_TRUE(Reaches(counters_->passed_through, 1));
  EXPECT_EQ(Count(counters_->endpoints_unknown), 1u);
  Send(client, service_, "two");
  EXPECT_TRUE(Reaches(counters_->passed_through, 2)) << "the flow does not wait again";
  Serve({kEndpointPort});
  ExpectExchange(client, server);
  EXPECT_TRUE(Reaches(counters_->rerouted, 1));
}

TEST_P(UdpAwaiting, WhenTheControlPlaneDoesNotAnswerTheyPassThroughAtOnce) {
  StartAwaiting();
  Send(Client(), service_, "one");
  ASSERT_TRUE(Eventually([&] { return !Wanted().empty(); }));
  SetAnswering(false);
  EXPECT_TRUE(Reaches(counters_->wait_lost, 1));
  EXPECT_TRUE(Reaches(counters_->passed_through, 1));
  Send(Client(), service_, "two");
  EXPECT_TRUE(Reaches(counters_->wait_not_answering, 1));
  EXPECT_TRUE(Reaches(counters_->passed_through, 2));
}

INSTANTIATE_TEST_SUITE_P(Families, UdpAwaiting, testing::Values(IpFamily::kIpv4, IpFamily::kIpv6),
                         [](const auto& param) {
                           return param.param == IpFamily::kIpv4 ? "IPv4" : "IPv6";
                         });

}  // namespace
}  // namespace portolan::proxy

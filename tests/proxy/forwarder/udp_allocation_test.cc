// No heap allocation while datagrams flow or flows come and go.
#include <gtest/gtest.h>

#include "tests/proxy/forwarder/allocations.h"
#include "tests/proxy/forwarder/udp_pod.h"

namespace portolan::proxy {
namespace {

class UdpAllocations : public UdpForwarding {
 protected:
  static void SetUpTestSuite() { CountLibeventToo(); }

  // Of the forwarder's thread while `work` runs on this one.
  template <typename F>
  uint64_t During(F&& work) {
    OnLoop(StartCounting);
    work();
    return OnLoop(StopCounting);
  }
  // What the counting itself costs.
  uint64_t DuringNothing() {
    return During([] {});
  }
};

TEST_P(UdpAllocations, NoneWhileDatagramsFlow) {
  Start();
  Serve({kEndpointPort});
  const Fd server = Server(kEndpointPort);
  const Fd client = Client();
  const auto exchange = [&] {
    for (int i = 0; i < 100; ++i) ExpectExchange(client, server);
    for (int i = 0; i < 100; ++i) Send(client, service_, "burst");
    for (int i = 0; i < 100; ++i) ASSERT_EQ(Receive(server).data, "burst");
  };
  exchange();
  EXPECT_EQ(During(exchange), DuringNothing());
}

TEST_P(UdpAllocations, NoneForAFlowOnceAsManyHaveBeenOpen) {
  Start({.max_flows = 8});
  Serve({kEndpointPort});
  const Fd server = Server(kEndpointPort);
  // Each flow after the eighth ends one, and is refused or answered.
  const auto come_and_go = [&] {
    for (int i = 0; i < 50; ++i) ExpectExchange(Client(), server);
    for (int i = 0; i < 50; ++i) Send(Client(), {at_.service, kPort + 1}, "no such port");
  };
  come_and_go();
  const uint64_t rejected = Count(counters_->rejected);
  EXPECT_EQ(During(come_and_go), DuringNothing());
  EXPECT_TRUE(Reaches(counters_->rejected, rejected + 50));
}

INSTANTIATE_TEST_SUITE_P(Families, UdpAllocations,
                         testing::Values(IpFamily::kIpv4, IpFamily::kIpv6),
                         [](const auto& param) { return std::string(Name(param.param)); });

}  // namespace
}  // namespace portolan::proxy

#include "proxy/forwarder/udp_flows.h"

#include <gtest/gtest.h>

namespace portolan::proxy {
namespace {

UdpFlowKey Key(uint16_t port) {
  return {{*IpAddress::Parse("10.42.1.5"), port}, *SocketAddress::Parse("10.43.0.50:53")};
}

absl::Duration At(int seconds) { return absl::Seconds(seconds); }

TEST(UdpFlows, AFlowIsFoundByClientAndDialledAddress) {
  UdpFlows flows;
  UdpFlow& flow = flows.Add(Key(1), At(0));
  EXPECT_EQ(flows.Find(Key(1)), &flow);
  EXPECT_EQ(flows.Find(Key(2)), nullptr);
  UdpFlowKey other = Key(1);
  other.dialled.port = 54;
  EXPECT_EQ(flows.Find(other), nullptr);
  flows.Remove(flow);
  EXPECT_EQ(flows.Find(Key(1)), nullptr);
  EXPECT_EQ(flows.size(), 0u);
  EXPECT_EQ(flows.Oldest(), nullptr);
}

TEST(UdpFlows, TheOldestIsTheOneWhoseLastDatagramWasLongestAgo) {
  UdpFlows flows;
  UdpFlow& first = flows.Add(Key(1), At(0));
  UdpFlow& second = flows.Add(Key(2), At(1));
  UdpFlow& third = flows.Add(Key(3), At(2));
  EXPECT_EQ(flows.Oldest(), &first);
  flows.Touch(first, At(3));
  EXPECT_EQ(flows.Oldest(), &second);
  flows.SetAnswered(second, At(4));
  EXPECT_EQ(flows.Oldest(), &third);
  EXPECT_EQ(flows.Oldest(true), &second);
  flows.Remove(third);
  EXPECT_EQ(flows.Oldest(), &first);
  flows.Remove(first);
  EXPECT_EQ(flows.Oldest(false), nullptr);
  EXPECT_EQ(flows.Oldest(), &second);
}

TEST(UdpFlows, OneInTheMiddleLeavesTheOthersInOrder) {
  UdpFlows flows;
  for (uint16_t port = 1; port <= 100; ++port) flows.Add(Key(port), At(port));
  for (uint16_t port = 2; port <= 100; port += 2) flows.Remove(*flows.Find(Key(port)));
  flows.Touch(*flows.Find(Key(51)), At(101));
  for (uint16_t port = 1; port <= 99; port += 2) {
    if (port == 51) continue;
    ASSERT_EQ(flows.Oldest(), flows.Find(Key(port)));
    flows.Remove(*flows.Oldest());
  }
  EXPECT_EQ(flows.Oldest(), flows.Find(Key(51)));
}

}  // namespace
}  // namespace portolan::proxy

#include "dns/plugins/service_records.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "tests/dns/cluster.h"

namespace portolan::dns {
namespace {

using test::Ip;

TEST(DashedAddress, EndsInNoHyphen) {
  EXPECT_EQ(DashedAddress(Ip("10.244.0.2")), "10-244-0-2");
  EXPECT_EQ(DashedAddress(Ip("fd00:10:244::1")), "fd00-10-244--1");
  EXPECT_EQ(DashedAddress(Ip("fd00:10:244:1:2:3::")), "fd00-10-244-1-2-3--0");
}

class Records : public testing::Test {
 protected:
  std::shared_ptr<const ServiceRecords> Publish() {
    cluster_.Publish();
    return cluster_.holder().current().records;
  }
  test::Cluster cluster_;
};

TEST_F(Records, AddressesAreSortedAndUnique) {
  cluster_.PutService("a", "s", {});
  cluster_.PutEndpoints("a", "s", {{"10.0.0.2", "x"}, {"10.0.0.1", ""}, {"10.0.0.2", "y"}});
  const auto records = Publish();
  const EndpointRecords* s = records->Find("a/s");
  ASSERT_NE(s, nullptr);
  const auto ipv4 = s->ipv4();
  EXPECT_EQ(std::vector<uint8_t>(ipv4.begin(), ipv4.end()),
            (std::vector<uint8_t>{10, 0, 0, 1, 10, 0, 0, 2}));
  EXPECT_EQ(s->entries().size(), 3u);
}

TEST_F(Records, ANamespaceIsKnownUntilItsLastServiceGoes) {
  cluster_.PutService("a", "one", {"10.0.0.1"});
  cluster_.PutService("a", "two", {"10.0.0.2"});
  EXPECT_TRUE(Publish()->NamespaceHasService("a"));
  cluster_.PutService("a", "two", {"10.0.0.3"});  // replaced, not one more
  cluster_.directory().RemoveService({"a", "one"});
  EXPECT_TRUE(Publish()->NamespaceHasService("a"));
  cluster_.directory().RemoveService({"a", "two"});
  EXPECT_FALSE(Publish()->NamespaceHasService("a"));
}

TEST_F(Records, SlicesMayComeBeforeTheirServiceAndStayAfterIt) {
  cluster_.PutEndpoints("a", "s", {{"10.0.0.1", ""}});
  EXPECT_EQ(Publish()->Find("a/s"), nullptr);
  cluster_.PutService("a", "s", {});
  EXPECT_NE(Publish()->Find("a/s"), nullptr);
  cluster_.directory().RemoveService({"a", "s"});
  EXPECT_EQ(Publish()->Find("a/s"), nullptr);
}

TEST_F(Records, WhatDidNotChangeIsShared) {
  cluster_.PutService("a", "s", {});
  cluster_.PutEndpoints("a", "s", {{"10.0.0.1", ""}});
  cluster_.PutService("a", "t", {});
  cluster_.PutEndpoints("a", "t", {{"10.0.0.2", ""}});
  const auto before = Publish();
  cluster_.PutEndpoints("a", "t", {{"10.0.0.3", ""}});
  const auto after = Publish();
  EXPECT_EQ(before->Find("a/s"), after->Find("a/s"));
  EXPECT_NE(before->Find("a/t"), after->Find("a/t"));
  EXPECT_EQ(Publish(), after) << "no change, no new records";
}

TEST_F(Records, OneChangeAmongFiftyThousandServicesTakesFarBelowAMillisecond) {
  for (int i = 0; i < 50000; ++i) {
    const std::string ip = fmt::format("10.{}.{}.{}", 1 + i / 65536, i / 256 % 256, i % 256);
    cluster_.PutService("ns-" + std::to_string(i % 50), "service-" + std::to_string(i), {ip});
  }
  Publish();
  absl::Duration best = absl::InfiniteDuration();
  ServiceRecordsCompiler compiler;
  compiler.Apply({cluster_.directory().snapshot(), {}}, absl::Now());
  for (int i = 0; i < 50; ++i) {
    cluster_.PutService("ns-1", "service-1", {i % 2 == 0 ? "10.200.0.1" : "10.200.0.2"});
    const auto committed = cluster_.directory().Commit();
    const absl::Time start = absl::Now();
    compiler.Apply(committed, start);
    best = std::min(best, absl::Now() - start);
  }
  EXPECT_LT(best, absl::Milliseconds(1)) << best;
}

}  // namespace
}  // namespace portolan::dns

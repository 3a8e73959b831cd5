#include "injector/cluster/merged_ranges.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace portolan::injector {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

std::vector<std::string> Merged(const std::vector<std::string>& ranges, size_t most = 16) {
  std::vector<Cidr> parsed;
  for (const std::string& text : ranges) parsed.push_back(*Cidr::Parse(text));
  std::vector<std::string> merged;
  for (const Cidr& each : MergedRanges(parsed, most)) merged.push_back(each.ToString());
  return merged;
}

TEST(MergedRanges, NeighboursThatMakeOneRangeAreJoined) {
  EXPECT_THAT(Merged({"10.42.1.0/24", "10.42.0.0/24"}), ElementsAre("10.42.0.0/23"));
  EXPECT_THAT(Merged({"10.42.3.0/24", "10.42.0.0/24", "10.42.2.0/24", "10.42.1.0/24"}),
              ElementsAre("10.42.0.0/22"));
  // Next to each other, and no halves of one.
  EXPECT_THAT(Merged({"10.42.1.0/24", "10.42.2.0/24"}),
              ElementsAre("10.42.1.0/24", "10.42.2.0/24"));
  EXPECT_THAT(Merged({"fd00::/65", "fd00::8000:0:0:0/65"}), ElementsAre("fd00::/64"));
  EXPECT_THAT(Merged({}), IsEmpty());
}

TEST(MergedRanges, WhatLiesInAnotherIsLeftOut) {
  EXPECT_THAT(Merged({"10.42.7.0/24", "10.42.0.0/16", "10.42.0.0/16", "10.42.255.1/32"}),
              ElementsAre("10.42.0.0/16"));
  EXPECT_THAT(Merged({"0.0.0.0/0", "10.0.0.0/8"}), ElementsAre("0.0.0.0/0"));
}

TEST(MergedRanges, FamiliesStayApart) {
  EXPECT_THAT(Merged({"fd00::/64", "10.42.0.0/24"}), ElementsAre("10.42.0.0/24", "fd00::/64"));
}

TEST(MergedRanges, WhereThereAreTooManyTheClosestAreJoined) {
  EXPECT_THAT(Merged({"10.1.0.0/24", "10.1.2.0/24", "10.200.0.0/24"}, 2),
              ElementsAre("10.1.0.0/22", "10.200.0.0/24"));
  // Every other node of 5,000 is gone.
  std::vector<std::string> nodes;
  for (int i = 0; i < 5000; ++i) {
    nodes.push_back(fmt::format("10.{}.{}.0/24", 64 + i / 128, i % 128 * 2));
  }
  const std::vector<std::string> merged = Merged(nodes);
  EXPECT_THAT(merged, SizeIs(::testing::Le(16u)));
  for (const std::string& node : nodes) {
    const Cidr own = *Cidr::Parse(node);
    EXPECT_TRUE(std::any_of(merged.begin(), merged.end(), [&](const std::string& range) {
      return Cidr::Parse(range)->Contains(own.base);
    })) << node;
  }
}

TEST(MergedRanges, HalfTheInternetIsNoRangeOfPods) {
  EXPECT_THAT(Merged({"10.0.0.0/24", "192.168.0.0/24", "172.16.0.0/24"}, 1), SizeIs(3));
}

}  // namespace
}  // namespace portolan::injector

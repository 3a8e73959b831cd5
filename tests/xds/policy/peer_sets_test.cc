#include "xds/policy/peer_sets.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "portolan/v1/policy.pb.h"
#include "tests/xds/policy/cluster.h"
#include "xds/api/policy_codec.h"

namespace portolan::xds {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

PeerSelector AllIn(const std::string& ns) { return {{ns, {}, {}}, "", {}}; }

// 10.0.x.y
Peer Numbered(size_t number, uint16_t port = 0) {
  return {Ip(fmt::format("10.0.{}.{}", number >> 8, number & 255)), port};
}

Peers NumberedPeers(size_t begin, size_t end) {
  Peers peers;
  for (size_t i = begin; i < end; ++i) peers.push_back(Numbered(i));
  return peers;
}

api::PeerSet Parsed(const ResourcePtr& resource) {
  envoy::service::discovery::v3::DeltaDiscoveryResponse field;
  EXPECT_TRUE(
      field.ParseFromArray(resource->wire.begin(), static_cast<int>(resource->wire.size())));
  EXPECT_FALSE(field.resources(0).has_metadata());
  EXPECT_EQ(field.resources(0).version(), resource->version);
  auto set = api::ParsePeerSet(field.resources(0));
  EXPECT_TRUE(set.ok()) << set.status();
  return *std::move(set);
}

std::shared_ptr<const PeerSet> Of(Peers peers) {
  return PeerSet(AllIn("default")).Changed(std::move(peers), {});
}

TEST(PeerSetVersions, AreOfTheMembersAloneInAnyOrder) {
  const PeerSet empty(AllIn("default"));
  const auto straight = empty.Changed({Numbered(1)}, {})->Changed({Numbered(2)}, {});
  const auto detour =
      empty.Changed({Numbered(2), Numbered(3)}, {})->Changed({Numbered(1)}, {Numbered(3)});
  EXPECT_EQ(straight->version(), detour->version());
  EXPECT_EQ(straight->version().size(), kVersionDigits);
  EXPECT_EQ(straight->Changed({}, {Numbered(1), Numbered(2)})->version(), empty.version());
  // Pinned, as the versions of other resources are (tests/xds/serving/server_test.cc).
  EXPECT_EQ(straight->version(), "f11fd3469e7920a");
}

TEST(PeerSetVersions, DifferWhereSumsOfNeighboursAreTheSame) {
  const auto inner = Of({Numbered(1), Numbered(2)});
  const auto outer = Of({Numbered(0), Numbered(3)});
  EXPECT_NE(inner->version(), outer->version());
  EXPECT_NE(Of({Numbered(1, 80)})->version(), Of({Numbered(1, 81)})->version());
  EXPECT_NE(Of({Numbered(1)})->version(), Of({{Ip("::a00:1"), 0}})->version());
}

TEST(PeerSet, HoldsAddressesOfBothFamiliesWithTheirPorts) {
  const Peers peers = {{Ip("10.0.0.1"), 80}, {Ip("10.0.0.1"), 443}, {Ip("10.0.0.2"), 80},
                       {Ip("fd00::1"), 80},  {Ip("fd00::1"), 8080}, {Ip("fd00::2"), 80}};
  const auto set = Of(peers);
  EXPECT_EQ(set->size(), 6u);
  EXPECT_EQ(set->Members(), peers);
  EXPECT_TRUE(set->Contains(peers[4]));
  EXPECT_FALSE(set->Contains({Ip("fd00::1"), 443}));
  const api::PeerSet whole = Parsed(set->Whole());
  EXPECT_TRUE(whole.is_whole());
  EXPECT_EQ(whole.describes, "all pods in namespace default");
  EXPECT_EQ(whole.added, peers);
}

TEST(PeerSet, WithoutMembersIsAResourceWithoutMembers) {
  const PeerSet empty(AllIn("default"));
  const api::PeerSet whole = Parsed(empty.Whole());
  EXPECT_TRUE(whole.is_whole());
  EXPECT_THAT(whole.added, IsEmpty());
}

TEST(PeerSet, IsEncodedOnceForEachVersionThatClientsComeFrom) {
  const auto first = Of(NumberedPeers(0, 1000));
  const auto second = first->Changed({Numbered(2000)}, {});
  EXPECT_EQ(second->Whole(), second->Whole());
  EXPECT_EQ(second->Since(first->version()), second->Since(first->version()));
  EXPECT_NE(second->Since(first->version()), second->Whole());
}

TEST(PeerSet, TellsTheNetDifferenceToAnyOfItsLastVersions) {
  auto set = Of(NumberedPeers(0, 1000));
  std::vector<std::string> versions = {set->version()};
  for (size_t i = 0; i < PeerSet::kMostChanges; ++i) {
    set = set->Changed({Numbered(2000 + i)}, i == 0 ? Peers() : Peers{Numbered(2000 + i - 1)});
    versions.push_back(set->version());
  }
  const size_t last = 2000 + PeerSet::kMostChanges - 1;
  const api::PeerSet from_first = Parsed(set->Since(versions.front()));
  EXPECT_EQ(from_first.base, versions.front());
  EXPECT_THAT(from_first.added, ElementsAre(Numbered(last)));
  EXPECT_THAT(from_first.removed, IsEmpty());
  const api::PeerSet from_third = Parsed(set->Since(versions[2]));
  EXPECT_THAT(from_third.added, ElementsAre(Numbered(last)));
  EXPECT_THAT(from_third.removed, ElementsAre(Numbered(2001)));
  // One change more, and the first is forgotten.
  set = set->Changed({}, {Numbered(5)});
  EXPECT_TRUE(Parsed(set->Since(versions.front())).is_whole());
  EXPECT_EQ(Parsed(set->Since(versions[1])).base, versions[1]);
}

TEST(PeerSet, SendsAllOfItWhereTheDifferenceIsNotKnownOrNoLess) {
  const auto first = Of(NumberedPeers(0, 3));
  const auto other = first->Changed(NumberedPeers(10, 13), NumberedPeers(0, 3));
  EXPECT_EQ(other->Since("123456789abcdef"), other->Whole());
  EXPECT_EQ(other->Since(""), other->Whole());
  EXPECT_EQ(other->Since(first->version()), other->Whole());
}

TEST(PeerSet, ThatCameBackToAVersionHasNothingToAddForWhoHasIt) {
  const auto first = Of(NumberedPeers(0, 100));
  const auto again = first->Changed({Numbered(500)}, {})->Changed({}, {Numbered(500)});
  ASSERT_EQ(again->version(), first->version());
  const api::PeerSet difference = Parsed(again->Since(first->version()));
  EXPECT_EQ(difference.base, first->version());
  EXPECT_THAT(difference.added, IsEmpty());
  EXPECT_THAT(difference.removed, IsEmpty());
}

TEST(PeerSet, RemembersNoChangesThatAreMuchOfIt) {
  const auto first = Of(NumberedPeers(0, 1000));
  const auto second = first->Changed(NumberedPeers(1000, 1400), {});
  EXPECT_EQ(second->Since(first->version()), second->Whole());
  const auto third = second->Changed(NumberedPeers(2000, 2100), {});
  EXPECT_EQ(Parsed(third->Since(second->version())).added, NumberedPeers(2000, 2100));
}

TEST(CountedPeers, KeepAnAddressAsLongAsOnePodHasIt) {
  CountedPeers peers(AllIn("default"));
  peers.Count(Numbered(1), 1);
  EXPECT_TRUE(peers.Commit());
  const std::string version = peers.set()->version();
  peers.Count(Numbered(1), 1);
  EXPECT_FALSE(peers.Commit());
  peers.Count(Numbered(1), 2);
  peers.Count(Numbered(1), -1);
  EXPECT_FALSE(peers.Commit());
  peers.Count(Numbered(1), -2);
  EXPECT_FALSE(peers.Commit());
  EXPECT_EQ(peers.set()->version(), version);
  peers.Count(Numbered(1), -1);
  EXPECT_TRUE(peers.Commit());
  EXPECT_EQ(peers.set()->size(), 0u);
}

TEST(CountedPeers, MakeNoVersionOfWhatComesAndGoesBetween) {
  CountedPeers peers(AllIn("default"));
  peers.Count(Numbered(1), 1);
  peers.Count(Numbered(1), -1);
  EXPECT_FALSE(peers.Commit());
}

}  // namespace
}  // namespace portolan::xds

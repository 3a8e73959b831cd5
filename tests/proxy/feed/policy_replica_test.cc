#include "proxy/feed/policy_replica.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "common/status.h"
#include "tests/proxy/feed/policy_names.h"
#include "tests/xds/api/policy_samples.h"

namespace portolan::proxy {

using namespace api;
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

Resource Head(std::vector<std::string> policies, const std::string& version = "h1") {
  return EgressPolicyResource(kOwn, version, std::move(policies));
}

class PolicyReplicaTest : public testing::Test {
 protected:
  absl::Status Apply(std::string_view type, std::vector<Resource> resources,
                     std::vector<std::string> removed = {}) {
    return replica.Apply(MakeResponse(type, std::move(resources), std::move(removed)));
  }
  void Take(std::string_view type, std::vector<Resource> resources,
            std::vector<std::string> removed = {}) {
    const absl::Status status = Apply(type, std::move(resources), std::move(removed));
    ASSERT_TRUE(status.ok()) << status;
  }
  // default/a, with the members of kS1.
  void TakeWhole(const std::vector<std::string>& members) {
    Take(kEgressPolicyType, {Head({kA})});
    Take(kPolicyRulesType, {RulesResource(kA, "a1", {kS1})});
    Take(kPeerSetType, {PeerSetResource(kS1, "s1", members)});
    ASSERT_NE(replica.rules(), nullptr);
  }
  bool Allows(const std::string& address) const {
    return replica.rules()->Judge({*IpAddress::Parse(address), 80}, Protocol::kTcp).allowed;
  }
  std::vector<std::pair<std::string, std::string>> Held(std::string_view type) const {
    std::vector<std::pair<std::string, std::string>> held;
    replica.ForEachHeld(type, [&](const std::string& name, const std::string& version) {
      held.emplace_back(name, version);
    });
    return held;
  }

  PolicyReplica replica{{kOwn, {*IpAddress::Parse("10.42.0.9")}}};
};

TEST_F(PolicyReplicaTest, NothingIsKnownUntilTheControlPlaneSaysSomething) {
  EXPECT_EQ(replica.rules(), nullptr);
  EXPECT_FALSE(replica.in_transit());
  EXPECT_FALSE(replica.image().head);
}

TEST_F(PolicyReplicaTest, ThatThereIsNoPolicyIsolatesNothing) {
  Take(kEgressPolicyType, {}, {kOwn});
  ASSERT_NE(replica.rules(), nullptr);
  EXPECT_FALSE(replica.rules()->isolates());
  EXPECT_TRUE(Allows("10.0.0.1"));
}

TEST_F(PolicyReplicaTest, AnAnswerWithoutThePolicyWhereNoneIsHeldSaysNothing) {
  Take(kEgressPolicyType, {});
  EXPECT_EQ(replica.rules(), nullptr);
}

TEST_F(PolicyReplicaTest, AnAnswerWithoutThePolicyLeavesTheOneThatIsHeld) {
  TakeWhole({"10.0.0.1"});
  Take(kEgressPolicyType, {});
  EXPECT_TRUE(replica.rules()->isolates());
}

TEST_F(PolicyReplicaTest, WhatIsWholeIsInForce) {
  TakeWhole({"10.0.0.1"});
  EXPECT_TRUE(replica.rules()->isolates());
  EXPECT_TRUE(Allows("10.0.0.1"));
  EXPECT_FALSE(Allows("10.0.0.2"));
  EXPECT_THAT(replica.rules()->isolating(), ElementsAre(kA));
}

TEST_F(PolicyReplicaTest, ThePodAndItsNodeAreAlwaysAllowed) {
  TakeWhole({});
  EXPECT_TRUE(Allows("10.42.0.9"));
  EXPECT_TRUE(Allows("192.168.0.7"));
  EXPECT_FALSE(Allows("192.168.0.8"));
}

// What a server that sends one resource at a time, of those that it was asked for, may do.
class EveryOrder {
 public:
  using Resources = std::vector<std::pair<std::string_view, Resource>>;

  // Calls `check` after each response of each order, with whether all has arrived.
  static int Try(const std::function<std::unique_ptr<PolicyReplica>()>& begin,
                 const Resources& resources,
                 const std::function<void(const PolicyReplica&, bool)>& check) {
    int orders = 0;
    std::vector<size_t> order;
    Go(begin, resources, check, order, orders);
    return orders;
  }

 private:
  static bool IsAskedFor(const PolicyReplica& replica, std::string_view type,
                         const std::string& name) {
    bool wanted = false;
    replica.ForEachWanted(type, [&](const std::string& one) { wanted = wanted || one == name; });
    return wanted;
  }

  static void Go(const std::function<std::unique_ptr<PolicyReplica>()>& begin,
                 const Resources& resources,
                 const std::function<void(const PolicyReplica&, bool)>& check,
                 std::vector<size_t>& order, int& orders) {
    const std::unique_ptr<PolicyReplica> made = begin();
    PolicyReplica& replica = *made;
    for (const size_t at : order) {
      const auto& [type, resource] = resources[at];
      ASSERT_TRUE(replica.Apply(MakeResponse(type, {resource})).ok());
    }
    const bool all = order.size() == resources.size();
    check(replica, all);
    orders += all ? 1 : 0;
    bool goes_on = all;
    for (size_t next = 0; next < resources.size(); ++next) {
      if (std::find(order.begin(), order.end(), next) != order.end()) continue;
      if (!IsAskedFor(replica, resources[next].first, resources[next].second.name())) continue;
      goes_on = true;
      order.push_back(next);
      Go(begin, resources, check, order, orders);
      order.pop_back();
    }
    ASSERT_TRUE(goes_on) << "nothing is asked for any more";
  }
};

bool Allowed(const PolicyReplica& replica, const std::string& address) {
  return replica.rules()->Judge({*IpAddress::Parse(address), 80}, Protocol::kTcp).allowed;
}

TEST(PolicyReplicaOrder, NothingIsKnownUntilAllHasArrivedInWhateverOrder) {
  const EveryOrder::Resources resources = {
      {kEgressPolicyType, Head({kA, kB})},
      {kPolicyRulesType, RulesResource(kA, "a1", {kS1, kS2})},
      {kPolicyRulesType, RulesResource(kB, "b1", {kS2, kS3})},
      {kPeerSetType, PeerSetResource(kS1, "1", {"10.0.0.1"})},
      {kPeerSetType, PeerSetResource(kS2, "1", {"10.0.0.2"})},
      {kPeerSetType, PeerSetResource(kS3, "1", {"10.0.0.3"})},
  };
  const int orders = EveryOrder::Try(
      [] {
        return std::make_unique<PolicyReplica>(PolicyReplica::Own{kOwn, {}});
      },
      resources,
      [](const PolicyReplica& replica, bool all) {
        EXPECT_EQ(replica.rules() != nullptr, all);
        if (!all) return;
        for (const char* peer : {"10.0.0.1", "10.0.0.2", "10.0.0.3"}) {
          EXPECT_TRUE(Allowed(replica, peer)) << peer;
        }
        EXPECT_FALSE(Allowed(replica, "10.0.0.4"));
      });
  EXPECT_GT(orders, 20);
}

// In force is kA with kS1. A new head has kB instead, and kB is of kS2 and kS3.
TEST(PolicyReplicaOrder, TheOldRulesAreInForceUntilTheNewHaveArrivedInWhateverOrder) {
  const auto begin = [] {
    auto replica = std::make_unique<PolicyReplica>(PolicyReplica::Own{kOwn, {}});
    for (const auto& [type, resource] :
         EveryOrder::Resources{{kEgressPolicyType, Head({kA})},
                               {kPolicyRulesType, RulesResource(kA, "a1", {kS1})},
                               {kPeerSetType, PeerSetResource(kS1, "1", {"10.0.0.1"})}}) {
      EXPECT_TRUE(replica->Apply(MakeResponse(type, {resource})).ok());
    }
    return replica;
  };
  const EveryOrder::Resources resources = {
      {kEgressPolicyType, Head({kB}, "h2")},
      {kPolicyRulesType, RulesResource(kB, "b1", {kS2, kS3})},
      {kPeerSetType, PeerSetResource(kS2, "1", {"10.0.0.2"})},
      {kPeerSetType, PeerSetResource(kS3, "1", {"10.0.0.3"})},
  };
  EveryOrder::Try(begin, resources, [](const PolicyReplica& replica, bool all) {
    EXPECT_EQ(Allowed(replica, "10.0.0.1"), !all);
    EXPECT_EQ(Allowed(replica, "10.0.0.2"), all);
    EXPECT_EQ(Allowed(replica, "10.0.0.3"), all);
    EXPECT_FALSE(Allowed(replica, "10.0.0.4"));
  });
}

TEST_F(PolicyReplicaTest, AnEditThatWaitsForASetLeavesTheOldRulesWithTheirPeers) {
  TakeWhole({"10.0.0.1"});
  Take(kPolicyRulesType, {RulesResource(kA, "a2", {kS2})});
  EXPECT_TRUE(replica.in_transit());
  EXPECT_TRUE(Allows("10.0.0.1"));
  // What is in force goes on as it did: it is still subscribed to.
  Take(kPeerSetType, {PeerChangeResource(kS1, "s2", "s1", {"10.0.0.5"}, {"10.0.0.1"})});
  EXPECT_TRUE(Allows("10.0.0.5"));
  EXPECT_FALSE(Allows("10.0.0.1"));

  Take(kPeerSetType, {PeerSetResource(kS2, "1", {"10.0.0.2"})});
  EXPECT_FALSE(replica.in_transit());
  EXPECT_TRUE(Allows("10.0.0.2"));
  EXPECT_FALSE(Allows("10.0.0.5"));
  EXPECT_THAT(Held(kPeerSetType), ElementsAre(testing::Pair(kS2, "1")));
}

TEST_F(PolicyReplicaTest, PeersComeAndGoAtOnce) {
  TakeWhole({"10.0.0.1", "10.0.0.3", "fd00::1"});
  const auto before = replica.rules();
  Take(kPeerSetType, {PeerChangeResource(kS1, "s2", "s1", {"10.0.0.0", "10.0.0.2", "fd00::2"},
                                         {"10.0.0.1", "fd00::1"})});
  EXPECT_NE(replica.rules(), before);
  for (const char* peer : {"10.0.0.0", "10.0.0.2", "10.0.0.3", "fd00::2"}) {
    EXPECT_TRUE(Allows(peer)) << peer;
  }
  EXPECT_FALSE(Allows("10.0.0.1"));
  EXPECT_FALSE(Allows("fd00::1"));
  EXPECT_THAT(Held(kPeerSetType), ElementsAre(testing::Pair(kS1, "s2")));
  // As a whole it is the same as after the changes.
  const auto after = replica.rules();
  Take(kPeerSetType, {PeerSetResource(kS1, "s2", {"10.0.0.0", "10.0.0.2", "10.0.0.3", "fd00::2"})});
  EXPECT_EQ(replica.rules(), after);
  Take(kPeerSetType, {PeerSetResource(kS1, "s3", {"10.0.0.7"})});
  EXPECT_TRUE(Allows("10.0.0.7"));
  EXPECT_FALSE(Allows("10.0.0.0"));
}

TEST_F(PolicyReplicaTest, WhatIsSentAgainUnchangedChangesNothing) {
  TakeWhole({"10.0.0.1"});
  const auto before = replica.rules();
  Take(kEgressPolicyType, {Head({kA}, "h2")});
  Take(kPolicyRulesType, {RulesResource(kA, "a2", {kS1})});
  Take(kPeerSetType, {PeerSetResource(kS1, "s2", {"10.0.0.1"})});
  EXPECT_EQ(replica.rules(), before);
  EXPECT_THAT(Held(kEgressPolicyType), ElementsAre(testing::Pair(kOwn, "h2")));
  EXPECT_THAT(Held(kPolicyRulesType), ElementsAre(testing::Pair(kA, "a2")));
  EXPECT_THAT(Held(kPeerSetType), ElementsAre(testing::Pair(kS1, "s2")));
}

TEST_F(PolicyReplicaTest, ADifferenceFromAnotherVersionIsRefusedAndAskedForWholeOnce) {
  Take(kEgressPolicyType, {Head({kA})});
  Take(kPolicyRulesType, {RulesResource(kA, "a1", {kS1, kS2})});
  Take(kPeerSetType,
       {PeerSetResource(kS1, "1", {"10.0.0.1"}), PeerSetResource(kS2, "1", {"10.0.0.2"})});
  replica.BeginStream();
  const auto before = replica.rules();

  // Of the response with it nothing is taken.
  const auto refused = Apply(kPeerSetType, {PeerChangeResource(kS1, "2", "1", {"10.0.0.8"}, {}),
                                            PeerChangeResource(kS2, "3", "2", {"10.0.0.9"}, {})});
  EXPECT_EQ(Message(refused),
            "portolan.v1.PeerSet '0000000000000002': base: '2' is not the version held");
  EXPECT_EQ(replica.rules(), before);
  EXPECT_TRUE(replica.lacks_any(kPeerSetType));
  const WantedNames::Asked asked = replica.TakeAsked(kPeerSetType);
  EXPECT_THAT(asked.subscribe, UnorderedElementsAre(kS1, kS2));
  EXPECT_THAT(asked.unsubscribe, UnorderedElementsAre(kS1, kS2));

  // What was on its way meanwhile is refused as well, and not asked for another time.
  EXPECT_FALSE(Apply(kPeerSetType, {PeerChangeResource(kS2, "4", "3", {"10.0.0.7"}, {})}).ok());
  EXPECT_THAT(replica.TakeAsked(kPeerSetType).subscribe, IsEmpty());

  Take(kPeerSetType, {PeerSetResource(kS1, "2", {"10.0.0.1", "10.0.0.8"}),
                      PeerSetResource(kS2, "4", {"10.0.0.7"})});
  EXPECT_FALSE(replica.lacks_any(kPeerSetType));
  EXPECT_TRUE(Allows("10.0.0.8"));
  EXPECT_TRUE(Allows("10.0.0.7"));
  EXPECT_FALSE(Allows("10.0.0.2"));

  // From then on it is asked again.
  EXPECT_FALSE(Apply(kPeerSetType, {PeerChangeResource(kS2, "9", "8", {}, {})}).ok());
  EXPECT_THAT(replica.TakeAsked(kPeerSetType).subscribe, ElementsAre(kS2));
}

TEST_F(PolicyReplicaTest, ADifferenceThatDoesNotFitTheMembersIsRefused) {
  TakeWhole({"10.0.0.1", "10.0.0.2"});
  EXPECT_THAT(Message(Apply(kPeerSetType, {PeerChangeResource(kS1, "2", "s1", {"10.0.0.2"}, {})})),
              HasSubstr("added: 10.0.0.2 is in the set"));
  EXPECT_THAT(Message(Apply(kPeerSetType, {PeerChangeResource(kS1, "2", "s1", {}, {"10.0.0.3"})})),
              HasSubstr("removed: 10.0.0.3 is not in the set"));
  EXPECT_THAT(Held(kPeerSetType), ElementsAre(testing::Pair(kS1, "s1")));
}

TEST_F(PolicyReplicaTest, ADifferenceFromASetThatIsNotHeldIsRefused) {
  Take(kEgressPolicyType, {Head({kA})});
  Take(kPolicyRulesType, {RulesResource(kA, "a1", {kS1})});
  EXPECT_FALSE(Apply(kPeerSetType, {PeerChangeResource(kS1, "2", "1", {"10.0.0.1"}, {})}).ok());
  EXPECT_EQ(replica.rules(), nullptr);
}

TEST_F(PolicyReplicaTest, WhatNobodyRefersToIsIgnored) {
  Take(kPolicyRulesType, {RulesResource(kA, "a1", {kS1})});
  Take(kPeerSetType, {PeerSetResource(kS1, "1", {"10.0.0.1"})});
  // The answer crossed with the request that gave it up.
  Take(kPeerSetType, {PeerChangeResource(kS2, "2", "1", {"10.0.0.1"}, {})});
  EXPECT_THAT(Held(kPolicyRulesType), IsEmpty());
  EXPECT_THAT(Held(kPeerSetType), IsEmpty());
}

TEST_F(PolicyReplicaTest, SubscriptionsFollowWhatLeadsToThem) {
  replica.BeginStream();
  EXPECT_THAT(replica.TakeAsked(kPolicyRulesType).subscribe, IsEmpty());
  Take(kEgressPolicyType, {Head({kA, kB})});
  EXPECT_THAT(replica.TakeAsked(kPolicyRulesType).subscribe, UnorderedElementsAre(kA, kB));
  Take(kPolicyRulesType, {RulesResource(kA, "a1", {kS1, kS2})});
  EXPECT_THAT(replica.TakeAsked(kPeerSetType).subscribe, UnorderedElementsAre(kS1, kS2));
  Take(kPolicyRulesType, {RulesResource(kB, "b1", {kS2, kS3})});
  EXPECT_THAT(replica.TakeAsked(kPeerSetType).subscribe, ElementsAre(kS3));
  EXPECT_THAT(replica.TakeAsked(kPolicyRulesType).subscribe, IsEmpty());
  Take(kPeerSetType, {PeerSetResource(kS1, "1", {}), PeerSetResource(kS2, "1", {}),
                      PeerSetResource(kS3, "1", {})});

  Take(kEgressPolicyType, {Head({kB}, "h2")});
  EXPECT_THAT(replica.TakeAsked(kPolicyRulesType).unsubscribe, ElementsAre(kA));
  EXPECT_THAT(replica.TakeAsked(kPeerSetType).unsubscribe, ElementsAre(kS1));
  EXPECT_THAT(Held(kPolicyRulesType), ElementsAre(testing::Pair(kB, "b1")));
  EXPECT_THAT(Held(kPeerSetType),
              UnorderedElementsAre(testing::Pair(kS2, "1"), testing::Pair(kS3, "1")));
}

TEST_F(PolicyReplicaTest, WithoutThePolicyEverythingIsOpenAndNothingIsHeld) {
  TakeWhole({"10.0.0.1"});
  replica.BeginStream();
  Take(kEgressPolicyType, {}, {kOwn});
  EXPECT_FALSE(replica.rules()->isolates());
  EXPECT_TRUE(Allows("10.0.0.2"));
  EXPECT_THAT(Held(kPolicyRulesType), IsEmpty());
  EXPECT_THAT(Held(kPeerSetType), IsEmpty());
  EXPECT_THAT(replica.TakeAsked(kPolicyRulesType).unsubscribe, ElementsAre(kA));
  EXPECT_THAT(replica.TakeAsked(kPeerSetType).unsubscribe, ElementsAre(kS1));
}

TEST_F(PolicyReplicaTest, APolicyThatIsDeletedIsInForceUntilTheHeadIsWithoutIt) {
  TakeWhole({"10.0.0.1"});
  Take(kPeerSetType, {}, {kS1});
  EXPECT_TRUE(Allows("10.0.0.1"));
  Take(kPolicyRulesType, {}, {kA});
  EXPECT_TRUE(Allows("10.0.0.1"));
  EXPECT_FALSE(Allows("10.0.0.2"));
  EXPECT_TRUE(replica.in_transit());
  Take(kEgressPolicyType, {Head({}, "h2")});
  EXPECT_TRUE(Allows("10.0.0.2"));
  EXPECT_FALSE(replica.in_transit());
}

TEST_F(PolicyReplicaTest, ASetThatIsTakenAwayStaysForTheOldRulesAndNotForNewOnes) {
  TakeWhole({"10.0.0.1"});
  Take(kPeerSetType, {}, {kS1});
  EXPECT_TRUE(Allows("10.0.0.1"));
  EXPECT_THAT(Held(kPeerSetType), ElementsAre(testing::Pair(kS1, "")));
  Take(kEgressPolicyType, {Head({kA, kB}, "h2")});
  Take(kPolicyRulesType, {RulesResource(kB, "b1", {})});
  EXPECT_TRUE(replica.in_transit());
  EXPECT_THAT(replica.rules()->isolating(), ElementsAre(kA));
  Take(kPeerSetType, {PeerSetResource(kS1, "s2", {"10.0.0.2"})});
  EXPECT_THAT(replica.rules()->isolating(), ElementsAre(kA, kB));
  EXPECT_TRUE(Allows("10.0.0.2"));
}

TEST_F(PolicyReplicaTest, WhatIsBadIsRefusedWholeAndTheOldRulesStay) {
  TakeWhole({"10.0.0.1"});
  const auto before = replica.rules();
  Resource bad = RulesResource(kB, "b1", {});
  bad.mutable_resource()->set_value("\xff");
  EXPECT_FALSE(Apply(kPolicyRulesType, {RulesResource(kA, "a2", {}), bad}).ok());
  EXPECT_EQ(replica.rules(), before);
  EXPECT_THAT(Held(kPolicyRulesType), ElementsAre(testing::Pair(kA, "a1")));
  EXPECT_TRUE(replica.lacks_any(kPolicyRulesType));
  Take(kPolicyRulesType, {RulesResource(kA, "a3", {})});
  EXPECT_FALSE(replica.lacks_any(kPolicyRulesType));

  EXPECT_THAT(Message(Apply(kEgressPolicyType, {EgressPolicyResource("default/other", "1", {})})),
              HasSubstr("EgressPolicy 'default/other' was not subscribed to"));
  EXPECT_THAT(
      Message(Apply(kPolicyRulesType, {RulesResource(kA, "a4", {}), RulesResource(kA, "a5", {})})),
      HasSubstr("'NetworkPolicy/default/a': twice in one response"));
  EXPECT_THAT(Message(Apply(kPolicyRulesType, {RulesResource(kA, std::string(300, 'v'), {})})),
              HasSubstr("version: longer than 256 bytes"));
}

TEST(PolicyReplicaName, ASidecarThatIsNoPodAsksForNothingAndTakesNothing) {
  for (const char* name : {"", "laptop"}) {
    PolicyReplica replica{{name, {}}};
    int wanted = 0;
    replica.ForEachWanted(kEgressPolicyType, [&](const std::string&) { ++wanted; });
    EXPECT_EQ(wanted, 0);
    EXPECT_FALSE(replica.Apply(MakeResponse(kEgressPolicyType, {}, {name})).ok());
    EXPECT_EQ(replica.rules(), nullptr);
  }
}

TEST_F(PolicyReplicaTest, AnImageIsWhatIsInForceAndItsVersionsWhatIsHeld) {
  TakeWhole({"10.0.0.1"});
  Take(kPolicyRulesType, {RulesResource(kA, "a2", {kS2})});
  const PolicyReplica::Image image = replica.image();
  ASSERT_TRUE(image.head);
  EXPECT_EQ(image.head->version, "h1");
  ASSERT_EQ(image.policies.size(), 1u);
  EXPECT_THAT(image.policies[0].value->rules[0].peer_sets, ElementsAre(kS1));
  EXPECT_EQ(image.policies[0].version, "");  // held is a2
  ASSERT_EQ(image.sets.size(), 1u);
  EXPECT_EQ(image.sets[0].name, kS1);
  EXPECT_EQ(image.sets[0].version, "s1");
}

}  // namespace
}  // namespace portolan::proxy

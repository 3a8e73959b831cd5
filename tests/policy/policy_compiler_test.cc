#include "policy/policy_compiler.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "tests/policy/policies.h"

namespace portolan {
namespace {

constexpr auto kTcp = Protocol::kTcp;

Peers Pods(int first, int end) {
  Peers pods;
  for (int i = first; i < end; ++i)
    pods.push_back({Ip(fmt::format("10.0.{}.{}", i / 256, i % 256))});
  return pods;
}

class PolicyCompilerTest : public testing::Test {
 protected:
  PolicyCompilerTest() {
    compiler_.SetPolicies({NetworkPolicyOf("a", {ToSet("a", {Tcp(80)}), ToSet("b", {Tcp(81)})})},
                          {});
  }
  bool Allowed(std::string_view to) { return compiler_.Commit()->Judge(At(to), kTcp).allowed; }

  PolicyCompiler compiler_;
};

TEST_F(PolicyCompilerTest, WhatIsToldTakesEffectAtTheNextCommitAndOldRulesStayAsTheyWere) {
  const auto before = compiler_.Commit();
  compiler_.SetPeers("a", Pods(1, 3));
  EXPECT_FALSE(before->Judge(At("10.0.0.1:80"), kTcp).allowed);
  const auto after = compiler_.Commit();
  compiler_.ChangePeers("a", {}, Pods(1, 2));
  EXPECT_TRUE(after->Judge(At("10.0.0.1:80"), kTcp).allowed);
  EXPECT_FALSE(Allowed("10.0.0.1:80"));
  EXPECT_TRUE(Allowed("10.0.0.2:80"));
  EXPECT_FALSE(before->Judge(At("10.0.0.2:80"), kTcp).allowed);
  EXPECT_TRUE(after->Judge(At("10.0.0.1:80"), kTcp).allowed);
}

TEST_F(PolicyCompilerTest, ACommitOfNothingNewIsTheSameRules) {
  compiler_.SetPeers("a", Pods(1, 3));
  const auto rules = compiler_.Commit();
  EXPECT_EQ(compiler_.Commit(), rules);
  compiler_.ChangePeers("a", Pods(3, 4), {});
  EXPECT_NE(compiler_.Commit(), rules);
}

TEST_F(PolicyCompilerTest, AWholeSetTakesThePlaceOfWhatWasThere) {
  compiler_.SetPeers("a", Pods(1, 3));
  compiler_.Commit();
  compiler_.ChangePeers("a", Pods(7, 8), {});
  compiler_.SetPeers("a", Pods(2, 4));
  EXPECT_FALSE(Allowed("10.0.0.1:80"));
  EXPECT_TRUE(Allowed("10.0.0.2:80"));
  EXPECT_TRUE(Allowed("10.0.0.3:80"));
  EXPECT_FALSE(Allowed("10.0.0.7:80"));
  EXPECT_EQ(compiler_.Commit()->size().peers, 2u);
}

TEST_F(PolicyCompilerTest, ASetThatIsForgottenHasNoMembersUntilItIsToldAgain) {
  compiler_.SetPeers("a", Pods(1, 3));
  compiler_.SetPeers("b", Pods(1, 3));
  compiler_.Commit();
  compiler_.ForgetPeers("a");
  EXPECT_FALSE(Allowed("10.0.0.1:80"));
  EXPECT_TRUE(Allowed("10.0.0.1:81"));
  compiler_.ChangePeers("a", Pods(2, 3), {});
  EXPECT_FALSE(Allowed("10.0.0.1:80"));
  EXPECT_TRUE(Allowed("10.0.0.2:80"));
  compiler_.ForgetPeers("a");
  compiler_.SetPeers("a", Pods(1, 2));  // before the next commit
  EXPECT_TRUE(Allowed("10.0.0.1:80"));
  EXPECT_FALSE(Allowed("10.0.0.2:80"));
  EXPECT_TRUE(Allowed("10.0.0.2:81"));
  compiler_.ForgetPeers("never told");
}

TEST_F(PolicyCompilerTest, WhatIsToldTwiceOrNotThereIsNoError) {
  compiler_.ChangePeers("a", Pods(1, 3), Pods(5, 9));
  compiler_.ChangePeers("a", Pods(1, 3), {});
  EXPECT_EQ(compiler_.Commit()->size().peers, 2u);
  compiler_.ChangePeers("a", Pods(1, 2), Pods(1, 2));  // what is added counts
  EXPECT_TRUE(Allowed("10.0.0.1:80"));
  compiler_.ChangePeers("a", {}, Pods(1, 9));
  EXPECT_EQ(compiler_.Commit()->size().peers, 0u);
}

TEST_F(PolicyCompilerTest, NewPoliciesJudgeThePeersThatWereTold) {
  compiler_.SetPeers("c", Pods(1, 3));
  EXPECT_FALSE(Allowed("10.0.0.1:90"));
  compiler_.SetPolicies({NetworkPolicyOf("b", {ToSet("c", {Tcp(90)})})}, {});
  EXPECT_TRUE(Allowed("10.0.0.1:90"));
  compiler_.SetPolicies({}, {});
  EXPECT_FALSE(compiler_.Commit()->isolates());
}

TEST_F(PolicyCompilerTest, MorePeersThanAreKeptPendingAreAllThere) {
  constexpr int kSets = 40, kPods = 5'000;
  for (int set = 0; set < kSets; ++set) compiler_.SetPeers(std::to_string(set), Pods(0, kPods));
  compiler_.SetPeers("a", Pods(0, kPods));
  compiler_.SetPeers("0", Pods(0, 1));
  const auto rules = compiler_.Commit();
  EXPECT_EQ(rules->size().peers, static_cast<size_t>(kSets * kPods + 1));
  EXPECT_TRUE(rules->Judge(At("10.0.19.135:80"), kTcp).allowed);
  EXPECT_FALSE(rules->Judge(At("10.0.19.136:80"), kTcp).allowed);
}

// Each address is in other sets than the others, again and again.
TEST(PolicyCompilerRoom, IsGivenBackByWhatIsNoLongerInForce) {
  std::vector<RuleInput> rules;
  for (uint16_t i = 0; i < 20; ++i) {
    rules.push_back(ToSet(std::to_string(i), {Tcp(static_cast<uint16_t>(80 + 2 * i))}));
  }
  auto room = std::make_shared<AllowedPortsMaker::Room>();
  {
    const PolicyTable table({NetworkPolicyOf("a", rules)}, {}, room);
    AllowedPortsMaker maker(table.rules(), room);
    PeerTable peers;
    peers.SetPolicies(&table, &maker);
    for (int round = 0; round < 2'000; ++round) {
      peers.Set(std::to_string(round % 20), Pods(round % 40, round % 40 + 10));
      peers.Commit();
      // 50 addresses in up to 20 sets, and what is not cleaned up yet.
      ASSERT_LE(room->used.load(), 50u * 20u * 4u) << round;
    }
    EXPECT_GT(room->used.load(), 0u);
  }
  EXPECT_EQ(room->used.load(), 0u);
}

}  // namespace
}  // namespace portolan

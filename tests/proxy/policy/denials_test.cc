// What becomes of denials: which are told apart, and what is kept of them.
#include "proxy/policy/denials.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/proxy/policy/test_policy.h"

namespace portolan::proxy {
namespace {

Denial Dialled(std::string_view to, Denied what = Denied::kConnection) {
  return {.what = what, .client = At("10.42.0.7:40000"), .dialled = At(to)};
}

Denial DialledService(std::string_view endpoint, std::string_view name = "db") {
  Denial denial = Dialled("10.43.0.9:5432");
  denial.endpoint = At(endpoint);
  denial.service = ServiceKey("default", name);
  return denial;
}

Denial Asked(std::string_view name) { return {.what = Denied::kName, .name = NameOf(name)}; }

const DenialTable::Kind* Find(const std::vector<DenialTable::Kind>& kinds, const Denial& like) {
  const auto found = std::find_if(kinds.begin(), kinds.end(),
                                  [&](const auto& kind) { return IsSameKind(kind.latest, like); });
  return found == kinds.end() ? nullptr : &*found;
}

TEST(DenialKinds, AreToldApartByWhatNameAddressAndPort) {
  const Denial one = Dialled("192.0.2.1:80");
  EXPECT_TRUE(IsSameKind(one, Dialled("192.0.2.1:80")));
  EXPECT_FALSE(IsSameKind(one, Dialled("192.0.2.1:81")));
  EXPECT_FALSE(IsSameKind(one, Dialled("192.0.2.2:80")));
  EXPECT_FALSE(IsSameKind(one, Dialled("192.0.2.1:80", Denied::kFlow)));
  Denial audited = one;
  audited.mode = PolicyMode::kAudit;
  EXPECT_FALSE(IsSameKind(one, audited));
  EXPECT_TRUE(IsSameKind(Asked("a.example"), Asked("a.example")));
  EXPECT_FALSE(IsSameKind(Asked("a.example"), Asked("b.example")));
}

TEST(DenialKinds, AllEndpointsOfAServiceAtAPortAreOne) {
  const Denial one = DialledService("10.42.1.1:5432");
  EXPECT_TRUE(IsSameKind(one, DialledService("10.42.1.2:5432")));
  EXPECT_FALSE(IsSameKind(one, DialledService("10.42.1.1:5433")));
  EXPECT_FALSE(IsSameKind(one, DialledService("10.42.1.1:5432", "cache")));
  EXPECT_FALSE(IsSameKind(one, Dialled("10.42.1.1:5432")));
}

TEST(DenialTable, AKindIsCountedAndItsLatestKept) {
  DenialTable table;
  table.Add(DialledService("10.42.1.1:5432"), absl::Seconds(1));
  table.Add(Asked("a.example"), absl::Seconds(2));
  table.Add(DialledService("10.42.1.2:5432"), absl::Seconds(3));
  const auto kinds = table.Take();
  ASSERT_EQ(kinds.size(), 2u);
  const auto* service = Find(kinds, DialledService("10.42.1.1:5432"));
  ASSERT_NE(service, nullptr);
  EXPECT_EQ(service->count, 2u);
  EXPECT_EQ(service->last, absl::Seconds(3));
  EXPECT_EQ(service->latest.to(), At("10.42.1.2:5432"));
}

TEST(DenialTable, TheOneDeniedLongestAgoMakesRoomAndBeginsAnew) {
  DenialTable table;
  const auto nth = [](size_t i) { return Dialled(fmt::format("192.0.2.{}:80", i)); };
  for (size_t i = 0; i < DenialTable::kMostKinds; ++i) table.Add(nth(i), absl::Seconds(i));
  table.Add(nth(0), absl::Seconds(100));
  table.Add(nth(200), absl::Seconds(101));
  const auto kinds = table.Take();
  EXPECT_EQ(kinds.size(), DenialTable::kMostKinds);
  EXPECT_EQ(Find(kinds, nth(1)), nullptr);
  ASSERT_NE(Find(kinds, nth(0)), nullptr);
  EXPECT_EQ(Find(kinds, nth(0))->count, 2u);
  ASSERT_NE(Find(kinds, nth(200)), nullptr);
  EXPECT_EQ(Find(kinds, nth(200))->count, 1u);
}

class DenialsTest : public testing::Test {
 protected:
  // The rules that the one kind was denied by; `is_new`: whether that is news.
  std::shared_ptr<const EgressRules> TakeRules(bool is_new = true) {
    const auto kinds = denials_.TakeLatest();
    EXPECT_EQ(kinds.size(), 1u);
    EXPECT_EQ(kinds[0].is_new, is_new);
    return kinds[0].latest.rules;
  }

  const std::shared_ptr<const EgressRules> first_ = Compile({NetworkPolicyOf("first", {})});
  const std::shared_ptr<const EgressRules> second_ = Compile({NetworkPolicyOf("second", {})});
  Denials denials_;
};

TEST_F(DenialsTest, ComeWithTheRulesThatDeniedThemOnce) {
  denials_.SetRules(first_);
  denials_.Add(Dialled("192.0.2.1:80"), absl::Seconds(1));
  denials_.SetRules(second_);
  EXPECT_EQ(TakeRules(), first_);
  EXPECT_EQ(TakeRules(false), nullptr) << "they were taken";
  denials_.Add(Dialled("192.0.2.1:80"), absl::Seconds(2));
  EXPECT_EQ(TakeRules(), second_);
}

TEST_F(DenialsTest, KeepOneVersionOfRulesAliveThatIsNoLongerInForce) {
  denials_.SetRules(Compile({}));
  denials_.Add(Dialled("192.0.2.1:80"), absl::Seconds(1));
  denials_.SetRules(first_);
  denials_.SetRules(second_);
  EXPECT_EQ(TakeRules(), first_);
}

TEST_F(DenialsTest, WhileNoPolicyIsKnownThereAreNoRules) {
  denials_.Add(Dialled("192.0.2.1:80"), absl::Seconds(1));
  denials_.SetRules(first_);
  denials_.SetRules(second_);
  EXPECT_EQ(TakeRules(), nullptr);
}

TEST_F(DenialsTest, AreCountedOnceInAllHoweverManyPoliciesIsolate) {
  denials_.SetRules(Compile({NetworkPolicyOf("a", {}), NetworkPolicyOf("b", {})}));
  denials_.Add(Dialled("192.0.2.1:80"), absl::Seconds(1));
  Denial audited = Asked("a.example");
  audited.mode = PolicyMode::kAudit;
  denials_.Add(audited, absl::Seconds(1));
  denials_.Add(audited, absl::Seconds(1));
  EXPECT_EQ(denials_.counters().total(PolicyMode::kEnforced), 1u);
  EXPECT_EQ(denials_.counters().total(PolicyMode::kAudit), 2u);
}

}  // namespace
}  // namespace portolan::proxy

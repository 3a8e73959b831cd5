#include "xds/policy/selector.h"

#include <gtest/gtest.h>

#include <set>

#include "tests/xds/policy/cluster.h"

namespace portolan::xds {
namespace {

using Operator = LabelRequirement::Operator;

ObjectSelector Expression(const std::string& key, Operator op,
                          std::vector<std::string> values = {}) {
  return {{}, {{key, op, std::move(values)}}};
}

const LabelMap kLabels = {{"app", "db"}, {"env", ""}, {"tier", "back"}};

TEST(Selector, AnEmptyOneSelectsEverything) {
  EXPECT_TRUE(Matches({}, kLabels));
  EXPECT_TRUE(Matches({}, {}));
}

TEST(Selector, LabelsMustAllBeThereWithTheirValues) {
  EXPECT_TRUE(Matches(Labelled({{"app", "db"}}), kLabels));
  EXPECT_TRUE(Matches(Labelled({{"app", "db"}, {"tier", "back"}}), kLabels));
  EXPECT_TRUE(Matches(Labelled({{"env", ""}}), kLabels));
  EXPECT_FALSE(Matches(Labelled({{"app", "web"}}), kLabels));
  EXPECT_FALSE(Matches(Labelled({{"app", "db"}, {"tier", "front"}}), kLabels));
  EXPECT_FALSE(Matches(Labelled({{"zone", ""}}), kLabels));
}

TEST(Selector, InWantsTheLabel) {
  EXPECT_TRUE(Matches(Expression("app", Operator::kIn, {"web", "db"}), kLabels));
  EXPECT_FALSE(Matches(Expression("app", Operator::kIn, {"web"}), kLabels));
  EXPECT_FALSE(Matches(Expression("zone", Operator::kIn, {"a"}), kLabels));
}

TEST(Selector, NotInHoldsWithoutTheLabel) {
  EXPECT_FALSE(Matches(Expression("app", Operator::kNotIn, {"web", "db"}), kLabels));
  EXPECT_TRUE(Matches(Expression("app", Operator::kNotIn, {"web"}), kLabels));
  EXPECT_TRUE(Matches(Expression("zone", Operator::kNotIn, {"a"}), kLabels));
}

TEST(Selector, ExistsAndDoesNotExistGoByTheKeyAlone) {
  EXPECT_TRUE(Matches(Expression("env", Operator::kExists), kLabels));
  EXPECT_FALSE(Matches(Expression("zone", Operator::kExists), kLabels));
  EXPECT_FALSE(Matches(Expression("env", Operator::kDoesNotExist), kLabels));
  EXPECT_TRUE(Matches(Expression("zone", Operator::kDoesNotExist), kLabels));
}

TEST(Selector, LabelsAndExpressionsMustAllHold) {
  ObjectSelector both = Labelled({{"app", "db"}});
  both.match_expressions = {{"tier", Operator::kExists, {}}, {"env", Operator::kIn, {""}}};
  EXPECT_TRUE(Matches(both, kLabels));
  both.match_expressions.push_back({"app", Operator::kNotIn, {"db"}});
  EXPECT_FALSE(Matches(both, kLabels));
}

TEST(SelectorText, IsTheSameForThoseThatSayTheSame) {
  ObjectSelector one = Labelled({{"app", "db"}});
  one.match_expressions = {{"tier", Operator::kIn, {"b", "a", "b"}}, {"x", Operator::kExists, {}}};
  ObjectSelector other;
  other.match_expressions = {{"x", Operator::kExists, {}},
                             {"app", Operator::kIn, {"db"}},
                             {"tier", Operator::kIn, {"a", "b"}}};
  EXPECT_EQ(ToText(one), "app=db,tier in (a,b),x");
  EXPECT_EQ(ToText(other), ToText(one));
  EXPECT_EQ(ToText(ObjectSelector()), "");
  EXPECT_EQ(ToText(Expression("a.b/c", Operator::kDoesNotExist)), "!a.b/c");
  EXPECT_EQ(ToText(Expression("a", Operator::kNotIn, {"y", "x"})), "a notin (x,y)");
}

TEST(SelectorText, IsAnotherForAnyOther) {
  const std::vector<ObjectSelector> selectors = {{},
                                                 Labelled({{"a", "b"}}),
                                                 Labelled({{"a", ""}}),
                                                 Labelled({{"a", "b"}, {"c", "d"}}),
                                                 Labelled({{"a", "b,c=d"}}),
                                                 Labelled({{"a", "\"b\""}}),
                                                 Labelled({{"a=b", "c"}}),
                                                 Labelled({{"a", "b=c"}}),
                                                 Expression("a", Operator::kIn, {"b", "c"}),
                                                 Expression("a", Operator::kIn, {"b,c", "d"}),
                                                 Expression("a", Operator::kIn, {"b", "c,d"}),
                                                 Expression("a", Operator::kIn),
                                                 Expression("a", Operator::kNotIn),
                                                 Expression("a", Operator::kNotIn, {""}),
                                                 Expression("a", Operator::kNotIn, {"b"}),
                                                 Expression("a", Operator::kExists),
                                                 Expression("a=b,c", Operator::kExists),
                                                 Expression("a", Operator::kDoesNotExist),
                                                 Expression("!a", Operator::kExists),
                                                 Expression("a\\", Operator::kExists),
                                                 Expression("a\"", Operator::kExists)};
  std::set<std::string> texts;
  for (const ObjectSelector& one : selectors) EXPECT_TRUE(texts.insert(ToText(one)).second);
}

PeerSelector InNamespace(const std::string& ns, LabelMap pods, const std::string& port = "") {
  return {{ns, {}, Labelled(std::move(pods))}, port, Protocol::kTcp};
}

TEST(PeerSelector, IsNamedByAllThatTellsItApart) {
  PeerSelector udp = InNamespace("default", {{"app", "db"}}, "sql");
  udp.protocol = Protocol::kUdp;
  const std::vector<PeerSelector> selectors = {InNamespace("default", {}),
                                               InNamespace("shop", {}),
                                               InNamespace("default", {{"app", "db"}}),
                                               InNamespace("default", {{"app", "db"}}, "sql"),
                                               InNamespace("default", {{"app", "db"}}, "sql2"),
                                               udp,
                                               {{"", {}, Labelled({{"app", "db"}})}, "", {}},
                                               {{"", Labelled({{"app", "db"}}), {}}, "", {}}};
  std::set<std::string> names;
  for (const PeerSelector& one : selectors) {
    EXPECT_EQ(one.SetName().size(), 16u);
    EXPECT_EQ(one.SetName().find_first_not_of("0123456789abcdef"), std::string::npos);
    EXPECT_TRUE(names.insert(one.SetName()).second) << one.Describe();
  }
  // As with versions of resources (tests/xds/serving/server_test.cc), replicas of two releases
  // agree, or every sidecar fetches every set whenever it changes replica.
  EXPECT_EQ(InNamespace("default", {{"app", "db"}}).SetName(), "e66a5742e0aa3f45");
}

TEST(PeerSelector, IsDescribedForPeople) {
  EXPECT_EQ(InNamespace("default", {{"app", "db"}}).Describe(),
            "pods with app=db in namespace default");
  EXPECT_EQ(InNamespace("default", {}, "sql").Describe(),
            "all pods in namespace default, at their TCP port sql");
  PeerSelector everywhere;
  EXPECT_EQ(everywhere.Describe(), "all pods in all namespaces");
  everywhere.of.namespaces = Labelled({{"team", "a"}});
  EXPECT_EQ(everywhere.Describe(), "all pods in namespaces with team=a");
}

}  // namespace
}  // namespace portolan::xds

#include "xds/dashboard/ingress.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/xds/policy/cluster.h"
#include "xds/dashboard/ingress_judge.h"

namespace portolan::xds {
namespace {

using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

// shop/web and shop/db, ops/probe; the node n1 is where db is.
class IngressTest : public ::testing::Test {
 protected:
  IngressTest() {
    Node node;
    node.name = "n1";
    node.internal_ips = {Ip("192.0.2.1")};
    directory.Put(node);
    directory.Put(MakeNamespace("shop", {{"team", "a"}}));
    directory.Put(MakeNamespace("ops", {{"team", "b"}}));
    directory.Put(MakePod("shop", "web", {{"app", "web"}}, {"10.0.0.1", "fd00::1"}));
    Pod db = WithPorts(MakePod("shop", "db", {{"app", "db"}}, {"10.0.0.2", "fd00::2"}),
                       {{"sql", Protocol::kTcp, 5432}});
    db.node_name = "n1";
    directory.Put(db);
    directory.Put(MakePod("ops", "probe", {}, {"10.0.1.1"}));
    directory.Put(MakePod("ops", "unborn", {}, {}));
  }
  std::optional<ConnectionVerdict> Judge(const std::string& client, const std::string& to,
                                         Protocol protocol = Protocol::kTcp) {
    const auto snapshot = directory.Commit().snapshot;
    return JudgeIngress(*snapshot, *PoliciesOf(snapshot), *snapshot->FindPod(client),
                        *snapshot->FindPod("shop/db"), *SocketAddress::Parse(to), protocol);
  }

  Directory directory;
};

TEST_F(IngressTest, WhereNoPolicyIsolatesThereIsNothingToSay) {
  directory.Put(MakeIngress("shop", "web", {{"app", "web"}}, {}));
  directory.Put(MakePolicy("shop", "out", {{"app", "db"}}, {}));
  EXPECT_FALSE(Judge("ops/probe", "10.0.0.2:5432"));
}

TEST_F(IngressTest, TheClientIsWhoItsPodIsAndPortsHaveTheNamesOfWhomItDials) {
  directory.Put(MakeIngress("shop", "doors", {{"app", "db"}},
                            {{{PodsWith({{"app", "web"}})}, {NamedTcp("sql")}}}));
  const auto web = Judge("shop/web", "10.0.0.2:5432");
  ASSERT_TRUE(web);
  EXPECT_TRUE(web->allowed);
  EXPECT_EQ(web->says, "rule 0 of NetworkPolicy/shop/doors/ingress allows it");
  EXPECT_TRUE(Judge("shop/web", "[fd00::2]:5432")->allowed);
  const auto probe = Judge("ops/probe", "10.0.0.2:5432");
  EXPECT_FALSE(probe->allowed);
  EXPECT_THAT(probe->isolated_by, ElementsAre("NetworkPolicy/shop/doors/ingress"));
  const auto other_port = Judge("shop/web", "10.0.0.2:80");
  EXPECT_FALSE(other_port->allowed);
  EXPECT_THAT(other_port->nearest, HasSubstr("TCP 5432, not TCP 80"));
  EXPECT_FALSE(Judge("shop/web", "10.0.0.2:5432", Protocol::kUdp)->allowed);
  EXPECT_FALSE(Judge("ops/unborn", "10.0.0.2:5432")) << "who has no address is not judged";
  EXPECT_TRUE(Judge("shop/db", "10.0.0.2:80")->allowed) << "itself";
}

TEST_F(IngressTest, BlocksAreOfTheClientsAddress) {
  directory.Put(MakeIngress("shop", "doors", {}, {{{Block("10.0.1.0/24")}, {}}}));
  EXPECT_TRUE(Judge("ops/probe", "10.0.0.2:1")->allowed);
  EXPECT_FALSE(Judge("shop/web", "10.0.0.2:1")->allowed);
}

TEST_F(IngressTest, AuditIsSaidAndDeniesNothing) {
  NetworkPolicy policy = MakeIngress("shop", "doors", {}, {});
  policy.audit = true;
  directory.Put(policy);
  const auto verdict = Judge("ops/probe", "10.0.0.2:1");
  ASSERT_TRUE(verdict);
  EXPECT_TRUE(verdict->allowed);
  EXPECT_TRUE(verdict->audited);
  EXPECT_EQ(verdict->says, "no policy in force limits who may connect to it");
}

json Way(const std::string& at, const std::string& verdict, const std::string& says) {
  return {{"at", at}, {"verdict", verdict}, {"audited", false}, {"says", says}};
}
// The sidecar allows 10.0.0.1 by one rule, 10.0.0.2 by another, not 10.0.0.3.
json Answer() {
  json second = Way("10.0.0.2:80", "allowed", "by b");
  second["rule"] = {{"policy", "b"}, {"index", 1}};
  return {{"verdict", "allowed"},
          {"audited", false},
          {"says", "by a"},
          {"rule", {{"policy", "a"}, {"index", 0}}},
          {"ways",
           {Way("10.0.0.1:80", "allowed", "by a"), second, Way("10.0.0.3:80", "denied", "no")}}};
}
std::optional<json> Denied(const SocketAddress& to) {
  return json{{"verdict", "denied"},     {"audited", false},    {"says", "no rule"},
              {"isolatedBy", {"doors"}}, {"nearest", "almost"}, {"pod", "p/" + to.ip.ToString()}};
}

TEST(AddIngress, WithNobodyToAskTheFirstWayThatIsAllowedIsTaken) {
  json answer = Answer();
  AddIngress(answer, [](const SocketAddress&) { return std::optional<json>(); });
  json expected = Answer();
  expected.erase("rule");  // the way says by which
  expected["ingress"] = json::array();
  EXPECT_EQ(answer, expected);
}

TEST(AddIngress, OneEndpointThatLetsItInIsEnough) {
  json answer = Answer();
  AddIngress(answer, [](const SocketAddress& to) -> std::optional<json> {
    if (to.ToString() == "10.0.0.1:80") return Denied(to);
    return json{{"verdict", "allowed"}, {"audited", true}, {"says", "rule 1"}, {"pod", "p/2"}};
  });
  EXPECT_EQ(answer["verdict"], "allowed");
  EXPECT_EQ(answer["says"], "by b; into p/2, rule 1");
  EXPECT_EQ(answer["rule"]["policy"], "b");
  EXPECT_EQ(answer["audited"], true);
  ASSERT_EQ(answer["ingress"].size(), 2u) << "what egress denies nobody is asked to let in";
  EXPECT_EQ(answer["ingress"][0]["at"], "10.0.0.1:80");
}

TEST(AddIngress, AWayThatNoPolicyInAuditWouldDenyIsPreferred) {
  const auto let_in = [](bool audited) {
    return [audited](const SocketAddress& to) -> std::optional<json> {
      if (to.ToString() != "10.0.0.1:80") return std::nullopt;
      return json{{"verdict", "allowed"}, {"audited", audited}, {"says", "c"}, {"pod", "p/1"}};
    };
  };
  json of_egress = Answer();
  of_egress["ways"][0]["audited"] = true;
  json answer = of_egress;
  AddIngress(answer, let_in(false));
  EXPECT_EQ(answer["audited"], false);
  EXPECT_EQ(answer["says"], "by b");
  answer = Answer();
  AddIngress(answer, let_in(true));
  EXPECT_EQ(answer["audited"], false);
  EXPECT_EQ(answer["says"], "by b");
  of_egress["ways"][1]["audited"] = true;
  AddIngress(of_egress, let_in(true));
  EXPECT_EQ(of_egress["audited"], true);
  EXPECT_EQ(of_egress["says"], "by a; into p/1, c");
}

TEST(AddIngress, WhereNoneLetsItInItIsDenied) {
  json answer = Answer();
  AddIngress(answer, Denied);
  EXPECT_EQ(answer["verdict"], "denied");
  EXPECT_EQ(answer["says"], "into p/10.0.0.1, no rule");
  EXPECT_EQ(answer["isolatedBy"], json({"doors"}));
  EXPECT_EQ(answer["nearest"], "almost");
  EXPECT_FALSE(answer.contains("rule"));
}

TEST(AddIngress, WhatASidecarSaysMayBeAnything) {
  for (const char* text :
       {R"({})", R"({"verdict": "allowed"})", R"({"verdict": "denied", "ways": [1]})",
        R"({"verdict": "allowed", "ways": {"at": 1}})",
        R"({"verdict": "allowed", "ways": [null, {"at": [], "verdict": "allowed"},
            {"at": "x", "verdict": "allowed"}, {"at": "10.0.0.1:80", "verdict": 1}]})"}) {
    json answer = json::parse(text);
    const json verdict = answer.value("verdict", json());
    AddIngress(answer, Denied);
    EXPECT_EQ(answer.value("verdict", json()), verdict) << text;
    EXPECT_TRUE(answer["ingress"].empty()) << text;
  }
  json many = {{"verdict", "allowed"}, {"ways", json::array()}};
  for (int i = 0; i < 1000; ++i) {
    many["at"].push_back("10.0.0.1:80");
    many["ways"].push_back(Way("10.0.0.1:80", "allowed", "a"));
  }
  AddIngress(many, Denied);
  EXPECT_EQ(many["ingress"].size(), kMostWays);
  EXPECT_EQ(many["says"],
            "into p/10.0.0.1, no rule (none of the first 50 of 1000 addresses lets it in)");
}

// A sidecar in front of shop/db that reports what the tests say.
struct Reported : AskedSidecars {
  void Ask(std::string_view, v1::Question, Done) override {}
  std::optional<ReportedSidecar> Find(std::string_view node_id) const override {
    if (node_id != "shop/db" || report == nullptr) return std::nullopt;
    ReportedSidecar sidecar;
    sidecar.report = report;
    return sidecar;
  }
  std::vector<ReportedSidecar> All() const override { return {}; }
  AskedBy AskedFor(std::string_view, size_t) const override { return {}; }

  std::shared_ptr<v1::SidecarReport> report;
};

TEST_F(IngressTest, WhetherItIsInForceIsWhatTheSidecarThereReports) {
  directory.Put(MakeIngress("shop", "doors", {{"app", "db"}}, {}));
  ResourceCache cache;
  cache.Update(directory.Commit());
  Reported sidecars;
  const IngressJudge judge([&] { return cache.current(); }, &sidecars);
  const SocketAddress db = *SocketAddress::Parse("10.0.0.2:5432");
  const auto said = [&](Protocol protocol = Protocol::kTcp) {
    return judge.Judge({"ops", "probe"}, db, protocol).value_or(json());
  };
  EXPECT_EQ(said()["verdict"], "denied");
  EXPECT_EQ(said()["pod"], "shop/db");
  EXPECT_FALSE(said().contains("inForce")) << "its sidecar is not connected here";
  sidecars.report = std::make_shared<v1::SidecarReport>();
  EXPECT_FALSE(said().contains("inForce")) << "it knows no policies yet";
  v1::PolicyReport& policy = *sidecars.report->mutable_policy();
  policy.set_known(true);
  EXPECT_EQ(said()["inForce"], false);
  policy.set_other_policies(1);
  EXPECT_FALSE(said().contains("inForce")) << "it may be one that is not in the list";
  policy.add_policies("NetworkPolicy/shop/doors/ingress");
  EXPECT_EQ(said()["inForce"], true);
  EXPECT_EQ(said(Protocol::kUdp)["inForce"], false);
  EXPECT_FALSE(judge.Judge({"ops", "gone"}, db, Protocol::kTcp));
  EXPECT_FALSE(judge.Judge({"ops", "probe"}, *SocketAddress::Parse("10.9.9.9:1"), Protocol::kTcp));
  EXPECT_FALSE(IngressJudge(nullptr, nullptr).Judge({"ops", "probe"}, db, Protocol::kTcp));
}

}  // namespace
}  // namespace portolan::xds

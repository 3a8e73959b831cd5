#include "proxy/reporting/policy_report.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/time/clock.h"
#include "common/monotonic.h"
#include "portolan/v1/sidecars.pb.h"
#include "tests/proxy/policy/test_policy.h"
#include "xds/api/sidecar_limits.h"
#include "xds/sidecars/report_rules.h"

namespace portolan::proxy {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

Denial Dialled(std::string_view to) { return {.client = At("10.42.0.7:40000"), .dialled = At(to)}; }

class PolicyReportTest : public testing::Test {
 protected:
  // Of all workers.
  std::vector<v1::DenialReport> Make() {
    std::vector<std::vector<DenialTable::Kind>> workers;
    for (Denials& worker : workers_) workers.push_back(worker.TakeLatest());
    return latest_.Make(workers, {.egress = rules_});
  }
  void Use(std::vector<PolicyInput> policies) {
    rules_ = Compile(std::move(policies));
    for (Denials& worker : workers_) worker.SetRules(rules_);
  }
  // `ago` tells which was later.
  void Deny(Denial denial, absl::Duration ago = absl::ZeroDuration(), size_t worker = 0) {
    workers_[worker].Add(std::move(denial), now_ - ago);
  }

  const absl::Duration now_ = Monotonic();
  std::shared_ptr<const EgressRules> rules_;
  std::array<Denials, 2> workers_;
  LatestDenials latest_;
};

TEST_F(PolicyReportTest, ADenialSaysWhatWhereWhoIsolatesAndWhatCameNearest) {
  Use({NetworkPolicyOf("web", {ToBlock("192.0.2.1/32", {}, {Tcp(443)})})});
  Deny(Dialled("192.0.2.1:80"));
  const auto denials = Make();
  ASSERT_EQ(denials.size(), 1u);
  EXPECT_EQ(denials[0].what(), v1::DenialReport::CONNECTION);
  EXPECT_FALSE(denials[0].audit());
  EXPECT_EQ(denials[0].name(), "");
  EXPECT_EQ(denials[0].address(), "192.0.2.1");
  EXPECT_EQ(denials[0].port(), 80u);
  EXPECT_EQ(denials[0].policies(), "NetworkPolicy/default/web");
  EXPECT_EQ(denials[0].nearest(), rules_->Nearest(At("192.0.2.1:80"), Protocol::kTcp));
  EXPECT_THAT(denials[0].nearest(), HasSubstr("rule 0 of NetworkPolicy/default/web"));
  EXPECT_EQ(denials[0].count(), 1u);
  EXPECT_NEAR(denials[0].last_unix_s(), absl::ToUnixSeconds(absl::Now()), 30);
}

TEST_F(PolicyReportTest, AServiceIsNamedAndItsEndpointTheAddress) {
  Use({NetworkPolicyOf("web", {})});
  Denial denial = Dialled("10.43.0.9:5432");
  denial.what = Denied::kFlow;
  denial.endpoint = At("[fd00::1]:5433");
  denial.service = ServiceKey("default", "db");
  Deny(denial);
  const auto denials = Make();
  ASSERT_EQ(denials.size(), 1u);
  EXPECT_EQ(denials[0].what(), v1::DenialReport::FLOW);
  EXPECT_EQ(denials[0].name(), "default/db");
  EXPECT_EQ(denials[0].address(), "fd00::1");
  EXPECT_EQ(denials[0].port(), 5433u);
}

TEST_F(PolicyReportTest, ANameIsPrintableAndHasNoAddress) {
  PolicyInput audit = DnsPolicyOf("apis", {ToNames({"*.example.com"}, {Tcp(443)})});
  audit.audit = true;
  Use({audit});
  Deny({.what = Denied::kName, .mode = PolicyMode::kAudit, .name = NameOf("example.com")});
  Deny({.what = Denied::kDns, .name = NameOf("a\\007b.example")}, absl::Seconds(1));
  const auto denials = Make();
  ASSERT_EQ(denials.size(), 2u);
  EXPECT_TRUE(denials[0].audit());
  EXPECT_EQ(denials[0].name(), "example.com");
  EXPECT_EQ(denials[0].address(), "");
  EXPECT_EQ(denials[0].port(), 0u);
  EXPECT_EQ(denials[0].policies(), "DNSEgressPolicy/default/apis");
  EXPECT_EQ(denials[0].nearest(), rules_->NearestName(Wire("example.com")));
  EXPECT_EQ(denials[1].what(), v1::DenialReport::DNS);
  EXPECT_EQ(denials[1].name(), "a?b.example");
}

TEST_F(PolicyReportTest, WorkersAreAddedUpTheLatestFirst) {
  Use({NetworkPolicyOf("web", {})});
  Deny(Dialled("192.0.2.1:80"), absl::Seconds(9), 0);
  Deny(Dialled("192.0.2.2:80"), absl::Seconds(5), 0);
  Deny(Dialled("192.0.2.1:80"), absl::Seconds(1), 1);
  const auto denials = Make();
  ASSERT_EQ(denials.size(), 2u);
  EXPECT_EQ(denials[0].address(), "192.0.2.1");
  EXPECT_EQ(denials[0].count(), 2u);
  EXPECT_EQ(denials[1].address(), "192.0.2.2");
}

TEST_F(PolicyReportTest, OfMoreThanAReportTakesTheLatestAreTold) {
  Use({NetworkPolicyOf("web", {})});
  for (size_t i = 0; i < DenialTable::kMostKinds; ++i) {
    for (size_t worker : {0, 1}) {
      const auto to = fmt::format("192.0.2.{}:80", 2 * i + worker);
      Deny(Dialled(to), absl::Seconds(2 * i + worker), worker);
    }
  }
  const auto denials = Make();
  ASSERT_EQ(denials.size(), api::kMaxReportedDenials);
  EXPECT_EQ(denials.front().address(), "192.0.2.0");
  EXPECT_EQ(denials.back().address(), "192.0.2.31");
}

TEST_F(PolicyReportTest, WhatIsToldDoesNotChangeWithTheRulesUnlessItIsDeniedAgain) {
  Use({NetworkPolicyOf("old", {ToBlock("192.0.2.1/32", {}, {Tcp(443)})})});
  Deny(Dialled("192.0.2.1:80"));
  const std::string first = Make()[0].SerializeAsString();
  Use({NetworkPolicyOf("new", {})});
  EXPECT_EQ(Make()[0].SerializeAsString(), first);
  Deny(Dialled("192.0.2.1:80"));
  const auto denials = Make();
  EXPECT_EQ(denials[0].policies(), "NetworkPolicy/default/new");
  EXPECT_EQ(denials[0].nearest(), "");
  EXPECT_EQ(denials[0].count(), 2u);
}

TEST_F(PolicyReportTest, RulesThatChangedBeforeTheReportAreThoseThatDenied) {
  Use({NetworkPolicyOf("old", {})});
  Deny(Dialled("192.0.2.1:80"));
  Use({});
  EXPECT_EQ(Make()[0].policies(), "NetworkPolicy/default/old");
}

TEST_F(PolicyReportTest, WhileNoPolicyIsKnownNoneIsolates) {
  Deny(Dialled("192.0.2.1:80"));
  const auto denials = Make();
  ASSERT_EQ(denials.size(), 1u);
  EXPECT_EQ(denials[0].policies(), "");
  EXPECT_FALSE(MakePolicyReport({}, false, {}).known());
}

TEST_F(PolicyReportTest, PoliciesInForceAreNamedInOrderThoseInAuditIncluded) {
  PolicyInput audit = NetworkPolicyOf("a", {});
  audit.audit = true;
  Use({NetworkPolicyOf("b", {}), audit});
  const auto report = MakePolicyReport({.egress = rules_}, true, {});
  EXPECT_TRUE(report.known());
  EXPECT_TRUE(report.partly_enforced());
  EXPECT_THAT(report.policies(), ElementsAre("NetworkPolicy/default/a", "NetworkPolicy/default/b"));
  EXPECT_EQ(report.other_policies(), 0u);
}

TEST_F(PolicyReportTest, TheLongestIsWithinWhatTheControlPlaneTakes) {
  std::vector<PolicyInput> policies;
  for (int i = 0; i < 100; ++i) {
    policies.push_back(NetworkPolicyOf(fmt::format("{:0>253}", i), {}));
  }
  Use(std::move(policies));
  const std::string label(63, 'x');
  for (size_t i = 0; i < DenialTable::kMostKinds; ++i) {
    Deny({.what = Denied::kName, .name = NameOf(fmt::format("{0}.{0}.{0}.{1:0>60}", label, i))});
  }
  auto denials = Make();
  for (auto& denial : denials) denial.set_nearest(std::string(api::kMaxReportedNearestBytes, 'n'));
  v1::SidecarReport report;
  *report.mutable_policy() = MakePolicyReport({.egress = rules_}, false, std::move(denials));
  EXPECT_EQ(
      static_cast<uint64_t>(report.policy().policies_size()) + report.policy().other_policies(),
      100u);
  EXPECT_GT(report.policy().denials_size(), 16);
  EXPECT_LE(report.ByteSizeLong(), size_t{25} << 10);
  EXPECT_TRUE(xds::CheckReport(report).ok()) << xds::CheckReport(report);
}

}  // namespace
}  // namespace portolan::proxy

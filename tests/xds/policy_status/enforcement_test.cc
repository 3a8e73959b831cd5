#include "xds/policy_status/enforcement.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "tests/xds/policy/cluster.h"

namespace portolan::xds {
namespace {

constexpr char kApis[] = "DNSEgressPolicy/shop/apis";

class EnforcementTest : public ::testing::Test {
 protected:
  EnforcementTest() {
    directory_.Put(MakeNamespace("shop", {}));
    DnsEgressPolicy policy;
    policy.name = {"shop", "apis"};
    policy.pods = Labelled({{"app", "web"}});
    directory_.Put(policy);
    directory_.Put(MakePolicy("shop", "deny", {}, {}));
    for (const char* name : {"web-1", "web-2", "web-3"}) {
      directory_.Put(MakePod("shop", name, {{"app", "web"}}, {}));
    }
    directory_.Put(MakePod("shop", "db", {{"app", "db"}}, {}));
  }

  void Report(const std::string& node, const std::vector<std::string>& policies,
              bool partly = false, bool known = true) {
    auto report = std::make_shared<v1::SidecarReport>();
    report->mutable_policy()->set_known(known);
    report->mutable_policy()->set_partly_enforced(partly);
    for (const std::string& name : policies) report->mutable_policy()->add_policies(name);
    ReportedSidecar sidecar;
    sidecar.node_id = node;
    sidecar.report = report;
    sidecars_.push_back(sidecar);
  }
  Enforcement OfApis() {
    const Directory::Committed committed = directory_.Commit();
    ChangedResources changed;
    index_.Follow(committed, changed);
    const auto counts = EnforcementHere(*committed.snapshot, *index_.current(), sidecars_);
    EXPECT_LE(counts.size(), 1u) << "NetworkPolicies have no status of ours";
    const auto found = counts.find(kApis);
    return found == counts.end() ? Enforcement() : found->second;
  }

  Directory directory_;
  PolicyIndex index_;
  std::vector<ReportedSidecar> sidecars_;
};

TEST_F(EnforcementTest, CountsPodsAndTheSidecarsThatSayTheyHaveIt) {
  Report("shop/web-1", {kApis, "NetworkPolicy/shop/deny"});
  Report("shop/web-2", {kApis}, true);
  EXPECT_EQ(OfApis(), (Enforcement{3, 1, 1}));
}

TEST_F(EnforcementTest, DoesNotCountWhoHasOtherPoliciesOrSaysNothing) {
  Report("shop/web-1", {"NetworkPolicy/shop/deny"});
  Report("shop/web-2", {kApis}, false, false);
  sidecars_.push_back({.node_id = "shop/web-3", .started = {}, .reported = {}, .report = nullptr});
  EXPECT_EQ(OfApis(), (Enforcement{3, 0, 0}));
}

TEST_F(EnforcementTest, DoesNotCountWhoIsNotSelected) {
  Report("shop/db", {kApis});
  Report("shop/gone", {kApis});
  EXPECT_EQ(OfApis(), (Enforcement{3, 0, 0}));
}

TEST_F(EnforcementTest, DoesNotCountPodsThatHaveFinished) {
  Pod done = MakePod("shop", "web-3", {{"app", "web"}}, {});
  done.finished = true;
  directory_.Put(done);
  Report("shop/web-3", {kApis});
  EXPECT_EQ(OfApis(), (Enforcement{2, 0, 0}));
}

}  // namespace
}  // namespace portolan::xds

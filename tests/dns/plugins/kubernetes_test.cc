#include "dns/plugins/kubernetes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>

#include "tests/conformance/records.h"
#include "tests/dns/cluster.h"
#include "tests/dns/question.h"

namespace portolan::dns {
namespace {

using test::Bytes;
using test::RecordsOf;
using testing::ElementsAre;
using testing::IsEmpty;
using wire::Section;

class NoPool : public SuspendedPool {
  Suspended* Suspend(Exchange&) override { return nullptr; }
};

class KubernetesZone : public testing::Test {
 protected:
  KubernetesZone() {
    cluster_.directory().Put(Namespace{"empty", {}, {}});
    cluster_.PutService("default", "backend", {"10.43.0.123"});
    cluster_.PutService("default", "both", {"10.43.0.124", "fd00::124"});
    cluster_.PutService("default", "twin", {});
    cluster_.PutEndpoints("default", "twin",
                          {{"10.42.0.3", ""}, {"10.42.0.2", "web-0"}, {"fd00::2", "web-0"}});
    cluster_.PutService("default", "idle", {});
    cluster_.PutEndpoints("default", "idle", {{"10.42.0.9", ""}}, /*ready=*/false);
    cluster_.PutExternalName("default", "outside", "example.org");
    cluster_.PutExternalName("default", "inside", "backend.default.svc.cluster.local");
    cluster_.Publish();
    config_.zones = {*wire::Zone::Parse("cluster.local"), *wire::Zone::Parse("in-addr.arpa"),
                     *wire::Zone::Parse("ip6.arpa")};
    config_.primary = config_.zones[0];
  }

  Verdict Ask(std::string_view name, uint16_t type) {
    message_ = test::MakeQuery(name, type);
    EXPECT_EQ(wire::ParseQuery(message_, query_), wire::ParseOutcome::kQuery);
    Kubernetes plugin(config_, cluster_.holder());
    Exchange exchange(query_, SocketAddress(), Transport::kUdp, room_, pool_);
    const Verdict verdict = plugin.OnQuery(exchange);
    reply_.assign(exchange.reply().begin(), exchange.reply().end());
    return verdict;
  }
  std::vector<std::string> Answer() { return RecordsOf(reply_, Section::kAnswer); }
  std::vector<std::string> Authority() { return RecordsOf(reply_, Section::kAuthority); }
  int Rcode() { return reply_[3] & 15; }

  static constexpr char kSoa[] =
      "cluster.local. 5 SOA ns.dns.cluster.local. hostmaster.cluster.local. * 7200 1800 86400 5";

  test::Cluster cluster_;
  KubernetesConfig config_;
  Bytes message_, reply_;
  wire::Query query_;
  std::array<uint8_t, 4096> room_;
  NoPool pool_;
};

TEST_F(KubernetesZone, AServiceIsItsClusterIp) {
  ASSERT_EQ(Ask("backend.default.svc.cluster.local", 1), Verdict::kAnswered);
  EXPECT_THAT(Answer(), ElementsAre("backend.default.svc.cluster.local. 5 A 10.43.0.123"));
  EXPECT_THAT(Authority(), IsEmpty());
  EXPECT_EQ(wire::Load16(&reply_[2]), 0x8580) << "AA, RA and the query's RD";
}

TEST_F(KubernetesZone, RaIsClearWhereTheChainSaysSo) {
  config_.recursion_available = false;
  ASSERT_EQ(Ask("backend.default.svc.cluster.local", 1), Verdict::kAnswered);
  EXPECT_EQ(wire::Load16(&reply_[2]), 0x8500);
}

TEST_F(KubernetesZone, EachFamilyHasItsOwnAddress) {
  ASSERT_EQ(Ask("both.default.svc.cluster.local", 28), Verdict::kAnswered);
  EXPECT_THAT(Answer(), ElementsAre("both.default.svc.cluster.local. 5 AAAA fd00::124"));
  ASSERT_EQ(Ask("backend.default.svc.cluster.local", 28), Verdict::kAnswered);
  EXPECT_THAT(Answer(), IsEmpty());
  EXPECT_THAT(Authority(), ElementsAre(kSoa));
  EXPECT_EQ(Rcode(), 0);
}

TEST_F(KubernetesZone, AHeadlessServiceIsItsReadyEndpoints) {
  ASSERT_EQ(Ask("twin.default.svc.cluster.local", 1), Verdict::kAnswered);
  EXPECT_THAT(Answer(), ElementsAre("twin.default.svc.cluster.local. 5 A 10.42.0.2",
                                    "twin.default.svc.cluster.local. 5 A 10.42.0.3"));
}

TEST_F(KubernetesZone, HeadlessServiceWithoutReadyEndpointsIsNxdomain) {
  ASSERT_EQ(Ask("idle.default.svc.cluster.local", 1), Verdict::kAnswered);
  EXPECT_EQ(Rcode(), 3);
  EXPECT_THAT(Authority(), ElementsAre(kSoa));
}

TEST_F(KubernetesZone, EndpointsHaveNamesByHostnameOrAddress) {
  ASSERT_EQ(Ask("web-0.twin.default.svc.cluster.local", 1), Verdict::kAnswered);
  EXPECT_THAT(Answer(), ElementsAre("web-0.twin.default.svc.cluster.local. 5 A 10.42.0.2"));
  ASSERT_EQ(Ask("web-0.twin.default.svc.cluster.local", 28), Verdict::kAnswered);
  EXPECT_THAT(Answer(), ElementsAre("web-0.twin.default.svc.cluster.local. 5 AAAA fd00::2"));
  ASSERT_EQ(Ask("10-42-0-3.twin.default.svc.cluster.local", 1), Verdict::kAnswered);
  EXPECT_THAT(Answer(), ElementsAre("10-42-0-3.twin.default.svc.cluster.local. 5 A 10.42.0.3"));
  ASSERT_EQ(Ask("10-42-0-2.twin.default.svc.cluster.local", 1), Verdict::kAnswered);
  EXPECT_EQ(Rcode(), 3) << "it has a hostname";
}

TEST_F(KubernetesZone, AnAliasWithinTheClusterIsFollowed) {
  ASSERT_EQ(Ask("inside.default.svc.cluster.local", 1), Verdict::kAnswered);
  EXPECT_THAT(
      Answer(),
      ElementsAre("inside.default.svc.cluster.local. 5 CNAME backend.default.svc.cluster.local.",
                  "backend.default.svc.cluster.local. 5 A 10.43.0.123"));
}

TEST_F(KubernetesZone, UnknownNamesAreDeniedOnlyInSync) {
  ASSERT_EQ(Ask("nosuch.default.svc.cluster.local", 1), Verdict::kAnswered);
  EXPECT_EQ(Rcode(), 3);
  cluster_.Publish(FeedTrust::kStale);
  EXPECT_EQ(Ask("nosuch.default.svc.cluster.local", 1), Verdict::kNext);
  EXPECT_EQ(Ask("idle.default.svc.cluster.local", 1), Verdict::kNext);
  EXPECT_EQ(Ask("nosuch.svc.cluster.local", 1), Verdict::kNext);
  EXPECT_EQ(Ask("backend.default.svc.cluster.local", 1), Verdict::kAnswered);
  EXPECT_EQ(Ask("backend.default.svc.cluster.local", 28), Verdict::kAnswered);
}

TEST_F(KubernetesZone, AnAliasIntoTheUnknownIsPassedOnWhileStale) {
  cluster_.PutExternalName("default", "dangling", "nosuch.default.svc.cluster.local");
  cluster_.Publish(FeedTrust::kStale);
  EXPECT_EQ(Ask("dangling.default.svc.cluster.local", 1), Verdict::kNext);
  cluster_.Publish();
  EXPECT_EQ(Ask("dangling.default.svc.cluster.local", 1), Verdict::kAnswered);
  EXPECT_THAT(Answer(), IsEmpty());
}

TEST_F(KubernetesZone, BeforeTheFirstSyncEverythingIsPassedOn) {
  cluster_.Publish(FeedTrust::kNone);
  EXPECT_EQ(Ask("backend.default.svc.cluster.local", 1), Verdict::kNext);
  EXPECT_EQ(Ask("cluster.local", 6), Verdict::kNext);
}

TEST_F(KubernetesZone, NamesOfOtherZonesAreNotItsBusiness) {
  EXPECT_EQ(Ask("example.org", 1), Verdict::kNext);
  EXPECT_EQ(Ask("notcluster.local", 1), Verdict::kNext);
  EXPECT_EQ(Ask("local", 1), Verdict::kNext);
}

TEST_F(KubernetesZone, ANamespaceExistsByItsObjectOrByAService) {
  for (const char* name : {"empty.svc.cluster.local", "default.svc.cluster.local",
                           "svc.cluster.local", "pod.cluster.local", "cluster.local"}) {
    ASSERT_EQ(Ask(name, 1), Verdict::kAnswered) << name;
    EXPECT_EQ(Rcode(), 0) << name;
    EXPECT_THAT(Authority(), ElementsAre(kSoa)) << name;
  }
  ASSERT_EQ(Ask("nosuch.svc.cluster.local", 1), Verdict::kAnswered);
  EXPECT_EQ(Rcode(), 3);
}

TEST_F(KubernetesZone, WhatOnlyTheClusterDnsKnowsIsPassedOnNotDenied) {
  for (const char* name :
       {"backend.default.svc.cluster.local", "twin.default.svc.cluster.local",
        "web-0.twin.default.svc.cluster.local", "_http._tcp.backend.default.svc.cluster.local"}) {
    EXPECT_EQ(Ask(name, 33), Verdict::kNext) << name;
  }
  EXPECT_EQ(Ask("cluster.local", 2), Verdict::kNext);
  EXPECT_EQ(Ask("ns.dns.cluster.local", 1), Verdict::kNext);
  EXPECT_EQ(Ask("3.0.42.10.in-addr.arpa", 12), Verdict::kNext);
}

TEST_F(KubernetesZone, AClusterIpLeadsBackToItsService) {
  ASSERT_EQ(Ask("123.0.43.10.in-addr.arpa", 12), Verdict::kAnswered);
  EXPECT_THAT(Answer(),
              ElementsAre("123.0.43.10.in-addr.arpa. 5 PTR backend.default.svc.cluster.local."));
}

TEST_F(KubernetesZone, FallthroughPassesUnknownNamesOnAndNothingElse) {
  config_.fallthrough = {*wire::Zone::Parse("cluster.local")};
  EXPECT_EQ(Ask("nosuch.default.svc.cluster.local", 1), Verdict::kNext);
  EXPECT_EQ(Ask("backend.default.svc.cluster.local", 28), Verdict::kAnswered);
}

TEST_F(KubernetesZone, TheLongestZoneIsAnswered) {
  config_.zones = {*wire::Zone::Parse("west.cluster.local"), *wire::Zone::Parse("cluster.local")};
  ASSERT_EQ(Ask("backend.default.svc.west.cluster.local", 1), Verdict::kAnswered);
  EXPECT_EQ(Rcode(), 0);
}

TEST_F(KubernetesZone, PodNamesAreReadNotLookedUp) {
  EXPECT_EQ(Ask("10-42-0-7.default.pod.cluster.local", 1), Verdict::kAnswered);
  EXPECT_EQ(Rcode(), 3) << "pods disabled";
  config_.pods = KubernetesConfig::Pods::kInsecure;
  EXPECT_EQ(Ask("10-42-0-7.default.pod.cluster.local", 1), Verdict::kAnswered);
  EXPECT_THAT(Answer(), ElementsAre("10-42-0-7.default.pod.cluster.local. 5 A 10.42.0.7"));
  EXPECT_EQ(Ask("10-42-0-7.nosuch.pod.cluster.local", 1), Verdict::kAnswered);
  EXPECT_EQ(Rcode(), 3);
  EXPECT_EQ(Ask(R"(10-42-0-7\000.default.pod.cluster.local)", 1), Verdict::kAnswered);
  EXPECT_EQ(Rcode(), 3);
  EXPECT_EQ(Ask(R"(10\.42-0-7.default.pod.cluster.local)", 1), Verdict::kAnswered);
  EXPECT_EQ(Rcode(), 3);
  config_.pods = KubernetesConfig::Pods::kVerified;
  EXPECT_EQ(Ask("10-42-0-7.default.pod.cluster.local", 1), Verdict::kNext);
}

TEST_F(KubernetesZone, LongLabelsNeverOverrunTheKey) {
  const std::string label(63, 'x');
  EXPECT_EQ(Ask(label + "." + label + ".svc.cluster.local", 1), Verdict::kAnswered);
  EXPECT_EQ(Rcode(), 3);
}

TEST_F(KubernetesZone, AChangedServiceIsAnsweredByTheNextPublish) {
  cluster_.PutService("default", "backend", {"10.43.0.200"});
  cluster_.Publish();
  ASSERT_EQ(Ask("backend.default.svc.cluster.local", 1), Verdict::kAnswered);
  EXPECT_THAT(Answer(), ElementsAre("backend.default.svc.cluster.local. 5 A 10.43.0.200"));
  cluster_.directory().RemoveService({"default", "backend"});
  cluster_.Publish();
  ASSERT_EQ(Ask("backend.default.svc.cluster.local", 1), Verdict::kAnswered);
  EXPECT_EQ(Rcode(), 3);
}

}  // namespace
}  // namespace portolan::dns

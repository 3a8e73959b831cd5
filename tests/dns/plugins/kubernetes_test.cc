#include "dns/plugins/kubernetes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>

#include "tests/conformance/records.h"
#include "tests/dns/cluster.h"
#include "tests/dns/question.h"
#include "tests/dns/recording_on_demand.h"

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
    Kubernetes plugin(config_, {cluster_.holder(), name_servers_, on_demand_, used_services_});
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
  std::vector<IpAddress> name_servers_;
  OnDemand* on_demand_ = nullptr;
  UseFilter* used_services_ = nullptr;
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

TEST_F(KubernetesZone, BeforeTheFirstSyncWhatIsInTheDirectoryIsPassedOn) {
  cluster_.Publish(FeedTrust::kNone);
  EXPECT_EQ(Ask("backend.default.svc.cluster.local", 1), Verdict::kNext);
  EXPECT_EQ(Ask("123.0.43.10.in-addr.arpa", 12), Verdict::kNext);
  EXPECT_EQ(Ask("default.svc.cluster.local", 1), Verdict::kNext);
  EXPECT_EQ(Ask("nosuch.default.svc.cluster.local", 6), Verdict::kNext);
  EXPECT_EQ(Ask("cluster.local", 2), Verdict::kNext);
}

TEST_F(KubernetesZone, NamesThatNeedNoDirectoryAreAnsweredBeforeTheFirstSync) {
  cluster_.Publish(FeedTrust::kNone);
  ASSERT_EQ(Ask("cluster.local", 6), Verdict::kAnswered);
  ASSERT_EQ(Ask("svc.cluster.local", 1), Verdict::kAnswered);
  EXPECT_THAT(Authority(), ElementsAre(kSoa));
  ASSERT_EQ(Ask("dns-version.cluster.local", 16), Verdict::kAnswered);
  EXPECT_THAT(Answer(), ElementsAre("dns-version.cluster.local. 28800 TXT \"1.1.0\""));
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

// Below: a Service `web` with named ports, a headless one of two slices, and what names them.
class KubernetesRecords : public KubernetesZone {
 protected:
  KubernetesRecords() {
    Service web;
    web.name = {"default", "web"};
    web.cluster_ips = {test::Ip("10.43.0.9"), test::Ip("fd00::9")};
    web.ports = {
        {"http", Protocol::kTcp, 80}, {"dns", Protocol::kUdp, 53}, {"dns-tcp", Protocol::kTcp, 53}};
    web.labels = {{"tier", "front"}};
    cluster_.directory().Put(web);
    PutSlice("web-1", "web", {{"10.42.1.1", "", "web-abc", ""}}, {{"http", Protocol::kTcp, 8080}});

    cluster_.PutService("default", "db", {});
    PutSlice("db-1", "db",
             {{"10.42.2.1", "db-0", "", "west-a"}, {"10.42.2.2", "", "pod-b", "west-b"}},
             {{"sql", Protocol::kTcp, 5432}, {"admin", Protocol::kTcp, 8081}});
    PutSlice("db-2", "db", {{"10.42.2.3", "db-0", "", "west-b"}}, {{"sql", Protocol::kTcp, 5433}});
    cluster_.Publish();
  }

  struct Shape {
    const char* ip;
    const char* hostname;
    const char* pod;
    const char* zone;
  };
  void PutSlice(const char* name, const char* service, const std::vector<Shape>& endpoints,
                std::vector<EndpointPort> ports) {
    EndpointSlice slice;
    slice.name = {"default", name};
    slice.service = service;
    slice.ports = std::move(ports);
    for (const Shape& shape : endpoints) {
      Endpoint endpoint;
      endpoint.addresses = {test::Ip(shape.ip)};
      endpoint.hostname = shape.hostname;
      endpoint.zone = shape.zone;
      if (*shape.pod != '\0') endpoint.pod = {"default", shape.pod};
      slice.endpoints.push_back(std::move(endpoint));
    }
    cluster_.directory().Put(std::move(slice));
  }
  void Hide(std::string_view expression, std::optional<LabelSelector>& selector) {
    const auto file = std::make_shared<const std::string>("Corefile");
    const corefile::Token word{std::string(expression), file, 1, 1};
    selector = *LabelSelector::Parse(std::span(&word, 1));
  }

  std::vector<std::string> Additional() { return RecordsOf(reply_, Section::kAdditional); }
  void ExpectDenied(std::string_view name, uint16_t type) {
    ASSERT_EQ(Ask(name, type), Verdict::kAnswered) << name;
    EXPECT_EQ(Rcode(), 3) << name;
    EXPECT_EQ(Authority().size(), 1u) << name;
  }
};

TEST_F(KubernetesRecords, APortIsFoundByNameAndProtocol) {
  ASSERT_EQ(Ask("_http._tcp.web.default.svc.cluster.local", 33), Verdict::kAnswered);
  EXPECT_THAT(Answer(), ElementsAre("_http._tcp.web.default.svc.cluster.local. 5 SRV 0 50 80 "
                                    "web.default.svc.cluster.local."));
  EXPECT_THAT(Additional(), ElementsAre("web.default.svc.cluster.local. 5 A 10.43.0.9",
                                        "web.default.svc.cluster.local. 5 AAAA fd00::9"));
  ExpectDenied("_http._udp.web.default.svc.cluster.local", 33);
  ExpectDenied("_nope._tcp.web.default.svc.cluster.local", 33);
  ExpectDenied("_http._tcp.web.default.svc.cluster.local.cluster.local", 33);
}

TEST_F(KubernetesRecords, EqualTargetsAreMergedAndTheWeightCountsThem) {
  ASSERT_EQ(Ask("web.default.svc.cluster.local", 33), Verdict::kAnswered);
  EXPECT_THAT(Answer(), ElementsAre("web.default.svc.cluster.local. 5 SRV 0 16 80 "
                                    "web.default.svc.cluster.local.",
                                    "web.default.svc.cluster.local. 5 SRV 0 16 53 "
                                    "web.default.svc.cluster.local."))
      << "two addresses by three ports";
}

TEST_F(KubernetesRecords, APortNameHasAddressesToo) {
  ASSERT_EQ(Ask("_http._tcp.web.default.svc.cluster.local", 1), Verdict::kAnswered);
  EXPECT_THAT(Answer(), ElementsAre("_http._tcp.web.default.svc.cluster.local. 5 A 10.43.0.9"));
  ASSERT_EQ(Ask("_admin._tcp.db.default.svc.cluster.local", 1), Verdict::kAnswered);
  EXPECT_EQ(Answer().size(), 2u) << "of the slice that has the port";
}

TEST_F(KubernetesRecords, AHeadlessServiceHasOneSrvForEachNameAndPort) {
  ASSERT_EQ(Ask("_sql._tcp.db.default.svc.cluster.local", 33), Verdict::kAnswered);
  const std::string srv = "_sql._tcp.db.default.svc.cluster.local. 5 SRV 0 33 ";
  EXPECT_THAT(Answer(), ElementsAre(srv + "5432 db-0.db.default.svc.cluster.local.",
                                    srv + "5433 db-0.db.default.svc.cluster.local.",
                                    srv + "5432 10-42-2-2.db.default.svc.cluster.local."));
  EXPECT_THAT(Additional(), ElementsAre("db-0.db.default.svc.cluster.local. 5 A 10.42.2.1",
                                        "db-0.db.default.svc.cluster.local. 5 A 10.42.2.3",
                                        "10-42-2-2.db.default.svc.cluster.local. 5 A 10.42.2.2"));
}

TEST_F(KubernetesRecords, SrvOfAServiceWithoutPortsIsNodata) {
  ASSERT_EQ(Ask("twin.default.svc.cluster.local", 33), Verdict::kAnswered);
  EXPECT_EQ(Rcode(), 0);
  EXPECT_THAT(Authority(), ElementsAre(kSoa));
  ASSERT_EQ(Ask("backend.default.svc.cluster.local", 33), Verdict::kAnswered);
  EXPECT_THAT(Authority(), ElementsAre(kSoa));
}

TEST_F(KubernetesRecords, AnEndpointLeadsBackToItsNameInEachService) {
  cluster_.PutService("default", "db-too", {});
  PutSlice("db-too-1", "db-too", {{"10.42.2.1", "", "", ""}}, {});
  cluster_.Publish();
  ASSERT_EQ(Ask("1.2.42.10.in-addr.arpa", 12), Verdict::kAnswered);
  EXPECT_THAT(Answer(),
              testing::UnorderedElementsAre(
                  "1.2.42.10.in-addr.arpa. 5 PTR db-0.db.default.svc.cluster.local.",
                  "1.2.42.10.in-addr.arpa. 5 PTR 10-42-2-1.db-too.default.svc.cluster.local."));
  cluster_.directory().RemoveSlice({"default", "db-1"});
  cluster_.Publish();
  ASSERT_EQ(Ask("1.2.42.10.in-addr.arpa", 12), Verdict::kAnswered);
  EXPECT_EQ(Answer().size(), 1u);
  ExpectDenied("2.2.42.10.in-addr.arpa", 12);
}

TEST_F(KubernetesRecords, UnknownAddressesAreDeniedUnlessTheZoneFallsThrough) {
  ExpectDenied("99.99.42.10.in-addr.arpa", 12);
  ExpectDenied("99.42.10.in-addr.arpa", 12);
  config_.fallthrough = {*wire::Zone::Parse("in-addr.arpa")};
  EXPECT_EQ(Ask("99.99.42.10.in-addr.arpa", 12), Verdict::kNext);
  cluster_.Publish(FeedTrust::kStale);
  config_.fallthrough.clear();
  EXPECT_EQ(Ask("99.99.42.10.in-addr.arpa", 12), Verdict::kNext);
}

TEST_F(KubernetesRecords, NameServersAreTheServiceThatTheirAddressesLeadTo) {
  for (const char* address : {"10.43.0.9", "10.42.1.1"}) {
    name_servers_ = {test::Ip(address)};
    ASSERT_EQ(Ask("cluster.local", 2), Verdict::kAnswered) << address;
    EXPECT_THAT(Answer(), ElementsAre("cluster.local. 5 NS web.default.svc.cluster.local."));
    EXPECT_THAT(Additional(), ElementsAre("web.default.svc.cluster.local. 5 A 10.43.0.9",
                                          "web.default.svc.cluster.local. 5 AAAA fd00::9"));
    ASSERT_EQ(Ask("ns.dns.cluster.local", 28), Verdict::kAnswered);
    EXPECT_THAT(Answer(), ElementsAre("ns.dns.cluster.local. 5 AAAA fd00::9"));
  }
}

TEST_F(KubernetesRecords, NameServersOfAHeadlessServiceAreItsEndpoints) {
  name_servers_ = {test::Ip("10.42.2.1"), test::Ip("192.0.2.53")};
  ASSERT_EQ(Ask("cluster.local", 2), Verdict::kAnswered);
  EXPECT_THAT(Answer(), ElementsAre("cluster.local. 5 NS db-0.db.default.svc.cluster.local.",
                                    "cluster.local. 5 NS 10-42-2-2.db.default.svc.cluster.local."));
  EXPECT_EQ(Additional().size(), 3u);
}

TEST_F(KubernetesRecords, NameServersThatAreNoServiceAreThemselves) {
  name_servers_ = {test::Ip("192.0.2.53"), test::Ip("2001:db8::53")};
  ASSERT_EQ(Ask("cluster.local", 2), Verdict::kAnswered);
  EXPECT_THAT(Answer(), ElementsAre("cluster.local. 5 NS ns.dns.cluster.local."));
  EXPECT_THAT(Additional(), ElementsAre("ns.dns.cluster.local. 5 A 192.0.2.53",
                                        "ns.dns.cluster.local. 5 AAAA 2001:db8::53"));
  name_servers_.clear();
  ASSERT_EQ(Ask("cluster.local", 2), Verdict::kAnswered);
  EXPECT_THAT(Authority(), ElementsAre(kSoa));
}

TEST_F(KubernetesRecords, EndpointsAreCalledByTheirPodsOnRequest) {
  ExpectDenied("pod-b.db.default.svc.cluster.local", 1);
  config_.naming = EndpointNaming::kPod;
  ASSERT_EQ(Ask("pod-b.db.default.svc.cluster.local", 1), Verdict::kAnswered);
  EXPECT_THAT(Answer(), ElementsAre("pod-b.db.default.svc.cluster.local. 5 A 10.42.2.2"));
  ASSERT_EQ(Ask("db-0.db.default.svc.cluster.local", 1), Verdict::kAnswered);
  EXPECT_EQ(Answer().size(), 2u) << "a hostname comes first";
  ExpectDenied("10-42-2-2.db.default.svc.cluster.local", 1);
  ASSERT_EQ(Ask("2.2.42.10.in-addr.arpa", 12), Verdict::kAnswered);
  EXPECT_THAT(Answer(),
              ElementsAre("2.2.42.10.in-addr.arpa. 5 PTR pod-b.db.default.svc.cluster.local."));
}

TEST_F(KubernetesRecords, AZoneIsPinnedOrPreferred) {
  ExpectDenied("west-b.pin._zone.db.default.svc.cluster.local", 1);
  config_.zonal = true;
  ASSERT_EQ(Ask("west-a.pin._zone.db.default.svc.cluster.local", 1), Verdict::kAnswered);
  EXPECT_THAT(Answer(),
              ElementsAre("west-a.pin._zone.db.default.svc.cluster.local. 5 A 10.42.2.1"));
  ASSERT_EQ(Ask("west-c.pin._zone.db.default.svc.cluster.local", 1), Verdict::kAnswered);
  EXPECT_THAT(Authority(), ElementsAre(kSoa)) << "NODATA";
  ASSERT_EQ(Ask("west-c.prefer._zone.db.default.svc.cluster.local", 1), Verdict::kAnswered);
  EXPECT_EQ(Answer().size(), 3u);
  ASSERT_EQ(Ask("west-b.prefer._zone.db.default.svc.cluster.local", 33), Verdict::kAnswered);
  const std::string srv = "west-b.prefer._zone.db.default.svc.cluster.local. 5 SRV 0 33 ";
  EXPECT_THAT(Answer(), ElementsAre(srv + "5433 db-0.db.default.svc.cluster.local.",
                                    srv + "5432 10-42-2-2.db.default.svc.cluster.local.",
                                    srv + "8081 10-42-2-2.db.default.svc.cluster.local."));
  EXPECT_EQ(Additional().size(), 2u);
  ExpectDenied("west-a.other._zone.db.default.svc.cluster.local", 1);
  ExpectDenied("west-a.pin._zone.web.default.svc.cluster.local", 1);
  ExpectDenied("west-a.pin._zone.nosuch.default.svc.cluster.local", 1);
  ASSERT_EQ(Ask("west-a.pin._zone.idle.default.svc.cluster.local", 1), Verdict::kAnswered);
  EXPECT_EQ(Rcode(), 0) << "without endpoints too";
}

TEST_F(KubernetesRecords, HiddenNamespacesHaveNoNamesAndNothingLeadsBackIntoThem) {
  config_.namespaces = {"other"};
  ExpectDenied("web.default.svc.cluster.local", 1);
  ExpectDenied("default.svc.cluster.local", 1);
  ExpectDenied("9.0.43.10.in-addr.arpa", 12);
  ExpectDenied("1.2.42.10.in-addr.arpa", 12);
  config_.namespaces = {"default"};
  EXPECT_EQ(Ask("web.default.svc.cluster.local", 1), Verdict::kAnswered);
  EXPECT_EQ(Answer().size(), 1u);
}

TEST_F(KubernetesRecords, LabelsHideServices) {
  Hide("tier=front", config_.labels);
  ASSERT_EQ(Ask("web.default.svc.cluster.local", 1), Verdict::kAnswered);
  EXPECT_EQ(Answer().size(), 1u);
  ExpectDenied("backend.default.svc.cluster.local", 1);
  ExpectDenied("db.default.svc.cluster.local", 1);
  ExpectDenied("1.2.42.10.in-addr.arpa", 12);
}

TEST_F(KubernetesRecords, NamespaceLabelsHideNamespaces) {
  Hide("exposed=yes", config_.namespace_labels);
  ExpectDenied("web.default.svc.cluster.local", 1);
  cluster_.directory().Put(Namespace{"default", {{"exposed", "yes"}}, {}});
  cluster_.Publish();
  ASSERT_EQ(Ask("web.default.svc.cluster.local", 1), Verdict::kAnswered);
  EXPECT_EQ(Answer().size(), 1u);
}

TEST_F(KubernetesRecords, ServicesWithoutEndpointsCanBeIgnored) {
  config_.ignore_empty_service = true;
  ExpectDenied("backend.default.svc.cluster.local", 1);
  ASSERT_EQ(Ask("web.default.svc.cluster.local", 1), Verdict::kAnswered);
  EXPECT_EQ(Answer().size(), 1u);
}

TEST_F(KubernetesRecords, NoendpointsLeavesServicesAlone) {
  config_.endpoints = false;
  ASSERT_EQ(Ask("web.default.svc.cluster.local", 1), Verdict::kAnswered);
  EXPECT_EQ(Answer().size(), 1u);
  ExpectDenied("db.default.svc.cluster.local", 1);
  ExpectDenied("db-0.db.default.svc.cluster.local", 1);
  ExpectDenied("1.2.42.10.in-addr.arpa", 12);
}

TEST_F(KubernetesRecords, ServiceImportsHaveTheirNamesInTheirOwnZone) {
  config_.zones.push_back(*wire::Zone::Parse("clusterset.local"));
  config_.multicluster = {config_.zones.back()};
  ServiceImport web, db;
  web.name = {"default", "web"};
  web.ips = {test::Ip("10.45.0.1")};
  web.ports = {{"http", Protocol::kTcp, 80}};
  db.name = {"default", "db"};
  db.headless = true;
  cluster_.directory().Put(web);
  cluster_.directory().Put(db);
  EndpointSlice slice;
  slice.name = {"default", "imported-db"};
  slice.service = "db";
  slice.imported = true;
  slice.source_cluster = "west";
  slice.ports = {{"sql", Protocol::kTcp, 5432}};
  slice.endpoints.resize(1);
  slice.endpoints[0].addresses = {test::Ip("10.46.0.1")};
  slice.endpoints[0].hostname = "db-0";
  cluster_.directory().Put(slice);
  cluster_.Publish();

  ASSERT_EQ(Ask("web.default.svc.clusterset.local", 1), Verdict::kAnswered);
  EXPECT_THAT(Answer(), ElementsAre("web.default.svc.clusterset.local. 5 A 10.45.0.1"));
  ASSERT_EQ(Ask("db.default.svc.clusterset.local", 1), Verdict::kAnswered);
  EXPECT_THAT(Answer(), ElementsAre("db.default.svc.clusterset.local. 5 A 10.46.0.1"));
  ASSERT_EQ(Ask("db-0.west.db.default.svc.clusterset.local", 1), Verdict::kAnswered);
  EXPECT_THAT(Answer(), ElementsAre("db-0.west.db.default.svc.clusterset.local. 5 A 10.46.0.1"));
  ASSERT_EQ(Ask("_sql._tcp.db.default.svc.clusterset.local", 33), Verdict::kAnswered);
  EXPECT_THAT(Answer(), ElementsAre("_sql._tcp.db.default.svc.clusterset.local. 5 SRV 0 100 5432 "
                                    "db-0.west.db.default.svc.clusterset.local."));
  ExpectDenied("db-0.db.default.svc.clusterset.local", 1);
  ExpectDenied("db-0.east.db.default.svc.clusterset.local", 1);
  ExpectDenied("backend.default.svc.clusterset.local", 1);
}

TEST_F(KubernetesRecords, NodataAndNxdomainAreToldApartAsInCoreDns) {
  ASSERT_EQ(Ask("nosuch.default.svc.cluster.local", 6), Verdict::kAnswered);
  EXPECT_EQ(Rcode(), 0) << "SOA looks no name up";
  ExpectDenied("default.svc.cluster.local", 16);
  ASSERT_EQ(Ask("web.default.svc.cluster.local", 16), Verdict::kAnswered);
  EXPECT_EQ(Rcode(), 0);
  ExpectDenied("dns-version.cluster.local", 1);
  ASSERT_EQ(Ask("svc.in-addr.arpa", 1), Verdict::kAnswered);
  EXPECT_EQ(Rcode(), 0);
  cluster_.PutExternalName("default", "digits", "203.0.113.7");
  cluster_.Publish();
  ExpectDenied("digits.default.svc.cluster.local", 1);
}

TEST_F(KubernetesRecords, TransfersAreRefused) {
  for (const uint16_t type : {251, 252}) {
    ASSERT_EQ(Ask("cluster.local", type), Verdict::kAnswered);
    EXPECT_EQ(Rcode(), 5);
  }
}

class KubernetesPods : public KubernetesZone {
 protected:
  KubernetesPods() {
    config_.pods = KubernetesConfig::Pods::kVerified;
    cluster_.directory().Put(AddressOwner{test::Ip("10.42.0.7"), {"default", "web-0"}});
    cluster_.directory().Put(AddressOwner{test::Ip("10.42.0.8"), {}});
    cluster_.directory().Put(AddressOwner{test::Ip("fd00::7"), {"default", "web-0"}});
    cluster_.Publish();
  }
};

TEST_F(KubernetesPods, AVerifiedPodIsOneOfThatNamespaceWithThatAddress) {
  ASSERT_EQ(Ask("10-42-0-7.default.pod.cluster.local", 1), Verdict::kAnswered);
  EXPECT_THAT(Answer(), ElementsAre("10-42-0-7.default.pod.cluster.local. 5 A 10.42.0.7"));
  for (const char* name :
       {"10-42-0-8.default.pod.cluster.local", "10-42-0-7.empty.pod.cluster.local",
        "10-42-0-9.default.pod.cluster.local", "fd00-0-0-0-0-0-0-7.default.pod.cluster.local"}) {
    ASSERT_EQ(Ask(name, 1), Verdict::kAnswered) << name;
    EXPECT_EQ(Rcode(), 3) << name;
  }
  ASSERT_EQ(Ask("fd00--7.default.pod.cluster.local", 28), Verdict::kAnswered);
  EXPECT_EQ(Answer().size(), 1u);
}

TEST_F(KubernetesPods, AnAddressThatIsNotHeldIsWaitedForOrPassedOn) {
  test::RecordingOnDemand waiting;
  on_demand_ = &waiting;
  EXPECT_EQ(Ask("10-42-0-9.default.pod.cluster.local", 1), Verdict::kPending);
  EXPECT_THAT(waiting.awaited, ElementsAre("10.42.0.9"));
  waiting.verdict = Verdict::kNext;
  EXPECT_EQ(Ask("10-42-0-9.default.pod.cluster.local", 1), Verdict::kNext);
  EXPECT_EQ(Ask("10-42-0-7.default.pod.cluster.local", 1), Verdict::kAnswered);
  EXPECT_EQ(waiting.awaited.size(), 2u);
}

}  // namespace
}  // namespace portolan::dns

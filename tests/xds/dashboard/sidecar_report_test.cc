#include "xds/dashboard/sidecar_report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>

namespace portolan::xds {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

const absl::Time kThen = absl::FromUnixSeconds(1'700'000'000);

v1::SidecarReport Report(uint64_t queries, uint64_t nxdomain, uint64_t hits, uint64_t misses,
                         uint64_t connections) {
  v1::SidecarReport report;
  report.mutable_feed()->set_in_sync(true);
  v1::DnsReport& dns = *report.mutable_dns();
  dns.set_queries(queries);
  auto& rcode = *dns.add_responses();
  rcode.set_rcode("NXDOMAIN");
  rcode.set_count(nxdomain);
  dns.set_cache_hits(hits);
  dns.set_cache_misses(misses);
  report.mutable_forwarder()->set_connections(connections);
  return report;
}

ReportedSidecar TwoReports(const v1::SidecarReport& first, const v1::SidecarReport& second,
                           absl::Duration between = absl::Seconds(5)) {
  ReportedSidecar sidecar;
  sidecar.node_id = "default/a";
  sidecar.reported = kThen;
  sidecar.report = std::make_shared<v1::SidecarReport>(second);
  sidecar.previous_reported = kThen - between;
  sidecar.previous = std::make_shared<v1::SidecarReport>(first);
  return sidecar;
}

v1::UpstreamReport& AddUpstream(v1::SidecarReport& report, uint64_t answers, uint64_t failures) {
  v1::UpstreamReport& upstream = *report.mutable_dns()->add_upstreams();
  upstream.set_address("10.43.0.10:53");
  upstream.set_answers(answers);
  upstream.set_failures(failures);
  return upstream;
}

TEST(SidecarReport, IsShownInFull) {
  v1::SidecarReport report = Report(7, 2, 0, 0, 0);
  report.mutable_feed()->set_source("control plane");
  AddUpstream(report, 0, 0);
  report.mutable_forwarder()->set_bytes_up(5);
  report.mutable_endpoints()->set_held(3);
  ReportedSidecar sidecar;
  sidecar.started = sidecar.reported = kThen;
  sidecar.report = std::make_shared<v1::SidecarReport>(report);
  EXPECT_EQ(ReportJson(sidecar, ReportPart::kAll, kThen), json::parse(R"({
    "received": "2023-11-14T22:13:20.000Z", "started": "2023-11-14T22:13:20.000Z",
    "feed": {"inSync": true, "source": "control plane", "types": []},
    "dns": {"queries": 7, "responses": {"NXDOMAIN": 2}, "cacheHits": 0, "cacheMisses": 0,
            "upstreams": [{"address": "10.43.0.10:53", "down": false, "answers": 0,
                           "failures": 0, "failedProbes": 0}]},
    "forwarder": {"connections": 0, "failures": 0, "active": 0, "bytesUp": 5, "bytesDown": 0,
                  "udpFlows": 0, "udpBytesUp": 0, "udpBytesDown": 0},
    "endpoints": {"held": 3, "wanted": 0}})"));
}

TEST(SidecarReport, RatesAreBetweenTheLastTwoReports) {
  const ReportedSidecar sidecar = TwoReports(Report(100, 10, 5, 5, 1), Report(150, 20, 8, 6, 11));
  EXPECT_EQ(RatesJson(sidecar, kThen), json::parse(R"({"queriesPerSecond": 10.0,
      "nxdomainPerSecond": 2.0, "cacheHitRatio": 0.75, "connectionsPerSecond": 2.0})"));
  ReportedSidecar first = sidecar;
  first.previous = nullptr;
  EXPECT_EQ(RatesJson(first, kThen), nullptr);
}

// One with nothing new sends nothing: what it counts then happened within one interval.
TEST(SidecarReport, ASilenceIsNoPartOfARate) {
  const auto first = Report(100, 0, 0, 0, 0);
  const auto second = Report(150, 0, 0, 0, 0);
  const ReportedSidecar sidecar = TwoReports(first, second, absl::Hours(1));
  EXPECT_EQ(RatesJson(sidecar, kThen)["queriesPerSecond"], 5.0);
  EXPECT_EQ(RatesJson(sidecar, kThen)["cacheHitRatio"], nullptr);
  EXPECT_EQ(RatesJson(sidecar, kThen + absl::Seconds(30))["queriesPerSecond"], 0.0);
}

TEST(SidecarReport, ACounterThatBeganAnewCountsFromThere) {
  EXPECT_EQ(RatesJson(TwoReports(Report(100, 0, 0, 0, 0), Report(20, 0, 0, 0, 0)),
                      kThen)["queriesPerSecond"],
            4.0);
}

TEST(Lag, IsThatOfTheTypeWhoseChangesTakeLongest) {
  ClientStatus client;
  EXPECT_EQ(LagOf(client).worst_type, "");
  TypeStatus type;
  type.type_url = "type.googleapis.com/portolan.v1.Service";
  type.propagation_p50 = type.propagation_p99 = absl::Milliseconds(3);
  client.types.push_back(type);
  type.type_url = "type.googleapis.com/portolan.v1.Endpoints";
  type.propagation_p99 = absl::Milliseconds(9);
  client.types.push_back(type);
  EXPECT_EQ(LagOf(client).worst_type, "Endpoints");
  EXPECT_EQ(LagOf(client).p99, absl::Milliseconds(9));
}

class HealthTest : public ::testing::Test {
 protected:
  HealthTest() {
    client.connected = kThen - absl::Hours(1);
    type.type_url = "type.googleapis.com/portolan.v1.Endpoints";
    type.last_sent = kThen;
    type.sent_generation = type.acknowledged_generation = 5;
    client.types = {type};
  }
  std::string WordOf(const ReportedSidecar* reported) {
    return std::string(HealthOf(client, reported, kThen).word);
  }

  TypeStatus type;
  ClientStatus client;
  v1::SidecarReport report = Report(1, 0, 0, 0, 0);
};

TEST_F(HealthTest, IsOkWhereAllIs) {
  const ReportedSidecar sidecar = TwoReports(report, report);
  EXPECT_EQ(WordOf(&sidecar), "ok");
  EXPECT_EQ(HealthOf(client, &sidecar, kThen).why, "");
}

TEST_F(HealthTest, IsNackedWhereAResourceWasRefused) {
  client.types[0].last_nack = "no such port";
  const ReportedSidecar sidecar = TwoReports(report, report);
  EXPECT_EQ(WordOf(&sidecar), "nacked");
  EXPECT_THAT(HealthOf(client, &sidecar, kThen).why, HasSubstr("Endpoints: no such port"));
}

TEST_F(HealthTest, IsStaleWhereAChangeWaitsOrTheSidecarSaysSo) {
  client.types[0].lag = absl::Seconds(7);
  const ReportedSidecar sidecar = TwoReports(report, report);
  EXPECT_EQ(WordOf(&sidecar), "stale");
  client.types[0].lag = absl::Milliseconds(7);
  EXPECT_EQ(WordOf(&sidecar), "ok");
  report.mutable_feed()->set_in_sync(false);
  const ReportedSidecar out_of_sync = TwoReports(report, report);
  EXPECT_EQ(WordOf(&out_of_sync), "stale");
}

TEST_F(HealthTest, IsUpstreamDownWhereAServerFailedAndAnsweredNothing) {
  v1::SidecarReport before = report;
  AddUpstream(before, 10, 0);
  v1::SidecarReport after = report;
  v1::UpstreamReport& upstream = AddUpstream(after, 10, 3);
  const ReportedSidecar down = TwoReports(before, after);
  EXPECT_EQ(WordOf(&down), "upstream-down");
  EXPECT_THAT(HealthOf(client, &down, kThen).why, HasSubstr("10.43.0.10:53"));
  const auto is_down = [](const ReportedSidecar& sidecar, absl::Time now) {
    return ReportJson(sidecar, ReportPart::kCounters, now)["dns"]["upstreams"][0]["down"]
        .get<bool>();
  };
  EXPECT_TRUE(is_down(down, kThen));
  EXPECT_FALSE(is_down(down, kThen + absl::Minutes(1))) << "it fails no more probes";
  EXPECT_EQ(HealthOf(client, &down, kThen + absl::Minutes(1)).word, "ok");
  EXPECT_FALSE(is_down(TwoReports(after, after), kThen)) << "what failed once is no failure now";
  upstream.set_answers(11);
  const ReportedSidecar slow = TwoReports(before, after);
  EXPECT_EQ(WordOf(&slow), "ok");
}

TEST_F(HealthTest, IsNotReportingWhereNoReportComes) {
  EXPECT_EQ(WordOf(nullptr), "not-reporting");
  client.connected = kThen - absl::Seconds(3);
  EXPECT_EQ(WordOf(nullptr), "ok") << "it has just come";
}

TEST(SyncWord, NamesTheStateOfASubscription) {
  TypeStatus status;
  EXPECT_EQ(SyncWord(status), "NOT SENT");
  status.last_sent = absl::FromUnixSeconds(1);
  status.sent_generation = 2;
  EXPECT_EQ(SyncWord(status), "STALE");
  status.acknowledged_generation = 2;
  EXPECT_EQ(SyncWord(status), "SYNCED");
  status.last_nack = "no";
  EXPECT_EQ(SyncWord(status), "NACKED");
}

}  // namespace
}  // namespace portolan::xds

#include "proxy/reporting/report.h"

#include <gtest/gtest.h>

#include "absl/time/clock.h"
#include "common/monotonic.h"
#include "xds/api/sidecar_limits.h"

namespace portolan::proxy {
namespace {

MetricFamilies TwoWorkers() {
  MetricFamilies families;
  for (int worker = 0; worker < 2; ++worker) {
    const auto add = [&](std::string_view name, Labels labels, double value) {
      AddCounterSample(families, name, "", labels, value);
    };
    add("coredns_dns_requests_total", {{"type", "A"}}, 3);
    add("coredns_dns_requests_total", {{"type", "AAAA"}}, 2);
    add("coredns_dns_responses_total", {{"rcode", "NOERROR"}, {"plugin", "kubernetes"}}, 2);
    add("coredns_dns_responses_total", {{"rcode", "NOERROR"}, {"plugin", "forward"}}, 2);
    add("coredns_dns_responses_total", {{"rcode", "NXDOMAIN"}, {"plugin", "kubernetes"}}, 1);
    add("coredns_cache_hits_total", {{"type", "success"}}, 4);
    add("coredns_cache_hits_total", {{"type", "denial"}}, 1);
    add("coredns_cache_misses_total", {}, 6);
    add("portolan_upstream_server_failures_total", {{"to", "10.43.0.10:53"}}, 1);
    add("portolan_forwarder_connections_total", {{"outcome", "forwarded"}}, 5);
    add("portolan_forwarder_connections_total", {{"outcome", "passed_through"}}, 1);
    add("portolan_forwarder_connections_total", {{"outcome", "connect_failed"}}, 2);
    add("portolan_forwarder_bytes_total", {{"direction", "up"}}, 10);
    add("portolan_forwarder_bytes_total", {{"direction", "down"}}, 20);
    static constexpr double kBounds[] = {1, 2};
    Histogram seconds(kBounds);
    seconds.Observe(1, 7);
    AddHistogramSample(families, "coredns_proxy_request_duration_seconds", "",
                       {{"to", "10.43.0.10:53"}, {"rcode", "NOERROR"}}, seconds);
  }
  AddGaugeSample(families, "portolan_feed_endpoints_held", "", {}, 2);
  AddGaugeSample(families, "portolan_feed_endpoints_wanted", "", {}, 3);
  return families;
}

TEST(Report, AddsUpWhatTheMetricsPageShows) {
  const v1::SidecarReport report = MakeReport({}, TwoWorkers());
  EXPECT_EQ(report.dns().queries(), 10u);
  ASSERT_EQ(report.dns().responses_size(), 2);
  EXPECT_EQ(report.dns().responses(0).rcode(), "NOERROR");
  EXPECT_EQ(report.dns().responses(0).count(), 8u);
  EXPECT_EQ(report.dns().responses(1).count(), 2u);
  EXPECT_EQ(report.dns().cache_hits(), 10u);
  EXPECT_EQ(report.dns().cache_misses(), 12u);
  ASSERT_EQ(report.dns().upstreams_size(), 1);
  EXPECT_EQ(report.dns().upstreams(0).address(), "10.43.0.10:53");
  EXPECT_EQ(report.dns().upstreams(0).answers(), 14u);
  EXPECT_EQ(report.dns().upstreams(0).failures(), 2u);
  EXPECT_EQ(report.forwarder().connections(), 12u);
  EXPECT_EQ(report.forwarder().failures(), 4u);
  EXPECT_EQ(report.forwarder().bytes_up(), 20u);
  EXPECT_EQ(report.forwarder().bytes_down(), 40u);
  EXPECT_EQ(report.endpoints().held(), 2u);
  EXPECT_EQ(report.endpoints().wanted(), 3u);
}

TEST(Report, SaysHowFarTheFeedIs) {
  FeedStatus feed;
  feed.source = FeedStatus::Source::kDisk;
  feed.last_sync = Monotonic() - absl::Minutes(5);
  feed.types.push_back(
      {"type.example/Thing", true, 7, 1, "l\xc3\xa4nge\n" + std::string(999, 'x')});
  const v1::FeedReport report = MakeReport(feed, {}).feed();
  EXPECT_EQ(report.source(), "disk");
  EXPECT_FALSE(report.in_sync());
  const absl::Time then = absl::FromUnixMillis(report.last_sync_unix_ms());
  EXPECT_LT(absl::AbsDuration(absl::Now() - absl::Minutes(5) - then), absl::Seconds(30));
  ASSERT_EQ(report.types_size(), 1);
  EXPECT_EQ(report.types(0).held(), 7u);
  EXPECT_EQ(report.types(0).last_nack().substr(0, 8), "l??nge?x");
  EXPECT_EQ(report.types(0).last_nack().size(), api::kMaxReportTextBytes);
}

TEST(Report, StaysTheSameWhileNothingHappens) {
  FeedStatus feed;
  feed.in_sync = true;
  feed.last_sync = Monotonic();
  const v1::SidecarReport before = MakeReport(feed, TwoWorkers());
  feed.last_sync += absl::Seconds(10);
  EXPECT_EQ(before.SerializeAsString(), MakeReport(feed, TwoWorkers()).SerializeAsString());
}

TEST(Report, TellsTheLastSyncToTheSecondSoThatItStaysTheSame) {
  const absl::Duration since_epoch = absl::Now() - absl::UnixEpoch() - Monotonic();
  // Half a second from where it would be told as another one.
  FeedStatus feed;
  feed.last_sync = absl::Floor(Monotonic() + since_epoch - absl::Minutes(5), absl::Seconds(1)) +
                   absl::Milliseconds(500) - since_epoch;
  const v1::SidecarReport before = MakeReport(feed, {});
  EXPECT_NE(before.feed().last_sync_unix_ms(), 0);
  EXPECT_EQ(before.feed().last_sync_unix_ms() % 1000, 0);
  EXPECT_EQ(before.SerializeAsString(), MakeReport(feed, {}).SerializeAsString());
}

TEST(Report, NamesNoMoreUpstreamsThanMayBe) {
  MetricFamilies families;
  for (int i = 0; i < 1000; ++i) {
    const std::string to = "10.0.0." + std::to_string(i);
    AddCounterSample(families, "portolan_upstream_server_failures_total", "", {{"to", to}}, 0);
  }
  EXPECT_EQ(MakeReport({}, families).dns().upstreams_size(), api::kMaxReportedUpstreams);
}

}  // namespace
}  // namespace portolan::proxy

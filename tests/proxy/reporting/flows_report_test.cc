#include "proxy/reporting/flows_report.h"

#include <gtest/gtest.h>

#include <vector>

#include "absl/time/clock.h"
#include "xds/api/sidecar_limits.h"

namespace portolan::proxy {
namespace {

using Workers = std::vector<PassedThrough::View>;

const absl::Time kNoon = absl::FromUnixSeconds(1'800'000'000);

IpAddress Ip(std::string_view text) { return *IpAddress::Parse(text); }

TEST(FlowsReport, ServicesAndAddressesAreListedByHowOftenTheyWereDialled) {
  ServiceMetrics::Flows services;
  services.by_service[{"default", "backend"}] = {.connections = 5, .bytes_up = 10};
  services.other.connections = 3;
  Workers workers(2);
  for (auto& worker : workers) {
    worker.by_address[Ip("192.0.2.1")] = {.connections = 4, .failures = 1, .bytes_down = 7};
    worker.by_address[Ip("2001:db8::1")] = {.udp_flows = 1};
    worker.others.failures = 1;
  }
  const v1::FlowsReport report = FlowsReporter().Make(services, workers, kNoon);
  ASSERT_EQ(report.flows_size(), 3);
  EXPECT_EQ(report.flows(0).address(), "192.0.2.1");
  EXPECT_EQ(report.flows(0).connections(), 8u);
  EXPECT_EQ(report.flows(0).failures(), 2u);
  EXPECT_EQ(report.flows(0).bytes_down(), 14u);
  EXPECT_EQ(report.flows(1).service(), "default/backend");
  EXPECT_EQ(report.flows(1).bytes_up(), 10u);
  EXPECT_EQ(report.flows(2).address(), "2001:db8::1");
  EXPECT_EQ(report.flows(2).udp_flows(), 2u);
  EXPECT_EQ(report.others(), 5u);
}

TEST(FlowsReport, OneIsLastSeenWhenItWasLastCountedFurther) {
  FlowsReporter reporter;
  ServiceMetrics::Flows services;
  FlowCounts& backend = services.by_service[{"default", "backend"}];
  backend.connections = 1;
  const auto last_seen = [&](absl::Time now) {
    return absl::FromUnixSeconds(reporter.Make(services, {}, now).flows(0).last_seen_unix_s());
  };
  EXPECT_EQ(last_seen(kNoon), kNoon);
  EXPECT_EQ(last_seen(kNoon + absl::Seconds(10)), kNoon);
  backend.bytes_up = 1;
  EXPECT_EQ(last_seen(kNoon + absl::Seconds(20)), kNoon + absl::Seconds(20));
}

TEST(FlowsReport, TheRestIsCounted) {
  Workers workers(1);
  for (uint8_t i = 0; i < 100; ++i) {
    const uint8_t bytes[] = {192, 0, 2, i};
    workers[0].by_address[IpAddress::V4(bytes)] = {.connections = 1u + i};
  }
  const v1::FlowsReport report = FlowsReporter().Make({}, workers, kNoon);
  ASSERT_EQ(report.flows_size(), api::kMaxReportedFlows);
  EXPECT_EQ(report.flows(0).address(), "192.0.2.99");
  EXPECT_EQ(report.others(), 36u * 37 / 2);
}

}  // namespace
}  // namespace portolan::proxy

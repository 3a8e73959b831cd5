// What is counted by name, and that it stays bounded.
#include "proxy/forwarder/service_metrics.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <thread>

namespace portolan::proxy {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

ServicePortName Backend(int number = 0) {
  return {{"default", fmt::format("backend-{}", number)}, 8080, Protocol::kTcp};
}

EndpointName BehindBackend(std::string_view address, std::string pod) {
  return {Backend(), *SocketAddress::Parse(address), {"default", std::move(pod)}};
}

class ServiceMetricsTest : public testing::Test {
 protected:
  std::string Page() {
    MetricsPage page;
    page.AddSource([this](MetricFamilies& families) { metrics_.Collect(families, now_); });
    return page.Render();
  }
  std::set<std::string> ServicesShown() {
    MetricFamilies families;
    metrics_.Collect(families, now_);
    std::set<std::string> shown;
    for (const auto& family : families) {
      for (const auto& metric : family.metric) shown.insert(metric.label[1].value);
    }
    return shown;
  }

  ServiceMetrics metrics_{{.services = 2, .endpoints = 2}};
  absl::Duration now_ = absl::Seconds(1000);
};

TEST_F(ServiceMetricsTest, WorkersAreAddedUpUnderOneName) {
  const auto one = metrics_.Open(Backend(), now_);
  const auto two = metrics_.Open(Backend(), now_);
  ASSERT_NE(one, two) << "each has one writer";
  one->forwarded.Add(2);
  two->forwarded.Add(3);
  one->no_endpoints.Add();
  two->closed.Add();
  one->bytes_up.Add(10);
  one->opened.Add(5);
  two->finished.Add(1);
  one->connect_seconds.Observe(0.0002);
  two->connect_seconds.Observe(0.2);
  const std::string page = Page();
  const std::string labels =
      R"(service_namespace="default",service="backend-0",port="8080",protocol="tcp")";
  for (const char* sample :
       {"connections_total{%s,outcome=\"forwarded\"} 5",
        "connections_total{%s,outcome=\"no_endpoints\"} 1", "ended_total{%s,how=\"closed\"} 1",
        "bytes_total{%s,direction=\"up\"} 10", "bytes_total{%s,direction=\"down\"} 0",
        "active_connections{%s} 4", "connect_retries_total{%s} 0", "connect_seconds_count{%s} 2",
        "connect_seconds_bucket{%s,le=\"0.00025\"} 1"}) {
    std::string line = sample;
    line.replace(line.find("%s"), 2, labels);
    EXPECT_THAT(page, HasSubstr("\nportolan_forwarder_service_" + line + "\n"));
  }
  EXPECT_THAT(page, Not(HasSubstr("over_limit"))) << "only what occurred";
}

TEST_F(ServiceMetricsTest, FlowsAreThoseOfAServiceOverAllPortsProtocolsAndWorkers) {
  const ObjectName backend{"default", "backend"};
  const auto http = metrics_.Open(ServicePortName{backend, 80, Protocol::kTcp}, now_);
  const auto http_too = metrics_.Open(ServicePortName{backend, 80, Protocol::kTcp}, now_);
  const auto dns = metrics_.Open(ServicePortName{backend, 53, Protocol::kUdp}, now_);
  const auto other = metrics_.Open(Backend(9), now_);  // there is room for two
  http->forwarded.Add(2);
  http->bytes_up.Add(10);
  http->no_endpoints.Add(4);
  http_too->passed_through.Add(1);
  http_too->bytes_down.Add(20);
  dns->forwarded.Add(5);
  dns->no_port.Add();
  other->forwarded.Add(7);
  const ServiceMetrics::Flows flows = metrics_.flows();
  ASSERT_EQ(flows.by_service.size(), 1u);
  EXPECT_EQ(
      flows.by_service.at(backend),
      (FlowCounts{
          .connections = 3, .failures = 5, .bytes_up = 10, .bytes_down = 20, .udp_flows = 5}));
  EXPECT_EQ(flows.other.connections, 7u);
}

TEST_F(ServiceMetricsTest, WhatIsNoServicesIsInNoFlow) {
  const auto unknown = metrics_.Open(UnknownService(Protocol::kTcp), now_);
  const auto never_dialled = metrics_.Open(Backend(), now_);
  unknown->passed_through.Add(3);
  const ServiceMetrics::Flows flows = metrics_.flows();
  EXPECT_TRUE(flows.by_service.empty());
  EXPECT_EQ(flows.other, FlowCounts());
}

TEST_F(ServiceMetricsTest, AnEndpointIsShownWithItsPod) {
  const auto counters = metrics_.Open(BehindBackend("10.42.0.1:80", "web-0"), now_);
  counters->connections.Add(7);
  counters->connect_timeout.Add();
  counters->taken.Add(9);
  counters->given_back.Add(6);
  counters->ejected.Add(2);
  counters->readmitted.Add();
  const std::string page = Page();
  EXPECT_THAT(page, Not(HasSubstr("connect_failed"))) << "only what occurred";
  const std::string labels =
      R"(service_namespace="default",service="backend-0",port="8080",protocol="tcp",)"
      R"(endpoint="10.42.0.1:80",pod="default/web-0")";
  for (const char* sample :
       {"connections_total{%s} 7", "connect_failures_total{%s,reason=\"connect_timeout\"} 1",
        "active_connections{%s} 3", "ejected{%s} 1"}) {
    std::string line = sample;
    line.replace(line.find("%s"), 2, labels);
    EXPECT_THAT(page, HasSubstr("\nportolan_forwarder_endpoint_" + line + "\n"));
  }
}

TEST_F(ServiceMetricsTest, NamesBeyondTheLimitCountUnderOne) {
  std::vector<std::shared_ptr<ServiceCounters>> held;
  for (int i = 0; i < 10; ++i) {
    held.push_back(metrics_.Open(Backend(i), now_));
    held.back()->forwarded.Add();
  }
  EXPECT_THAT(ServicesShown(), ElementsAre("backend-0", "backend-1", "other"));
  EXPECT_THAT(Page(), HasSubstr("service=\"other\",port=\"\",protocol=\"tcp\","
                                "outcome=\"forwarded\"} 8\n"));
}

TEST_F(ServiceMetricsTest, WhatNobodyHoldsIsShownForTenMinutesAndGoesOnIfHeldAgain) {
  auto kept = metrics_.Open(Backend(0), now_);
  auto counters = metrics_.Open(Backend(1), now_);
  counters->forwarded.Add(3);
  counters.reset();
  now_ += ServiceMetrics::kLinger / 2;
  EXPECT_THAT(ServicesShown(), ElementsAre("backend-0", "backend-1"));
  counters = metrics_.Open(Backend(1), now_);
  counters->forwarded.Add();
  counters.reset();
  now_ += ServiceMetrics::kLinger;
  EXPECT_THAT(Page(), HasSubstr("outcome=\"forwarded\"} 4\n"));
  now_ += ServiceMetrics::kLinger;
  EXPECT_THAT(ServicesShown(), ElementsAre("backend-0"));
}

TEST_F(ServiceMetricsTest, NothingIsLostWhileWorkersComeAndGoAndThePageIsRead) {
  constexpr int kRounds = 2000;
  const auto work = [this] {
    for (int i = 0; i < kRounds; ++i) metrics_.Open(Backend(i % 2), now_)->forwarded.Add();
  };
  std::thread one(work), two(work);
  for (int i = 0; i < 50; ++i) Page();
  one.join();
  two.join();
  const std::string page = Page();
  for (const char* service : {"backend-0", "backend-1"}) {
    EXPECT_THAT(page, HasSubstr(fmt::format("service=\"{}\",port=\"8080\",protocol=\"tcp\","
                                            "outcome=\"forwarded\"}} {}\n",
                                            service, kRounds)));
  }
}

TEST_F(ServiceMetricsTest, ANameThatWasForgottenMakesRoomThoughNobodyReadsThePage) {
  const auto kept = metrics_.Open(Backend(0), now_);
  metrics_.Open(Backend(1), now_);
  const auto third = metrics_.Open(Backend(2), now_);  // looks for room, and finds none yet
  now_ += ServiceMetrics::kLinger;
  const auto fourth = metrics_.Open(Backend(3), now_);
  EXPECT_THAT(ServicesShown(), ElementsAre("backend-0", "backend-3", "other"));
}

TEST(ServiceTally, FindsAServiceWithoutALockAndLetsGoOfOneThatIsGone) {
  auto metrics = std::make_shared<ServiceMetrics>();
  ServiceTally tally(metrics);
  const ObjectName name{"default", "backend"};
  const CountedService& known = tally.Of(name, 80, Protocol::kTcp);
  EXPECT_EQ(&tally.Of(name, 80, Protocol::kTcp), &known);
  EXPECT_NE(&tally.Of(name, 80, Protocol::kUdp), &known);
  EXPECT_NE(&tally.Of(name, 81, Protocol::kTcp), &known);
  EXPECT_NE(&tally.OfUnknown(Protocol::kTcp), &known);
  ServiceCounters& counters = *known.counters;

  const ServicePortName port{name, 80, Protocol::kTcp};
  counters.opened.Add();
  tally.Review(Snapshot());
  EXPECT_NE(metrics->Open(port, absl::ZeroDuration()).get(), &counters) << "it is held";
  counters.finished.Add();
  tally.Review(Snapshot());
  EXPECT_EQ(metrics->Open(port, absl::ZeroDuration()).get(), &counters) << "it is free";
}

}  // namespace
}  // namespace portolan::proxy

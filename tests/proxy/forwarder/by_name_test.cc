// What the forwarder counts and logs of a connection by the names of its Service, endpoint and pod.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "common/line_output.h"
#include "common/monotonic.h"
#include "tests/proxy/forwarder/loopback.h"

namespace portolan::proxy {
namespace {

using nlohmann::json;
using testing::HasSubstr;
using testing::Not;

class ByName : public ForwarderTest {
 protected:
  void Start(ForwarderOptions options = {}) {
    options.balancer.metrics = metrics_;
    StartForwarder(std::move(options));
  }

  std::string Page() {
    MetricsPage page;
    page.AddSource([this](MetricFamilies& families) { metrics_->Collect(families, Monotonic()); });
    return page.Render();
  }
  static std::string Service(const std::string& metric, const std::string& rest) {
    return "portolan_forwarder_service_" + metric +
           R"({service_namespace="default",service="backend",port="8080",protocol="tcp")" + rest;
  }
  static std::string EndpointOf(const std::string& metric, const SocketAddress& address,
                                const std::string& rest) {
    return "portolan_forwarder_endpoint_" + metric +
           R"({service_namespace="default",service="backend",port="8080",protocol="tcp",endpoint=")" +
           address.ToString() + "\",pod=\"default/pod-" + rest;
  }

  std::shared_ptr<ServiceMetrics> metrics_ = std::make_shared<ServiceMetrics>();
};

TEST_F(ByName, AConnectionCountsForItsServiceAndItsEndpoint) {
  Endpoint endpoint;
  Start();
  Serve({endpoint.address()});
  Fd client = Call();
  Fd server = endpoint.Accept();
  ASSERT_TRUE(SendAll(client, "ping"));
  ASSERT_EQ(Receive(server, 4), "ping");
  ASSERT_TRUE(Eventually([&] { return counters_->bytes_up.value() == 4; }));
  OnLoop([] {});  // the turn that carried them is over
  const std::string open = Page();
  EXPECT_THAT(open, HasSubstr(Service("connections_total", ",outcome=\"forwarded\"} 1\n")));
  EXPECT_THAT(open, HasSubstr(Service("active_connections", "} 1\n")));
  EXPECT_THAT(open, HasSubstr(Service("connect_seconds_count", "} 1\n")));
  EXPECT_THAT(open, HasSubstr(Service("bytes_total", ",direction=\"up\"} 4\n"))) << "while open";
  EXPECT_THAT(open, HasSubstr(EndpointOf("connections_total", endpoint.address(), "1\"} 1\n")));
  EXPECT_THAT(open, HasSubstr(EndpointOf("active_connections", endpoint.address(), "1\"} 1\n")));

  ASSERT_TRUE(SendAll(server, "pong!"));
  ASSERT_EQ(Receive(client, 5), "pong!");
  client.Reset();
  server.Reset();
  ASSERT_TRUE(AllGone());
  const std::string ended = Page();
  EXPECT_THAT(ended, HasSubstr(Service("ended_total", ",how=\"closed\"} 1\n")));
  EXPECT_THAT(ended, HasSubstr(Service("active_connections", "} 0\n")));
  EXPECT_THAT(ended, HasSubstr(EndpointOf("bytes_total", endpoint.address(),
                                          "1\",direction=\"down\"} 5\n")));
}

TEST_F(ByName, FailuresCountForTheEndpointByReasonAndForTheServiceOnce) {
  Refusing dead;
  BlackHole silent;
  Start({.connect_timeout = absl::Milliseconds(50)});
  Serve({dead.address(), silent.address()});
  const Fd client = Call();
  EXPECT_EQ(ReceiveAll(client).error, ECONNRESET);
  ASSERT_TRUE(AllGone());
  const std::string page = Page();
  EXPECT_THAT(page, HasSubstr(EndpointOf("connect_failures_total", dead.address(),
                                         "1\",reason=\"connect_failed\"} 1\n")));
  EXPECT_THAT(page, HasSubstr(EndpointOf("connect_failures_total", silent.address(),
                                         "2\",reason=\"connect_timeout\"} 1\n")));
  EXPECT_THAT(page, HasSubstr(Service("connect_retries_total", "} 1\n")));
  EXPECT_THAT(page, HasSubstr(Service("active_connections", "} 0\n")));
}

TEST_F(ByName, AnEjectedEndpointIsShownUntilItIsBackOrForgotten) {
  Refusing dead;
  Endpoint alive;
  Start({.balancer = {.eject_after = 1, .eject_for = absl::Minutes(1)}});
  Serve({dead.address(), alive.address()});
  const std::string shown = EndpointOf("ejected", dead.address(), "1\"} 1\n");
  ASSERT_TRUE(Eventually([&] {
    Call();
    return Page().find(shown) != std::string::npos;
  }));
  Serve({alive.address()});
  EXPECT_TRUE(Eventually([&] { return Page().find(shown) == std::string::npos; }));
}

TEST_F(ByName, ARefusedConnectionCountsForItsService) {
  Start();
  Serve({});
  EXPECT_EQ(ReceiveAll(Call()).error, ECONNRESET);
  EXPECT_EQ(ReceiveAll(Redirected(At("10.43.0.123:81"))).error, ECONNRESET);
  EXPECT_EQ(ReceiveAll(Redirected(At("10.43.0.123:82"))).error, ECONNRESET);
  const std::string page = Page();
  EXPECT_THAT(page, HasSubstr(Service("connections_total", ",outcome=\"no_endpoints\"} 1\n")));
  EXPECT_THAT(page, HasSubstr("service=\"backend\",port=\"\",protocol=\"tcp\","
                              "outcome=\"no_port\"} 2\n"))
      << "whoever tries all ports makes one series";
}

TEST_F(ByName, WhatIsNobodysCountsAsUnknown) {
  Endpoint endpoint;
  Start();
  Fd client = Redirected(endpoint.address());
  Fd server = endpoint.Accept();
  client.Reset();
  server.Reset();
  ASSERT_TRUE(Eventually([&] { return counters_->closed.value() == 1; }));
  ASSERT_TRUE(AllGone());
  EXPECT_THAT(Page(), HasSubstr("{service_namespace=\"\",service=\"unknown\",port=\"\","
                                "protocol=\"tcp\",outcome=\"passed_through\"} 1\n"));
}

// An address that is no Service's own, as those of headless Services' endpoints.
class PassedByName : public ByName {
 protected:
  // What the directory holds of the address, from now on.
  void Hold(const AddressOwner& owner) {
    directory_.Put(owner);
    SetRoutes(builder_.Apply(directory_.Commit(), EndpointsHeld::kAll));
  }
  static AddressOwner Database(const SocketAddress& address) {
    const std::vector<EndpointPort> ports = {{"sql", Protocol::kTcp, address.port}};
    return {.ip = address.ip,
            .pod = {"data", "db-0"},
            .services = {{{"data", "db-headless"}, true, ports}, {{"data", "db"}, false, ports}}};
  }
  static std::string Headless(const std::string& metric, const SocketAddress& address,
                              const std::string& rest) {
    return "portolan_forwarder_service_" + metric +
           R"({service_namespace="data",service="db-headless",port=")" +
           std::to_string(address.port) + R"(",protocol="tcp")" + rest;
  }

  Directory directory_;
  RouteTableBuilder builder_;
};

TEST_F(PassedByName, IsNamedAfterThePodAndTheHeadlessService) {
  Endpoint endpoint;
  Start();
  Hold(Database(endpoint.address()));
  const Fd client = Redirected(endpoint.address());
  const Fd server = endpoint.Accept();
  ASSERT_TRUE(Eventually([&] { return counters_->passed_through.value() == 1; }));
  const auto listed = OnLoop([&] { return forwarder_->Connections(1); });
  EXPECT_EQ(listed[0].service, "data/db-headless");
  EXPECT_EQ(listed[0].pod, "data/db-0");
  const std::string page = Page();
  EXPECT_THAT(page, HasSubstr(Headless("connections_total", endpoint.address(),
                                       ",outcome=\"passed_through\"} 1\n")));
  EXPECT_THAT(
      page, HasSubstr("endpoint=\"" + endpoint.address().ToString() + "\",pod=\"data/db-0\"} 1\n"));
}

TEST_F(PassedByName, WhoHasTheAddressIsAskedForOnceAndDelaysNothing) {
  Endpoint endpoint;
  Guarded<std::vector<IpAddress>> wanted;
  Start({.want_address = [&](const IpAddress& ip) {
    wanted.With([&](auto& all) { all.push_back(ip); });
  }});
  const Fd one = Redirected(endpoint.address());
  const Fd two = Redirected(endpoint.address());
  const Fd server = endpoint.Accept();
  ASSERT_TRUE(SendAll(one, "ping"));
  ASSERT_EQ(Receive(server, 4), "ping") << "though nobody answered yet";
  EXPECT_EQ(wanted.With([](const auto& all) { return all; }),
            std::vector<IpAddress>{endpoint.address().ip});
  EXPECT_EQ(OnLoop([&] { return forwarder_->Connections(1); })[0].service, "");
  StopForwarder();
}

TEST_F(PassedByName, WhatIsLearntWhileItIsOpenCountsFromTheBeginning) {
  Endpoint endpoint;
  Start();
  const Fd client = Redirected(endpoint.address());
  const Fd server = endpoint.Accept();
  ASSERT_TRUE(SendAll(client, "ping"));
  ASSERT_EQ(Receive(server, 4), "ping");
  Hold(Database(endpoint.address()));
  EXPECT_EQ(OnLoop([&] { return forwarder_->Connections(1); })[0].pod, "data/db-0");
  ASSERT_TRUE(SendAll(client, "more"));
  ASSERT_EQ(Receive(server, 4), "more");
  OnLoop([] {});
  const std::string page = Page();
  for (const auto& [metric, rest] : std::vector<std::pair<std::string, std::string>>{
           {"connections_total", ",outcome=\"passed_through\"} 1\n"},
           {"active_connections", "} 1\n"},
           {"connect_seconds_count", "} 1\n"},
           {"bytes_total", ",direction=\"up\"} 8\n"}}) {
    EXPECT_THAT(page, HasSubstr(Headless(metric, endpoint.address(), rest)));
  }
  EXPECT_THAT(page, Not(HasSubstr("service=\"unknown\"")));
}

TEST_F(PassedByName, WhatIsLearntBeforeItEndsCountsAtTheEnd) {
  Endpoint endpoint;
  Start();
  Fd client = Redirected(endpoint.address());
  Fd server = endpoint.Accept();
  ASSERT_TRUE(Eventually([&] { return counters_->passed_through.value() == 1; }));
  Hold(Database(endpoint.address()));
  client.Reset();
  server.Reset();
  ASSERT_TRUE(AllGone());
  const std::string page = Page();
  EXPECT_THAT(page, HasSubstr(Headless("ended_total", endpoint.address(), ",how=\"closed\"} 1\n")));
  EXPECT_THAT(page, HasSubstr(Headless("active_connections", endpoint.address(), "} 0\n")));
}

TEST_F(PassedByName, WhatIsLearntSoonAfterTheEndCountsAsWell) {
  Endpoint endpoint;
  Start({.want_address = [](const IpAddress&) {}});
  Fd client = Redirected(endpoint.address());
  Fd server = endpoint.Accept();
  ASSERT_TRUE(SendAll(client, "ping"));
  client.Reset();
  ASSERT_EQ(ReceiveAll(server).bytes, "ping");
  server.Reset();
  ASSERT_TRUE(AllGone());
  EXPECT_THAT(Page(), Not(HasSubstr("service=")));
  Hold(Database(endpoint.address()));
  const std::string page = Page();
  EXPECT_THAT(page, HasSubstr(Headless("ended_total", endpoint.address(), ",how=\"closed\"} 1\n")));
  EXPECT_THAT(page, HasSubstr(Headless("active_connections", endpoint.address(), "} 0\n")));
  EXPECT_THAT(page,
              HasSubstr(Headless("bytes_total", endpoint.address(), ",direction=\"up\"} 4\n")));
}

TEST_F(PassedByName, WhatIsNotLearntInTimeIsUnknown) {
  Endpoint endpoint;
  Start({.want_address = [](const IpAddress&) {}});
  for (int i = 0; i < 300; ++i) {
    Fd client = Redirected(endpoint.address());
    client.Reset();
    endpoint.Accept();
  }
  ASSERT_TRUE(AllGone());
  EXPECT_THAT(Page(), HasSubstr("service=\"unknown\"")) << "no more wait than 256";
  EXPECT_TRUE(Eventually(
      [&] { return Page().find("outcome=\"passed_through\"} 300\n") != std::string::npos; }));
}

TEST_F(PassedByName, WhatGoesToNoServiceCountsForItsAddressWhileOpenAndAfter) {
  Endpoint endpoint;
  Start();
  const auto flow = [&] {
    return OnLoop(
        [&] { return forwarder_->TakePassedThrough().by_address[endpoint.address().ip]; });
  };
  Fd client = Redirected(endpoint.address());
  Fd server = endpoint.Accept();
  ASSERT_TRUE(SendAll(client, "ping"));
  ASSERT_EQ(Receive(server, 4), "ping");
  EXPECT_EQ(flow(), (FlowCounts{.connections = 1, .bytes_up = 4}));
  client.Reset();
  server.Reset();
  ASSERT_TRUE(AllGone());
  EXPECT_EQ(flow(), (FlowCounts{.connections = 1, .bytes_up = 4}));
}

TEST_F(PassedByName, WhatFailsCountsForItsAddress) {
  Refusing dead;
  Start();
  EXPECT_EQ(ReceiveAll(Redirected(dead.address())).error, ECONNRESET);
  ASSERT_TRUE(AllGone());
  const auto view = OnLoop([&] { return forwarder_->TakePassedThrough(); });
  EXPECT_EQ(view.by_address.at(dead.address().ip), (FlowCounts{.failures = 1}));
}

TEST_F(PassedByName, WhatGoesToAServiceDoesNotCountForItsAddress) {
  Endpoint endpoint;
  Start();
  Hold(Database(endpoint.address()));
  const Fd client = Redirected(endpoint.address());
  const Fd server = endpoint.Accept();
  ASSERT_TRUE(Eventually([&] { return counters_->passed_through.value() == 1; }));
  EXPECT_TRUE(OnLoop([&] { return forwarder_->TakePassedThrough(); }).by_address.empty());
}

TEST_F(PassedByName, APodOfNoServiceCountsAsUnknownWithItsName) {
  Endpoint endpoint;
  Start();
  AddressOwner owner = Database(endpoint.address());
  for (AddressService& service : owner.services) service.ports[0].port ^= 1;
  Hold(owner);
  const Fd client = Redirected(endpoint.address());
  const Fd server = endpoint.Accept();
  ASSERT_TRUE(Eventually([&] { return counters_->passed_through.value() == 1; }));
  EXPECT_THAT(Page(), HasSubstr("endpoint_connections_total{service_namespace=\"\",service="
                                "\"unknown\",port=\"\",protocol=\"tcp\",endpoint=\"" +
                                endpoint.address().ToString() + "\",pod=\"data/db-0\"} 1\n"));
}

TEST_F(PassedByName, APodThatRefusesCountsAsAFailureOfItsOwn) {
  Refusing dead;
  Start();
  Hold(Database(dead.address()));
  EXPECT_EQ(ReceiveAll(Redirected(dead.address())).error, ECONNRESET);
  ASSERT_TRUE(AllGone());
  const std::string page = Page();
  EXPECT_THAT(page, HasSubstr("pod=\"data/db-0\",reason=\"connect_failed\"} 1\n"));
  EXPECT_THAT(page, HasSubstr("endpoint_active_connections{service_namespace=\"data\""));
  EXPECT_THAT(page, HasSubstr("pod=\"data/db-0\"} 0\n"));
}

class AccessLogTest : public ByName {
 protected:
  void StartLogging(ForwarderOptions options = {}) {
    int ends[2];
    ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0);
    read_ = Fd(ends[0]);
    write_ = Fd(ends[1]);
    output_.emplace(write_.get());
    options.access_log = &*output_;
    Start(std::move(options));
  }
  ~AccessLogTest() override { StopForwarder(); }

  // The lines so far, once there are `count`.
  std::vector<json> Lines(size_t count) {
    std::vector<json> lines;
    while (lines.size() < count) {
      std::string line;
      for (char c = 0; read(read_.get(), &c, 1) == 1 && c != '\n';) line.push_back(c);
      lines.push_back(json::parse(line));
    }
    return lines;
  }

  Fd read_, write_;
  std::optional<LineOutput> output_;
};

TEST_F(AccessLogTest, HasALineForAConnectionThatEnded) {
  Refusing dead;
  Endpoint endpoint;
  StartLogging();
  SetRoutes(RoutesTo(At(kService), {endpoint.address()}, [](auto& s) { s.ports[0].name = ""; }));
  Fd client = Call();
  Fd server = endpoint.Accept();
  ASSERT_TRUE(SendAll(client, "ping"));
  ASSERT_EQ(Receive(server, 4), "ping");
  const std::string source =
      OnLoop([&] { return forwarder_->Connections(1)[0].client.ToString(); });
  client.Reset();
  server.Reset();
  const json line = Lines(1)[0];
  EXPECT_EQ(line["source"], source);
  EXPECT_EQ(line["protocol"], "tcp");
  EXPECT_EQ(line["direction"], "outbound");
  EXPECT_EQ(line["dialled"], kService);
  EXPECT_EQ(line["service"], "default/backend");
  EXPECT_EQ(line["endpoint"], endpoint.address().ToString());
  EXPECT_EQ(line["pod"], "default/pod-1");
  EXPECT_EQ(line["bytesUp"], 4);
  EXPECT_EQ(line["bytesDown"], 0);
  EXPECT_EQ(line["attempts"], 1);
  EXPECT_EQ(line["outcome"], "forwarded");
  EXPECT_EQ(line["ended"], "closed");
  EXPECT_LE(line["connectMs"], line["durationMs"]);
  EXPECT_THAT(line["time"].get<std::string>(), testing::MatchesRegex("20..-..-..T..:..:..\\....Z"));
  EXPECT_EQ(counters_->access_logged.value(), 1u);
}

TEST_F(AccessLogTest, HasALineForOneThatWasRefusedOrFailed) {
  Refusing dead;
  StartLogging();
  Serve({});
  Call();
  Redirected(std::nullopt);
  const auto refused = Lines(2);
  EXPECT_EQ(refused[0]["outcome"], "no_endpoints");
  EXPECT_EQ(refused[0]["service"], "default/backend");
  EXPECT_EQ(refused[0]["endpoint"], "");
  EXPECT_EQ(refused[0]["ended"], "");
  EXPECT_FALSE(refused[0].contains("connectMs"));
  EXPECT_EQ(refused[1]["outcome"], "no_destination");
  EXPECT_EQ(refused[1]["dialled"], "");
  Serve({dead.address()});
  Call();
  const json failed = Lines(1)[0];
  EXPECT_EQ(failed["outcome"], "connect_failed");
  EXPECT_EQ(failed["endpoint"], dead.address().ToString());
  EXPECT_EQ(failed["attempts"], 1);
}

TEST_F(AccessLogTest, ALineWithoutRoomIsCountedAndDropped) {
  StartLogging();
  ForwarderCounters counters;
  AccessLog log(*output_, counters);
  constexpr int kLines = 10'000;  // more than ring and pipe hold together; nobody reads
  for (int i = 0; i < kLines; ++i) log.Write({});
  EXPECT_GT(counters.access_dropped.value(), 0u);
  EXPECT_EQ(counters.access_logged.value() + counters.access_dropped.value(), kLines);
}

TEST_F(AccessLogTest, IsJsonWhateverNamesTheControlPlaneSends) {
  StartLogging();
  ForwarderCounters counters;
  AccessLog log(*output_, counters);
  const ObjectName name{"a\"b", "c\\d\xff\x1f"};
  AccessRecord record;
  record.service = &name;
  record.source = At("[fd00::1]:80");
  log.Write(record);
  const json line = Lines(1)[0];
  EXPECT_EQ(line["service"], "a\"b/c\\d\u00ff\u001f");
  EXPECT_EQ(line["source"], "[fd00::1]:80");
}

}  // namespace
}  // namespace portolan::proxy

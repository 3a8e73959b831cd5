// What is counted and logged of UDP by Service and endpoint.

#include <fcntl.h>
#include <gmock/gmock.h>
#include <unistd.h>

#include <optional>

#include <nlohmann/json.hpp>

#include "common/line_output.h"
#include "common/monotonic.h"
#include "tests/proxy/forwarder/udp_pod.h"

namespace portolan::proxy {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

class UdpByName : public UdpForwarding {
 protected:
  ~UdpByName() override { Stop(); }

  void StartLogging(UdpForwarderOptions options = {}) {
    int ends[2];
    ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0);
    read_ = Fd(ends[0]);
    write_ = Fd(ends[1]);
    output_.emplace(write_.get());
    log_.emplace(*output_, tcp_counters_);
    access_log_ = &*log_;
    Start(options);
  }

  json NextLine() {
    std::string line;
    for (char c = 0; read(read_.get(), &c, 1) == 1 && c != '\n';) line.push_back(c);
    return json::parse(line);
  }

  std::string Page() {
    MetricsPage page;
    page.AddSource([this](MetricFamilies& families) { metrics_->Collect(families, Monotonic()); });
    return OnLoop([&] { return page.Render(); });
  }

  Fd read_, write_;
  std::optional<LineOutput> output_;
  std::optional<AccessLog> log_;
};

TEST_P(UdpByName, AFlowCountsAsAConnectionOfItsServiceAndEndpoint) {
  Start();
  Serve({kEndpointPort});
  const Fd client = Client();
  ExpectExchange(client, Server(kEndpointPort), "four");
  const std::string page = Page();
  const std::string service =
      R"({service_namespace="default",service="echo",port="5000",protocol="udp")";
  EXPECT_THAT(page, HasSubstr("portolan_forwarder_service_connections_total" + service +
                              R"(,outcome="forwarded"} 1)"));
  EXPECT_THAT(page, HasSubstr("portolan_forwarder_service_bytes_total" + service +
                              R"(,direction="up"} 4)"));
  EXPECT_THAT(page, HasSubstr("portolan_forwarder_service_bytes_total" + service +
                              R"(,direction="down"} 14)"));
  EXPECT_THAT(page, HasSubstr("portolan_forwarder_service_active_connections" + service + "} 1"));
  EXPECT_THAT(page, HasSubstr(R"(pod="default/pod-6001"} 1)"));
}

TEST_P(UdpByName, RefusalsAndEndsCountForTheService) {
  Start({.max_flows = 1});
  Serve({kEndpointPort});
  const Fd client = Client();
  Send(client, service_, "lost");
  ASSERT_TRUE(Reaches(counters_->refused, 1));
  const Fd server = Server(kEndpointPort);
  ExpectExchange(client, server);
  ExpectExchange(Client(), server);
  Send(client, {at_.service, kPort + 1}, "x");
  ASSERT_TRUE(Reaches(counters_->no_port, 1));
  const std::string page = Page();
  EXPECT_THAT(page, HasSubstr(R"(how="reset_by_endpoint"} 1)"));
  EXPECT_THAT(page, HasSubstr(R"(how="closed"} 1)")) << "evicted";
  EXPECT_THAT(page, HasSubstr(R"(reason="connect_failed"} 1)"));
  EXPECT_THAT(page, HasSubstr(R"(port="",protocol="udp",outcome="no_port"} 1)"));
}

TEST_P(UdpByName, WhatIsNoServicesIsCountedAsUnknown) {
  Start();
  Serve({kEndpointPort});
  const SocketAddress other{at_.other_pod, kPort + 100};
  const Fd server = World(other);
  Send(Client(), other, "through");
  ASSERT_EQ(Receive(server).data, "through");
  EXPECT_THAT(Page(), HasSubstr(R"(service="unknown",port="",protocol="udp",)"
                                R"(outcome="passed_through"} 1)"));
  const auto view = OnLoop([&] {
    PassedThrough::View all = passed_through_.TakeView();
    forwarder_->AddPassedThrough(all);
    return all;
  });
  EXPECT_EQ(view.by_address.at(at_.other_pod), (FlowCounts{.bytes_up = 7, .udp_flows = 1}));
}

TEST_P(UdpByName, AFlowIsLoggedWhenItHasEnded) {
  StartLogging({.timeout = absl::Milliseconds(1), .stream_timeout = absl::Milliseconds(1)});
  Serve({kEndpointPort});
  const Fd client = Client();
  ExpectExchange(client, Server(kEndpointPort), "four");
  const json line = NextLine();
  EXPECT_EQ(line["protocol"], "udp");
  EXPECT_EQ(line["source"], (SocketAddress{at_.pod, PortOf(client)}).ToString());
  EXPECT_EQ(line["dialled"], service_.ToString());
  EXPECT_EQ(line["service"], "default/echo");
  EXPECT_EQ(line["endpoint"], (SocketAddress{at_.other_pod, kEndpointPort}).ToString());
  EXPECT_EQ(line["pod"], "default/pod-6001");
  EXPECT_EQ(line["bytesUp"], 4);
  EXPECT_EQ(line["bytesDown"], 14);
  EXPECT_EQ(line["outcome"], "forwarded");
  EXPECT_EQ(line["ended"], "idle");
}

TEST_P(UdpByName, WhatIsRejectedIsLogged) {
  StartLogging();
  Serve({});
  Send(Client(), service_, "x");
  const json line = NextLine();
  EXPECT_EQ(line["protocol"], "udp");
  EXPECT_EQ(line["service"], "default/echo");
  EXPECT_EQ(line["outcome"], "no_endpoints");
  EXPECT_EQ(line["ended"], "");
}

INSTANTIATE_TEST_SUITE_P(Families, UdpByName, testing::Values(IpFamily::kIpv4, IpFamily::kIpv6),
                         [](const auto& param) { return std::string(Name(param.param)); });

}  // namespace
}  // namespace portolan::proxy

#include "proxy/settings.h"

#include <gtest/gtest.h>

#include "common/flags.h"

namespace portolan::proxy {
namespace {

std::optional<int> Parse(std::vector<const char*> arguments, Settings& out) {
  arguments.insert(arguments.begin(), "portolan-proxy");
  return ParseSettings(static_cast<int>(arguments.size()), arguments.data(), out);
}

TEST(Settings, ListenersStandOnLoopbackUnlessAskedOtherwise) {
  Settings settings;
  EXPECT_EQ(Parse({"--node", "default/a", "--state-dir", "/state"}, settings), std::nullopt);
  for (const SocketAddress& address : settings.dns_listen) EXPECT_TRUE(address.ip.is_loopback());
  for (const SocketAddress& address : settings.forward_listen) {
    EXPECT_TRUE(address.ip.is_loopback());
  }
  for (const SocketAddress& address : settings.inbound_listen) {
    EXPECT_TRUE(address.ip.is_loopback());
  }
  EXPECT_TRUE(settings.admin_listen.ip.is_loopback());
}

TEST(Settings, AnAddressGivenReplacesTheDefault) {
  Settings settings;
  EXPECT_EQ(Parse({"--node", "default/a", "--state-dir", "/state", "--dns-listen", "10.0.0.1:53",
                   "--concurrency", "4"},
                  settings),
            std::nullopt);
  ASSERT_EQ(settings.dns_listen.size(), 1u);
  EXPECT_EQ(settings.dns_listen[0].ToString(), "10.0.0.1:53");
  EXPECT_EQ(settings.concurrency, 4);
}

TEST(Settings, WhatComesToThePodIsCarriedWhereAsked) {
  Settings settings;
  EXPECT_EQ(Parse({"--node", "default/a", "--state-dir", "/s"}, settings), std::nullopt);
  EXPECT_FALSE(settings.carries_inbound());
  EXPECT_EQ(Parse({"--node", "default/a", "--state-dir", "/s", "--inbound", "tproxy"}, settings),
            std::nullopt);
  EXPECT_TRUE(settings.carries_inbound());
  EXPECT_EQ(Parse({"--node", "default/a", "--state-dir", "/s", "--inbound", "redirect"}, settings),
            kExitUsage);
}

// status.podIPs and a label that may be absent, as the downward API gives them.
TEST(Settings, TheDownwardApisValuesAreTakenAsTheyAre) {
  Settings settings;
  EXPECT_EQ(Parse({"--zone=", "--pod-ip=10.42.0.7,fd00::7", "--node-name=", "--node", "default/a",
                   "--cluster-dns", "10.42.0.3:53,[fd00::3]:53", "--state-dir", "/s",
                   "--service-cidr=10.43.0.0/16", "--service-cidr=fd00:43::/112"},
                  settings),
            std::nullopt);
  EXPECT_EQ(settings.zone, "");
  EXPECT_EQ(settings.node_name, "");
  EXPECT_EQ(settings.node, "default/a");
  EXPECT_EQ(settings.cluster_dns.size(), 2u);
  ASSERT_EQ(settings.service_cidrs.size(), 2u);
  EXPECT_EQ(settings.service_cidrs[1].ToString(), "fd00:43::/112");
  ASSERT_EQ(settings.pod_ips.size(), 2u);
  EXPECT_EQ(settings.pod_ips[1].ToString(), "fd00::7");
  Settings repeated;
  EXPECT_EQ(Parse({"--node", "default/a", "--state-dir", "/s", "--pod-ip", "10.42.0.7", "--pod-ip",
                   "fd00::7", "--zone", ""},
                  repeated),
            std::nullopt);
  EXPECT_EQ(repeated.pod_ips, settings.pod_ips);
}

TEST(Settings, PortsOfTheApplicationAreAList) {
  Settings settings;
  EXPECT_EQ(Parse({"--node", "default/a", "--state-dir", "/s", "--app-ports", "8080", "9153",
                   "--endpoints", "eager", "--app-ports", "53,80"},
                  settings),
            std::nullopt);
  EXPECT_EQ(settings.app_ports, (std::vector<uint16_t>{8080, 9153, 53, 80}));
}

TEST(Settings, ConnectionsAreLoggedOnRequestAndNamesInMetricsBounded) {
  Settings settings;
  EXPECT_EQ(settings.access_log, "");
  EXPECT_EQ(Parse({"--node", "default/a", "--state-dir", "/s", "--access-log", "-",
                   "--metric-services", "10", "--metric-endpoints", "0"},
                  settings),
            std::nullopt);
  EXPECT_EQ(settings.access_log, "-");
  EXPECT_EQ(settings.metric_services, 10u);
  EXPECT_EQ(settings.metric_endpoints, 0u);
}

TEST(Settings, PoliciesAreEnforcedAsFarAsTheyAreKnownUnlessAskedOtherwise) {
  Settings settings;
  EXPECT_EQ(settings.on_no_policy, "open");
  EXPECT_EQ(settings.captured, "cluster");
  EXPECT_EQ(
      Parse({"--node", "default/a", "--state-dir", "/s", "--captured", "all", "--on-no-policy",
             "closed", "--denied-names", "nxdomain", "--learned-grace", "90s",
             "--end-denied-connections", "--check-server-name", "--policy-log-sample", "100"},
            settings),
      std::nullopt);
  EXPECT_EQ(settings.captured, "all");
  EXPECT_EQ(settings.on_no_policy, "closed");
  EXPECT_EQ(settings.denied_names, "nxdomain");
  EXPECT_EQ(settings.learned_grace, absl::Seconds(90));
  EXPECT_TRUE(settings.end_denied_connections);
  EXPECT_TRUE(settings.check_server_name);
  EXPECT_EQ(settings.policy_log_sample, 100u);
  EXPECT_EQ(Parse({"--node", "default/a", "--state-dir", "/s", "--on-no-policy", "ajar"}, settings),
            kExitUsage);
  EXPECT_EQ(Parse({"--node", "default/a", "--state-dir", "/s", "--end-denied-connections=false"},
                  settings),
            std::nullopt);
  EXPECT_FALSE(settings.end_denied_connections);
}

TEST(Settings, ReportsAndTheNamesInThemAreThereUnlessRefused) {
  Settings settings;
  EXPECT_TRUE(settings.reports);
  EXPECT_TRUE(settings.report_names);
  EXPECT_EQ(
      Parse({"--node", "default/a", "--state-dir", "/s", "--report-names=false", "--reports=false"},
            settings),
      std::nullopt);
  EXPECT_FALSE(settings.reports);
  EXPECT_FALSE(settings.report_names);
}

TEST(Settings, TheControlPlaneIsReachedOverTlsOrOnRequestInPlaintext) {
  Settings settings;
  EXPECT_EQ(Parse({"--node", "default/a", "--control", "10.0.0.1:15012", "--control-ca", "/ca",
                   "--control-server-name", "control"},
                  settings),
            std::nullopt);
  EXPECT_EQ(settings.control_ca, "/ca");
  EXPECT_EQ(settings.control_server_name, "control");
  Settings plaintext;
  EXPECT_EQ(Parse({"--node", "default/a", "--control", "10.0.0.1:15010", "--control-insecure"},
                  plaintext),
            std::nullopt);
  EXPECT_TRUE(plaintext.control_ca.empty());
}

TEST(Settings, EndpointsAreHadOnDemandUnlessAllAreAskedFor) {
  Settings settings;
  EXPECT_EQ(Parse({"--node", "default/a", "--state-dir", "/s"}, settings), std::nullopt);
  EXPECT_FALSE(settings.eager_endpoints());
  EXPECT_EQ(settings.endpoints_idle, absl::Minutes(30));
  EXPECT_EQ(Parse({"--node", "default/a", "--state-dir", "/s", "--endpoints", "eager",
                   "--endpoints-idle", "1h"},
                  settings),
            std::nullopt);
  EXPECT_TRUE(settings.eager_endpoints());
  EXPECT_EQ(settings.endpoints_idle, absl::Hours(1));
}

TEST(Settings, UdpIsOffUnlessAskedFor) {
  Settings settings;
  EXPECT_EQ(Parse({"--node", "default/a", "--state-dir", "/s"}, settings), std::nullopt);
  EXPECT_EQ(settings.udp, "off");
  EXPECT_EQ(Parse({"--node", "default/a", "--state-dir", "/s", "--udp", "tproxy", "--udp-flows",
                   "100", "--udp-timeout", "5s", "--udp-stream-timeout", "1m"},
                  settings),
            std::nullopt);
  EXPECT_EQ(settings.udp, "tproxy");
  EXPECT_EQ(settings.udp_flows, 100u);
  EXPECT_EQ(settings.udp_timeout, absl::Seconds(5));
  EXPECT_EQ(settings.udp_stream_timeout, absl::Minutes(1));
  for (const auto& [flag, value] :
       {std::pair("--udp", "redirect"), {"--udp-flows", "0"}, {"--udp-timeout", "soon"}}) {
    Settings wrong;
    EXPECT_EQ(Parse({"--node", "default/a", "--state-dir", "/s", flag, value}, wrong), kExitUsage)
        << flag;
  }
}

TEST(Settings, WhatCannotWorkIsWrongUsage) {
  const std::vector<std::vector<const char*>> wrong = {
      {},                                                      // no --node
      {"--node", "default/a"},                                 // nothing to learn from
      {"--node", "frontend", "--state-dir", "/state"},         // not NAMESPACE/POD
      {"--node", "default/a", "--control", "10.0.0.1:15010"},  // known by nothing, nor plaintext
      {"--node", "default/a", "--control", "a:1", "--control-insecure", "--control-ca", "/ca"},
      {"--node", "default/a", "--control", "a:1", "--control-insecure", "--control-server-name",
       "a"},
      {"--node", "default/a", "--control", "a:1", "--control-insecure", "--control-token", "/t"},
      {"--node", "default/a", "--state-dir", "/s", "--concurrency", "0"},
      {"--node", "default/a", "--state-dir", "/s", "--log-level", "loud"},
      {"--node", "default/a", "--state-dir", "/s", "--log-format", "xml"},
      {"--node", "default/a", "--state-dir", "/s", "--endpoints-idle", "0s"},
      {"--node", "default/a", "--state-dir", "/s", "--endpoints", "lazy"},
      {"--node", "default/a", "--state-dir", "/s", "--app-ports", "0"},
      {"--node", "default/a", "--state-dir", "/s", "--proxy-config="},
      {"--node", "default/a", "--state-dir", "/s", "--pod-ip", "10.42.0.7,pod"},
  };
  for (const auto& arguments : wrong) {
    Settings settings;
    EXPECT_EQ(Parse(arguments, settings), kExitUsage) << testing::PrintToString(arguments.size());
  }
}

}  // namespace
}  // namespace portolan::proxy

// The metrics of CoreDNS that its dashboards show: same name, same labels.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <set>
#include <string>
#include <vector>

#include "tests/dns/plugins/corefile_server.h"

namespace portolan::dns {
namespace {

using test::CorefileServer;
using ::testing::ElementsAre;
using wire::type::kA;

std::map<std::string, std::set<std::string>> LabelsByName(const MetricFamilies& families) {
  std::map<std::string, std::set<std::string>> out;
  for (const auto& family : families) {
    for (const auto& sample : family.metric) {
      std::set<std::string>& labels = out[family.name];
      for (const auto& label : sample.label) labels.insert(label.name);
    }
  }
  return out;
}

// Every directive here that has metrics, and a question for each of them.
constexpr char kCorefile[] = R"(.:53 {
    errors
    log
    local
    acl blocked.example {
        block
    }
    acl filtered.example {
        filter
    }
    acl dropped.example {
        drop
    }
    template IN A template.example {
        match ^(?P<a>[^.]*)
        answer "{{ .Name }} 60 IN A {{ .Group.a }}"
    }
    autopath @kubernetes
    dns64 {
        allow_ipv4
    }
    cache
    prometheus
    hosts {
        10.0.0.1 hosts.example
        fallthrough
    }
    forward . UPSTREAM
}
)";

TEST(CoreDnsMetrics, HaveItsNamesAndLabels) {
  CorefileServer server(kCorefile);
  for (const char* name : {"a.example", "blocked.example", "filtered.example", "dropped.example",
                           "x.template.example", "hosts.example"}) {
    server.Ask(name, kA);
  }
  const std::vector<std::pair<std::string, std::set<std::string>>> kCoreDns = {
      // plugin/metrics
      {"coredns_dns_requests_total", {"server", "zone", "view", "proto", "family", "type"}},
      {"coredns_dns_request_duration_seconds", {"server", "zone", "view"}},
      {"coredns_dns_request_size_bytes", {"server", "zone", "view", "proto"}},
      {"coredns_dns_do_requests_total", {"server", "zone", "view"}},
      {"coredns_dns_response_size_bytes", {"server", "zone", "view", "proto"}},
      {"coredns_plugin_enabled", {"server", "zone", "view", "name"}},
      // plugin/acl
      {"coredns_acl_allowed_requests_total", {"server", "view"}},
      {"coredns_acl_blocked_requests_total", {"server", "zone", "view"}},
      {"coredns_acl_filtered_requests_total", {"server", "zone", "view"}},
      {"coredns_acl_dropped_requests_total", {"server", "zone", "view"}},
      // plugin/autopath, plugin/dns64, plugin/hosts, plugin/local
      {"coredns_autopath_success_total", {"server"}},
      {"coredns_dns64_requests_translated_total", {"server"}},
      {"coredns_hosts_entries", {}},
      {"coredns_hosts_reload_timestamp_seconds", {}},
      {"coredns_local_localhost_requests_total", {}},
      // plugin/cache
      {"coredns_cache_entries", {"server", "type", "zones", "view"}},
      {"coredns_cache_hits_total", {"server", "type", "zones", "view"}},
      {"coredns_cache_evictions_total", {"server", "type", "zones", "view"}},
      {"coredns_cache_requests_total", {"server", "zones", "view"}},
      {"coredns_cache_misses_total", {"server", "zones", "view"}},
      {"coredns_cache_prefetch_total", {"server", "zones", "view"}},
      {"coredns_cache_drops_total", {"server", "zones", "view"}},
      {"coredns_cache_served_stale_total", {"server", "zones", "view"}},
      // plugin/forward and plugin/pkg/proxy
      {"coredns_forward_healthcheck_broken_total", {}},
      {"coredns_forward_max_concurrent_rejects_total", {}},
      {"coredns_proxy_request_duration_seconds", {"proxy_name", "to", "rcode"}},
      {"coredns_proxy_healthcheck_failures_total", {"proxy_name", "to"}},
      {"coredns_proxy_conn_cache_misses_total", {"proxy_name", "to", "proto"}},
      // and their names before 1.11
      {"coredns_forward_requests_total", {"to"}},
      {"coredns_forward_responses_total", {"to", "rcode"}},
      {"coredns_forward_request_duration_seconds", {"to", "rcode"}},
      {"coredns_forward_healthcheck_failures_total", {"to"}},
      // plugin/template
      {"coredns_template_matches_total", {"server", "zone", "view", "class", "type"}},
      {"coredns_template_template_failures_total",
       {"server", "zone", "view", "class", "type", "section", "template"}},
      {"coredns_template_rr_failures_total",
       {"server", "zone", "view", "class", "type", "section", "template"}},
  };
  const auto ours = LabelsByName(server.Metrics());
  for (const auto& [name, labels] : kCoreDns) {
    const auto found = ours.find(name);
    ASSERT_NE(found, ours.end()) << name;
    EXPECT_EQ(found->second, labels) << name;
  }
}

TEST(CoreDnsMetrics, CountWhatTheyNameByZone) {
  CorefileServer server(kCorefile);
  server.Ask("a.blocked.example", kA);
  server.Ask("x.template.example", kA);
  EXPECT_EQ(server.Metric("coredns_acl_blocked_requests_total"), 1);
  EXPECT_EQ(server.Metric("coredns_template_matches_total"), 1);
  EXPECT_EQ(server.Metric("coredns_template_rr_failures_total"), 1) << "x is no address";
  EXPECT_EQ(server.Metric("coredns_template_template_failures_total"), 0);
}

TEST(CoreDnsMetrics, TheLinksOfEachZoneAreShownOnceHoweverManyWorkersHaveThem) {
  CorefileServer one(".:53 a.example:5353 {\n hosts {\n 10.0.0.1 b.example\n }\n whoami\n}\n");
  MetricFamilies families = one.Metrics();
  one.CollectChains(families);  // as of another worker
  std::vector<std::string> enabled;
  for (const auto& family : families) {
    if (family.name == "coredns_hosts_entries") {
      EXPECT_EQ(family.metric.at(0).gauge.value, 1);
    }
    if (family.name != "coredns_plugin_enabled") continue;
    for (const auto& sample : family.metric) {
      EXPECT_EQ(sample.gauge.value, 1);
      enabled.push_back(sample.label[0].value + " " + sample.label[1].value + " " +
                        sample.label[3].value);
    }
  }
  EXPECT_THAT(enabled, ElementsAre("dns://:53 . hosts", "dns://:53 . whoami", "dns://:53 . forward",
                                   "dns://:5353 a.example. hosts", "dns://:5353 a.example. whoami",
                                   "dns://:5353 a.example. forward"));
}

}  // namespace
}  // namespace portolan::dns

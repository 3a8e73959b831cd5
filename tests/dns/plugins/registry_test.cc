#include "dns/plugins/registry.h"

#include <gtest/gtest.h>

#include <set>

namespace portolan::dns {
namespace {

TEST(Directives, EachStandsOnceAndSaysWhatItsAbsenceMeans) {
  std::set<std::string_view> names;
  for (const DirectiveInfo& info : AllDirectives()) {
    EXPECT_TRUE(names.insert(info.name).second) << info.name;
    EXPECT_EQ(info.state == DirectiveState::kActive, info.consequence.empty()) << info.name;
  }
}

// plugin.cfg: what stands above sees the query first.
TEST(Directives, StandInCoreDnssOrder) {
  const std::string_view order[] = {
      "root",    "metadata",  "geoip",      "cancel",   "tls",          "quic",       "timeouts",
      "reload",  "nsid",      "bufsize",    "bind",     "debug",        "trace",      "ready",
      "health",  "pprof",     "prometheus", "errors",   "log",          "dnstap",     "local",
      "dns64",   "acl",       "any",        "chaos",    "loadbalance",  "tsig",       "cache",
      "rewrite", "header",    "dnssec",     "autopath", "minimal",      "template",   "transfer",
      "hosts",   "route53",   "azure",      "clouddns", "k8s_external", "kubernetes", "file",
      "auto",    "secondary", "etcd",       "loop",     "forward",      "grpc",       "erratic",
      "whoami",  "on",        "sign",       "view",     "nomad"};
  for (size_t i = 1; i < std::size(order); ++i) {
    ASSERT_NE(FindDirective(order[i]), nullptr) << order[i];
    EXPECT_LT(ChainPlace(order[i - 1]), ChainPlace(order[i])) << order[i];
  }
}

TEST(Directives, ThoseThatChangeAnswersAreForwarded) {
  for (std::string_view name : {"file", "auto", "secondary", "etcd", "k8s_external", "view"}) {
    EXPECT_EQ(FindDirective(name)->state, DirectiveState::kForwarded) << name;
  }
}

TEST(Directives, AnUnknownOneIsAnsweredWithTheNearest) {
  EXPECT_EQ(FindDirective("proxy"), nullptr);
  EXPECT_EQ(UnknownDirective("kubernets"),
            "unknown directive 'kubernets', did you mean 'kubernetes'?");
  EXPECT_EQ(UnknownDirective("prometeus"),
            "unknown directive 'prometeus', did you mean 'prometheus'?");
}

}  // namespace
}  // namespace portolan::dns

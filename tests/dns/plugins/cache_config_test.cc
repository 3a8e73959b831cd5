#include "dns/plugins/cache_config.h"

#include <gtest/gtest.h>

#include "common/status.h"
#include "dns/corefile/parser.h"

namespace portolan::dns {
namespace {

absl::StatusOr<CacheConfig> Parse(const std::string& directive) {
  auto corefile = corefile::ParseCorefile(". {\n" + directive + "\n}\n", "Corefile", {});
  if (!corefile.ok()) return corefile.status();
  return ParseCache(corefile->blocks[0].directives[0], {*wire::Zone::Parse("block.example")});
}

CacheConfig Good(const std::string& directive) {
  auto config = Parse(directive);
  EXPECT_TRUE(config.ok()) << config.status();
  return config.ok() ? *config : CacheConfig();
}

std::string Error(const std::string& directive) {
  auto config = Parse(directive);
  return config.ok() ? "no error" : std::string(Message(config.status()));
}

TEST(CacheConfig, HasCoreDnssDefaults) {
  const CacheConfig config = Good("cache");
  ASSERT_EQ(config.zones.size(), 1u);
  EXPECT_EQ(config.zones[0].text, "block.example.");
  EXPECT_EQ(config.kinds[0].capacity, 9984u);
  EXPECT_EQ(config.kinds[0].max_ttl, 3600u);
  EXPECT_EQ(config.kinds[0].min_ttl, 5u);
  EXPECT_EQ(config.kinds[1].capacity, 9984u);
  EXPECT_EQ(config.kinds[1].max_ttl, 1800u);
  EXPECT_EQ(config.kinds[1].min_ttl, 5u);
  EXPECT_EQ(config.prefetch_amount, 0u);
  EXPECT_EQ(config.stale, absl::ZeroDuration());
  EXPECT_EQ(config.servfail_ttl, 5u);
  EXPECT_FALSE(config.keep_ttl);
}

TEST(CacheConfig, ReadsEveryOption) {
  const CacheConfig config = Good(R"(cache 30 a.example b.example {
    success 5000 60 1
    denial 2500 20 0
    prefetch 10 5m 20%
    serve_stale 2h verify 300ms
    servfail 1m
    disable success c.example
    disable denial
    keepttl
  })");
  ASSERT_EQ(config.zones.size(), 2u);
  EXPECT_EQ(config.zones[1].text, "b.example.");
  EXPECT_EQ(config.kinds[0].capacity, 4864u) << "a multiple of 256";
  EXPECT_EQ(config.kinds[0].max_ttl, 60u);
  EXPECT_EQ(config.kinds[0].min_ttl, 1u);
  EXPECT_EQ(config.kinds[1].max_ttl, 20u);
  EXPECT_EQ(config.kinds[1].min_ttl, 0u);
  EXPECT_EQ(config.prefetch_amount, 10u);
  EXPECT_EQ(config.prefetch_pause, absl::Minutes(5));
  EXPECT_EQ(config.prefetch_percentage, 20u);
  EXPECT_EQ(config.stale, absl::Hours(2));
  EXPECT_EQ(config.refresh, CacheConfig::Refresh::kVerify);
  EXPECT_EQ(config.verify_timeout, absl::Milliseconds(300));
  EXPECT_EQ(config.servfail_ttl, 60u);
  EXPECT_EQ(config.kinds[0].disabled[0].text, "c.example.");
  EXPECT_EQ(config.kinds[1].disabled[0].text, ".");
  EXPECT_TRUE(config.keep_ttl);
}

TEST(CacheConfig, ANumberInFrontIsTheLongestTtlOfBothKinds) {
  const CacheConfig config = Good("cache 30");
  EXPECT_EQ(config.kinds[0].max_ttl, 30u);
  EXPECT_EQ(config.kinds[1].max_ttl, 30u);
  EXPECT_EQ(config.zones[0].text, "block.example.");
}

TEST(CacheConfig, ServeStaleAloneIsAnHourAndImmediate) {
  const CacheConfig config = Good("cache {\nserve_stale\n}");
  EXPECT_EQ(config.stale, absl::Hours(1));
  EXPECT_EQ(config.refresh, CacheConfig::Refresh::kImmediate);
}

TEST(CacheConfig, CapacityIsAtLeast1024) {
  EXPECT_EQ(Good("cache {\nsuccess 1\n}").kinds[0].capacity, 1024u);
}

TEST(CacheConfig, ErrorsNamePlaceWordAndTheNearestOneKnown) {
  EXPECT_EQ(Error("cache 0"), "Corefile:2:7: '0': a TTL of 0 would cache nothing");
  EXPECT_EQ(Error("cache -5"), "Corefile:2:7: '-5' is not a number from 0 to 2147483647");
  EXPECT_EQ(Error("cache {\nsucess 10\n}"),
            "Corefile:3:1: unknown option 'sucess' of cache, did you mean 'success'?");
  EXPECT_EQ(Error("cache {\nsuccess\n}"), "Corefile:3:1: success needs at least 1 argument");
  EXPECT_EQ(Error("cache {\nsuccess many\n}"),
            "Corefile:3:9: 'many' is not a number from 0 to 1000000");
  EXPECT_EQ(Error("cache {\nprefetch 1 1m 10\n}"),
            "Corefile:3:15: '10' is not a percentage such as 10%");
  EXPECT_EQ(Error("cache {\nprefetch 1 1m 95%\n}"), "Corefile:3:15: '95%' is not from 10% to 90%");
  EXPECT_EQ(Error("cache {\nserve_stale 1h verfy\n}"),
            "Corefile:3:16: unknown refresh mode 'verfy' of serve_stale: immediate or verify, did "
            "you mean 'verify'?");
  EXPECT_EQ(Error("cache {\nserve_stale 1h immediate 1s\n}"),
            "Corefile:3:26: '1s': only verify has a time limit");
  EXPECT_EQ(Error("cache {\nservfail 10m\n}"),
            "Corefile:3:10: '10m': SERVFAIL is cached for at most 5m");
  EXPECT_EQ(Error("cache {\ndisable denail\n}"),
            "Corefile:3:9: 'denail': disable takes success or denial, did you mean 'denial'?");
  EXPECT_EQ(Error("cache {\nkeepttl yes\n}"), "Corefile:3:9: 'yes': keepttl takes no arguments");
}

}  // namespace
}  // namespace portolan::dns

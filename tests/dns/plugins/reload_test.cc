#include "dns/plugins/reload.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/status.h"
#include "dns/corefile/parser.h"

namespace portolan::dns {
namespace {

using ::testing::HasSubstr;

absl::StatusOr<ReloadSettings> Parse(const std::string& line) {
  const auto corefile = corefile::ParseCorefile(". {\n" + line + "\n}", "Corefile", {});
  EXPECT_TRUE(corefile.ok()) << corefile.status();
  return ParseReload(corefile->blocks[0].directives[0]);
}

TEST(Reload, IntervalAndJitterHaveCoreDnsDefaults) {
  EXPECT_EQ(Parse("reload")->interval, absl::Seconds(30));
  EXPECT_EQ(Parse("reload")->jitter, absl::Seconds(15));
  EXPECT_EQ(Parse("reload 1m 2s")->interval, absl::Minutes(1));
  EXPECT_EQ(Parse("reload 1m 2s")->jitter, absl::Seconds(2));
}

TEST(Reload, JitterIsAtMostHalfOfTheInterval) {
  EXPECT_EQ(Parse("reload 10s")->jitter, absl::Seconds(5));
  EXPECT_EQ(Parse("reload 2s 5s")->jitter, absl::Seconds(1));
}

TEST(Reload, WhatIsTooShortOrTooMuchIsAnErrorWithItsPlace) {
  const auto error = [](const std::string& line) {
    return std::string(Message(Parse(line).status()));
  };
  EXPECT_THAT(error("reload 1s"), HasSubstr("Corefile:2:8: at least 2s"));
  EXPECT_THAT(error("reload 10s 10ms"), HasSubstr("Corefile:2:12: at least 1s"));
  EXPECT_THAT(error("reload off"), HasSubstr("Corefile:2:8"));
  EXPECT_THAT(error("reload 2s 1s 1s"), HasSubstr("Corefile:2:"));
}

}  // namespace
}  // namespace portolan::dns

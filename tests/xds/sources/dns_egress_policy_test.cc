#include "xds/sources/dns_egress_policy.h"

#include <gtest/gtest.h>

#include <string>

namespace portolan::xds {
namespace {

TEST(NamePatterns, AreNamesAndNamesBehindAnAsterisk) {
  EXPECT_EQ(ParseNamePattern("API.Example.com."), (NamePattern{"api.example.com", false}));
  EXPECT_EQ(ParseNamePattern("*.example.com"), (NamePattern{"example.com", true}));
  EXPECT_EQ(ParseNamePattern("_sip._udp.example.com"),
            (NamePattern{"_sip._udp.example.com", false}));
  for (const char* bad : {"", ".", "*", "*.", "a..b", "*.*.example.com", "a.*.com", "*example.com",
                          "a b.com", "a/b", "ex\xc3\xa4mple.com"}) {
    EXPECT_EQ(ParseNamePattern(bad), std::nullopt) << bad;
  }
  EXPECT_EQ(ParseNamePattern(std::string(64, 'a') + ".com"), std::nullopt);
  std::string long_name = "a";
  while (long_name.size() < 254) long_name += ".a";
  EXPECT_EQ(ParseNamePattern(long_name), std::nullopt);
}

}  // namespace
}  // namespace portolan::xds

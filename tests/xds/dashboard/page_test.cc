#include "xds/dashboard/page.h"

#include <gtest/gtest.h>

#include <string>

namespace portolan::xds {
namespace {

std::string Nested(size_t levels) { return std::string(levels, '[') + std::string(levels, ']'); }

TEST(UntrustedJson, IsRefusedBeyondSoManyLevels) {
  EXPECT_FALSE(ParseUntrusted(Nested(kMostUntrustedLevels)).is_discarded());
  EXPECT_TRUE(ParseUntrusted(Nested(kMostUntrustedLevels + 1)).is_discarded());
  EXPECT_TRUE(ParseUntrusted(Nested(500'000)).is_discarded());
  // Side by side is not one in another.
  std::string flat = "[";
  for (int i = 0; i < 1000; ++i) flat += "{\"a\": []}, ";
  EXPECT_EQ(ParseUntrusted(flat + "{}]").size(), 1001u);
}

TEST(UntrustedJson, BracketsInStringsAreNoLevels) {
  const std::string brackets(500, '[');
  EXPECT_EQ(ParseUntrusted("[\"" + brackets + "\"]")[0], brackets);
  EXPECT_EQ(ParseUntrusted(R"(["\"[[", "\\"])")[0], "\"[[");
  EXPECT_TRUE(ParseUntrusted(R"(["\\",)" + Nested(100) + "]").is_discarded());
}

TEST(UntrustedJson, WhatIsNoJsonIsRefused) {
  for (const char* text : {"", "<script>", "[}", "]]]]", "\"", "\"\\"}) {
    EXPECT_TRUE(ParseUntrusted(text).is_discarded()) << text;
  }
}

}  // namespace
}  // namespace portolan::xds

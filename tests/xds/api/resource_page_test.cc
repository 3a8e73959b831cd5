#include "xds/api/resource_page.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <set>

#include "xds/api/sidecar_limits.h"

namespace portolan::api {
namespace {

TEST(ResourcePage, PagesHoldEachNameOnceInOrder) {
  constexpr size_t kNames = 2 * ResourcePage::kMost + 7;
  std::set<std::string> seen;
  std::string token;
  size_t pages = 0;
  do {
    ResourcePage page(token);
    for (size_t i = 0; i < kNames; ++i) {
      page.Add(fmt::format("default/{}", i * 7919 % kNames), fmt::format("{:015x}", i));
    }
    const nlohmann::json json = page.ToJson();
    for (const auto& [name, version] : json["resources"].items()) {
      EXPECT_GT(name, token);
      EXPECT_TRUE(seen.insert(name).second) << name;
    }
    token = json.value("continue", "");
    ++pages;
  } while (!token.empty());
  EXPECT_EQ(seen.size(), kNames);
  EXPECT_EQ(pages, 3u);
}

TEST(ResourcePage, OneOfTheLongestNamesIsAnAnswerOfASidecar) {
  ResourcePage page("");
  for (size_t i = 0; i <= ResourcePage::kMost; ++i) {
    page.Add(fmt::format("{:0>63}/{:0>63}/{:0>253}", i, i, i), std::string(15, 'f'));
  }
  EXPECT_TRUE(page.ToJson().contains("continue"));
  EXPECT_LT(page.ToJson().dump(1).size(), kMaxAnswerBytes);
}

TEST(ResourcePage, AnEmptyOneIsWhole) {
  EXPECT_EQ(ResourcePage("").ToJson().dump(), R"({"resources":{}})");
}

}  // namespace
}  // namespace portolan::api

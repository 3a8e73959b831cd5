#include "xds/policy/pod_lists.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>

namespace portolan::xds {
namespace {

using ::testing::ElementsAre;
using ::testing::Pair;

PodLists::List ListOf(const std::string& policy) {
  return std::make_shared<const PolicyNames>(PolicyNames{{policy}, {}});
}

std::map<std::string, std::string> Contents(const PodLists& lists) {
  std::map<std::string, std::string> contents;
  lists.ForEach([&](const std::string& pod, const PolicyNames& names) {
    contents[pod] = names.egress.front();
  });
  return contents;
}

PodLists Sample() {
  PodLists::Edit edit{PodLists()};
  edit.Set("shop/web", ListOf("a"));
  edit.Set("shop/db", ListOf("b"));
  edit.Set("team/web", ListOf("c"));
  return std::move(edit).Finish();
}

TEST(PodLists, FindsAPodByItsNamespaceAndName) {
  const PodLists lists = Sample();
  EXPECT_EQ(lists.size(), 3u);
  ASSERT_NE(lists.Find("team/web"), nullptr);
  EXPECT_THAT((*lists.Find("team/web"))->egress, ElementsAre("c"));
  for (const char* other : {"team/db", "other/web", "web", "shop", "", "/web", "shop/web/a"}) {
    EXPECT_EQ(lists.Find(other), nullptr) << other;
  }
}

TEST(PodLists, AVersionStaysAsItWas) {
  const PodLists before = Sample();
  PodLists::Edit edit(before);
  edit.Set("shop/web", ListOf("d"));
  edit.Erase("team/web");
  edit.Set("new/web", ListOf("e"));
  EXPECT_THAT((*edit.Find("shop/web"))->egress, ElementsAre("d"));
  EXPECT_THAT((*edit.Find("shop/db"))->egress, ElementsAre("b"));
  EXPECT_EQ(edit.Find("team/web"), nullptr);
  const PodLists after = std::move(edit).Finish();
  EXPECT_THAT(Contents(before),
              ElementsAre(Pair("shop/db", "b"), Pair("shop/web", "a"), Pair("team/web", "c")));
  EXPECT_THAT(Contents(after),
              ElementsAre(Pair("new/web", "e"), Pair("shop/db", "b"), Pair("shop/web", "d")));
  EXPECT_EQ(after.size(), 3u);
}

TEST(PodLists, WithoutItsLastPodNothingIsLeftOfANamespace) {
  PodLists lists = Sample();
  for (const char* pod : {"none/web", "shop/web", "shop/db", "team/web"}) {
    EXPECT_FALSE(lists.empty());
    PodLists::Edit edit(lists);
    edit.Erase(pod);
    lists = std::move(edit).Finish();
  }
  EXPECT_TRUE(lists.empty());
  EXPECT_EQ(lists.size(), 0u);
}

}  // namespace
}  // namespace portolan::xds

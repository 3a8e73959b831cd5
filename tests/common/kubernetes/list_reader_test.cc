#include "common/kubernetes/list_reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/kubernetes/recordings.h"

namespace portolan {
namespace {

using test::Recording;
using ::testing::ElementsAre;
using ::testing::SizeIs;

struct Page {
  std::vector<std::string> items;
  absl::StatusOr<ListHead> head = ListHead{};
};

// As it arrives in these pieces.
Page Read(const std::vector<std::string_view>& pieces) {
  Page page;
  ListReader list;
  JsonReader json;
  for (const std::string_view piece : pieces) {
    const auto status = list.Take(piece, [&](std::string& item) { page.items.push_back(item); });
    if (!status.ok()) break;
  }
  page.head = list.Finish(json);
  return page;
}

TEST(ListReader, ItemsAreTheSameHoweverTheBytesWereCut) {
  for (const char* name :
       {"lists/012-list-services-limit3-page1.json", "lists/070-list-services-pretty.json"}) {
    const std::string text = Recording(name);
    const Page whole = Read({text});
    ASSERT_TRUE(whole.head.ok()) << whole.head.status();
    EXPECT_FALSE(whole.items.empty());
    for (size_t cut = 0; cut <= text.size(); ++cut) {
      const Page page =
          Read({std::string_view(text).substr(0, cut), std::string_view(text).substr(cut)});
      ASSERT_TRUE(page.head.ok()) << name << " cut at " << cut << ": " << page.head.status();
      ASSERT_EQ(page.items, whole.items) << name << " cut at " << cut;
      ASSERT_EQ(page.head->resource_version, whole.head->resource_version);
    }
  }
}

TEST(ListReader, PagesSayWhatComesNext) {
  const Page first = Read({Recording("lists/012-list-services-limit3-page1.json")});
  ASSERT_TRUE(first.head.ok()) << first.head.status();
  EXPECT_THAT(first.items, SizeIs(3));
  EXPECT_EQ(first.head->kind, "ServiceList");
  EXPECT_EQ(first.head->resource_version, "396");
  EXPECT_FALSE(first.head->continue_token.empty());
  const Page last = Read({Recording("lists/014-list-services-limit3-page3.json")});
  ASSERT_TRUE(last.head.ok()) << last.head.status();
  EXPECT_TRUE(last.head->continue_token.empty());
}

TEST(ListReader, AnEmptyListIsAList) {
  const Page page = Read({Recording("lists/059-list-services-namespace-unknown.json")});
  ASSERT_TRUE(page.head.ok()) << page.head.status();
  EXPECT_THAT(page.items, SizeIs(0));
}

TEST(ListReader, ThePartOfAListIsNoList) {
  const std::string text = Recording("lists/012-list-services-limit3-page1.json");
  const size_t size = text.find_last_of('}');
  for (size_t cut = 0; cut <= size; ++cut) {
    ASSERT_FALSE(Read({std::string_view(text).substr(0, cut)}).head.ok()) << cut;
  }
}

TEST(ListReader, WhatIsNoListIsAnError) {
  for (const std::string_view text :
       {"", "[]", "{}", "404 page not found", R"({"kind":"ServiceList","metadata":{}})",
        R"({"kind":"ServiceList","metadata":{},"items":[]})",
        R"({"kind":"ServiceList","metadata":{"resourceVersion":"1"}})",
        R"({"kind":"ServiceList","metadata":{"resourceVersion":"1"},"items":[7]})",
        R"({"kind":"Status","metadata":{"resourceVersion":"1"},"items":[]})", "]]]]", "{{{{",
        R"({"kind":"ServiceList","items":[{}],"metadata":{"resourceVersion":1}]})"}) {
    EXPECT_FALSE(Read({text}).head.ok()) << text;
  }
}

TEST(ListReader, QuotesAndBracketsInStringsAreText) {
  const Page page = Read(
      {R"({"kind":"XList","items":[{"a":"}]\"{\\"},{"items":[{"b":"["}]}],"metadata":{"resourceVersion":"7"}})"});
  ASSERT_TRUE(page.head.ok()) << page.head.status();
  EXPECT_THAT(page.items, ElementsAre(R"({"a":"}]\"{\\"})", R"({"items":[{"b":"["}]})"));
  EXPECT_EQ(page.head->resource_version, "7");
}

TEST(ListReader, WhatIsKeptIsBounded) {
  ListReader list;
  size_t longest = 0;
  const auto on_item = [&](std::string& item) { longest = std::max(longest, item.size()); };
  ASSERT_TRUE(list.Take(R"({"items":[{"a":")", on_item).ok());
  const std::string piece(1u << 20, 'x');
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(list.Take(piece, on_item).ok());
  ASSERT_TRUE(list.Take("\"}", on_item).ok());
  EXPECT_EQ(longest, kMaxJsonBytes + 1);

  ListReader endless;
  absl::Status status;
  for (int i = 0; i < 3 && status.ok(); ++i) status = endless.Take("{\"a\":\"" + piece, on_item);
  EXPECT_FALSE(status.ok());
}

}  // namespace
}  // namespace portolan

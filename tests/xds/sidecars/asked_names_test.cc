#include "xds/sidecars/asked_names.h"

#include <gtest/gtest.h>

#include <string>

namespace portolan::xds {
namespace {

constexpr absl::Duration kNow = absl::Hours(1);

void Add(v1::NamesReport& report, const std::string& name, uint64_t queries, int64_t last) {
  v1::AskedName& asked = *report.add_names();
  asked.set_name(name);
  asked.set_service(name.find('/') != std::string::npos);
  asked.set_queries(queries);
  asked.set_last_asked_unix_s(last);
}

v1::NamesReport Asked(const std::string& name, uint64_t queries, int64_t last = 1) {
  v1::NamesReport report;
  Add(report, name, queries, last);
  return report;
}

TEST(AskedNames, PodsThatAskedAreAddedUp) {
  AskedNames names;
  names.OnReport("default/a", Asked("default/backend", 3, 100));
  names.OnReport("default/b", Asked("default/backend", 4, 300));
  names.OnReport("default/c", Asked("default/backend", 5, 200));
  const AskedBy by = names.Find("default/backend", 2, kNow);
  EXPECT_EQ(by.pods, 3u);
  EXPECT_EQ(by.queries, 12u);
  EXPECT_EQ(by.last_asked, absl::FromUnixSeconds(300));
  ASSERT_EQ(by.by_pod.size(), 2u);
  EXPECT_EQ(by.by_pod[0].node, "default/c");
  EXPECT_EQ(by.by_pod[0].queries, 5u);
  EXPECT_EQ(by.by_pod[1].node, "default/b");
}

TEST(AskedNames, WhatNobodyAskedForIsSoSaid) {
  const AskedBy by = AskedNames().Find("default/backend", 20, kNow);
  EXPECT_EQ(by.pods, 0u);
  EXPECT_EQ(by.last_asked, absl::InfinitePast());
}

TEST(AskedNames, ANewReportTakesThePlaceOfTheOneBefore) {
  AskedNames names;
  names.OnReport("default/a", Asked("default/backend", 3));
  names.OnReport("default/a", Asked("default/other", 1));
  EXPECT_EQ(names.Find("default/backend", 20, kNow).pods, 0u);
  names.OnReport("default/a", Asked("default/other", 2));
  EXPECT_EQ(names.Find("default/other", 20, kNow).queries, 2u);
}

TEST(AskedNames, DomainNamesAreNoServices) {
  AskedNames names;
  names.OnReport("default/a", Asked("example.org", 3));
  EXPECT_EQ(names.Find("example.org", 20, kNow).pods, 0u);
}

TEST(AskedNames, AReportThatHasAServiceTwiceDoesNoHarm) {
  AskedNames names;
  v1::NamesReport twice = Asked("default/backend", 1);
  Add(twice, "default/backend", 2, 1);
  names.OnReport("default/a", twice);
  EXPECT_EQ(names.Find("default/backend", 20, kNow).pods, 1u);
  names.OnReport("default/a", {});
  EXPECT_EQ(names.Find("default/backend", 20, kNow).pods, 0u);
}

TEST(AskedNames, WhoIsGoneIsForgottenAfterAWhile) {
  AskedNames names;
  names.OnReport("default/a", Asked("default/backend", 3));
  names.OnGone("default/a", kNow);
  names.OnGone("default/never-reported", kNow);
  const absl::Duration kept = kNow + AskedNames::kKept;
  EXPECT_EQ(names.Find("default/backend", 20, kept - absl::Seconds(1)).pods, 1u);
  EXPECT_EQ(names.Find("default/backend", 20, kept).pods, 0u);
}

TEST(AskedNames, WhoComesBackStays) {
  AskedNames names;
  names.OnReport("default/a", Asked("default/backend", 3));
  names.OnGone("default/a", kNow);
  names.OnReport("default/a", Asked("default/backend", 4));
  EXPECT_EQ(names.Find("default/backend", 20, kNow + AskedNames::kKept).queries, 4u);
}

TEST(AskedNames, OfThoseGoneItKeepsNoMoreThanItMay) {
  AskedNames names;
  for (size_t i = 0; i <= AskedNames::kMostGone; ++i) {
    const std::string node = "default/" + std::to_string(i);
    names.OnReport(node, Asked("default/backend", 1));
    names.OnGone(node, kNow);
  }
  EXPECT_EQ(names.Find("default/backend", 0, kNow).pods, AskedNames::kMostGone);
}

}  // namespace
}  // namespace portolan::xds

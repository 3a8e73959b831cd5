#include "proxy/reporting/names_report.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/time/clock.h"
#include "dns/wire/name.h"
#include "xds/api/sidecar_limits.h"

namespace portolan::proxy {
namespace {

using Views = std::vector<AskedNames::View>;

AskedNames::View::Name Asked(std::string_view name, uint64_t queries) {
  std::string wire = *dns::wire::NameToWire(name);
  wire.pop_back();
  return {wire, {.queries = queries, .nxdomain = 1, .last = std::chrono::steady_clock::now()}};
}

class NamesReportTest : public ::testing::Test {
 protected:
  NamesReportTest() {
    Directory directory;
    Service service;
    service.name = {"default", "backend"};
    directory.Put(service);
    snapshot = directory.Commit().snapshot;
  }
  v1::NamesReport Names(const Views& workers) {
    v1::NamesReport names;
    SetAsked(workers, *snapshot, "cluster.local", clock, &names, amplification);
    return names;
  }

  std::shared_ptr<const Snapshot> snapshot;
  WallClock clock;
  v1::AmplificationReport amplification;
};

TEST_F(NamesReportTest, WorkersAreAddedUp) {
  AskedNames::View one, two;
  one.names = {Asked("example.org", 2)};
  two.names = {Asked("example.org", 3)};
  one.others.queries = 7;
  one.amplification = {1, 2, 3, 4};
  two.amplification = {10, 20, 30, 40};
  const v1::NamesReport names = Names({one, two});
  ASSERT_EQ(names.names_size(), 1);
  EXPECT_EQ(names.names(0).name(), "example.org");
  EXPECT_FALSE(names.names(0).service());
  EXPECT_EQ(names.names(0).queries(), 5u);
  EXPECT_EQ(names.names(0).nxdomain(), 2u);
  EXPECT_EQ(names.others(), 7u);
  EXPECT_EQ(amplification.search_list_queries(), 11u);
  EXPECT_EQ(amplification.upstream_queries(), 22u);
  EXPECT_EQ(amplification.saved_by_autopath(), 33u);
  EXPECT_EQ(amplification.saved_by_trailing_dot(), 44u);
}

TEST_F(NamesReportTest, AllNamesOfAServiceAreThatService) {
  AskedNames::View worker;
  worker.names = {Asked("backend.default.svc.cluster.local", 1),
                  Asked("_http._tcp.backend.default.svc.cluster.local", 2),
                  Asked("pod-0.backend.default.svc.cluster.local", 4),
                  Asked("gone.default.svc.cluster.local", 1)};
  const v1::NamesReport names = Names({worker});
  ASSERT_EQ(names.names_size(), 2);
  EXPECT_EQ(names.names(0).name(), "default/backend");
  EXPECT_TRUE(names.names(0).service());
  EXPECT_EQ(names.names(0).queries(), 7u);
  EXPECT_EQ(names.names(1).name(), "gone.default.svc.cluster.local");
  EXPECT_FALSE(names.names(1).service());
}

TEST_F(NamesReportTest, WhatIsMostAskedIsNamedAndTheRestCounted) {
  AskedNames::View worker;
  for (int i = 1; i <= 100; ++i) worker.names.push_back(Asked("n" + std::to_string(i), i));
  const v1::NamesReport names = Names({worker});
  ASSERT_EQ(names.names_size(), api::kMaxReportedNames);
  EXPECT_EQ(names.names(0).name(), "n100");
  EXPECT_EQ(names.names(63).name(), "n37");
  EXPECT_EQ(names.others(), 36u * 37 / 2);
}

TEST_F(NamesReportTest, BytesThatAreNoTextAreNotPassedOn) {
  AskedNames::View worker;
  worker.names = {Asked("a\\.b\\010\\200\\ c.org", 2), Asked(".", 1)};
  const v1::NamesReport names = Names({worker});
  ASSERT_EQ(names.names_size(), 2);
  EXPECT_EQ(names.names(0).name(), "a?b???c.org");
  EXPECT_EQ(names.names(1).name(), ".");
}

TEST_F(NamesReportTest, TheLargestReportFitsItsBound) {
  AskedNames::View worker;
  const std::string label(63, 'x');
  for (int i = 0; i < 256; ++i) {
    worker.names.push_back(
        Asked(fmt::format("{}.{}.{}.{:05}", label, label, label, i), UINT64_MAX / 1000));
  }
  const v1::NamesReport names = Names({worker});
  EXPECT_LT(names.ByteSizeLong(), api::kMaxReportBytes / 2);
}

TEST_F(NamesReportTest, OneMomentHasOneTime) {
  AskedNames::View worker;
  worker.names = {Asked("example.org", 1)};
  const int64_t asked = Names({worker}).names(0).last_asked_unix_s();
  EXPECT_LT(absl::AbsDuration(absl::Now() - absl::FromUnixSeconds(asked)), absl::Seconds(60));
  for (int i = 0; i < 100; ++i) {
    EXPECT_EQ(Names({worker}).names(0).last_asked_unix_s(), asked);
  }
}

TEST_F(NamesReportTest, WithoutNamesThereAreNumbers) {
  AskedNames::View worker;
  worker.amplification.upstream_queries = 5;
  SetAsked(Views{worker}, *snapshot, "cluster.local", clock, nullptr, amplification);
  EXPECT_EQ(amplification.upstream_queries(), 5u);
}

}  // namespace
}  // namespace portolan::proxy

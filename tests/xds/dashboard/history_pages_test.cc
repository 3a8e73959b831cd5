#include "xds/dashboard/history_pages.h"

#include <gmock/gmock.h>

#include <future>

#include "tests/common/http/served.h"
#include "tests/xds/history/cluster.h"
#include "xds/dashboard/history_merge.h"

namespace portolan::xds {
namespace {

using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

// An entry about default/backend, as a replica tells it.
json MakeEntry(int64_t unix_ms, int version) {
  Entry entry;
  entry.position = {
      unix_ms,     std::to_string(version), {"default", "backend"}, HistoryKind::kEndpointSlice,
      "backend-a", Cause::kPodReady};
  return EntryJson(entry);
}

json MakeEntries(std::vector<std::pair<int64_t, int>> entries) {
  json list = json::array();
  for (const auto& [unix_ms, version] : entries) list.push_back(MakeEntry(unix_ms, version));
  return list;
}

HistoryPage MakePage(json entries, bool more = false) {
  HistoryPage page;
  page.entries = std::move(entries);
  page.more = more;
  page.since = kNoon;
  return page;
}

ReplicaAnswer MakeOther(json entries, bool more = false) {
  json answer = {{"entries", entries}, {"since", "2023-11-14T20:00:00.000Z"}};
  if (more) answer["continue"] = HistoryToken{"other", *PositionOf(entries.back())}.ToText();
  return {"other", answer};
}

std::vector<std::string> VersionsOf(const json& page) {
  std::vector<std::string> versions;
  for (const json& entry : page["entries"]) {
    versions.push_back(entry["object"]["resourceVersion"].get<std::string>());
  }
  return versions;
}

TEST(HistoryMerge, AChangeThatTwoReplicasSawIsShownOnceWithOurTime) {
  HistoryMerge merge("self", MakePage(MakeEntries({{3000, 3}, {1000, 1}})),
                     {MakeOther(MakeEntries({{3005, 3}, {2000, 2}, {995, 1}}))}, 10);
  ASSERT_THAT(merge.foreign(), SizeIs(1));
  const json page = merge.Finish({false});
  EXPECT_THAT(VersionsOf(page), ElementsAre("3", "2", "1"));
  EXPECT_EQ(page["entries"][0]["time"], "1970-01-01T00:00:03.000Z");
  EXPECT_FALSE(page.contains("continue"));
  EXPECT_EQ(page["since"], "2023-11-14T20:00:00.000Z");
}

TEST(HistoryMerge, WhatOurHistoryHoldsAtAnotherTimeIsShownThere) {
  HistoryMerge merge("self", MakePage(MakeEntries({{1000, 1}})),
                     {MakeOther(MakeEntries({{2000, 2}}))}, 10);
  EXPECT_THAT(VersionsOf(merge.Finish({true})), ElementsAre("1"));
}

TEST(HistoryMerge, NothingIsShownBeforeWhatMayNotHaveBeenSent) {
  // Theirs goes on after 20, ours is complete.
  HistoryMerge merge("self", MakePage(MakeEntries({{3000, 30}, {1000, 10}})),
                     {MakeOther(MakeEntries({{2500, 25}, {2000, 20}}), true)}, 2);
  const json page = merge.Finish({false, false});
  EXPECT_THAT(VersionsOf(page), ElementsAre("30", "25"));
  const auto end = HistoryToken::Parse(page["continue"].get<std::string>());
  ASSERT_TRUE(end.has_value());
  EXPECT_EQ(end->replica, "self");
  EXPECT_EQ(end->position.resource_version, "25");

  HistoryMerge held("self", MakePage(MakeEntries({{3000, 30}, {1000, 10}})),
                    {MakeOther(MakeEntries({{2500, 25}, {2000, 20}}), true)}, 2);
  const json rest = held.Finish({true, true});
  EXPECT_THAT(VersionsOf(rest), ElementsAre("30"));
  EXPECT_EQ(HistoryToken::Parse(rest["continue"].get<std::string>())->position.resource_version,
            "20");
}

// We had not run: the other says when it happened, and we when we started again.
TEST(HistoryMerge, OfAChangeThatOneSawAtItsStartTheEarlierIsShown) {
  HistoryMerge ours_late("self", MakePage(MakeEntries({{900'000, 3}, {1000, 1}})),
                         {MakeOther(MakeEntries({{300'000, 3}}))}, 10);
  json page = ours_late.Finish({false});
  EXPECT_THAT(VersionsOf(page), ElementsAre("3", "1"));
  EXPECT_EQ(page["entries"][0]["time"], "1970-01-01T00:05:00.000Z");
  HistoryMerge theirs_late("self", MakePage(MakeEntries({{300'000, 3}, {1000, 1}})),
                           {MakeOther(MakeEntries({{900'000, 3}}))}, 10);
  page = theirs_late.Finish({});
  EXPECT_THAT(VersionsOf(page), ElementsAre("3", "1"));
  EXPECT_EQ(page["entries"][0]["time"], "1970-01-01T00:05:00.000Z");
}

TEST(HistoryMerge, WhatAReplicaSaysThatIsNoHistoryIsLeftOut) {
  std::vector<ReplicaAnswer> others = {
      {"a", absl::DeadlineExceededError("no answer within 1 s")},
      {"b", json::array()},
      {"c", json({{"entries", 7}, {"continue", 7}, {"since", "never"}, {"gaps", {1}}})},
      {"d", json({{"entries", {1, json::object(), {{"object", 1}}}}})},
  };
  HistoryMerge merge("self", MakePage(MakeEntries({{1000, 1}})), others, 10);
  const json page = merge.Finish({});
  EXPECT_THAT(VersionsOf(page), ElementsAre("1"));
  EXPECT_THAT(page["gaps"], IsEmpty());
  EXPECT_FALSE(page.contains("continue"));
}

class HistoryPagesTest : public ::testing::Test {
 protected:
  HistoryPagesTest() {
    served_.On([this](http::Server&) {
      directory_.Put(MakeService());
      directory_.Put(
          MakeSlice({MakeEndpoint("10.42.0.1", "backend-1", {false, false, false})}, "20", kNoon));
      history_->Record(directory_.Commit(), kNoon);
      directory_.Put(
          MakeSlice({MakeEndpoint("10.42.0.1", "backend-1")}, "21", kNoon + absl::Seconds(1)));
      history_->Record(directory_.Commit(), kNoon + absl::Seconds(1));
      return true;
    });
    for (int i = 0; i < 2000 && Get("/api/v1/history")["entries"].size() < 2; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
  }
  ~HistoryPagesTest() override {
    served_.On([this](http::Server&) {
      history_.reset();
      return true;
    });
  }

  json Get(std::string_view target) {
    return json::parse(http::BodyOf(http::Fetch(served_.address(), "GET", target, "")), nullptr,
                       false);
  }
  absl::StatusOr<json> At(absl::Time time) {
    std::promise<absl::StatusOr<json>> promise;
    served_.On([&](http::Server&) {
      pages_->At({"default", "backend"}, time,
                 [&](const absl::StatusOr<json>& then) { promise.set_value(then); });
      return true;
    });
    return promise.get_future().get();
  }

  Directory directory_;
  AllReplicas replicas_{nullptr, "self"};
  std::unique_ptr<History> history_;
  std::unique_ptr<HistoryPages> pages_;
  http::Served served_{[this](http::Server& server) {
    history_ = *History::Open(server_loop(), {.now = [] { return kNoon; }});
    pages_ = std::make_unique<HistoryPages>(server, *history_, replicas_, "cluster.local");
  }};

 private:
  EventLoop& server_loop() { return served_.loop(); }
};

TEST_F(HistoryPagesTest, EntriesAreListedNewestFirst) {
  const json page = Get("/api/v1/history?namespace=default&name=backend");
  ASSERT_THAT(page["entries"], SizeIs(2));
  EXPECT_EQ(page["entries"][0]["summary"], "backend-1 became ready");
  EXPECT_EQ(page["entries"][1]["cause"], "first-seen");
  EXPECT_EQ(page["since"], "2023-11-14T22:13:20.000Z");
  EXPECT_EQ(page["replicas"], json::parse(R"([{"name": "self", "self": true}])"));
  EXPECT_FALSE(page.contains("continue"));
}

TEST_F(HistoryPagesTest, APageGoesOnWhereTheOneBeforeEnded) {
  const json first = Get("/api/v1/history?limit=1");
  ASSERT_THAT(first["entries"], SizeIs(1));
  const json second =
      Get("/api/v1/history?limit=1&continue=" + first["continue"].get<std::string>());
  ASSERT_THAT(second["entries"], SizeIs(1));
  EXPECT_EQ(second["entries"][0]["cause"], "first-seen");
  EXPECT_FALSE(second.contains("continue"));
}

TEST_F(HistoryPagesTest, WhatIsAskedForWronglyIsSaidToBe) {
  const auto error = [&](std::string_view target) { return Get(target).value("error", ""); };
  EXPECT_THAT(error("/api/v1/history?since=noon"), HasSubstr("since: 'noon' is no time such as"));
  EXPECT_THAT(error("/api/v1/history?cause=pod-redy"), HasSubstr("pod-ready"));
  EXPECT_THAT(error("/api/v1/history?limit=0"), HasSubstr("from 1 to 5000"));
  EXPECT_THAT(error("/api/v1/history?continue=x"), HasSubstr("continue: not what"));
  EXPECT_THAT(error("/api/v1/history?until=infinite-future"), HasSubstr("from 1970 to 9999"));
}

TEST_F(HistoryPagesTest, APageOfAnotherReplicaIsNotGoneOnWith) {
  const json first = Get("/api/v1/history?limit=1");
  HistoryToken token = *HistoryToken::Parse(first["continue"].get<std::string>());
  token.replica = "other";
  const std::string target = "/api/v1/history?limit=1&continue=" + token.ToText();
  EXPECT_THAT(Get(target).value("error", ""), HasSubstr("of the replica other"));
  // As that one itself asks.
  EXPECT_THAT(Get(target + "&scope=local")["entries"], SizeIs(1));
}

TEST_F(HistoryPagesTest, ANameIsToldAsItWas) {
  const auto before = At(kNoon + absl::Milliseconds(500));
  ASSERT_TRUE(before.ok()) << before.status();
  EXPECT_EQ((*before)["endpoints"]["ready"], 0);
  EXPECT_EQ((*before)["at"], "2023-11-14T22:13:20.500Z");
  EXPECT_EQ((*before)["entry"]["cause"], "first-seen");
  const auto after = At(kNoon + absl::Seconds(2));
  ASSERT_TRUE(after.ok()) << after.status();
  EXPECT_EQ((*after)["endpointSlices"],
            SlicesJson(directory_.snapshot()->FindSlices("default/backend")));
  EXPECT_TRUE(absl::IsNotFound(At(kNoon - absl::Seconds(1)).status()));
}

}  // namespace
}  // namespace portolan::xds

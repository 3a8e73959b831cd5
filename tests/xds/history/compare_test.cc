#include "xds/history/compare.h"

#include <gmock/gmock.h>

#include "tests/xds/history/cluster.h"

namespace portolan::xds {
namespace {

using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

const ObjectName kName = {"default", "backend"};
constexpr EndpointConditions kReady = {true, true, false};
constexpr EndpointConditions kNotReady = {false, false, false};
constexpr EndpointConditions kTerminating = {false, true, true};

std::vector<Entry> Between(const OneName& before, const OneName& after) {
  return Compare(kName, before.view(), after.view(), kNoon + absl::Seconds(9));
}

OneName With(std::vector<Endpoint> endpoints, const std::string& version = "20",
             absl::Time arrived = kNoon + absl::Seconds(1)) {
  OneName name;
  name.Put(MakeService()).Put(MakeSlice(std::move(endpoints), version, arrived));
  return name;
}

// Of the one entry that there is to be.
json OnlyEntry(const OneName& before, const OneName& after) {
  const std::vector<Entry> entries = Between(before, after);
  EXPECT_THAT(entries, SizeIs(1));
  return entries.empty() ? json() : EntryJson(entries.front());
}

std::string CauseBetween(const OneName& before, const OneName& after) {
  return OnlyEntry(before, after).value("cause", "");
}

TEST(HistoryCompare, AnEntrySaysWhichObjectChangedWhenAndWhatLed) {
  const json entry = OnlyEntry(With({MakeEndpoint("10.42.0.1", "backend-1", kNotReady)}),
                               With({MakeEndpoint("10.42.0.1", "backend-1", kReady)}, "21",
                                    kNoon + absl::Milliseconds(2123)));
  EXPECT_EQ(entry, json::parse(R"({
    "time": "2023-11-14T22:13:22.123Z", "namespace": "default", "name": "backend",
    "cause": "pod-ready", "summary": "backend-1 became ready",
    "object": {"kind": "EndpointSlice", "namespace": "default", "name": "backend-a",
               "resourceVersion": "21"},
    "endpoints": {"ready": 1, "serving": 1, "terminating": 0},
    "added": [], "removed": [],
    "changed": [{"address": "10.42.0.1", "pod": "default/backend-1", "from": "not ready",
                 "to": "ready"}]})"))
      << entry;
}

TEST(HistoryCompare, CausesAreWhatHappenedToPods) {
  const Endpoint one = MakeEndpoint("10.42.0.1", "backend-1");
  const Endpoint two = MakeEndpoint("10.42.0.2", "backend-2");
  const auto as = [](Endpoint endpoint, EndpointConditions conditions) {
    endpoint.conditions = conditions;
    return endpoint;
  };
  EXPECT_EQ(CauseBetween(With({one}), With({as(one, kNotReady)})), "pod-not-ready");
  EXPECT_EQ(CauseBetween(With({one}), With({as(one, kTerminating)})), "pod-terminating");
  EXPECT_EQ(CauseBetween(With({one}), With({one, two})), "scaled-up");
  EXPECT_EQ(CauseBetween(With({one, two}), With({two})), "scaled-down");
  EXPECT_EQ(CauseBetween(With({one}), With({two})), "endpoints-changed");
  EXPECT_EQ(CauseBetween(With({one, as(two, kNotReady)}), With({as(one, kNotReady), two})),
            "endpoints-changed");
  EXPECT_EQ(CauseBetween(With({as(one, kNotReady), as(two, kNotReady)}), With({one, two})),
            "pod-ready");
  Endpoint moved = one;
  moved.zone = "zone-b";
  EXPECT_EQ(CauseBetween(With({one}), With({moved})), "endpoints-changed");
}

TEST(HistoryCompare, TheServiceItselfIsCreatedEditedAndDeleted) {
  OneName none;
  OneName one;
  one.Put(MakeService());
  OneName edited;
  Service service = MakeService("backend", "11", kNoon + absl::Seconds(3));
  service.ports[0].port = 80;
  service.labels = {{"app", "backend"}};
  edited.Put(service);
  EXPECT_EQ(CauseBetween(none, one), "service-created");
  EXPECT_EQ(OnlyEntry(one, edited)["summary"], "Service edited: ports, labels");
  const json deleted = OnlyEntry(one, none);
  EXPECT_EQ(deleted["cause"], "service-deleted");
  // Nothing of it says when it went; the change does.
  EXPECT_EQ(deleted["time"], "2023-11-14T22:13:29.000Z");
  EXPECT_EQ(deleted["object"]["resourceVersion"], "10");
}

TEST(HistoryCompare, ANewVersionOfTheSameIsNoEntry) {
  const Endpoint one = MakeEndpoint("10.42.0.1", "backend-1");
  OneName after = With({one}, "99", kNoon + absl::Seconds(5));
  after.Put(MakeService("backend", "98"));
  EXPECT_THAT(Between(With({one}), after), IsEmpty());
}

TEST(HistoryCompare, AnEndpointThatMovesToAnotherSliceIsNeitherAddedNorRemoved) {
  const Endpoint one = MakeEndpoint("10.42.0.1", "backend-1");
  const Endpoint two = MakeEndpoint("10.42.0.2", "backend-2");
  OneName after = With({one});
  after.Put(MakeSlice({two}, "30", kNoon, "backend-b"));
  const std::vector<Entry> entries = Between(With({one, two}), after);
  ASSERT_THAT(entries, SizeIs(2));
  for (const Entry& entry : entries) {
    const json shown = EntryJson(entry);
    EXPECT_THAT(shown["added"], IsEmpty());
    EXPECT_THAT(shown["removed"], IsEmpty());
    EXPECT_EQ(shown["endpoints"]["ready"], 2);
  }
  EXPECT_EQ(CauseWord(entries[0].position.cause), "endpoints-changed");
  EXPECT_EQ(CauseWord(entries[1].position.cause), "slice-created");
}

TEST(HistoryCompare, OfManyEndpointsTheFirstAreShownAndTheRestCounted) {
  std::vector<Endpoint> many;
  for (int i = 1; i <= 50; ++i) {
    many.push_back(MakeEndpoint("10.42.0." + std::to_string(i), "backend-" + std::to_string(i)));
  }
  const json entry = OnlyEntry(With({}), With(many));
  EXPECT_EQ(entry["added"].size(), 20);
  EXPECT_EQ(entry["more"], 30);
  EXPECT_EQ(entry["summary"], "backend-1 and 49 more added");
}

TEST(HistoryCompare, WhatASliceFollowsIsSaid) {
  OneName after = With({});
  EndpointSlice slice = MakeSlice({MakeEndpoint("10.42.0.1")}, "30", kNoon);
  slice.triggered = kNoon - absl::Seconds(2);
  after.Put(std::move(slice));
  EXPECT_EQ(OnlyEntry(With({}), after)["triggered"], "2023-11-14T22:13:18.000Z");
}

TEST(HistoryCompare, ATokenLeadsBackToItsPosition) {
  Position position{
      123,         "a/b",           {"default", "backend"}, HistoryKind::kEndpointSlice,
      "backend-a", Cause::kPodReady};
  const auto read = Position::FromToken(position.ToToken());
  ASSERT_TRUE(read.has_value());
  EXPECT_EQ(*read, position);
  for (const char* wrong : {"", "123", "x/pod-ready/a/b/Service//1", "1/none/a/b/Service//1",
                            "1/pod-ready/a/b/Pod//1"}) {
    EXPECT_FALSE(Position::FromToken(wrong).has_value()) << wrong;
  }
}

TEST(HistoryCompare, ATimeWithoutEndIsNoTime) {
  EXPECT_EQ(*ParseMoment("2023-11-14T22:13:20.000Z"), kNoon);
  for (const char* text : {"", "noon", "infinite-future", "infinite-past", "1969-12-31T23:59:59Z",
                           "10000-01-01T00:00:00Z", "292277026596-12-04T15:30:07Z"}) {
    EXPECT_FALSE(ParseMoment(text).ok()) << text;
  }
  Entry entry;
  entry.position = {absl::ToUnixMillis(kNoon), "1", {"default", "backend"},
                    HistoryKind::kService,     "",  Cause::kServiceEdited};
  json theirs = EntryJson(entry);
  EXPECT_TRUE(PositionOf(theirs).has_value());
  theirs["time"] = "infinite-future";
  EXPECT_FALSE(PositionOf(theirs).has_value());
}

TEST(HistoryCompare, PositionsAreInOrderOfTimeThenOfVersionsAsNumbers) {
  const auto at = [](int64_t ms, const char* version) {
    return Position{
        ms, version, {"default", "backend"}, HistoryKind::kService, "", Cause::kServiceEdited};
  };
  EXPECT_LT(at(1, "100"), at(2, "9"));
  EXPECT_LT(at(1, "9"), at(1, "100"));
  EXPECT_LT(at(1, "100"), at(1, ""));
  EXPECT_LT(at(1, "010"), at(1, "b"));
}

}  // namespace
}  // namespace portolan::xds

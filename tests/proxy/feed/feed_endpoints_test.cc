// Endpoints of Services: asked for while the feed runs.
#include <gmock/gmock.h>

#include "tests/proxy/feed/feed_fixture.h"
#include "tests/proxy/feed/temp_dir.h"

namespace portolan::proxy {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::Pair;
using testing::UnorderedElementsAre;

class FeedEndpoints : public FeedTest {
 protected:
  FeedOptions OnDemand() {
    FeedOptions options = Options(server);
    options.endpoints = Directory::Slices::kOfThoseAskedFor;
    return options;
  }
  void Start(FeedOptions options) {
    StartFeed(std::move(options));
    ASSERT_TRUE(Until([&] { return IsWanted(kServiceImportType); }));
    SendSetsWithoutEndpoints();
  }
  void SendSetsWithoutEndpoints() {
    for (const FeedType& type : kFeedTypesOnDemand) {
      if (type.is_wildcard()) server.Send(MakeResponse(type.type_url, {}));
    }
  }
  void StartInSync() {
    Start(OnDemand());
    ASSERT_TRUE(UntilInSync());
  }
  bool IsWanted(std::string_view type_url) const {
    return !server.Subscription(type_url).resource_names_subscribe().empty();
  }

  // What the newest stream was asked for, in the order of the requests.
  std::vector<std::string> Names(bool subscribed) const {
    std::vector<std::string> names;
    for (const auto& request : server.requests()) {
      if (request.type_url() != kEndpointsType) continue;
      const auto& some =
          subscribed ? request.resource_names_subscribe() : request.resource_names_unsubscribe();
      names.insert(names.end(), some.begin(), some.end());
    }
    return names;
  }
  bool UntilSubscribedTo(size_t count) {
    return Until([&] { return Names(true).size() == count; });
  }
  const SliceSet* Held(const std::string& service) const {
    return feed->snapshot()->FindSlices("default/" + service);
  }
  bool UntilHeld(const std::string& service) {
    return Until([&] { return Held(service) != nullptr; });
  }
  void SendEndpointsOf(const std::string& service) {
    ASSERT_TRUE(server.Send(MakeResponse(
        kEndpointsType, {HeadResource(service, "h", {{service + "-1", "1"}}),
                         SliceResource(service, service + "-1", "1", {"10.42.0.1"})})));
  }
  // Wanted, and brought by the control plane.
  void Hold(const std::string& service) {
    const size_t asked = Names(true).size();
    feed->WantEndpoints("default/" + service);
    ASSERT_TRUE(UntilSubscribedTo(asked + 1));
    SendEndpointsOf(service);
    ASSERT_TRUE(UntilHeld(service));
  }
};

TEST_F(FeedEndpoints, TheFeedIsInSyncWithoutThemAndAsksForNoneUnlessTheyAreWanted) {
  StartInSync();
  EXPECT_THAT(Names(true), IsEmpty());
  EXPECT_FALSE(feed->snapshot()->holds_all_slices());
}

TEST_F(FeedEndpoints, TheSlicesOrThatThereAreNoneComeIntoTheDirectory) {
  StartInSync();
  feed->WantEndpoints("default/a");
  feed->WantEndpoints("default/none");
  feed->WantEndpoints("default/a");
  ASSERT_TRUE(UntilSubscribedTo(2));
  EXPECT_THAT(Names(true), ElementsAre("default/a", "default/none"));
  SendEndpointsOf("a");
  ASSERT_TRUE(UntilHeld("a"));
  EXPECT_EQ(Held("a")->size(), 1u);
  EXPECT_EQ(Held("none"), nullptr) << "asked and not answered yet";
  server.Send(MakeResponse(kEndpointsType, {}, {"default/none"}));
  ASSERT_TRUE(UntilHeld("none"));
  EXPECT_TRUE(Held("none")->empty());

  server.Send(MakeResponse(kEndpointsType, {}, {"default/a", "default/a/a-1"}));
  ASSERT_TRUE(Until([&] { return Held("a")->empty(); })) << "still held: there are none";
  SendEndpointsOf("none");
  ASSERT_TRUE(Until([&] { return Held("none")->size() == 1; }));
}

TEST_F(FeedEndpoints, WhatNobodyWantsIsNotKept) {
  StartInSync();
  Hold("a");
  SendEndpointsOf("stray");
  server.Send(MakeResponse(kEndpointsType, {}, {"default/gone"}));
  ASSERT_TRUE(UntilAnswered(kEndpointsType));
  EXPECT_EQ(Held("stray"), nullptr);
  EXPECT_EQ(Held("gone"), nullptr);
  EXPECT_EQ(feed->snapshot()->slice_set_count(), 1u);
}

TEST_F(FeedEndpoints, AfterAReconnectAllAreSubscribedToWithTheVersionsHeldAndInSyncWaitsForThem) {
  StartInSync();
  Hold("a");
  feed->WantEndpoints("default/b");
  ASSERT_TRUE(UntilSubscribedTo(2));
  const int streams = server.streams_opened();
  server.CloseStreams();
  ASSERT_TRUE(Until([&] { return server.streams_opened() > streams; }));
  ASSERT_TRUE(UntilSubscribedTo(2));
  EXPECT_THAT(Names(true), UnorderedElementsAre("default/a", "default/b"));
  EXPECT_THAT(server.Subscription(kEndpointsType).initial_resource_versions(),
              UnorderedElementsAre(Pair("default/a", "h"), Pair("default/a/a-1", "1")));
  EXPECT_EQ(Held("a")->size(), 1u) << "what is known stays known meanwhile";
  SendSetsWithoutEndpoints();
  ASSERT_TRUE(UntilAnswered(kServiceImportType));
  EXPECT_FALSE(feed->status().in_sync) << "what is held may be old";
  server.Send(MakeResponse(kEndpointsType, {}, {"default/b"}));
  EXPECT_TRUE(UntilInSync());
}

TEST_F(FeedEndpoints, WhatIsNotUsedForTheIdleTimeIsUnsubscribedFromAndForgotten) {
  FeedOptions options = OnDemand();
  options.endpoints_idle = absl::Milliseconds(400);
  Start(options);
  ASSERT_TRUE(UntilInSync());
  delegate.used = {"default/used"};
  Hold("used");
  Hold("idle");
  ASSERT_TRUE(Until([&] { return Held("idle") == nullptr; }));
  ASSERT_TRUE(Until([&] { return !Names(false).empty(); }));
  EXPECT_THAT(Names(false), ElementsAre("default/idle"));
  EXPECT_NE(Held("used"), nullptr);
  // As if it had never been: it comes again when it is wanted again.
  Hold("idle");
}

TEST_F(FeedEndpoints, OverTheBoundTheLongestUnusedIsGivenUp) {
  FeedOptions options = OnDemand();
  options.most_endpoints = 2;
  Start(options);
  ASSERT_TRUE(UntilInSync());
  Hold("a");
  Hold("b");
  Hold("c");
  EXPECT_EQ(Held("a"), nullptr);
  EXPECT_NE(Held("b"), nullptr);
}

TEST_F(FeedEndpoints, APrefetchGivesUpNothingAndTheFeedSaysWhenThereIsNoRoom) {
  FeedOptions options = OnDemand();
  options.most_endpoints = 2;
  options.endpoints_idle = absl::Milliseconds(400);
  Start(options);
  ASSERT_TRUE(UntilInSync());
  Hold("a");
  EXPECT_FALSE(delegate.statuses.back().endpoints_full);
  feed->PrefetchEndpoints("default/b");
  ASSERT_TRUE(UntilSubscribedTo(2));
  EXPECT_TRUE(delegate.statuses.back().endpoints_full);
  feed->PrefetchEndpoints("default/c");
  delegate.used = {"default/a"};
  ASSERT_TRUE(Until([&] { return !delegate.statuses.back().endpoints_full; })) << "b is idle";
  ASSERT_TRUE(Until([&] { return !Names(false).empty(); }));
  EXPECT_THAT(Names(true), ElementsAre("default/a", "default/b"));
  EXPECT_THAT(Names(false), ElementsAre("default/b"));
  EXPECT_NE(Held("a"), nullptr);
}

TEST_F(FeedEndpoints, WhatWasHeldIsReadFromDiskAndAskedForAgain) {
  const TempDir dir;
  FeedOptions options = OnDemand();
  options.state_dir = dir.path();
  Start(options);
  ASSERT_TRUE(UntilInSync());
  Hold("a");
  feed->WantEndpoints("default/none");
  ASSERT_TRUE(UntilSubscribedTo(2));
  server.Send(MakeResponse(kEndpointsType, {}, {"default/none"}));
  ASSERT_TRUE(UntilHeld("none"));
  feed->Stop();
  feed.reset();

  const int streams = server.streams_opened();
  StartFeed(options);
  ASSERT_NE(Held("a"), nullptr);
  EXPECT_EQ(Held("none"), nullptr) << "by now it may have some";
  ASSERT_TRUE(Until([&] { return server.streams_opened() > streams; }));
  ASSERT_TRUE(UntilSubscribedTo(1));
  EXPECT_THAT(Names(true), ElementsAre("default/a"));
  EXPECT_THAT(server.Subscription(kEndpointsType).initial_resource_versions(),
              UnorderedElementsAre(Pair("default/a", "h"), Pair("default/a/a-1", "1")));
}

TEST_F(FeedEndpoints, ASilentControlPlaneIsNotAnswering) {
  FeedOptions options = OnDemand();
  options.stale_after = absl::Milliseconds(400);
  Start(options);
  ASSERT_TRUE(UntilInSync());
  EXPECT_TRUE(feed->status().answering);
  server.Hang();
  ASSERT_TRUE(Until([&] { return !delegate.statuses.back().answering; }));
  EXPECT_TRUE(delegate.statuses.back().connected);
}

}  // namespace
}  // namespace portolan::proxy

#include <gmock/gmock.h>

#include "common/monotonic.h"
#include "tests/proxy/feed/feed_fixture.h"

namespace portolan::proxy {
namespace {

using testing::Pair;
using testing::UnorderedElementsAre;

using FeedOutage = FeedTest;

TEST_F(FeedOutage, ANewStreamListsWhatIsHeldAndLearnsWhatIsGone) {
  StartFeed(Options(server));
  ASSERT_TRUE(UntilSubscribed());
  server.SendEmptySets();
  server.Send(MakeResponse(kServiceType,
                           {ServiceResource("a", "10.43.0.1"), ServiceResource("b", "10.43.0.2")}));
  server.Send(MakeResponse(kEndpointsType, {HeadResource("a", "h1", {{"s", "1"}}),
                                            SliceResource("a", "s", "1", {"10.42.0.1"})}));
  ASSERT_TRUE(Until([&] { return feed->snapshot()->slice_set_count() == 1; }));

  server.CloseStreams();
  ASSERT_TRUE(Until([&] { return !feed->status().in_sync; }));
  EXPECT_NE(FindService("a"), nullptr) << "an outage loses nothing";
  ASSERT_TRUE(Until([&] { return server.streams_opened() == 2 && server.IsSubscribed(); }));
  EXPECT_THAT(server.Subscription(kServiceType).initial_resource_versions(),
              UnorderedElementsAre(Pair("default/a", "10.43.0.1"), Pair("default/b", "10.43.0.2")));
  EXPECT_THAT(server.Subscription(kEndpointsType).initial_resource_versions(),
              UnorderedElementsAre(Pair("default/a", "h1"), Pair("default/a/s", "1")));
  EXPECT_EQ(server.requests()[0].node().id(), "default/frontend-1");

  server.Send(MakeResponse(kNamespaceType, {}));
  server.Send(MakeResponse(kEndpointsType, {}));
  server.Send(MakeResponse(kServiceImportType, {}));
  ASSERT_FALSE(feed->status().in_sync);
  server.Send(MakeResponse(kServiceType, {}, {"default/b"}));
  ASSERT_TRUE(UntilInSync());
  EXPECT_NE(FindService("a"), nullptr);
  EXPECT_EQ(FindService("b"), nullptr);
}

TEST_F(FeedOutage, TheNextAddressIsTriedWhenOneDoesNotAnswer) {
  std::string closed;
  {
    FakeControlPlane gone;
    closed = gone.address();
  }
  FeedOptions options = Options(server);
  options.control_planes.insert(options.control_planes.begin(), {closed, closed});
  StartFeed(options);
  SyncEmpty();
  EXPECT_EQ(feed->status().control_plane, server.address());
}

TEST_F(FeedOutage, AControlPlaneThatIsAServiceIsDialledByItsEndpointsBeforeTheFlags) {
  FakeControlPlane second;
  FeedOptions options = Options(server);
  options.control_planes = {"control.portolan-system.svc:1"};
  delegate.endpoints["control.portolan-system.svc:1"] = {server.address()};
  StartFeed(std::move(options));
  EXPECT_EQ(feed->status().control_plane, server.address());
  SyncEmpty();
  // Meanwhile it has moved.
  delegate.endpoints["control.portolan-system.svc:1"] = {second.address()};
  server.CloseStreams();
  ASSERT_TRUE(Until([&] { return second.IsSubscribed(); }));
  EXPECT_EQ(feed->status().control_plane, second.address());
}

TEST_F(FeedOutage, WhereTheConnectionWasLostIsTriedLast) {
  FakeControlPlane second;
  FeedOptions options = Options(server);
  options.control_planes = {"control.portolan-system.svc:1"};
  delegate.endpoints["control.portolan-system.svc:1"] = {server.address()};
  StartFeed(std::move(options));
  SyncEmpty();
  delegate.endpoints["control.portolan-system.svc:1"] = {server.address(), second.address()};
  server.CloseStreams();
  ASSERT_TRUE(Until([&] { return second.IsSubscribed(); }));
  EXPECT_EQ(server.streams_opened(), 1);
}

TEST_F(FeedOutage, ASilentProgramBehindALivingConnectionIsNotInSync) {
  FeedOptions options = Options(server);
  options.stale_after = absl::Milliseconds(300);
  StartFeed(options);
  SyncEmpty();
  TurnFor(std::chrono::milliseconds(900));
  EXPECT_TRUE(feed->status().in_sync) << "an idle control plane that answers is no outage";
  EXPECT_EQ(server.streams_opened(), 1);
  server.Hang();
  ASSERT_TRUE(Until([&] { return !feed->status().in_sync; }));
  EXPECT_TRUE(delegate.snapshots.back() == feed->snapshot());
  // In the end the stream is given up, for another address may answer.
  EXPECT_TRUE(Until([&] { return !feed->status().connected; }));
}

TEST_F(FeedOutage, AnUpdateThatIsNeverFinishedIsNotInSync) {
  FeedOptions options = Options(server);
  options.stale_after = absl::Milliseconds(300);
  StartFeed(options);
  SyncEmpty();
  server.Send(MakeResponse(kServiceType, {}, {}, Update::kMoreToCome));
  ASSERT_TRUE(UntilAnswered(kServiceType));
  EXPECT_TRUE(feed->status().in_sync);
  ASSERT_TRUE(Until([&] { return !feed->status().in_sync; }));
  EXPECT_TRUE(feed->status().connected);
  server.Send(MakeResponse(kServiceType, {}));
  EXPECT_TRUE(UntilInSync());
}

TEST_F(FeedOutage, AgeCountsFromTheLastMomentInSync) {
  StartFeed(Options(server));
  EXPECT_EQ(feed->status().Age(Monotonic()), absl::InfiniteDuration());
  SyncEmpty();
  EXPECT_EQ(feed->status().Age(Monotonic()), absl::ZeroDuration());
  server.CloseStreams();
  ASSERT_TRUE(Until([&] { return !feed->status().in_sync; }));
  const FeedStatus status = feed->status();
  EXPECT_GT(status.Age(Monotonic()), absl::ZeroDuration());
  EXPECT_LT(status.Age(Monotonic()), absl::Minutes(1));
  EXPECT_EQ(status.Age(status.last_sync + absl::Hours(2)), absl::Hours(2));
}

TEST_F(FeedOutage, StoppingWhileConnectingIsQuick) {
  StartFeed(Options(server));
  feed->Stop();
  const size_t told = delegate.statuses.size();
  TurnFor(std::chrono::milliseconds(50));
  EXPECT_EQ(delegate.statuses.size(), told) << "no call follows Stop";
}

}  // namespace
}  // namespace portolan::proxy

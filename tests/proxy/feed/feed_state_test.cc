// What a feed keeps over a restart.
#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>

#include "common/files.h"
#include "common/monotonic.h"
#include "tests/proxy/feed/feed_fixture.h"
#include "tests/proxy/feed/temp_dir.h"

namespace portolan::proxy {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pair;
using testing::StartsWith;
using testing::UnorderedElementsAre;

class FeedState : public FeedTest {
 protected:
  // Stopping writes to the directory, which goes first.
  ~FeedState() override { feed.reset(); }

  FeedOptions OptionsWithState() {
    FeedOptions options = Options(server);
    options.state_dir = dir.path();
    return options;
  }
  std::string file() const { return dir.path() + "/directory.state"; }

  // A feed that was in sync with one of everything, and stopped.
  void RunOnce() {
    StartFeed(OptionsWithState());
    ASSERT_TRUE(UntilSubscribed());
    server.Send(MakeResponse(kProxyConfigType, {ConfigResource("good")}));
    server.Send(MakeResponse(kNamespaceType, {NamespaceResource("default")}));
    server.Send(MakeResponse(kServiceType, {ServiceResource("backend", "10.43.0.1")}));
    server.Send(
        MakeResponse(kEndpointsType,
                     {HeadResource("backend", "h1", {{"s", "1"}}), HeadResource("idle", "h0", {}),
                      SliceResource("backend", "s", "1", {"10.42.0.1", "10.42.0.2"})}));
    server.Send(MakeResponse(kServiceImportType, {ImportResource("mc", "i1", "mc-c1", {})}));
    ASSERT_TRUE(UntilInSync());
    feed->Stop();
    feed.reset();
    delegate = RecordingDelegate();
  }

  TempDir dir;
};

TEST_F(FeedState, ARestartServesFromDiskWithoutAControlPlane) {
  RunOnce();
  FeedOptions options = OptionsWithState();
  options.control_planes = {"127.0.0.1:1"};
  StartFeed(options);
  ASSERT_EQ(delegate.snapshots.size(), 1u) << "published before Start returns";
  EXPECT_EQ(delegate.corefile, "good");
  EXPECT_THAT(delegate.changes[0].services, ElementsAre("default/backend"));
  const Snapshot& snapshot = *feed->snapshot();
  EXPECT_NE(snapshot.FindNamespace("default"), nullptr);
  EXPECT_EQ(snapshot.FindService("default/backend")->ports[0].port, 8080);
  EXPECT_EQ(snapshot.FindSlices("default/backend")->at("s")->endpoints.size(), 2u);
  const FeedStatus status = feed->status();
  EXPECT_EQ(status.source, FeedStatus::Source::kDisk);
  EXPECT_FALSE(status.in_sync);
  EXPECT_LT(status.Age(Monotonic()), absl::Minutes(1));
}

TEST_F(FeedState, ARestartTellsTheControlPlaneWhatItHolds) {
  RunOnce();
  StartFeed(OptionsWithState());
  ASSERT_TRUE(Until([&] { return server.streams_opened() == 2 && server.IsSubscribed(); }));
  EXPECT_THAT(server.Subscription(kServiceType).initial_resource_versions(),
              ElementsAre(Pair("default/backend", "10.43.0.1")));
  EXPECT_THAT(server.Subscription(kEndpointsType).initial_resource_versions(),
              UnorderedElementsAre(Pair("default/backend", "h1"), Pair("default/backend/s", "1"),
                                   Pair("default/idle", "h0")));
  EXPECT_THAT(server.Subscription(kProxyConfigType).initial_resource_versions(),
              ElementsAre(Pair("default", "good")));
  EXPECT_THAT(server.Subscription(kServiceImportType).initial_resource_versions(),
              ElementsAre(Pair("default/mc", "i1")));
  server.Send(MakeResponse(kNamespaceType, {}));
  server.Send(MakeResponse(kServiceType, {}, {"default/backend"}));
  server.Send(MakeResponse(kEndpointsType, {}));
  server.Send(MakeResponse(kServiceImportType, {}));
  ASSERT_TRUE(UntilInSync());
  EXPECT_EQ(FindService("backend"), nullptr);
  EXPECT_EQ(feed->status().source, FeedStatus::Source::kControlPlane);
}

TEST_F(FeedState, AnotherProgramVersionKeepsTheContentAndAsksForAllOfIt) {
  RunOnce();
  FeedOptions options = OptionsWithState();
  options.version = "next";
  StartFeed(options);
  EXPECT_NE(FindService("backend"), nullptr);
  EXPECT_EQ(feed->snapshot()->FindSlices("default/backend")->size(), 1u);
  ASSERT_TRUE(Until([&] { return server.streams_opened() == 2 && server.IsSubscribed(); }));
  EXPECT_THAT(server.Subscription(kServiceType).initial_resource_versions(),
              ElementsAre(Pair("default/backend", "")));
}

TEST_F(FeedState, ASetInTransitIsSavedAsItIsShown) {
  StartFeed(OptionsWithState());
  SyncEmpty();
  server.Send(MakeResponse(kEndpointsType, {HeadResource("backend", "h1", {{"s", "1"}}),
                                            SliceResource("backend", "s", "1", {"10.42.0.1"})}));
  server.Send(MakeResponse(kEndpointsType, {HeadResource("backend", "h2", {{"s", "2"}, {"t", "1"}}),
                                            SliceResource("backend", "s", "2", {"10.42.0.2"})}));
  ASSERT_TRUE(UntilAnswered(kEndpointsType));
  feed.reset();
  StartFeed(OptionsWithState());
  const SliceSet* set = feed->snapshot()->FindSlices("default/backend");
  ASSERT_NE(set, nullptr);
  EXPECT_EQ(set->at("s")->endpoints[0].addresses[0].ToString(), "10.42.0.1");
  ASSERT_TRUE(Until([&] { return server.streams_opened() == 2 && server.IsSubscribed(); }));
  EXPECT_THAT(server.Subscription(kEndpointsType).initial_resource_versions(),
              UnorderedElementsAre(Pair("default/backend", ""), Pair("default/backend/s", "")));
}

TEST_F(FeedState, ChangesReachTheDiskWhileRunning) {
  StartFeed(OptionsWithState());
  SyncEmpty();
  server.Send(MakeResponse(kServiceType, {ServiceResource("late", "10.43.0.9")}));
  EXPECT_TRUE(Until([&] {
    const auto content = ReadFile(file(), kMaxStateBytes);
    return content.ok() && content->find("default/late") != std::string::npos;
  }));
}

TEST_F(FeedState, NothingIsSavedBeforeTheFirstSync) {
  StartFeed(OptionsWithState());
  ASSERT_TRUE(UntilSubscribed());
  server.Send(MakeResponse(kServiceType, {ServiceResource("a", "10.43.0.1")}));
  ASSERT_TRUE(UntilAnswered(kServiceType));
  feed.reset();
  EXPECT_FALSE(std::filesystem::exists(file())) << "half a cluster would look like a whole one";
}

TEST_F(FeedState, ADamagedFileIsSetAsideAndTheStartGoesOn) {
  RunOnce();
  std::filesystem::resize_file(file(), std::filesystem::file_size(file()) - 1);
  StartFeed(OptionsWithState());
  EXPECT_TRUE(delegate.snapshots.empty());
  EXPECT_FALSE(std::filesystem::exists(file()));
  EXPECT_THAT(feed->status().state_fault, HasSubstr("set aside as " + file() + ".bad-"));
  SyncEmpty();
}

TEST_F(FeedState, AStateThatCannotBeSavedIsAFaultUntilItCan) {
  std::filesystem::create_directory(file() + ".next");  // in the way of the file to be written
  StartFeed(OptionsWithState());
  SyncEmpty();
  ASSERT_TRUE(Until([&] { return !feed->status().state_fault.empty(); }));
  EXPECT_THAT(feed->status().state_fault, StartsWith("cannot be saved: " + file() + ".next: "));
  EXPECT_TRUE(feed->status().in_sync);
}

TEST_F(FeedState, AConfigurationThatIsRefusedAtAStartIsNotClaimed) {
  RunOnce();
  auto content = *ReadFile(file(), kMaxStateBytes);
  auto state = RestoreState(content, "test");
  ASSERT_TRUE(state.ok());
  v1::ProxyConfig bad;
  bad.set_corefile("bad");
  state->proxy_config->mutable_resource()->PackFrom(bad);
  ASSERT_TRUE(
      WriteState({state->replica->image(), {}, state->proxy_config, absl::Now(), "test"}, file())
          .ok());
  StartFeed(OptionsWithState());
  EXPECT_EQ(delegate.corefile, "");
  EXPECT_NE(FindService("backend"), nullptr);
  ASSERT_TRUE(Until([&] { return server.streams_opened() == 2 && server.IsSubscribed(); }));
  EXPECT_TRUE(server.Subscription(kProxyConfigType).initial_resource_versions().empty());
}

}  // namespace
}  // namespace portolan::proxy

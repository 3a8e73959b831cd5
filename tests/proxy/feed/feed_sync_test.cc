#include <gmock/gmock.h>

#include "tests/proxy/feed/feed_fixture.h"

namespace portolan::proxy {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;

using FeedSync = FeedTest;

TEST_F(FeedSync, SubscribesToEverythingAndSaysWhoItIs) {
  StartFeed(Options(server));
  ASSERT_TRUE(UntilSubscribed());
  EXPECT_EQ(server.requests()[0].node().id(), "default/frontend-1");
  EXPECT_EQ(server.requests()[0].node().user_agent_version(), "test");
  for (auto type : {kNamespaceType, kServiceType, kEndpointsType}) {
    EXPECT_THAT(server.Subscription(type).resource_names_subscribe(), ElementsAre("*")) << type;
  }
  EXPECT_THAT(server.Subscription(kProxyConfigType).resource_names_subscribe(),
              ElementsAre("default"));
}

TEST_F(FeedSync, AnEmptyClusterIsInSyncOnceEveryTypeIsComplete) {
  StartFeed(Options(server));
  ASSERT_TRUE(UntilSubscribed());
  server.Send(MakeResponse(kNamespaceType, {}));
  server.Send(MakeResponse(kServiceType, {}));
  ASSERT_TRUE(UntilAnswered(kServiceType));
  EXPECT_FALSE(feed->status().in_sync);
  EXPECT_TRUE(delegate.snapshots.empty()) << "nothing is published before the first sync";
  server.Send(MakeResponse(kServiceImportType, {}));
  server.Send(MakeResponse(kEndpointsType, {}));
  ASSERT_TRUE(UntilInSync());
  EXPECT_EQ(delegate.snapshots.size(), 1u);
  EXPECT_EQ(feed->status().source, FeedStatus::Source::kControlPlane);
}

TEST_F(FeedSync, ListsWhatItHoldsOfAType) {
  StartFeed(Options(server));
  ASSERT_TRUE(UntilSubscribed());
  server.Send(MakeResponse(kNamespaceType, {NamespaceResource("default")}));
  server.Send(MakeResponse(kServiceType, {ServiceResource("a", "10.43.0.1")}));
  server.Send(MakeResponse(kServiceImportType, {}));
  server.Send(MakeResponse(kEndpointsType, {}));
  ASSERT_TRUE(UntilInSync());
  const auto held = [&](const char* type) {
    api::ResourcePage page("");
    const absl::Status status = feed->ListHeld(type, page);
    return status.ok() ? page.ToJson()["resources"].dump() : std::string(Message(status));
  };
  const std::string version = ServiceResource("a", "10.43.0.1").version();
  EXPECT_EQ(held("Service"), "{\"default/a\":\"" + version + "\"}");
  EXPECT_EQ(held("ProxyConfig"), "{}");
  EXPECT_EQ(held("Pod"),
            "type: 'Pod' is none of ProxyConfig, Namespace, Service, Endpoints, ServiceImport, "
            "Address, EgressPolicy, PolicyRules, PeerSet");
}

TEST_F(FeedSync, ACutFirstSetIsPublishedOnlyWhenComplete) {
  StartFeed(Options(server));
  ASSERT_TRUE(UntilSubscribed());
  server.Send(MakeResponse(kNamespaceType, {NamespaceResource("default")}));
  server.Send(MakeResponse(kEndpointsType, {}));
  server.Send(MakeResponse(kServiceImportType, {}));
  server.Send(
      MakeResponse(kServiceType, {ServiceResource("a", "10.43.0.1")}, {}, Update::kMoreToCome));
  ASSERT_TRUE(UntilAnswered(kServiceType));
  EXPECT_FALSE(delegate.WasEverInSync());
  EXPECT_TRUE(delegate.snapshots.empty());
  server.Send(MakeResponse(kServiceType, {ServiceResource("b", "10.43.0.2")}));
  ASSERT_TRUE(UntilInSync());
  ASSERT_EQ(delegate.snapshots.size(), 1u);
  EXPECT_THAT(delegate.changes[0].services, ElementsAre("default/a", "default/b"));
  EXPECT_THAT(delegate.changes[0].namespaces, ElementsAre("default"));
  EXPECT_NE(FindService("a"), nullptr);
  EXPECT_NE(FindService("b"), nullptr);
}

TEST_F(FeedSync, ChangesAndRemovalsArePublishedAndAcknowledged) {
  StartFeed(Options(server));
  SyncEmpty();
  server.Send(MakeResponse(kServiceType, {ServiceResource("a", "10.43.0.1")}));
  ASSERT_TRUE(UntilAnswered(kServiceType));
  EXPECT_FALSE(server.Answer(kServiceType).has_error_detail());
  ASSERT_NE(FindService("a"), nullptr);
  EXPECT_THAT(delegate.changes.back().services, ElementsAre("default/a"));
  server.Send(MakeResponse(kServiceType, {}, {"default/a", "default/never-there"}));
  ASSERT_TRUE(Until([&] { return FindService("a") == nullptr; }));
  EXPECT_THAT(delegate.changes.back().services, ElementsAre("default/a"));
  EXPECT_TRUE(feed->status().in_sync);
}

TEST_F(FeedSync, TheSameVersionAgainIsNoChange) {
  StartFeed(Options(server));
  SyncEmpty();
  server.Send(MakeResponse(kServiceType, {ServiceResource("a", "10.43.0.1")}));
  ASSERT_TRUE(Until([&] { return FindService("a") != nullptr; }));
  const auto snapshot = feed->snapshot();
  server.Send(MakeResponse(kServiceType, {ServiceResource("a", "10.43.0.1")}));
  ASSERT_TRUE(UntilAnswered(kServiceType));
  EXPECT_EQ(feed->snapshot(), snapshot);
}

TEST_F(FeedSync, AnInvalidResourceRefusesTheWholeResponseByName) {
  StartFeed(Options(server));
  SyncEmpty();
  v1::Service bad;
  bad.set_namespace_("default");
  bad.set_name("bad");
  bad.add_cluster_ips("12345");
  server.Send(MakeResponse(
      kServiceType, {ServiceResource("good", "10.43.0.1"), MakeResource("default/bad", "1", bad)}));
  ASSERT_TRUE(UntilAnswered(kServiceType));
  const std::string error = server.Answer(kServiceType).error_detail().message();
  EXPECT_THAT(error, HasSubstr("'default/bad'"));
  EXPECT_THAT(error, HasSubstr("cluster_ips[0]"));
  EXPECT_EQ(FindService("good"), nullptr) << "nothing of the response is applied";
  EXPECT_FALSE(feed->status().in_sync) << "what was refused is missing";
  EXPECT_EQ(feed->status().types[2].last_nack, error);
}

TEST_F(FeedSync, ARefusedResponseIsFetchedAgainByANewStream) {
  FeedOptions options = Options(server);
  options.refused_retry = absl::Milliseconds(50);
  StartFeed(options);
  SyncEmpty();
  server.Send(MakeResponse(kServiceType, {MakeResource("default/bad", "1", v1::Namespace())}));
  ASSERT_TRUE(Until([&] { return server.streams_opened() == 2 && server.IsSubscribed(); }));
  EXPECT_FALSE(feed->status().in_sync);
  server.SendEmptySets();
  EXPECT_TRUE(UntilInSync());
}

TEST_F(FeedSync, AnUnknownTypeIsRefusedAndHarmless) {
  StartFeed(Options(server));
  SyncEmpty();
  const std::string type = "type.googleapis.com/portolan.v1.Later";
  server.Send(MakeResponse(type, {}));
  ASSERT_TRUE(UntilAnswered(type));
  EXPECT_TRUE(server.Answer(type).has_error_detail());
  EXPECT_TRUE(feed->status().in_sync);
}

TEST_F(FeedSync, ARefusedConfigurationKeepsTheOldOneAndSaysWhy) {
  StartFeed(Options(server));
  SyncEmpty();
  server.Send(MakeResponse(kProxyConfigType, {ConfigResource("good")}));
  ASSERT_TRUE(UntilAnswered(kProxyConfigType));
  EXPECT_FALSE(server.Answer(kProxyConfigType).has_error_detail());
  for (int i = 0; i < 2; ++i) {
    server.Send(MakeResponse(kProxyConfigType, {ConfigResource("bad")}));
    ASSERT_TRUE(UntilAnswered(kProxyConfigType));
    EXPECT_THAT(server.Answer(kProxyConfigType).error_detail().message(),
                HasSubstr("'bad' is no directive"));
  }
  EXPECT_EQ(delegate.config_calls, 2) << "the same configuration is not tried twice";
  EXPECT_EQ(delegate.corefile, "good");
  EXPECT_TRUE(feed->status().in_sync) << "the directory is whole";
}

TEST_F(FeedSync, AWithdrawnConfigurationIsGivenUpOnce) {
  StartFeed(Options(server));
  SyncEmpty();
  server.Send(MakeResponse(kProxyConfigType, {}, {"default"}));
  ASSERT_TRUE(UntilAnswered(kProxyConfigType));
  EXPECT_EQ(delegate.corefile, "") << "there was none to withdraw";
  server.Send(MakeResponse(kProxyConfigType, {ConfigResource("good")}));
  server.Send(MakeResponse(kProxyConfigType, {}, {"default"}));
  ASSERT_TRUE(UntilAnswered(kProxyConfigType));
  EXPECT_EQ(delegate.corefile, "own");
  server.Send(MakeResponse(kProxyConfigType, {ConfigResource("good")}));
  ASSERT_TRUE(UntilAnswered(kProxyConfigType));
  EXPECT_EQ(delegate.corefile, "good") << "the same one may come back";
}

TEST_F(FeedSync, AConfigurationIsAskedForByNameAndSaidToBeMissingWhereThereIsNone) {
  FeedOptions options = Options(server);
  options.proxy_config = "quiet";
  StartFeed(std::move(options));
  SyncEmpty();
  EXPECT_THAT(server.Subscription(kProxyConfigType).resource_names_subscribe(),
              ElementsAre("quiet"));
  server.Send(MakeResponse(kProxyConfigType, {}, {"quiet"}));
  ASSERT_TRUE(UntilAnswered(kProxyConfigType));
  EXPECT_TRUE(feed->status().proxy_config_missing);
  EXPECT_TRUE(delegate.statuses.back().proxy_config_missing);
  EXPECT_TRUE(feed->status().in_sync);
  auto quiet = ConfigResource("quietly");
  quiet.set_name("quiet");
  server.Send(MakeResponse(kProxyConfigType, {quiet}));
  ASSERT_TRUE(UntilAnswered(kProxyConfigType));
  EXPECT_EQ(delegate.corefile, "quietly");
  EXPECT_FALSE(delegate.statuses.back().proxy_config_missing);
}

TEST_F(FeedSync, ASetOfEndpointsIsNeverSeenHalfMoved) {
  StartFeed(Options(server));
  SyncEmpty();
  server.Send(MakeResponse(kEndpointsType, {HeadResource("backend", "h1", {{"s", "1"}}),
                                            SliceResource("backend", "s", "1", {"10.42.0.1"})}));
  ASSERT_TRUE(Until([&] { return feed->snapshot()->slice_set_count() == 1; }));
  server.Send(MakeResponse(kEndpointsType,
                           {HeadResource("backend", "h2", {{"s", "2"}, {"t", "1"}}),
                            SliceResource("backend", "s", "2", {"10.42.0.2"})},
                           {}, Update::kMoreToCome));
  ASSERT_TRUE(UntilAnswered(kEndpointsType));
  const SliceSet* set = feed->snapshot()->FindSlices("default/backend");
  ASSERT_EQ(set->size(), 1u);
  EXPECT_EQ(set->at("s")->endpoints[0].addresses[0].ToString(), "10.42.0.1");
  server.Send(MakeResponse(kEndpointsType, {SliceResource("backend", "t", "1", {"10.42.0.3"})}));
  ASSERT_TRUE(UntilAnswered(kEndpointsType));
  set = feed->snapshot()->FindSlices("default/backend");
  ASSERT_EQ(set->size(), 2u);
  EXPECT_EQ(set->at("s")->endpoints[0].addresses[0].ToString(), "10.42.0.2");
}

TEST_F(FeedSync, MetricsSayWhatHappened) {
  StartFeed(Options(server));
  MetricsPage page;
  feed->AddMetrics(page);
  EXPECT_THAT(page.Render(), HasSubstr("portolan_feed_in_sync 0"));
  SyncEmpty();
  server.Send(MakeResponse(kServiceType, {ServiceResource("a", "10.43.0.1")}));
  ASSERT_TRUE(UntilAnswered(kServiceType));
  feed.reset();
  const std::string text = page.Render();
  EXPECT_THAT(text, HasSubstr("portolan_feed_responses_total{type=\"Service\"} 2"));
  EXPECT_THAT(text, HasSubstr("portolan_feed_held_resources{type=\"Service\"} 1"));
  EXPECT_THAT(text, HasSubstr("portolan_feed_age_seconds"));
}

}  // namespace
}  // namespace portolan::proxy

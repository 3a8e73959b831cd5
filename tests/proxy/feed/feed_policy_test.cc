// The pod's egress policy: asked for by name, told of when it is whole, kept and restored.
#include <gmock/gmock.h>

#include <algorithm>

#include "tests/proxy/feed/feed_fixture.h"
#include "tests/proxy/feed/policy_names.h"
#include "tests/proxy/feed/temp_dir.h"
#include "tests/xds/api/policy_samples.h"

namespace portolan::proxy {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Pair;
using testing::SizeIs;

class FeedPolicy : public FeedTest {
 protected:
  void Start() {
    StartFeed(Options(server));
    ASSERT_TRUE(UntilAsked(kEgressPolicyType, {kOwn}));
  }

  // Every name that the newest stream was asked for in the order of the requests, and those that
  // were given up with a "-" in front.
  std::vector<std::string> Asked(std::string_view type) const {
    std::vector<std::string> names;
    for (const auto& request : server.requests()) {
      if (request.type_url() != type) continue;
      for (const auto& name : request.resource_names_unsubscribe()) names.push_back("-" + name);
      for (const auto& name : request.resource_names_subscribe()) names.push_back(name);
    }
    return names;
  }
  bool UntilAsked(std::string_view type, const std::vector<std::string>& names) {
    return Until([&] {
      std::vector<std::string> asked = Asked(type);
      std::sort(asked.begin(), asked.end());
      return asked == names;
    });
  }

  void Send(std::string_view type, std::vector<Resource> resources,
            std::vector<std::string> removed = {}) {
    ASSERT_TRUE(server.Send(MakeResponse(type, std::move(resources), std::move(removed))));
  }
  void SendHead(std::vector<std::string> policies, const std::string& version) {
    Send(kEgressPolicyType, {EgressPolicyResource(kOwn, version, std::move(policies))});
  }
  // default/a, with the members of kS1.
  void SendWhole(const std::vector<std::string>& members) {
    SendHead({kA}, "h1");
    ASSERT_TRUE(UntilAsked(kPolicyRulesType, {kA}));
    Send(kPolicyRulesType, {RulesResource(kA, "a1", {kS1})});
    ASSERT_TRUE(UntilAsked(kPeerSetType, {kS1}));
    Send(kPeerSetType, {PeerSetResource(kS1, "s1", members)});
    ASSERT_TRUE(UntilPolicyKnown());
  }
  bool UntilPolicyKnown() {
    return Until([&] { return feed->status().policy_known; });
  }
  bool Allows(const std::string& address) const {
    return feed->egress_rules()->Judge({*IpAddress::Parse(address), 80}, Protocol::kTcp).allowed;
  }
  bool UntilAllows(const std::string& address) {
    return Until([&] { return Allows(address); });
  }
  std::string Metrics() const {
    MetricsPage page;
    feed->AddMetrics(page);
    return page.Render();
  }
};

TEST_F(FeedPolicy, ItIsAskedForByTheNodesName) {
  Start();
  EXPECT_THAT(Asked(kEgressPolicyType), ElementsAre(kOwn));
  EXPECT_THAT(server.Subscription(kPolicyRulesType).resource_names_subscribe(), IsEmpty());
  EXPECT_FALSE(feed->status().policy_known);
  EXPECT_EQ(feed->egress_rules(), nullptr);
  EXPECT_THAT(delegate.rules, IsEmpty());
}

TEST_F(FeedPolicy, WhatItLeadsToIsAskedForAndTheWholeIsToldOf) {
  Start();
  SendWhole({"10.0.0.1"});
  ASSERT_THAT(delegate.rules, SizeIs(1));
  EXPECT_EQ(delegate.rules[0], feed->egress_rules());
  EXPECT_TRUE(Allows("10.0.0.1"));
  EXPECT_FALSE(Allows("10.0.0.2"));
  EXPECT_TRUE(delegate.statuses.back().policy_known);
  EXPECT_FALSE(delegate.statuses.front().policy_known);
}

TEST_F(FeedPolicy, ItWaitsForNoDirectoryAndNoDirectoryForIt) {
  Start();
  SendWhole({"10.0.0.1"});
  EXPECT_FALSE(feed->status().in_sync);
  EXPECT_THAT(delegate.snapshots, IsEmpty());
  SendHead({kA, kB}, "h2");  // which never becomes whole
  ASSERT_TRUE(UntilAsked(kPolicyRulesType, {kA, kB}));
  SyncEmpty();
  EXPECT_THAT(delegate.snapshots, SizeIs(1));
  EXPECT_TRUE(feed->status().in_sync);
  EXPECT_THAT(Metrics(), HasSubstr("\nportolan_feed_policy_in_transit 1\n"));
}

TEST_F(FeedPolicy, AControlPlaneThatHasNoneIsolatesNothing) {
  Start();
  Send(kEgressPolicyType, {}, {kOwn});
  ASSERT_TRUE(UntilPolicyKnown());
  EXPECT_FALSE(feed->egress_rules()->isolates());
}

TEST_F(FeedPolicy, AControlPlaneThatDoesNotKnowThePodYetSaysNothingOfItsPolicy) {
  Start();
  Send(kEgressPolicyType, {});
  ASSERT_TRUE(UntilAnswered(kEgressPolicyType));
  EXPECT_EQ(feed->egress_rules(), nullptr);
  Send(kEgressPolicyType, {}, {kOwn});
  ASSERT_TRUE(UntilPolicyKnown());
  EXPECT_FALSE(feed->egress_rules()->isolates());
}

TEST_F(FeedPolicy, WhatItNoLongerLeadsToIsUnsubscribedFrom) {
  Start();
  SendWhole({"10.0.0.1"});
  Send(kPolicyRulesType, {RulesResource(kA, "a2", {kS2})});
  ASSERT_TRUE(UntilAsked(kPeerSetType, {kS1, kS2}));
  EXPECT_TRUE(Allows("10.0.0.1"));
  Send(kPeerSetType, {PeerSetResource(kS2, "1", {"10.0.0.2"})});
  ASSERT_TRUE(UntilAllows("10.0.0.2"));
  ASSERT_TRUE(UntilAsked(kPeerSetType, {std::string("-") + kS1, kS1, kS2}));
  EXPECT_FALSE(Allows("10.0.0.1"));
  EXPECT_THAT(delegate.rules, SizeIs(2));
}

TEST_F(FeedPolicy, APeerMoreIsInForceWithTheResponseThatBringsIt) {
  Start();
  SendWhole({"10.0.0.1"});
  Send(kPeerSetType, {PeerChangeResource(kS1, "s2", "s1", {"10.0.0.2"}, {})});
  ASSERT_TRUE(UntilAllows("10.0.0.2"));
  EXPECT_THAT(delegate.rules, SizeIs(2));
}

TEST_F(FeedPolicy, ADifferenceFromAnotherVersionIsRefusedAndTheWholeAskedFor) {
  Start();
  SendWhole({"10.0.0.1"});
  Send(kPeerSetType, {PeerChangeResource(kS1, "s3", "s2", {"10.0.0.3"}, {})});
  ASSERT_TRUE(UntilAsked(kPeerSetType, {std::string("-") + kS1, kS1, kS1}));
  EXPECT_THAT(server.Answer(kPeerSetType).error_detail().message(),
              HasSubstr("PeerSet '0000000000000001': base: 's2' is not the version held"));
  EXPECT_TRUE(Allows("10.0.0.1"));
  EXPECT_FALSE(Allows("10.0.0.3"));
  Send(kPeerSetType, {PeerSetResource(kS1, "s3", {"10.0.0.1", "10.0.0.3"})});
  ASSERT_TRUE(UntilAllows("10.0.0.3"));
  EXPECT_THAT(Metrics(), HasSubstr("\nportolan_feed_nacks_total{type=\"PeerSet\"} 1\n"));
}

TEST_F(FeedPolicy, AWholeThatCameSparesTheNewStreamAndOneThatDidNotMakesIt) {
  FeedOptions options = Options(server);
  options.refused_retry = absl::Milliseconds(300);
  StartFeed(options);
  ASSERT_TRUE(UntilAsked(kEgressPolicyType, {kOwn}));
  SendWhole({"10.0.0.1"});
  Send(kPeerSetType, {PeerChangeResource(kS1, "s3", "s2", {"10.0.0.3"}, {})});
  ASSERT_TRUE(UntilAsked(kPeerSetType, {std::string("-") + kS1, kS1, kS1}));
  Send(kPeerSetType, {PeerSetResource(kS1, "s3", {"10.0.0.3"})});
  ASSERT_TRUE(UntilAllows("10.0.0.3"));
  TurnFor(std::chrono::milliseconds(600));
  EXPECT_EQ(server.streams_opened(), 1);

  Resource bad = RulesResource(kA, "a2", {});
  bad.mutable_resource()->set_value("\xff");
  Send(kPolicyRulesType, {bad});
  ASSERT_TRUE(Until([&] { return server.streams_opened() == 2; }));
  EXPECT_TRUE(Allows("10.0.0.3"));
}

TEST_F(FeedPolicy, AfterAReconnectAllIsAskedForWithTheVersionsHeld) {
  Start();
  SendWhole({"10.0.0.1"});
  server.CloseStreams();
  ASSERT_TRUE(Until([&] { return server.streams_opened() == 2; }));
  ASSERT_TRUE(UntilAsked(kPeerSetType, {kS1}));
  EXPECT_TRUE(Allows("10.0.0.1"));
  EXPECT_FALSE(Allows("10.0.0.2"));
  EXPECT_THAT(server.Subscription(kEgressPolicyType).initial_resource_versions(),
              ElementsAre(Pair(kOwn, "h1")));
  EXPECT_THAT(server.Subscription(kPolicyRulesType).initial_resource_versions(),
              ElementsAre(Pair(kA, "a1")));
  EXPECT_THAT(server.Subscription(kPeerSetType).initial_resource_versions(),
              ElementsAre(Pair(kS1, "s1")));
  // What the server bases its difference on.
  Send(kPeerSetType, {PeerChangeResource(kS1, "s2", "s1", {"10.0.0.2"}, {})});
  ASSERT_TRUE(UntilAllows("10.0.0.2"));
  // Nothing new.
  Send(kEgressPolicyType, {});
  ASSERT_TRUE(UntilAnswered(kEgressPolicyType));
  EXPECT_FALSE(Allows("10.0.0.3"));
}

TEST_F(FeedPolicy, RemovalOfTheHeadOpensEverything) {
  Start();
  SendWhole({"10.0.0.1"});
  EXPECT_FALSE(Allows("10.0.0.2"));
  Send(kEgressPolicyType, {}, {kOwn});
  ASSERT_TRUE(UntilAllows("10.0.0.2"));
  ASSERT_TRUE(UntilAsked(kPolicyRulesType, {std::string("-") + kA, kA}));
  ASSERT_TRUE(UntilAsked(kPeerSetType, {std::string("-") + kS1, kS1}));
  EXPECT_TRUE(feed->status().policy_known);
}

TEST_F(FeedPolicy, WhatIsHeldIsListed) {
  Start();
  SendWhole({"10.0.0.1"});
  const auto listed = [&](const std::string& type) {
    api::ResourcePage page("");
    EXPECT_TRUE(feed->ListHeld(type, page).ok());
    return page.ToJson().at("resources").dump();
  };
  EXPECT_EQ(listed("EgressPolicy"), R"({"default/frontend-1":"h1"})");
  EXPECT_EQ(listed("PolicyRules"), R"({"NetworkPolicy/default/a":"a1"})");
  EXPECT_EQ(listed("PeerSet"), R"({"0000000000000001":"s1"})");
  EXPECT_THAT(Metrics(), HasSubstr("\nportolan_feed_held_resources{type=\"PeerSet\"} 1\n"));
}

class FeedPolicyOnDisk : public FeedPolicy {
 protected:
  FeedOptions OnDisk() {
    FeedOptions options = Options(server);
    options.state_dir = dir.path();
    return options;
  }
  // A first run that ended with what `send` sent.
  void Run(const std::function<void()>& send) {
    StartFeed(OnDisk());
    ASSERT_TRUE(UntilAsked(kEgressPolicyType, {kOwn}));
    send();
    SyncEmpty();
    feed.reset();
    ASSERT_TRUE(Until([&] { return server.requests().empty(); }));
    delegate = RecordingDelegate();
  }
  // The next run without a control plane.
  void StartAlone() {
    FeedOptions options = OnDisk();
    options.control_planes.clear();
    StartFeed(options);
  }

  TempDir dir;
};

TEST_F(FeedPolicyOnDisk, APolicyIsInForceFromTheStartAndItsVersionsAreHeld) {
  Run([&] { SendWhole({"10.0.0.1"}); });
  StartFeed(OnDisk());
  ASSERT_THAT(delegate.rules, SizeIs(1));
  EXPECT_TRUE(feed->status().policy_known);
  EXPECT_TRUE(Allows("10.0.0.1"));
  EXPECT_FALSE(Allows("10.0.0.2"));
  ASSERT_TRUE(UntilAsked(kPeerSetType, {kS1}));
  EXPECT_THAT(server.Subscription(kPolicyRulesType).initial_resource_versions(),
              ElementsAre(Pair(kA, "a1")));
  Send(kPeerSetType, {PeerChangeResource(kS1, "s2", "s1", {"10.0.0.2"}, {"10.0.0.1"})});
  ASSERT_TRUE(UntilAllows("10.0.0.2"));
  EXPECT_FALSE(Allows("10.0.0.1"));
}

TEST_F(FeedPolicyOnDisk, WhoMayConnectIsToldOfAndInForceFromTheStart) {
  FeedOptions options = OnDisk();
  options.enforce_ingress = true;
  StartFeed(options);
  ASSERT_TRUE(UntilAsked(kEgressPolicyType, {kOwn}));
  Send(kEgressPolicyType, {BothWaysResource(kOwn, "h1", {}, {kIn}, {})});
  ASSERT_TRUE(UntilAsked(kPolicyRulesType, {kIn}));
  EXPECT_THAT(delegate.ingress_rules, IsEmpty());
  Send(kPolicyRulesType, {RulesResource(kIn, "i1", {})});
  ASSERT_TRUE(UntilPolicyKnown());
  ASSERT_THAT(delegate.ingress_rules, SizeIs(1));
  EXPECT_EQ(delegate.ingress_rules[0], feed->ingress_rules());
  EXPECT_TRUE(feed->ingress_rules()->isolates());
  ASSERT_THAT(delegate.rules, SizeIs(1));
  EXPECT_FALSE(delegate.rules[0]->isolates());
  SyncEmpty();
  feed.reset();
  ASSERT_TRUE(Until([&] { return server.requests().empty(); }));
  delegate = RecordingDelegate();
  options.control_planes.clear();
  StartFeed(options);
  ASSERT_THAT(delegate.ingress_rules, SizeIs(1));
  EXPECT_TRUE(delegate.ingress_rules[0]->isolates());
}

TEST_F(FeedPolicyOnDisk, APolicyIsSavedWhereTheDirectoryNeverBecomesWhole) {
  StartFeed(OnDisk());
  ASSERT_TRUE(UntilAsked(kEgressPolicyType, {kOwn}));
  Send(kServiceType, {ServiceResource("half", "10.43.0.1")});
  SendWhole({"10.0.0.1"});
  feed.reset();
  ASSERT_TRUE(Until([&] { return server.requests().empty(); }));
  delegate = RecordingDelegate();
  StartAlone();
  ASSERT_THAT(delegate.rules, SizeIs(1));
  EXPECT_TRUE(Allows("10.0.0.1"));
  EXPECT_FALSE(Allows("10.0.0.2"));
  EXPECT_EQ(feed->status().source, FeedStatus::Source::kNone);
  EXPECT_THAT(delegate.snapshots, IsEmpty());
  EXPECT_FALSE(feed->status().in_sync);
  // What was in it is not lost by a start that learns nothing.
  feed.reset();
  StartAlone();
  EXPECT_TRUE(feed->status().policy_known);
}

TEST_F(FeedPolicyOnDisk, ThatThereIsNoneIsKnownAfterARestart) {
  Run([&] {
    Send(kEgressPolicyType, {}, {kOwn});
    ASSERT_TRUE(UntilPolicyKnown());
  });
  StartAlone();
  EXPECT_TRUE(feed->status().policy_known);
  EXPECT_FALSE(feed->egress_rules()->isolates());
}

TEST_F(FeedPolicyOnDisk, WithoutAPolicyInTheFileNoneIsKnown) {
  Run([] {});
  StartAlone();
  EXPECT_EQ(feed->status().source, FeedStatus::Source::kDisk);
  EXPECT_FALSE(feed->status().policy_known);
  EXPECT_THAT(delegate.rules, IsEmpty());
}

TEST_F(FeedPolicyOnDisk, AnotherPodsPolicyIsNotTaken) {
  Run([&] { SendWhole({"10.0.0.1"}); });
  FeedOptions options = OnDisk();
  options.control_planes.clear();
  options.node_id = "default/other";
  StartFeed(options);
  EXPECT_EQ(feed->status().source, FeedStatus::Source::kDisk);
  EXPECT_FALSE(feed->status().policy_known);
}

TEST_F(FeedPolicyOnDisk, WhatIsNotWholeIsSavedAsItIsInForce) {
  Run([&] {
    SendWhole({"10.0.0.1"});
    Send(kPolicyRulesType, {RulesResource(kA, "a2", {kS2})});
    ASSERT_TRUE(UntilAsked(kPeerSetType, {kS1, kS2}));
  });
  StartFeed(OnDisk());
  EXPECT_TRUE(Allows("10.0.0.1"));
  EXPECT_FALSE(Allows("10.0.0.2"));
  // The newer version was held, what is saved is not it: it has to come again.
  ASSERT_TRUE(UntilAsked(kPolicyRulesType, {kA}));
  EXPECT_THAT(server.Subscription(kPolicyRulesType).initial_resource_versions(),
              ElementsAre(Pair(kA, "")));
}

TEST_F(FeedPolicyOnDisk, AnotherProgramTrustsNoVersions) {
  Run([&] { SendWhole({"10.0.0.1"}); });
  FeedOptions options = OnDisk();
  options.version = "next";
  StartFeed(options);
  EXPECT_TRUE(Allows("10.0.0.1"));
  ASSERT_TRUE(UntilAsked(kPeerSetType, {kS1}));
  EXPECT_THAT(server.Subscription(kPeerSetType).initial_resource_versions(),
              ElementsAre(Pair(kS1, "")));
  // It comes whole, and is what it was.
  Send(kPeerSetType, {PeerSetResource(kS1, "s1", {"10.0.0.1"})});
  ASSERT_TRUE(UntilAnswered(kPeerSetType));
  EXPECT_THAT(delegate.rules, SizeIs(1));
}

}  // namespace
}  // namespace portolan::proxy

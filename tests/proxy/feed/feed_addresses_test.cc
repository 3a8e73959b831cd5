// Who has an address: asked for while the feed runs.
#include <gmock/gmock.h>

#include "tests/proxy/feed/feed_fixture.h"

namespace portolan::proxy {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::Pair;
using testing::UnorderedElementsAre;

class FeedAddresses : public FeedTest {
 protected:
  void SetUp() override {
    StartFeed(Options(server));
    SyncEmpty();
  }

  void Want(const std::string& address) { feed->WantAddress(*IpAddress::Parse(address)); }
  // Every name that the newest stream was asked for, in the order of the requests.
  std::vector<std::string> Subscribed() const {
    std::vector<std::string> names;
    for (const auto& request : server.requests()) {
      if (request.type_url() != kAddressType) continue;
      names.insert(names.end(), request.resource_names_subscribe().begin(),
                   request.resource_names_subscribe().end());
    }
    return names;
  }
  bool UntilSubscribedTo(size_t count) {
    return Until([&] { return Subscribed().size() == count; });
  }
  const AddressOwner* Held(const std::string& address) const {
    return feed->snapshot()->FindAddress(*IpAddress::Parse(address));
  }
  bool UntilHeld(const std::string& address) {
    return Until([&] { return Held(address) != nullptr; });
  }
};

TEST_F(FeedAddresses, NothingIsAskedForUnlessItIsWanted) {
  ASSERT_TRUE(server.Send(MakeResponse(kServiceType, {})));
  ASSERT_TRUE(UntilAnswered(kServiceType));
  EXPECT_THAT(server.Subscription(kAddressType).resource_names_subscribe(), IsEmpty());
}

TEST_F(FeedAddresses, TheOwnerOrThatThereIsNoneComesIntoTheDirectory) {
  Want("10.42.0.1");
  Want("10.42.0.2");
  Want("10.42.0.1");
  ASSERT_TRUE(UntilSubscribedTo(2));
  EXPECT_THAT(Subscribed(), ElementsAre("10.42.0.1", "10.42.0.2"));
  server.Send(MakeResponse(kAddressType, {AddressResource("10.42.0.1", "a")}, {"10.42.0.2"}));
  ASSERT_TRUE(UntilHeld("10.42.0.1"));
  EXPECT_EQ(Held("10.42.0.1")->pod.ToString(), "default/a");
  ASSERT_NE(Held("10.42.0.2"), nullptr);
  EXPECT_EQ(Held("10.42.0.2")->pod.name, "");
  EXPECT_THAT(delegate.changes.back().addresses, testing::SizeIs(2));

  server.Send(MakeResponse(kAddressType, {AddressResource("10.42.0.2", "b")}, {"10.42.0.1"}));
  ASSERT_TRUE(Until([&] { return Held("10.42.0.2")->pod.name == "b"; }));
  EXPECT_EQ(Held("10.42.0.1")->pod.name, "");
}

TEST_F(FeedAddresses, WhatNobodyWantsIsNotKept) {
  Want("10.42.0.1");
  ASSERT_TRUE(UntilSubscribedTo(1));
  server.Send(MakeResponse(kAddressType, {AddressResource("10.42.0.9", "x")}, {"10.42.0.8"}));
  server.Send(MakeResponse(kAddressType, {AddressResource("10.42.0.1", "a")}));
  ASSERT_TRUE(UntilHeld("10.42.0.1"));
  EXPECT_EQ(Held("10.42.0.9"), nullptr);
  EXPECT_EQ(Held("10.42.0.8"), nullptr);
}

TEST_F(FeedAddresses, AfterAReconnectAllAreSubscribedToWithTheVersionsHeld) {
  Want("10.42.0.1");
  Want("10.42.0.2");
  ASSERT_TRUE(UntilSubscribedTo(2));
  server.Send(MakeResponse(kAddressType, {AddressResource("10.42.0.1", "a")}, {"10.42.0.2"}));
  ASSERT_TRUE(UntilHeld("10.42.0.1"));
  const int streams = server.streams_opened();
  server.CloseStreams();
  ASSERT_TRUE(Until([&] { return !feed->status().connected; }));
  Want("10.42.0.3");
  ASSERT_TRUE(Until([&] { return server.streams_opened() > streams; }));
  ASSERT_TRUE(UntilSubscribedTo(3));
  EXPECT_THAT(Subscribed(), UnorderedElementsAre("10.42.0.1", "10.42.0.2", "10.42.0.3"));
  EXPECT_THAT(server.Subscription(kAddressType).initial_resource_versions(),
              ElementsAre(Pair("10.42.0.1", "a")));
  // What is known stays known meanwhile.
  EXPECT_EQ(Held("10.42.0.1")->pod.name, "a");
}

TEST_F(FeedAddresses, OverTheBoundTheOldestIsUnsubscribedFromAndForgotten) {
  Want("10.42.0.1");
  ASSERT_TRUE(UntilSubscribedTo(1));
  server.Send(MakeResponse(kAddressType, {AddressResource("10.42.0.1", "a")}));
  ASSERT_TRUE(UntilHeld("10.42.0.1"));
  for (size_t i = 0; i < Feed::kMostAddresses; ++i) {
    Want("10.43." + std::to_string(i / 256) + "." + std::to_string(i % 256));
  }
  ASSERT_TRUE(Until([&] { return Held("10.42.0.1") == nullptr; }));
  ASSERT_TRUE(UntilSubscribedTo(1 + Feed::kMostAddresses));
  EXPECT_THAT(server.requests().back().resource_names_unsubscribe(), ElementsAre("10.42.0.1"));
}

TEST_F(FeedAddresses, WhatIsKeptIsNotTheOldestHoweverLongAgoItWasAskedFor) {
  feed->Keep({.addresses = {*IpAddress::Parse("10.42.0.1")}, .services = {}});
  ASSERT_TRUE(UntilSubscribedTo(1));
  server.Send(MakeResponse(kAddressType, {AddressResource("10.42.0.1", "a")}));
  ASSERT_TRUE(UntilHeld("10.42.0.1"));
  for (size_t i = 0; i < Feed::kMostAddresses; ++i) {
    Want("10.43." + std::to_string(i / 256) + "." + std::to_string(i % 256));
  }
  // Of those wanted after it one has no place.
  ASSERT_TRUE(UntilSubscribedTo(Feed::kMostAddresses));
  EXPECT_THAT(server.requests().back().resource_names_unsubscribe(), ElementsAre("10.43.0.0"));
  EXPECT_NE(Held("10.42.0.1"), nullptr);
}

}  // namespace
}  // namespace portolan::proxy

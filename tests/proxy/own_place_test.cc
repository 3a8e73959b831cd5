#include "proxy/own_place.h"

#include <gtest/gtest.h>

namespace portolan::proxy {
namespace {

IpAddress Ip(std::string_view text) { return *IpAddress::Parse(text); }

class OwnPlaceTest : public testing::Test {
 protected:
  static OwnPlace Make(Place given) {
    return OwnPlace("default/web", {Ip("10.42.0.7"), Ip("fd00::7")}, std::move(given));
  }
  std::shared_ptr<const Snapshot> Held(std::string_view ip, std::string pod, std::string node,
                                       std::string zone) {
    directory_.Put(AddressOwner{.ip = Ip(ip),
                                .pod = {"default", std::move(pod)},
                                .node = std::move(node),
                                .zone = std::move(zone)});
    return directory_.Commit().snapshot;
  }

  Directory directory_;
};

TEST_F(OwnPlaceTest, IsWhatTheControlPlaneSaysOfThePodsAddress) {
  OwnPlace place = Make({});
  EXPECT_EQ(place.Wanted().size(), 2u);
  EXPECT_FALSE(place.Follow(*directory_.snapshot()));
  EXPECT_TRUE(place.Follow(*Held("fd00::7", "web", "node-a", "zone-a")));
  EXPECT_EQ(place.current(), (Place{"node-a", "zone-a"}));
  EXPECT_FALSE(place.Follow(*directory_.snapshot()));
  EXPECT_TRUE(place.Follow(*Held("fd00::7", "web", "node-a", "zone-b")));
  EXPECT_EQ(place.current().zone, "zone-b");
}

TEST_F(OwnPlaceTest, FlagsWinAndWhatTheyDoNotSayIsAskedFor) {
  OwnPlace place = Make({.node = "mine", .zone = ""});
  EXPECT_TRUE(place.Follow(*Held("10.42.0.7", "web", "node-a", "zone-a")));
  EXPECT_EQ(place.current(), (Place{"mine", "zone-a"}));
  EXPECT_EQ(place.Dump()["nodeSource"], "flag");
  EXPECT_EQ(place.Dump()["zoneSource"], "control plane");

  OwnPlace given = Make({.node = "mine", .zone = "my-zone"});
  EXPECT_TRUE(given.Wanted().empty());
  EXPECT_FALSE(given.Follow(*directory_.snapshot()));
  EXPECT_EQ(given.current(), (Place{"mine", "my-zone"}));
}

TEST_F(OwnPlaceTest, WhoHadTheAddressBeforeSaysNothingOfThisPod) {
  OwnPlace place = Make({});
  EXPECT_FALSE(place.Follow(*Held("10.42.0.7", "older", "node-a", "zone-a")));
  EXPECT_EQ(place.current(), Place());
  EXPECT_EQ(place.Dump()["zoneSource"], "none");
}

TEST_F(OwnPlaceTest, WhatWasKnownStaysWhileTheAddressIsNotHeld) {
  OwnPlace place = Make({});
  EXPECT_TRUE(place.Follow(*Held("10.42.0.7", "web", "node-a", "zone-a")));
  directory_.RemoveAddress(Ip("10.42.0.7"));
  EXPECT_FALSE(place.Follow(*directory_.Commit().snapshot));
  EXPECT_EQ(place.current(), (Place{"node-a", "zone-a"}));
}

}  // namespace
}  // namespace portolan::proxy

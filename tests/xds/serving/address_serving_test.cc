#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "portolan/v1/directory.pb.h"
#include "tests/xds/serving/delta_client.h"
#include "tests/xds/serving/delta_server.h"

namespace portolan::xds {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr auto kAddress = ResourceType::kAddress;

Pod MakePod(const std::string& name, const std::string& ip) {
  Pod pod;
  pod.name = {"default", name};
  pod.ips = {*IpAddress::Parse(ip)};
  return pod;
}

TEST_F(DeltaServer, AnAddressIsServedByNameAndSoIsThatNobodyHasIt) {
  Put(MakePod("a", "10.42.0.1"));
  DeltaClient client(port());
  client.Send(kAddress, {"10.42.0.1", "10.42.0.2", "fd00::1"});
  const DeltaClient::Response first = client.Receive();
  EXPECT_THAT(NamesIn(first), ElementsAre("10.42.0.1"));
  EXPECT_THAT(RemovedIn(first), ElementsAre("10.42.0.2", "fd00::1"));
  v1::Address address;
  ASSERT_TRUE(first.resources(0).resource().UnpackTo(&address));
  EXPECT_EQ(address.pod().namespace_(), "default");
  EXPECT_EQ(address.pod().name(), "a");
}

TEST_F(DeltaServer, AnAddressTellsOfTheServicesThatListItThoughNoPodHasIt) {
  Service service;
  service.name = {"default", "db"};
  service.headless = true;
  EndpointSlice slice;
  slice.name = {"default", "db-1"};
  slice.service = "db";
  slice.ports = {{"sql", Protocol::kTcp, 5432}};
  slice.endpoints.emplace_back().addresses = {*IpAddress::Parse("192.0.2.1")};
  Put(service, slice);
  DeltaClient client(port());
  client.Send(kAddress, {"192.0.2.1"});
  const DeltaClient::Response first = client.Receive();
  ASSERT_THAT(NamesIn(first), ElementsAre("192.0.2.1"));
  v1::Address address;
  ASSERT_TRUE(first.resources(0).resource().UnpackTo(&address));
  EXPECT_FALSE(address.has_pod());
  ASSERT_EQ(address.services_size(), 1);
  EXPECT_EQ(address.services(0).name(), "db");
  EXPECT_TRUE(address.services(0).headless());
  EXPECT_EQ(address.services(0).ports(0).port(), 5432u);
  slice.endpoints.clear();
  Put(slice);
  EXPECT_THAT(RemovedIn(client.Receive()), ElementsAre("192.0.2.1"));
}

TEST_F(DeltaServer, AnAddressThatChangesHandsIsPushedToWhoAskedForIt) {
  Put(MakePod("a", "10.42.0.1"), MakePod("b", "10.42.0.2"));
  DeltaClient client(port());
  client.Send(kAddress, {"10.42.0.1", "10.42.0.3"});
  client.Receive();
  Pod pod = MakePod("a", "10.42.0.1");
  pod.finished = true;
  Put(pod);
  EXPECT_THAT(RemovedIn(client.Receive()), ElementsAre("10.42.0.1"));
  Put(MakePod("c", "10.42.0.3"));
  EXPECT_THAT(NamesIn(client.Receive()), ElementsAre("10.42.0.3"));
  Put(MakePod("b2", "10.42.0.2"));
  EXPECT_TRUE(client.IsQuiet());
}

TEST_F(DeltaServer, AnAddressIsNotSentOnceItIsUnsubscribed) {
  Put(MakePod("a", "10.42.0.1"));
  DeltaClient client(port());
  client.Send(kAddress, {"10.42.0.1"});
  client.Receive();
  client.Send(kAddress, {}, {"10.42.0.1"});
  EXPECT_TRUE(client.IsQuiet());
  Put(MakePod("b", "10.42.0.1"));
  EXPECT_TRUE(client.IsQuiet());
}

TEST_F(DeltaServer, AWildcardOfAddressesIsAnsweredWithNothing) {
  Put(MakePod("a", "10.42.0.1"));
  DeltaClient client(port());
  client.Send(kAddress);
  const DeltaClient::Response first = client.Receive();
  EXPECT_THAT(NamesIn(first), IsEmpty());
  EXPECT_EQ(first.system_version_info(), Generation());
  Put(MakePod("b", "10.42.0.2"));
  EXPECT_TRUE(client.IsQuiet());
}

TEST_F(DeltaServer, AnAddressThatIsHeldInItsVersionIsNotSentAgain) {
  Put(MakePod("a", "10.42.0.1"), MakePod("b", "10.42.0.2"));
  std::map<std::string, std::string> held;
  {
    DeltaClient client(port());
    client.Send(kAddress, {"10.42.0.1", "10.42.0.2"});
    held = VersionsIn(client.Receive());
  }
  Put(MakePod("b2", "10.42.0.2"));
  DeltaClient client(port());
  client.Send(DeltaClient::Ask(kAddress, {"10.42.0.1", "10.42.0.2"}, {}, held));
  EXPECT_THAT(NamesIn(client.Receive()), ElementsAre("10.42.0.2"));
}

TEST_F(DeltaServer, WhatIsNoAddressInItsOneSpellingIsNobodys) {
  Put(MakePod("a", "fd00::1"));
  DeltaClient client(port());
  client.Send(kAddress, {"backend", "fd00:0::1", ""});
  EXPECT_THAT(RemovedIn(client.Receive()), ElementsAre("", "backend", "fd00:0::1"));
}

}  // namespace
}  // namespace portolan::xds

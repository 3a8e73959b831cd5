#include "proxy/feed/saved_state.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "common/status.h"
#include "tests/proxy/feed/held.h"
#include "tests/proxy/feed/state_bytes.h"
#include "tests/xds/api/samples.h"

namespace portolan::proxy {

using namespace api;
namespace {

using testing::AllOf;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pair;
using testing::SizeIs;

Replica& Filled(Replica& replica) {
  std::vector<Resource> services;
  std::vector<Resource> endpoints;
  for (int i = 1; i <= 20; ++i) {
    const std::string n = std::to_string(i);
    services.push_back(ServiceResource("svc-" + n, "10.43.0." + n));
    endpoints.push_back(HeadResource("svc-" + n, "h" + n, {{"s-" + n, "v" + n}}));
    endpoints.push_back(SliceResource("svc-" + n, "s-" + n, "v" + n, {"10.42.0." + n}));
  }
  EXPECT_TRUE(replica.Apply(MakeResponse(kNamespaceType, {NamespaceResource("default")})).ok());
  EXPECT_TRUE(replica.Apply(MakeResponse(kServiceType, services)).ok());
  EXPECT_TRUE(replica.Apply(MakeResponse(kEndpointsType, endpoints)).ok());
  const auto import = ImportResource("mc", "i1", "mc-c1", {"10.245.0.1"});
  EXPECT_TRUE(replica.Apply(MakeResponse(kServiceImportType, {import})).ok());
  replica.Demand(*IpAddress::Parse("10.42.0.1"));
  const auto address = AddressResource("10.42.0.1", "a");
  EXPECT_TRUE(replica.Apply(MakeResponse(kAddressType, {address})).ok());
  return replica;
}

std::string SampleFile() {
  Replica replica;
  return StateBytes(
      {Filled(replica).image(), std::nullopt, absl::FromUnixSeconds(1700000000), "1.0"});
}

TEST(SavedState, WhatIsWrittenIsRead) {
  const auto state = RestoreState(SampleFile(), "1.0");
  ASSERT_TRUE(state.ok()) << state.status();
  EXPECT_EQ(state->header.synced, absl::FromUnixSeconds(1700000000));
  EXPECT_EQ(state->header.written_by, "1.0");
  EXPECT_EQ(state->replica->snapshot()->service_count(), 20u);
  EXPECT_EQ(state->replica->snapshot()->slice_set_count(), 20u);
  ASSERT_NE(state->replica->snapshot()->FindServiceImport("default/mc"), nullptr);
  const SliceSet* imported = state->replica->snapshot()->FindImportedSlices("default/mc");
  ASSERT_NE(imported, nullptr);
  EXPECT_EQ(imported->at("mc-c1")->source_cluster, "c1");
  EXPECT_THAT(Held(*state->replica, kServiceImportType), ElementsAre(Pair("default/mc", "i1")));
  EXPECT_EQ(state->replica->endpoints_in_transit(), 0u);
  EXPECT_THAT(Held(*state->replica, kEndpointsType),
              AllOf(SizeIs(40), Contains(Pair("default/svc-7/s-7", "v7"))));
}

TEST(SavedState, OwnersOfAddressesAreNotSaved) {
  const auto state = RestoreState(SampleFile(), "1.0");
  ASSERT_TRUE(state.ok()) << state.status();
  EXPECT_EQ(state->replica->snapshot()->FindAddress(*IpAddress::Parse("10.42.0.1")), nullptr);
}

TEST(SavedState, TheBodyIsASavedStateMessage) {
  v1::SavedState message;
  ASSERT_TRUE(message.ParseFromString(SampleFile().substr(28)));
  EXPECT_EQ(message.resources_size(), 1 + 20 + 40 + 1);
}

TEST(SavedState, AFileCutAnywhereIsRefused) {
  const std::string file = SampleFile();
  for (size_t length = 0; length < file.size(); length += length < 200 ? 1 : 100) {
    EXPECT_FALSE(RestoreState(file.substr(0, length), "1.0").ok()) << length;
  }
  EXPECT_FALSE(RestoreState(file + "x", "1.0").ok());
}

TEST(SavedState, AFlippedBitIsRefused) {
  const std::string file = SampleFile();
  for (size_t at = 0; at < file.size(); at += at < 100 ? 1 : 37) {
    for (const int bit : {0, 3, 7}) {
      std::string damaged = file;
      damaged[at] = static_cast<char>(damaged[at] ^ (1 << bit));
      EXPECT_FALSE(RestoreState(damaged, "1.0").ok()) << at;
    }
  }
}

TEST(SavedState, AnotherFormatIsRefusedByName) {
  std::string file = SampleFile();
  file[8] = 2;
  const auto state = RestoreState(file, "1.0");
  ASSERT_FALSE(state.ok());
  EXPECT_THAT(std::string(Message(state.status())), HasSubstr("format 2, this program reads 1"));
}

TEST(SavedState, RandomBytesAreRefused) {
  std::minstd_rand random(1);
  for (int round = 0; round < 2000; ++round) {
    std::string bytes(random() % 300, '\0');
    for (char& c : bytes) c = static_cast<char>(random());
    if (round % 2 == 0) bytes.insert(0, "PORTOLAN");
    EXPECT_FALSE(RestoreState(bytes, "1.0").ok());
  }
}

}  // namespace
}  // namespace portolan::proxy

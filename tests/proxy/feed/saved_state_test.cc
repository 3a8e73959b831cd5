#include "proxy/feed/saved_state.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "common/status.h"
#include "tests/proxy/feed/held.h"
#include "tests/proxy/feed/state_bytes.h"
#include "tests/xds/api/policy_samples.h"

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

const PolicyReplica::Own kOwn = {"default/frontend-1", {}};

// In force: default/a, of one set.
PolicyReplica& Filled(PolicyReplica& policy) {
  const std::string name = "NetworkPolicy/default/a";
  const std::string set = "0000000000000001";
  const auto head = EgressPolicyResource(kOwn.name, "h1", {name});
  EXPECT_TRUE(policy.Apply(MakeResponse(kEgressPolicyType, {head})).ok());
  const auto rules = RulesResource(name, "r1", {set});
  EXPECT_TRUE(policy.Apply(MakeResponse(kPolicyRulesType, {rules})).ok());
  const auto peers = PeerSetResource(set, "p1", {"10.42.0.1", "10.42.0.3", "fd00::1"});
  EXPECT_TRUE(policy.Apply(MakeResponse(kPeerSetType, {peers})).ok());
  return policy;
}

std::string SampleFile() {
  Replica replica;
  PolicyReplica policy(kOwn);
  return StateBytes({Filled(replica).image(), Filled(policy).image(), std::nullopt,
                     absl::FromUnixSeconds(1700000000), "1.0"});
}

absl::StatusOr<RestoredState> Restore(const std::string& file, std::string_view reader) {
  return RestoreState(file, reader, Directory::Slices::kOfAll, kOwn);
}

std::vector<std::string> HeldPolicies(const PolicyReplica& policy) {
  std::vector<std::string> held;
  for (const auto type : {kEgressPolicyType, kPolicyRulesType, kPeerSetType}) {
    policy.ForEachHeld(type, [&](const std::string& name, const std::string& version) {
      held.push_back(name + " " + version);
    });
  }
  return held;
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

TEST(SavedState, APolicyIsReadAndInForce) {
  const auto state = Restore(SampleFile(), "1.0");
  ASSERT_TRUE(state.ok()) << state.status();
  EXPECT_THAT(
      HeldPolicies(*state->policy),
      ElementsAre("default/frontend-1 h1", "NetworkPolicy/default/a r1", "0000000000000001 p1"));
  ASSERT_NE(state->policy->rules(), nullptr);
  const auto allows = [&](const std::string& address) {
    return state->policy->rules()->Judge({*IpAddress::Parse(address), 80}, Protocol::kTcp).allowed;
  };
  EXPECT_TRUE(allows("10.42.0.3"));
  EXPECT_TRUE(allows("fd00::1"));
  EXPECT_FALSE(allows("10.42.0.2"));
  EXPECT_EQ(state->policy->image().sets[0].value.describes, "pods of a test");
}

TEST(SavedState, WhoMayConnectIsReadAndInForce) {
  const PolicyReplica::Own own = {"default/frontend-1", {}, true};
  const std::string name = "NetworkPolicy/default/a/ingress";
  const std::string set = "0000000000000001";
  Replica replica;
  PolicyReplica policy(own);
  for (const auto& [type, resource] : std::vector<std::pair<std::string_view, Resource>>{
           {kEgressPolicyType,
            BothWaysResource(own.name, "h1", {}, {name}, {{"web", Protocol::kTcp, 80}})},
           {kPolicyRulesType, NamedPortRulesResource(name, "r1", {set}, "web")},
           {kPeerSetType, PeerSetResource(set, "p1", {"10.42.0.1"})}}) {
    ASSERT_TRUE(policy.Apply(MakeResponse(type, {resource})).ok());
  }
  const std::string file =
      StateBytes({replica.image(), policy.image(), std::nullopt, absl::UnixEpoch(), "1.0"});
  const auto state = RestoreState(file, "1.0", Directory::Slices::kOfAll, own);
  ASSERT_TRUE(state.ok()) << state.status();
  EXPECT_THAT(HeldPolicies(*state->policy),
              ElementsAre("default/frontend-1 h1", name + " r1", set + " p1"));
  EXPECT_FALSE(state->policy->rules()->isolates());
  ASSERT_NE(state->policy->ingress_rules(), nullptr);
  const auto may_connect = [&](const std::string& from, uint16_t port) {
    const SocketAddress at{*IpAddress::Parse(from), port};
    return state->policy->ingress_rules()->Judge(at, Protocol::kTcp).allowed;
  };
  EXPECT_TRUE(may_connect("10.42.0.1", 80));
  EXPECT_FALSE(may_connect("10.42.0.1", 81));
  EXPECT_FALSE(may_connect("10.42.0.2", 80));
}

TEST(SavedState, AnotherProgramsPolicyIsReadWithoutVersions) {
  const auto state = Restore(SampleFile(), "1.1");
  ASSERT_TRUE(state.ok()) << state.status();
  EXPECT_NE(state->policy->rules(), nullptr);
  EXPECT_THAT(HeldPolicies(*state->policy),
              ElementsAre("default/frontend-1 ", "NetworkPolicy/default/a ", "0000000000000001 "));
}

TEST(SavedState, AFileOfBeforeThereWerePoliciesSaysNothingOfThem) {
  Replica replica;
  const auto state =
      Restore(StateBytes({Filled(replica).image(), {}, std::nullopt, absl::Now(), "1.0"}), "1.0");
  ASSERT_TRUE(state.ok()) << state.status();
  EXPECT_EQ(state->policy->rules(), nullptr);
}

TEST(SavedState, OwnersOfAddressesAreNotSaved) {
  const auto state = RestoreState(SampleFile(), "1.0");
  ASSERT_TRUE(state.ok()) << state.status();
  EXPECT_EQ(state->replica->snapshot()->FindAddress(*IpAddress::Parse("10.42.0.1")), nullptr);
}

TEST(SavedState, TheBodyIsASavedStateMessage) {
  v1::SavedState message;
  ASSERT_TRUE(message.ParseFromString(SampleFile().substr(28)));
  EXPECT_EQ(message.resources_size(), 1 + 20 + 40 + 1 + 3);
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

#include "proxy/feed/replica.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/proxy/feed/held.h"
#include "tests/xds/api/samples.h"

namespace portolan::proxy {

using namespace api;
namespace {

using testing::ElementsAre;
using testing::Pair;
using testing::UnorderedElementsAre;

// The addresses shown for default/backend, by slice, one for each.
std::vector<std::pair<std::string, std::string>> Shown(const Replica& replica,
                                                       const std::string& service = "backend") {
  std::vector<std::pair<std::string, std::string>> shown;
  const SliceSet* set = replica.snapshot()->FindSlices("default/" + service);
  if (set == nullptr) return shown;
  for (const auto& [name, slice] : *set) {
    shown.emplace_back(name, slice->endpoints.at(0).addresses.at(0).ToString());
  }
  return shown;
}

void Apply(Replica& replica, std::vector<Resource> resources,
           std::vector<std::string> removed = {}) {
  const auto applied =
      replica.Apply(MakeResponse(kEndpointsType, std::move(resources), std::move(removed)));
  ASSERT_TRUE(applied.ok()) << applied.status();
}

Resource Slice(const std::string& name, const std::string& version, const std::string& address) {
  return SliceResource("backend", name, version, {address});
}

// Both s and t shown.
Replica& WithTwoSlices(Replica& replica) {
  Apply(replica, {HeadResource("backend", "h1", {{"s", "1"}, {"t", "1"}}),
                  Slice("s", "1", "10.42.0.1"), Slice("t", "1", "10.42.0.2")});
  return replica;
}

TEST(EndpointSets, SlicesBeforeTheirHeadAreNotShown) {
  Replica replica;
  Apply(replica, {Slice("s", "1", "10.42.0.1")});
  EXPECT_THAT(Shown(replica), ElementsAre());
  Apply(replica, {HeadResource("backend", "h1", {{"s", "1"}})});
  EXPECT_THAT(Shown(replica), ElementsAre(Pair("s", "10.42.0.1")));
  EXPECT_EQ(replica.endpoints_in_transit(), 0u);
}

TEST(EndpointSets, ASliceInAnotherVersionThanTheHeadSaysIsNotEnough) {
  Replica replica;
  WithTwoSlices(replica);
  Apply(replica,
        {HeadResource("backend", "h2", {{"s", "3"}, {"t", "1"}}), Slice("s", "2", "10.42.0.9")});
  EXPECT_THAT(Shown(replica), ElementsAre(Pair("s", "10.42.0.1"), Pair("t", "10.42.0.2")));
  Apply(replica, {Slice("s", "3", "10.42.0.3")});
  EXPECT_THAT(Shown(replica), ElementsAre(Pair("s", "10.42.0.3"), Pair("t", "10.42.0.2")));
}

TEST(EndpointSets, ARemovedSliceIsShownUntilTheHeadSaysSo) {
  Replica replica;
  WithTwoSlices(replica);
  Apply(replica, {}, {"default/backend/t"});
  EXPECT_THAT(Shown(replica), ElementsAre(Pair("s", "10.42.0.1"), Pair("t", "10.42.0.2")));
  Apply(replica, {HeadResource("backend", "h2", {{"s", "1"}})});
  EXPECT_THAT(Shown(replica), ElementsAre(Pair("s", "10.42.0.1")));
  EXPECT_EQ(replica.endpoints_in_transit(), 0u);
}

TEST(EndpointSets, ASliceThatTheHeadDropsGoesAtOnceAndMayComeBack) {
  Replica replica;
  WithTwoSlices(replica);
  Apply(replica, {HeadResource("backend", "h2", {{"s", "1"}})});
  EXPECT_THAT(Shown(replica), ElementsAre(Pair("s", "10.42.0.1")));
  // It is still held, so a server that lists it again does not send it again.
  Apply(replica, {HeadResource("backend", "h1", {{"s", "1"}, {"t", "1"}})});
  EXPECT_THAT(Shown(replica), ElementsAre(Pair("s", "10.42.0.1"), Pair("t", "10.42.0.2")));
}

TEST(EndpointSets, AHeadOfNothingAndARemovedHeadHideAll) {
  for (const bool removed : {false, true}) {
    Replica replica;
    WithTwoSlices(replica);
    if (removed) {
      Apply(replica, {}, {"default/backend", "default/backend/s", "default/backend/t"});
      EXPECT_EQ(replica.held_count(kEndpointsType), 0u);
    } else {
      Apply(replica, {HeadResource("backend", "h2", {})},
            {"default/backend/s", "default/backend/t"});
      EXPECT_EQ(replica.held_count(kEndpointsType), 1u);
    }
    EXPECT_EQ(replica.snapshot()->FindSlices("default/backend"), nullptr);
    EXPECT_EQ(replica.endpoints_in_transit(), 0u);
  }
}

TEST(EndpointSets, ASliceThatMovesToAnotherServiceIsShownThere) {
  Replica replica;
  WithTwoSlices(replica);
  Apply(replica,
        {HeadResource("backend", "h2", {{"s", "1"}}), HeadResource("other", "h1", {{"t", "1"}}),
         SliceResource("other", "t", "1", {"10.42.0.2"})},
        {"default/backend/t"});
  EXPECT_THAT(Shown(replica), ElementsAre(Pair("s", "10.42.0.1")));
  EXPECT_THAT(Shown(replica, "other"), ElementsAre(Pair("t", "10.42.0.2")));
}

TEST(EndpointSets, PiecesOfOneSliceStayApart) {
  Replica replica;
  Resource second = Slice("s", "1", "10.42.0.2");
  second.set_name("default/backend/s#2");
  Apply(replica, {HeadResource("backend", "h1", {{"s", "1"}, {"s#2", "1"}}),
                  Slice("s", "1", "10.42.0.1"), second});
  EXPECT_THAT(Shown(replica), ElementsAre(Pair("s", "10.42.0.1"), Pair("s#2", "10.42.0.2")));
}

TEST(Replica, ARefusedResponseChangesNothing) {
  Replica replica;
  ASSERT_TRUE(replica.Apply(MakeResponse(kServiceType, {ServiceResource("a", "10.43.0.1")})).ok());
  const auto before = replica.snapshot();
  Resource wrong_name = ServiceResource("b", "10.43.0.2");
  wrong_name.set_name("default/c");
  EXPECT_FALSE(
      replica
          .Apply(MakeResponse(kServiceType, {ServiceResource("a", "10.43.0.7"), wrong_name},
                              {"default/a"}))
          .ok());
  EXPECT_EQ(replica.snapshot(), before);
  EXPECT_THAT(Held(replica, kServiceType), ElementsAre(Pair("default/a", "10.43.0.1")));
}

TEST(Replica, AnImageStaysAsItWas) {
  Replica replica;
  ASSERT_TRUE(replica.Apply(MakeResponse(kServiceType, {ServiceResource("a", "10.43.0.1")})).ok());
  const Replica::Image image = replica.image();
  ASSERT_TRUE(replica.Apply(MakeResponse(kServiceType, {}, {"default/a"})).ok());
  EXPECT_NE(image.snapshot->FindService("default/a"), nullptr);
  EXPECT_EQ(replica.held_count(kServiceType), 0u);
}

// The slices shown for the ServiceImport default/`import`.
std::vector<std::string> ImportedSlices(const Replica& replica, const std::string& import) {
  std::vector<std::string> names;
  if (const SliceSet* set = replica.snapshot()->FindImportedSlices("default/" + import)) {
    for (const auto& [name, slice] : *set) names.push_back(name);
  }
  return names;
}

TEST(Replica, AServiceImportComesAndGoesWithItsSlices) {
  Replica replica;
  const auto apply = [&](std::vector<Resource> resources, std::vector<std::string> removed = {}) {
    const auto applied = replica.Apply(MakeResponse(kServiceImportType, resources, removed));
    ASSERT_TRUE(applied.ok()) << applied.status();
  };
  apply({ImportResource("a", "1", "s", {"10.245.0.1"})});
  ASSERT_NE(replica.snapshot()->FindServiceImport("default/a"), nullptr);
  EXPECT_THAT(ImportedSlices(replica, "a"), ElementsAre("s"));
  apply({ImportResource("a", "2", "t", {"10.245.0.2"})});
  EXPECT_THAT(ImportedSlices(replica, "a"), ElementsAre("t"));
  // The slice moves to another import, whichever comes first.
  apply({ImportResource("0", "1", "t", {"10.245.0.2"}), ImportResource("a", "3", "u", {})});
  EXPECT_THAT(ImportedSlices(replica, "0"), ElementsAre("t"));
  EXPECT_THAT(ImportedSlices(replica, "a"), ElementsAre("u"));
  apply({ImportResource("a", "4", "t", {})}, {"default/0"});
  EXPECT_THAT(ImportedSlices(replica, "a"), ElementsAre("t"));
  EXPECT_EQ(replica.snapshot()->FindServiceImport("default/0"), nullptr);
  EXPECT_THAT(ImportedSlices(replica, "0"), ElementsAre());
}

// --- Endpoints on demand ---

TEST(ReplicaOnDemand, WhatIsGivenUpLeavesNothingBehindInWhateverStateItWas) {
  for (const bool in_transit : {false, true}) {
    Replica replica(Directory::Slices::kOfThoseAskedFor);
    replica.Demand("default/backend");
    WithTwoSlices(replica);
    if (in_transit) {
      Apply(replica, {HeadResource("backend", "h2", {{"s", "2"}, {"u", "1"}}),
                      Slice("u", "1", "10.42.0.3")});
      EXPECT_EQ(replica.endpoints_in_transit(), 1u);
    }
    const auto given_up = replica.GiveUp({}, {"default/backend"});
    EXPECT_THAT(given_up.changes.endpoints, ElementsAre("default/backend"));
    EXPECT_FALSE(given_up.snapshot->KnowsSlices("default/backend"));
    EXPECT_EQ(replica.held_count(kEndpointsType), 0u);
    EXPECT_EQ(replica.endpoints_in_transit(), 0u);
    // The answer that crossed with the request.
    Apply(replica, {Slice("s", "3", "10.42.0.1")}, {"default/backend"});
    EXPECT_FALSE(replica.snapshot()->KnowsSlices("default/backend"));
    EXPECT_EQ(replica.held_count(kEndpointsType), 0u);
    replica.Demand("default/backend");
    WithTwoSlices(replica);
    EXPECT_EQ(Shown(replica).size(), 2u);
  }
}

TEST(ReplicaOnDemand, AHeadThatIsNotThereOrListsNothingIsHeldAsNone) {
  Replica replica(Directory::Slices::kOfThoseAskedFor);
  replica.Demand("default/backend");
  Apply(replica, {Slice("s", "1", "10.42.0.1")});
  EXPECT_FALSE(replica.snapshot()->KnowsSlices("default/backend")) << "no head yet";
  Apply(replica, {}, {"default/backend"});
  ASSERT_TRUE(replica.snapshot()->KnowsSlices("default/backend"));
  EXPECT_THAT(Shown(replica), ElementsAre());
  const uint64_t generation = replica.snapshot()->generation();
  Apply(replica, {}, {"default/backend"});
  EXPECT_EQ(replica.snapshot()->generation(), generation) << "is no news";
  Apply(replica, {HeadResource("backend", "h1", {{"s", "1"}})});
  EXPECT_THAT(Shown(replica), ElementsAre(Pair("s", "10.42.0.1")));
  Apply(replica, {HeadResource("backend", "h2", {})});
  EXPECT_TRUE(replica.snapshot()->KnowsSlices("default/backend"));
  EXPECT_THAT(Shown(replica), ElementsAre());
}

}  // namespace
}  // namespace portolan::proxy

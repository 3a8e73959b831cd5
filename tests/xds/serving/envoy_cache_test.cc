#include "xds/serving/envoy_cache.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/xds/serving/services.h"
#include "xds/serving/resource_cache.h"

namespace portolan::xds {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr char kBackend[] = "backend.default.svc.cluster.local:8080";
constexpr auto kCluster = ResourceType::kCluster;
constexpr auto kAssignment = ResourceType::kLoadAssignment;
constexpr auto kListener = ResourceType::kListener;
constexpr auto kRoute = ResourceType::kRoute;

class EnvoyCacheTest : public ::testing::Test {
 protected:
  template <typename... T>
  ResourceCache::Published Put(T... objects) {
    (directory_.Put(objects), ...);
    return cache_.Update(directory_.Commit());
  }
  static std::vector<std::string> Changed(const ResourceCache::Published& published,
                                          ResourceType type) {
    return published.changed[static_cast<size_t>(type)];
  }
  static EndpointSlice Slice(const std::string& address, const std::string& node = {}) {
    EndpointSlice slice =
        MakeSliceOf("backend", "backend-1", {{"http", Protocol::kTcp, 80}}, {{address}});
    slice.endpoints[0].node_name = node;
    return slice;
  }

  const Service backend_ = MakeClusterIpService("backend", "10.43.0.1", {{"http", 8080}});
  Directory directory_;
  ResourceCache cache_;
};

TEST_F(EnvoyCacheTest, AResourceIsMadeOnceAndShared) {
  const auto published = Put(backend_, Slice("10.42.0.1"));
  const ResourcePtr first = published.set->Find(kAssignment, kBackend, Viewer());
  ASSERT_NE(first, nullptr);
  EXPECT_EQ(published.set->Find(kAssignment, kBackend, Viewer()), first);
  const auto next = Put(MakeClusterIpService("other", "10.43.0.2", {{"", 80}}));
  EXPECT_EQ(next.set->Find(kAssignment, kBackend, Viewer()), first);
}

TEST_F(EnvoyCacheTest, WhatComesOutAsBeforeIsNoChange) {
  auto published = Put(backend_, Slice("10.42.0.1", "node-1"));
  const ResourcePtr first = published.set->Find(kAssignment, kBackend, Viewer());
  // What concerns no client of a standard type, twice.
  published = Put(Slice("10.42.0.1", "node-2"));
  EXPECT_THAT(Changed(published, kAssignment), IsEmpty());
  Service labelled = backend_;
  labelled.labels = {{"app", "backend"}};
  published = Put(labelled);
  for (const ResourceType type : {kCluster, kAssignment, kListener, kRoute}) {
    EXPECT_THAT(Changed(published, type), IsEmpty());
  }
  EXPECT_EQ(published.set->Find(kAssignment, kBackend, Viewer()), first);

  published = Put(Slice("10.42.0.2"));
  EXPECT_THAT(Changed(published, kAssignment), ElementsAre(kBackend));
  EXPECT_NE(published.set->Find(kAssignment, kBackend, Viewer())->version, first->version);
}

TEST_F(EnvoyCacheTest, AServiceThatComesAndGoesChangesAllItsNames) {
  constexpr char kNamed[] = "backend.default.svc.cluster.local:http";
  auto published = Put(backend_);
  const auto expect_all = [&] {
    EXPECT_THAT(Changed(published, kCluster), ElementsAre(kBackend));
    EXPECT_THAT(Changed(published, kAssignment), ElementsAre(kBackend));
    EXPECT_THAT(Changed(published, kListener), ElementsAre("10.43.0.1:8080", kBackend, kNamed));
    EXPECT_THAT(Changed(published, kRoute), ElementsAre(kBackend, kNamed));
  };
  expect_all();
  EXPECT_NE(published.set->Find(kCluster, kBackend, Viewer()), nullptr);
  directory_.RemoveService(backend_.name);
  published = cache_.Update(directory_.Commit());
  expect_all();
  EXPECT_EQ(published.set->Find(kCluster, kBackend, Viewer()), nullptr);
}

TEST_F(EnvoyCacheTest, APortThatTakesAnotherNumberMovesTheRouteOfItsName) {
  constexpr char kNamed[] = "backend.default.svc.cluster.local:http";
  constexpr char kMoved[] = "backend.default.svc.cluster.local:8081";
  auto published = Put(backend_);
  const ResourcePtr route = published.set->Find(kRoute, kNamed, Viewer());
  published = Put(MakeClusterIpService("backend", "10.43.0.1", {{"http", 8081}}));
  EXPECT_THAT(Changed(published, kRoute), ElementsAre(kBackend, kMoved, kNamed));
  EXPECT_NE(published.set->Find(kRoute, kNamed, Viewer())->version, route->version);
  EXPECT_THAT(Changed(published, kListener),
              ElementsAre("10.43.0.1:8080", "10.43.0.1:8081", kBackend, kMoved, kNamed));
}

TEST_F(EnvoyCacheTest, APortThatIsRenamedHasOtherEndpoints) {
  EndpointSlice slice = Slice("10.42.0.1");
  slice.ports.push_back({"admin", Protocol::kTcp, 81});
  auto published = Put(backend_, slice);
  const ResourcePtr before = published.set->Find(kAssignment, kBackend, Viewer());
  published = Put(MakeClusterIpService("backend", "10.43.0.1", {{"admin", 8080}}));
  EXPECT_THAT(Changed(published, kAssignment), ElementsAre(kBackend));
  EXPECT_NE(published.set->Find(kAssignment, kBackend, Viewer())->version, before->version);
}

TEST_F(EnvoyCacheTest, ANodeThatIsInAnotherRegionMovesItsEndpoints) {
  Node node;
  node.name = "node-1";
  auto published = Put(backend_, Slice("10.42.0.1", "node-1"));
  const ResourcePtr first = published.set->Find(kAssignment, kBackend, Viewer());
  published = Put(node);
  EXPECT_THAT(Changed(published, kAssignment), IsEmpty());
  node.region = "eu";
  published = Put(node);
  EXPECT_THAT(Changed(published, kAssignment), ElementsAre(kBackend));
  EXPECT_NE(published.set->Find(kAssignment, kBackend, Viewer())->version, first->version);
}

TEST_F(EnvoyCacheTest, AnEarlierSetDoesNotSpoilALaterOne) {
  const auto earlier = Put(backend_, Slice("10.42.0.1"));
  const auto later = Put(Slice("10.42.0.2"));
  const ResourcePtr old = earlier.set->Find(kAssignment, kBackend, Viewer());
  const ResourcePtr now = later.set->Find(kAssignment, kBackend, Viewer());
  EXPECT_NE(old->version, now->version);
  EXPECT_EQ(later.set->Find(kAssignment, kBackend, Viewer()), now);
}

TEST_F(EnvoyCacheTest, WhatNobodyTakesIsNotKept) {
  Put(backend_, Slice("10.42.0.1")).set->Find(kAssignment, kBackend, Viewer());
  Put(Slice("10.42.0.2"));
  // Not taken since: let go, and taken for changed whatever it holds.
  const auto published = Put(Slice("10.42.0.2", "node-2"));
  EXPECT_THAT(Changed(published, kAssignment), ElementsAre(kBackend));
}

}  // namespace
}  // namespace portolan::xds

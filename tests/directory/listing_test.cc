#include "directory/listing.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/directory/small_cluster.h"

namespace portolan {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr std::string_view kZone = "cluster.local";

std::vector<std::string> Listed(const Snapshot& snapshot, const ServiceQuery& query) {
  std::vector<std::string> names;
  for (const Service* service : ListServices(snapshot, query, kZone).services) {
    names.push_back(service->name.ToString());
  }
  return names;
}

TEST(Listing, PodsOfADualStackServiceCountOnce) {
  const auto snapshot = SmallCluster();
  const EndpointCounts expected{.ready = 1, .serving = 2, .terminating = 1};
  EXPECT_EQ(CountEndpoints(snapshot->FindSlices("default/backend")), expected);
  EXPECT_EQ(CountEndpoints(snapshot->FindSlices("default/backend-headless")), EndpointCounts{});
  EXPECT_EQ(CountEndpoints(nullptr), EndpointCounts{});
}

TEST(Listing, IsSortedByNamespaceThenName) {
  EXPECT_THAT(
      Listed(*SmallCluster(), {}),
      ElementsAre("default/backend", "default/backend-headless", "web/external", "web/none"));
}

TEST(Listing, SearchFindsPartsOfNamesAndAddresses) {
  const auto snapshot = SmallCluster();
  EXPECT_THAT(Listed(*snapshot, {.ns = {}, .search = "BACKEND.default", .after = {}}),
              ElementsAre("default/backend"));
  EXPECT_THAT(Listed(*snapshot, {.ns = {}, .search = "fd43::", .after = {}}),
              ElementsAre("default/backend"));
  EXPECT_THAT(Listed(*snapshot, {.ns = {}, .search = "example.COM", .after = {}}),
              ElementsAre("web/external"));
  EXPECT_THAT(Listed(*snapshot, {.ns = "web", .search = "backend", .after = {}}), IsEmpty());
}

TEST(Listing, PagesJoinUpWithoutGapOrRepeat) {
  const auto snapshot = SmallCluster();
  for (size_t limit = 1; limit <= 5; ++limit) {
    std::vector<std::string> all;
    ServiceQuery query;
    query.limit = limit;
    for (bool more = true; more;) {
      const ServicePage page = ListServices(*snapshot, query, kZone);
      EXPECT_LE(page.services.size(), limit);
      for (const Service* service : page.services) all.push_back(service->name.ToString());
      more = page.more;
      query.after = page.services.back()->name;
    }
    EXPECT_EQ(all, Listed(*snapshot, {})) << limit;
  }
}

TEST(Listing, EndpointsThatAreNotHeldAreNullAndNotNone) {
  Directory directory(Directory::Slices::kOfThoseAskedFor);
  Service service;
  service.name = {"default", "backend"};
  directory.Put(service);
  const auto unheld = directory.Commit().snapshot;
  EXPECT_EQ(ServiceJson(*unheld, service, kZone)["endpoints"], nullptr);
  EXPECT_EQ(ServiceDetailJson(*unheld, service, kZone)["endpointSlices"], nullptr);
  directory.PutNoSlices("default/backend");
  const auto none = directory.Commit().snapshot;
  EXPECT_EQ(ServiceJson(*none, service, kZone)["endpoints"]["ready"], 0);
  EXPECT_EQ(ServiceDetailJson(*none, service, kZone)["endpointSlices"], nlohmann::json::array());
}

TEST(ServiceKeyOf, IsTheServiceThatANameIsBelow) {
  EXPECT_EQ(ServiceKeyOf("a.web.svc.cluster.local", "cluster.local"), "web/a");
  EXPECT_EQ(ServiceKeyOf("_x._tcp.A.Web.svc.cluster.local.", "cluster.local"), "web/a");
  EXPECT_EQ(ServiceKeyOf("web.svc.cluster.local", "cluster.local"), "");
  EXPECT_EQ(ServiceKeyOf("a.web.svc.example.org", "cluster.local"), "");
  EXPECT_EQ(ServiceKeyOf("", "cluster.local"), "");
}

TEST(Listing, DetailShowsEachSlice) {
  const auto snapshot = SmallCluster();
  const auto json = ServiceDetailJson(*snapshot, *snapshot->FindService("default/backend"), kZone);
  EXPECT_EQ(json["endpointSlices"].size(), 2u);
  EXPECT_EQ(json["endpointSlices"][0], nlohmann::json::parse(R"({
    "name": "backend-4", "addressType": "IPv4", "resourceVersion": "43",
    "arrived": "2023-11-14T22:13:20.000Z",
    "ports": [{"name": "http", "protocol": "TCP", "port": 8080}],
    "endpoints": [
      {"addresses": ["10.42.0.1"], "nodeName": "node-a", "zone": "zone-a",
       "pod": "default/backend-1",
       "conditions": {"ready": true, "serving": true, "terminating": false}},
      {"addresses": ["10.42.0.2"], "pod": "default/backend-2",
       "conditions": {"ready": false, "serving": true, "terminating": true}}]})"));
}

}  // namespace
}  // namespace portolan

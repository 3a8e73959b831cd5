// The feed against the control plane's own server: the two ends of the protocol agree.
#include <gmock/gmock.h>

#include "tests/proxy/feed/feed_fixture.h"
#include "xds/serving/server.h"

namespace portolan::proxy {
namespace {

class FeedWithServer : public FeedTest {
 protected:
  void PutService(int i) {
    Service service;
    service.name = {"default", "svc-" + std::to_string(i)};
    service.cluster_ips = {
        *IpAddress::Parse("10.43." + std::to_string(i / 250) + "." + std::to_string(i % 250 + 1))};
    service.ports = {{"http", Protocol::kTcp, 8080}};
    source.Put(service);
  }

  void PutSlice(const std::string& service, const std::string& name, int endpoints) {
    EndpointSlice slice;
    slice.name = {"default", name};
    slice.service = service;
    slice.ports = {{"http", Protocol::kTcp, 8080}};
    for (int i = 0; i < endpoints; ++i) {
      Endpoint endpoint;
      endpoint.addresses = {*IpAddress::Parse("10.42." + std::to_string(i / 250) + "." +
                                              std::to_string(i % 250 + 1))};
      endpoint.pod = {"default", service + "-" + std::to_string(i)};
      slice.endpoints.push_back(endpoint);
    }
    source.Put(slice);
  }

  void StartServer(const std::string& address) {
    cache.Update(source.Commit());
    auto started = xds::Server::Start(
        {.listen = {*SocketAddress::Parse(address)}, .identifier = "test"}, cache.current());
    ASSERT_TRUE(started.ok()) << started.status();
    control = *std::move(started);
  }
  std::string address() const { return control->listening()[0].ToString(); }
  void Publish() { control->Publish(cache.Update(source.Commit())); }

  void StartFeedOf(absl::Duration stale_after) {
    FeedOptions options = Options(server);
    options.control_planes = {address()};
    options.stale_after = stale_after;
    StartFeed(options);
  }

  size_t EndpointsShown(const std::string& service) {
    const SliceSet* set = feed->snapshot()->FindSlices("default/" + service);
    size_t count = 0;
    if (set == nullptr) return 0;
    for (const auto& [name, slice] : *set) count += slice->endpoints.size();
    return count;
  }

  Directory source;
  xds::ResourceCache cache;
  std::unique_ptr<xds::Server> control;
};

TEST_F(FeedWithServer, ALargeClusterArrivesWholeAndFollows) {
  source.Put(Namespace{"default", {{"team", "a"}}, {}});
  for (int i = 0; i < 3000; ++i) PutService(i);
  PutSlice("svc-1", "svc-1-x", 1);
  PutSlice("svc-2", "svc-2-x", 350);  // sent in pieces of a hundred
  StartServer("127.0.0.1:0");
  StartFeedOf(absl::Seconds(10));
  ASSERT_TRUE(UntilInSync());
  ASSERT_EQ(delegate.snapshots.size(), 1u);
  EXPECT_EQ(feed->snapshot()->service_count(), 3000u);
  EXPECT_EQ(feed->snapshot()->FindNamespace("default")->labels.size(), 1u);
  EXPECT_EQ(EndpointsShown("svc-1"), 1u);
  EXPECT_EQ(EndpointsShown("svc-2"), 350u);

  PutSlice("svc-2", "svc-2-x", 120);
  source.RemoveService({"default", "svc-7"});
  Publish();
  ASSERT_TRUE(
      Until([&] { return EndpointsShown("svc-2") == 120 && FindService("svc-7") == nullptr; }));
  for (const auto& snapshot : delegate.snapshots) {
    size_t count = 0;
    for (const auto& [name, slice] : *snapshot->FindSlices("default/svc-2")) {
      count += slice->endpoints.size();
    }
    EXPECT_TRUE(count == 350 || count == 120) << "half moved: " << count;
  }
  source.RemoveSlice({"default", "svc-2-x"});
  Publish();
  EXPECT_TRUE(Until([&] { return EndpointsShown("svc-2") == 0; }));
  EXPECT_TRUE(feed->status().in_sync);
}

TEST_F(FeedWithServer, AnIdleControlPlaneStaysInSyncAndARestartedOneIsFoundAgain) {
  for (int i = 0; i < 10; ++i) PutService(i);
  StartServer("127.0.0.1:0");
  StartFeedOf(absl::Milliseconds(300));
  ASSERT_TRUE(UntilInSync());
  const size_t told = delegate.statuses.size();
  TurnFor(std::chrono::milliseconds(1000));
  EXPECT_TRUE(feed->status().in_sync);
  EXPECT_EQ(delegate.statuses.size(), told) << "nor was it out of sync meanwhile";
  EXPECT_EQ(control->Clients().size(), 1u);

  const std::string same_address = address();
  control.reset();
  ASSERT_TRUE(Until([&] { return !feed->status().in_sync; }));
  source.RemoveService({"default", "svc-3"});
  StartServer(same_address);
  ASSERT_TRUE(UntilInSync());
  EXPECT_EQ(FindService("svc-3"), nullptr);
  EXPECT_NE(FindService("svc-4"), nullptr);
}

TEST_F(FeedWithServer, AnEmptyClusterComesIntoSync) {
  StartServer("127.0.0.1:0");
  StartFeedOf(absl::Seconds(10));
  EXPECT_TRUE(UntilInSync());
}

TEST_F(FeedWithServer, AddressesAndServiceImportsArriveAndFollowTheSource) {
  ServiceImport import;
  import.name = {"default", "mc"};
  import.ips = {*IpAddress::Parse("10.96.1.1")};
  source.Put(import);
  Pod pod;
  pod.name = {"default", "a"};
  pod.ips = {*IpAddress::Parse("10.42.0.1")};
  source.Put(pod);
  StartServer("127.0.0.1:0");
  StartFeedOf(absl::Seconds(10));
  ASSERT_TRUE(UntilInSync());
  ASSERT_NE(feed->snapshot()->FindServiceImport("default/mc"), nullptr);

  const auto owner = [&] { return feed->snapshot()->FindAddress(pod.ips[0]); };
  feed->WantAddress(pod.ips[0]);
  ASSERT_TRUE(Until([&] { return owner() != nullptr && owner()->pod.name == "a"; }));
  pod.finished = true;
  source.Put(pod);
  EndpointSlice slice;
  slice.name = {"default", "mc-c1"};
  slice.service = "mc";
  slice.imported = true;
  slice.source_cluster = "c1";
  source.Put(slice);
  Publish();
  ASSERT_TRUE(Until([&] { return owner()->pod.name.empty(); }));
  ASSERT_TRUE(Until([&] { return feed->snapshot()->FindImportedSlices("default/mc") != nullptr; }));
  source.RemoveServiceImport(import.name);
  Publish();
  ASSERT_TRUE(Until([&] { return feed->snapshot()->FindServiceImport("default/mc") == nullptr; }));
  EXPECT_EQ(feed->snapshot()->FindImportedSlices("default/mc"), nullptr);
}

}  // namespace
}  // namespace portolan::proxy

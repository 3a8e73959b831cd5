#include "proxy/on_demand.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/dns/upstream/world.h"

namespace portolan::proxy {
namespace {

using dns::Verdict;
using dns::test::Client;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

IpAddress Ip(const std::string& text) { return *IpAddress::Parse(text); }

class OnDemandWaitsTest : public ::testing::Test {
 protected:
  OnDemandWaitsTest()
      : waits_(
            loop_, cluster_,
            {.want_address = [this](const IpAddress& ip) { wanted_.push_back(ip.ToString()); },
             .want_endpoints = [this](const ServiceKey& key) { wanted_.emplace_back(key.view()); },
             .prefetch_endpoints =
                 [this](const ServiceKey& key) { prefetched_.emplace_back(key.view()); }}) {
    waits_.SetAnswering(true);
  }

  Client& NewClient() {
    return clients_.Make(dns::test::MakeQuery("10-42-0-1.ns.pod.cluster.local", 1));
  }
  Verdict Wait(Client& client, const std::string& ip = "10.42.0.1") {
    return waits_.WaitForAddress(Ip(ip), client.exchange());
  }
  void Hold(const std::string& ip, const std::string& pod) {
    directory_.Put(AddressOwner{Ip(ip), {"default", pod}});
    Publish();
  }
  void Publish() {
    auto data = std::make_shared<dns::ClusterData>();
    data->snapshot = directory_.Commit().snapshot;
    cluster_.Replace(data);
    waits_.OnClusterData();
  }
  // Turns the loop until the client was told to try again.
  void UntilRetried(Client& client) {
    EventLoop::Timer look;
    look = loop_.AddTimer([&] {
      if (client.retried > 0) return loop_.Stop();
      look.Start(absl::Milliseconds(1));
    });
    look.Start(absl::ZeroDuration());
    loop_.Run();
  }
  std::string Metrics() {
    MetricsPage page;
    page.AddSource([this](MetricFamilies& families) { waits_.CollectMetrics(families); });
    return page.Render();
  }

  EventLoop loop_;
  dns::ClusterDataHolder cluster_;
  Directory directory_{Directory::Slices::kOfThoseAskedFor};
  std::vector<std::string> wanted_, prefetched_;
  dns::test::Clients clients_;
  OnDemandWaits waits_;
};

TEST_F(OnDemandWaitsTest, AllWhoWaitForAnAddressGoOnWhenItIsHeldAndItIsAskedForOnce) {
  Client& a = NewClient();
  Client& b = NewClient();
  Client& other = NewClient();
  EXPECT_EQ(Wait(a), Verdict::kPending);
  EXPECT_EQ(Wait(b), Verdict::kPending);
  EXPECT_EQ(Wait(other, "10.42.0.2"), Verdict::kPending);
  EXPECT_THAT(wanted_, ElementsAre("10.42.0.1", "10.42.0.2"));
  Hold("10.42.0.9", "x");
  EXPECT_EQ(a.retried + b.retried + other.retried, 0);
  Hold("10.42.0.1", "");  // that nobody has it is an answer as well
  EXPECT_EQ(a.retried, 1);
  EXPECT_EQ(b.retried, 1);
  EXPECT_EQ(other.retried, 0);
  EXPECT_THAT(Metrics(), HasSubstr("portolan_address_waits_total{outcome=\"held\"} 2"));
}

TEST_F(OnDemandWaitsTest, WhoWaitsForEndpointsGoesOnWhenTheyAreHeldBeTheyNone) {
  const ServiceKey db("default", "db"), cache("default", "cache");
  Client& a = NewClient();
  Client& b = NewClient();
  Client& c = NewClient();
  EXPECT_EQ(waits_.WaitForEndpoints(db, a.exchange()), Verdict::kPending);
  EXPECT_EQ(waits_.WaitForEndpoints(db, b.exchange()), Verdict::kPending);
  EXPECT_EQ(waits_.WaitForEndpoints(cache, c.exchange()), Verdict::kPending);
  EXPECT_THAT(wanted_, ElementsAre("default/db", "default/cache"));
  directory_.PutNoSlices("default/db");
  Publish();
  EXPECT_EQ(a.retried, 1);
  EXPECT_EQ(b.retried, 1);
  EXPECT_EQ(c.retried, 0);
  UntilRetried(c);
  EXPECT_THAT(Metrics(), HasSubstr("portolan_endpoint_waits_total{outcome=\"held\"} 2"));
  EXPECT_THAT(Metrics(), HasSubstr("portolan_endpoint_waits_total{outcome=\"timed_out\"} 1"));
}

TEST_F(OnDemandWaitsTest, EndpointsAreNotPrefetchedWithEveryQuestion) {
  waits_.PrefetchEndpoints({"default", "db"});
  waits_.PrefetchEndpoints({"default", "db"});
  waits_.PrefetchEndpoints({"default", "cache"});
  EXPECT_THAT(prefetched_, ElementsAre("default/db", "default/cache"));
  EXPECT_THAT(wanted_, IsEmpty());
  EXPECT_THAT(Metrics(), HasSubstr("portolan_endpoint_prefetches_total{outcome=\"asked\"} 2"));
  EXPECT_THAT(Metrics(),
              HasSubstr("portolan_endpoint_prefetches_total{outcome=\"asked_just_now\"} 1"));
}

TEST_F(OnDemandWaitsTest, WhileTheFeedHasNoRoomNothingIsPrefetched) {
  waits_.SetPrefetching(false);
  waits_.PrefetchEndpoints({"default", "db"});
  EXPECT_THAT(prefetched_, IsEmpty());
  EXPECT_THAT(Metrics(), HasSubstr("portolan_endpoint_prefetches_total{outcome=\"no_room\"} 1"));
  EXPECT_EQ(waits_.WaitForEndpoints({"default", "db"}, NewClient().exchange()), Verdict::kPending);
  waits_.SetPrefetching(true);
  waits_.PrefetchEndpoints({"default", "db"});
  EXPECT_THAT(prefetched_, ElementsAre("default/db"));
}

TEST_F(OnDemandWaitsTest, WhoWaitedInVainIsNotMadeToWaitAgain) {
  Client& client = NewClient();
  ASSERT_EQ(Wait(client), Verdict::kPending);
  UntilRetried(client);
  EXPECT_EQ(Wait(client), Verdict::kNext);
  EXPECT_EQ(Wait(NewClient(), "10.42.0.2"), Verdict::kPending);
  EXPECT_THAT(Metrics(), HasSubstr("portolan_address_waits_total{outcome=\"timed_out\"} 1"));
  EXPECT_THAT(Metrics(), HasSubstr("portolan_address_waits_total{outcome=\"in_vain_just_now\"} 1"));
}

TEST_F(OnDemandWaitsTest, NobodyWaitsWhileTheControlPlaneDoesNotAnswer) {
  Client& client = NewClient();
  ASSERT_EQ(Wait(client), Verdict::kPending);
  waits_.SetAnswering(false);
  EXPECT_EQ(client.retried, 1);
  EXPECT_EQ(Wait(NewClient()), Verdict::kNext);
  EXPECT_THAT(Metrics(), HasSubstr("portolan_address_waits_total{outcome=\"not_answering\"} 1"));
}

TEST_F(OnDemandWaitsTest, NoMoreWaitThanThereArePlaces) {
  for (size_t i = 0; i < Waits<IpAddress>::kMost; ++i) {
    ASSERT_EQ(Wait(NewClient(), "10.42.1." + std::to_string(i)), Verdict::kPending);
  }
  EXPECT_EQ(Wait(NewClient()), Verdict::kNext);
  EXPECT_THAT(Metrics(), HasSubstr("portolan_address_waits_total{outcome=\"no_place\"} 1"));
  Hold("10.42.1.7", "a");
  EXPECT_EQ(Wait(NewClient()), Verdict::kPending);
}

}  // namespace
}  // namespace portolan::proxy

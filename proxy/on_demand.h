// One worker's questions that wait until the feed has brought what they need: who has an address,
// or the endpoints of a Service.
//
// A question that needs what the directory does not hold asks the feed for it, once for all that
// wait for it, and goes on when it is held: a round trip to the control plane the first time and
// nothing after that. None waits longer than kLongest, and no more than kMost wait for either; who
// cannot wait is told so at once and asks the cluster DNS.
//
// The worker's loop only, but for CollectMetrics. No lock and no allocation but those of posting
// the wish to the feed's loop.
#pragma once

#include <functional>
#include <string_view>
#include <vector>

#include "absl/time/time.h"
#include "common/event_loop.h"
#include "common/ip.h"
#include "common/metrics.h"
#include "directory/service_key.h"
#include "dns/cluster_data.h"
#include "dns/on_demand.h"
#include "proxy/forwarder/recent_keys.h"

namespace portolan::proxy {

// Those who wait for one kind of thing.
template <typename Key>
class Waits {
 public:
  static constexpr size_t kMost = 256;
  static constexpr absl::Duration kLongest = absl::Milliseconds(200);
  // What was waited for in vain is not waited for again so soon.
  static constexpr absl::Duration kInVainFor = absl::Seconds(1);

  // `want` passes a key on to the feed and does not block.
  Waits(EventLoop& loop, std::function<void(const Key&)> want);

  dns::Verdict Wait(const Key& key, dns::Exchange& exchange);
  // Lets those go on for whose key `held` is true.
  template <typename F>
  void ReleaseHeld(F&& held) {
    Release([&](const Waiting& one) { return held(one.key); }, held_);
  }
  // While the control plane does not answer nothing can come: nobody waits.
  void SetAnswering(bool answering);

  void CollectMetrics(std::string_view family, std::string_view help,
                      MetricFamilies& families) const;

 private:
  struct Waiting {
    Key key;
    dns::Suspended* question = nullptr;
    absl::Duration until;  // monotonic
  };

  void OnTimer();
  // Takes those for whom `done` holds from the list, in order, and lets them go on.
  template <typename F>
  void Release(F&& done, Counter& outcome);

  const std::function<void(const Key&)> want_;
  EventLoop::Timer timer_;
  bool answering_ = false;
  std::vector<Waiting> waiting_;  // the first to time out first
  std::vector<Waiting> released_;
  const Key* retried_ = nullptr;  // of the question that goes on just now
  RecentKeys<Key> in_vain_;

  Counter held_, timed_out_, lost_, again_, not_answering_, full_;
};

class OnDemandWaits final : public dns::OnDemand {
 public:
  // A Service whose endpoints are prefetched is not asked for again so soon.
  static constexpr absl::Duration kAskedFor = absl::Seconds(1);

  // Of the feed, as feed/feed.h has them. They do not block.
  struct FeedCalls {
    std::function<void(const IpAddress&)> want_address;
    std::function<void(const ServiceKey&)> want_endpoints;
    std::function<void(const ServiceKey&)> prefetch_endpoints;
  };
  // `cluster` outlives this; the questions that wait at the end are the server's to forget.
  OnDemandWaits(EventLoop& loop, const dns::ClusterDataHolder& cluster, FeedCalls feed);

  dns::Verdict WaitForAddress(const IpAddress& ip, dns::Exchange& exchange) override;
  dns::Verdict WaitForEndpoints(const ServiceKey& service, dns::Exchange& exchange) override;
  void PrefetchEndpoints(const ServiceKey& service) override;

  // The cluster's data was replaced.
  void OnClusterData();
  void SetAnswering(bool answering);
  // False: the feed would not prefetch, and is not asked to.
  void SetPrefetching(bool prefetching) { prefetching_ = prefetching; }

  void CollectMetrics(MetricFamilies& families) const;

 private:
  const dns::ClusterDataHolder& cluster_;
  const std::function<void(const ServiceKey&)> prefetch_;
  Waits<IpAddress> addresses_;
  Waits<ServiceKey> endpoints_;
  bool prefetching_ = true;
  RecentKeys<ServiceKey> prefetched_;
  Counter asked_, asked_just_now_, no_room_;
};

}  // namespace portolan::proxy

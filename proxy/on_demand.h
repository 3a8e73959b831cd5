// One worker's questions that wait until the feed has brought who has an address.
//
// A question that needs an address which the directory does not hold asks the feed for it, once for
// all that wait for it, and goes on when it is held: a round trip to the control plane the first
// time and nothing after that. None waits longer than kLongest, and no more than kMost wait; who
// cannot wait is told so at once and asks the cluster DNS.
//
// The worker's loop only, but for CollectMetrics. No lock and no allocation but those of posting
// the wish to the feed's loop.
#pragma once

#include <functional>
#include <vector>

#include "absl/time/time.h"
#include "common/event_loop.h"
#include "common/ip.h"
#include "common/metrics.h"
#include "dns/cluster_data.h"
#include "dns/on_demand.h"
#include "proxy/forwarder/recent_addresses.h"

namespace portolan::proxy {

class AddressWaits final : public dns::OnDemand {
 public:
  static constexpr size_t kMost = 256;
  static constexpr absl::Duration kLongest = absl::Milliseconds(200);
  // An address that was waited for in vain is not waited for again so soon.
  static constexpr absl::Duration kInVainFor = absl::Seconds(1);

  // `want` passes an address on to the feed and does not block. `cluster` outlives this; the
  // questions that wait at the end are the server's to forget.
  AddressWaits(EventLoop& loop, const dns::ClusterDataHolder& cluster,
               std::function<void(const IpAddress&)> want);

  dns::Verdict WaitForAddress(const IpAddress& ip, dns::Exchange& exchange) override;

  // The cluster's data was replaced.
  void OnClusterData();
  // Without a connection nothing can come: nobody waits.
  void SetConnected(bool connected);

  void CollectMetrics(MetricFamilies& families) const;

 private:
  struct Waiting {
    IpAddress ip;
    dns::Suspended* question = nullptr;
    absl::Duration until;  // monotonic
  };

  void OnTimer();
  // Takes those for whom `done` holds from the list, in order, and lets them go on.
  template <typename F>
  void Release(F&& done, Counter& outcome);

  const dns::ClusterDataHolder& cluster_;
  const std::function<void(const IpAddress&)> want_;
  EventLoop::Timer timer_;
  bool connected_ = false;
  std::vector<Waiting> waiting_;  // the first to time out first
  RecentAddresses in_vain_;

  Counter held_, timed_out_, lost_, again_, disconnected_, full_;
};

}  // namespace portolan::proxy

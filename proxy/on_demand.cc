#include "proxy/on_demand.h"

#include <algorithm>
#include <utility>

#include "common/monotonic.h"

namespace portolan::proxy {
namespace {

using dns::Verdict;

// A timer may fire a little early by our clock.
constexpr absl::Duration kSoonest = absl::Milliseconds(1);

}  // namespace

template <typename Key>
Waits<Key>::Waits(EventLoop& loop, std::function<void(const Key&)> want)
    : want_(std::move(want)), timer_(loop.AddTimer([this] { OnTimer(); })) {
  waiting_.reserve(kMost);
  released_.reserve(kMost);
}

template <typename Key>
Verdict Waits<Key>::Wait(const Key& key, dns::Exchange& exchange) {
  // It has waited, in vain, and is counted.
  if (retried_ != nullptr && *retried_ == key) return Verdict::kNext;
  const absl::Duration now = Monotonic();
  if (!answering_) {
    not_answering_.Add();
    return Verdict::kNext;
  }
  if (in_vain_.Holds(key, now)) {
    again_.Add();
    return Verdict::kNext;
  }
  dns::Suspended* question = waiting_.size() < kMost ? exchange.Suspend() : nullptr;
  if (question == nullptr) {
    full_.Add();
    return Verdict::kNext;
  }
  const bool is_wanted = std::any_of(waiting_.begin(), waiting_.end(),
                                     [&](const Waiting& other) { return other.key == key; });
  if (waiting_.empty()) timer_.Start(kLongest);
  waiting_.push_back({key, question, now + kLongest});
  if (!is_wanted) want_(key);
  return Verdict::kPending;
}

template <typename Key>
void Waits<Key>::SetAnswering(bool answering) {
  answering_ = answering;
  if (!answering) Release([](const Waiting&) { return true; }, lost_);
}

template <typename Key>
void Waits<Key>::OnTimer() {
  const absl::Duration now = Monotonic();
  Release([&](const Waiting& one) { return one.until <= now; }, timed_out_);
  if (!waiting_.empty()) timer_.Start(std::max(waiting_.front().until - now, kSoonest));
}

template <typename Key>
template <typename F>
void Waits<Key>::Release(F&& done, Counter& outcome) {
  // Set apart first: who goes on may wait again.
  std::erase_if(waiting_, [&](const Waiting& one) {
    if (!done(one)) return false;
    released_.push_back(one);
    return true;
  });
  outcome.Add(released_.size());
  const absl::Duration in_vain_until = Monotonic() + kInVainFor;
  for (const Waiting& one : released_) {
    // Where it is held by now this is not looked at. Just before, as another may share the place.
    in_vain_.Add(one.key, in_vain_until);
    retried_ = &one.key;
    one.question->Retry();
  }
  retried_ = nullptr;
  released_.clear();
}

template <typename Key>
void Waits<Key>::CollectMetrics(std::string_view family, std::string_view help,
                                MetricFamilies& families) const {
  const auto add = [&](std::string_view outcome, const Counter& counter) {
    AddCounterSample(families, family, help, {{"outcome", outcome}},
                     static_cast<double>(counter.value()));
  };
  add("held", held_);
  add("timed_out", timed_out_);
  add("connection_lost", lost_);
  add("in_vain_just_now", again_);
  add("not_answering", not_answering_);
  add("no_place", full_);
}

OnDemandWaits::OnDemandWaits(EventLoop& loop, const dns::ClusterDataHolder& cluster, FeedCalls feed)
    : cluster_(cluster),
      prefetch_(std::move(feed.prefetch_endpoints)),
      addresses_(loop, std::move(feed.want_address)),
      endpoints_(loop, std::move(feed.want_endpoints)) {}

Verdict OnDemandWaits::WaitForAddress(const IpAddress& ip, dns::Exchange& exchange) {
  return addresses_.Wait(ip, exchange);
}

Verdict OnDemandWaits::WaitForEndpoints(const ServiceKey& service, dns::Exchange& exchange) {
  return endpoints_.Wait(service, exchange);
}

void OnDemandWaits::PrefetchEndpoints(const ServiceKey& service) {
  if (!prefetching_) {
    no_room_.Add();
    return;
  }
  const absl::Duration now = Monotonic();
  if (prefetched_.Holds(service, now)) {
    asked_just_now_.Add();
    return;
  }
  prefetched_.Add(service, now + kAskedFor);
  asked_.Add();
  prefetch_(service);
}

void OnDemandWaits::OnClusterData() {
  const Snapshot& snapshot = *cluster_.current().snapshot;
  addresses_.ReleaseHeld([&](const IpAddress& ip) { return snapshot.FindAddress(ip) != nullptr; });
  endpoints_.ReleaseHeld(
      [&](const ServiceKey& service) { return snapshot.KnowsSlices(service.view()); });
}

void OnDemandWaits::SetAnswering(bool answering) {
  addresses_.SetAnswering(answering);
  endpoints_.SetAnswering(answering);
}

void OnDemandWaits::CollectMetrics(MetricFamilies& families) const {
  addresses_.CollectMetrics(
      "portolan_address_waits_total",
      "Questions that needed the owner of an address that was not held, by outcome.", families);
  endpoints_.CollectMetrics("portolan_endpoint_waits_total",
                            "Questions that needed endpoints that were not held, by outcome.",
                            families);
  const auto add_prefetches = [&](std::string_view outcome, const Counter& counter) {
    AddCounterSample(
        families, "portolan_endpoint_prefetches_total",
        "Questions for the address of a Service whose endpoints were not held: whether "
        "they were asked for before anybody connects.",
        {{"outcome", outcome}}, static_cast<double>(counter.value()));
  };
  add_prefetches("asked", asked_);
  add_prefetches("asked_just_now", asked_just_now_);
  add_prefetches("no_room", no_room_);
}

}  // namespace portolan::proxy

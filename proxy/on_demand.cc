#include "proxy/on_demand.h"

#include <algorithm>
#include <array>
#include <utility>

#include "common/monotonic.h"

namespace portolan::proxy {
namespace {

using dns::Verdict;

// A timer may fire a little early by our clock.
constexpr absl::Duration kSoonest = absl::Milliseconds(1);

}  // namespace

AddressWaits::AddressWaits(EventLoop& loop, const dns::ClusterDataHolder& cluster,
                           std::function<void(const IpAddress&)> want)
    : cluster_(cluster), want_(std::move(want)), timer_(loop.AddTimer([this] { OnTimer(); })) {
  waiting_.reserve(kMost);
}

Verdict AddressWaits::WaitForAddress(const IpAddress& ip, dns::Exchange& exchange) {
  const absl::Duration now = Monotonic();
  if (!connected_) {
    disconnected_.Add();
    return Verdict::kNext;
  }
  if (in_vain_.Holds(ip, now)) {
    again_.Add();
    return Verdict::kNext;
  }
  dns::Suspended* question = waiting_.size() < kMost ? exchange.Suspend() : nullptr;
  if (question == nullptr) {
    full_.Add();
    return Verdict::kNext;
  }
  const bool is_wanted = std::any_of(waiting_.begin(), waiting_.end(),
                                     [&](const Waiting& other) { return other.ip == ip; });
  if (waiting_.empty()) timer_.Start(kLongest);
  waiting_.push_back({ip, question, now + kLongest});
  if (!is_wanted) want_(ip);
  return Verdict::kPending;
}

void AddressWaits::OnClusterData() {
  const Snapshot& snapshot = *cluster_.current().snapshot;
  Release([&](const Waiting& one) { return snapshot.FindAddress(one.ip) != nullptr; }, held_);
}

void AddressWaits::SetConnected(bool connected) {
  connected_ = connected;
  if (!connected) Release([](const Waiting&) { return true; }, lost_);
}

void AddressWaits::OnTimer() {
  const absl::Duration now = Monotonic();
  Release([&](const Waiting& one) { return one.until <= now; }, timed_out_);
  if (!waiting_.empty()) timer_.Start(std::max(waiting_.front().until - now, kSoonest));
}

template <typename F>
void AddressWaits::Release(F&& done, Counter& outcome) {
  // Set apart first: who goes on may wait again.
  std::array<Waiting, kMost> released;
  size_t count = 0;
  std::erase_if(waiting_, [&](const Waiting& one) {
    if (!done(one)) return false;
    released[count++] = one;
    return true;
  });
  outcome.Add(count);
  const absl::Duration in_vain_until = Monotonic() + kInVainFor;
  for (size_t i = 0; i < count; ++i) {
    // Where it is held by now this is not looked at. Just before, as another may share the place.
    in_vain_.Add(released[i].ip, in_vain_until);
    released[i].question->Retry();
  }
}

void AddressWaits::CollectMetrics(MetricFamilies& families) const {
  const auto add = [&](std::string_view outcome, const Counter& counter) {
    AddCounterSample(families, "portolan_address_waits_total",
                     "Questions that needed the owner of an address that was not held, by outcome.",
                     {{"outcome", outcome}}, static_cast<double>(counter.value()));
  };
  add("held", held_);
  add("timed_out", timed_out_);
  add("connection_lost", lost_);
  add("in_vain_just_now", again_);
  add("not_connected", disconnected_);
  add("no_place", full_);
}

}  // namespace portolan::proxy

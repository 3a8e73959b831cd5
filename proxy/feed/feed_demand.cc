// What the feed has on demand: who has an address, and the endpoints of Services.
#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "common/monotonic.h"
#include "proxy/feed/feed.h"

namespace portolan::proxy {
namespace {

// How often it is looked what is not wanted any more, and in parts of the idle time of endpoints.
constexpr absl::Duration kReviewDemandEvery = absl::Minutes(1);
constexpr double kReviewsInIdleTime = 4;

std::string Text(const IpAddress& ip) { return ip.ToString(); }
const std::string& Text(const std::string& service_key) { return service_key; }

}  // namespace

void Feed::WantAddress(const IpAddress& ip) {
  if (stream_ != nullptr && stream_->backed_up()) return;
  if (!addresses_.Ask(ip, Monotonic())) return;
  replica_->Demand(ip);
  AskLater();
}

void Feed::WantEndpoints(const std::string& service_key) {
  if (options_.endpoints == Directory::Slices::kOfAll) return;
  if (stream_ != nullptr && stream_->backed_up()) return;
  if (!endpoints_.Ask(service_key, Monotonic())) return;
  replica_->Demand(service_key);
  AskLater();
}

void Feed::PrefetchEndpoints(const std::string& service_key) {
  if (!endpoints_.full() || endpoints_.Holds(service_key)) WantEndpoints(service_key);
}

void Feed::Keep(Kept kept) {
  kept_ = std::move(kept);
  WantKept();
}

// As the ones that were wanted last they are the last that are given up.
void Feed::WantKept() {
  for (const IpAddress& ip : kept_.addresses) WantAddress(ip);
  for (const std::string& key : kept_.services) WantEndpoints(key);
}

// What else is wanted in this turn of the loop goes with it.
void Feed::AskLater() {
  ask_timer_.Start(absl::ZeroDuration());
  if (addresses_.size() + endpoints_.size() == 1) ReviewLater();
}

void Feed::ReviewLater() {
  demand_timer_.Start(std::min(kReviewDemandEvery, options_.endpoints_idle / kReviewsInIdleTime));
}

void Feed::ReviewDemand() {
  NoteUse();
  SendDemand();
  if (addresses_.size() + endpoints_.size() > 0) ReviewLater();
}

void Feed::NoteUse() {
  if (endpoints_.size() == 0) return;
  std::vector<std::string> services;
  endpoints_.ForEach([&](const std::string& key) { services.push_back(key); });
  for (const std::string& key : delegate_.TakeUsed(services)) endpoints_.Ask(key, Monotonic());
}

void Feed::SendDemand() {
  WantKept();
  const std::vector<IpAddress> addresses = TellDemand(kAddressIndex, addresses_);
  const std::vector<std::string> services = TellDemand(kEndpointsIndex, endpoints_);
  metrics_->endpoints_given_up.Add(services.size());
  if (!addresses.empty() || !services.empty()) Publish(replica_->GiveUp(addresses, services));
  PublishStatus();
}

// Subscribes to what is new, and unsubscribes from what is idle, which it returns.
template <typename Key>
std::vector<Key> Feed::TellDemand(size_t type, Demand<Key>& demand) {
  std::vector<Key> idle = demand.TakeIdle(Monotonic());
  const std::vector<Key> wanted = demand.TakeNew();
  if (!connected_ || (wanted.empty() && idle.empty())) return idle;
  Request request;
  request.set_type_url(std::string(types_[type].type_url));
  for (const Key& key : wanted) request.add_resource_names_subscribe(Text(key));
  for (const Key& key : idle) request.add_resource_names_unsubscribe(Text(key));
  stream_->Send(std::move(request));
  return idle;
}

}  // namespace portolan::proxy

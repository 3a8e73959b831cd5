#include "proxy/feed/address_demand.h"

namespace portolan::proxy {

bool AddressDemand::Ask(const IpAddress& ip, absl::Duration now) {
  const auto [place, is_new] = places_.try_emplace(ip);
  if (!is_new) by_age_.erase(place->second);
  place->second = by_age_.insert(by_age_.end(), {ip, now});
  return is_new;
}

std::vector<IpAddress> AddressDemand::TakeIdle(absl::Duration now) {
  std::vector<IpAddress> idle;
  while (!by_age_.empty()) {
    const Entry& oldest = by_age_.front();
    if (places_.size() <= kMost && now - oldest.asked < kIdle) break;
    idle.push_back(oldest.ip);
    places_.erase(oldest.ip);
    by_age_.pop_front();
  }
  return idle;
}

}  // namespace portolan::proxy

// Addresses that something happened to lately, a fixed number: for what is not to be done again so
// soon. Two addresses may share a place, and the later has it. One thread.
#pragma once

#include <array>
#include <cstddef>

#include "absl/hash/hash.h"
#include "absl/time/time.h"
#include "common/ip.h"

namespace portolan::proxy {

class RecentAddresses {
 public:
  // Times are monotonic.
  bool Holds(const IpAddress& ip, absl::Duration now) const {
    const Place& place = places_[IndexOf(ip)];
    return place.ip == ip && now < place.until;
  }
  void Add(const IpAddress& ip, absl::Duration until) { places_[IndexOf(ip)] = {ip, until}; }

 private:
  static constexpr size_t kPlaces = 256;
  struct Place {
    IpAddress ip;
    absl::Duration until = absl::ZeroDuration();
  };

  static size_t IndexOf(const IpAddress& ip) { return absl::HashOf(ip) % kPlaces; }

  std::array<Place, kPlaces> places_;
};

}  // namespace portolan::proxy

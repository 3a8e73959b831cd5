// A SharedMap (common/shared_map.h) with IP addresses for keys, the two families apart: in a
// cluster nearly all are of IPv4, and take half the place that way.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>

#include "common/ip.h"
#include "common/shared_map.h"

namespace portolan {

template <typename V>
class AddressMap {
  using Bytes4 = uint32_t;  // as they stand in memory
  using Bytes16 = std::array<uint8_t, 16>;
  template <typename Bytes>
  static Bytes As(const IpAddress& ip) {
    Bytes bytes;
    std::memcpy(&bytes, ip.bytes().data(), sizeof bytes);
    return bytes;
  }

 public:
  const V* Find(const IpAddress& ip) const {
    return ip.is_v4() ? ipv4_.Find(As<Bytes4>(ip)) : ipv6_.Find(As<Bytes16>(ip));
  }

  class Edit {
   public:
    explicit Edit(const AddressMap& from) : ipv4_(from.ipv4_), ipv6_(from.ipv6_) {}

    const V* Find(const IpAddress& ip) const {
      return ip.is_v4() ? ipv4_.Find(As<Bytes4>(ip)) : ipv6_.Find(As<Bytes16>(ip));
    }
    void Set(const IpAddress& ip, V value) {
      if (ip.is_v4()) {
        ipv4_.Set(As<Bytes4>(ip), std::move(value));
      } else {
        ipv6_.Set(As<Bytes16>(ip), std::move(value));
      }
    }
    void Erase(const IpAddress& ip) {
      if (ip.is_v4()) {
        ipv4_.Erase(As<Bytes4>(ip));
      } else {
        ipv6_.Erase(As<Bytes16>(ip));
      }
    }

    // The next version.
    AddressMap Finish() && {
      AddressMap next;
      next.ipv4_ = std::move(ipv4_).Finish();
      next.ipv6_ = std::move(ipv6_).Finish();
      return next;
    }

   private:
    typename SharedMap<Bytes4, V>::Edit ipv4_;
    typename SharedMap<Bytes16, V>::Edit ipv6_;
  };

 private:
  SharedMap<Bytes4, V> ipv4_;
  SharedMap<Bytes16, V> ipv6_;
};

}  // namespace portolan

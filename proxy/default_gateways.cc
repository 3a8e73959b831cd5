#include "proxy/default_gateways.h"

#include <algorithm>
#include <cstring>
#include <fstream>
#include <span>
#include <string_view>

#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"

namespace portolan::proxy {
namespace {

using Fields = std::vector<std::string>;

template <typename F>
void ForEachLine(const std::string& path, size_t fields, F&& visit) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    const Fields found = absl::StrSplit(line, absl::ByAnyChar(" \t"), absl::SkipEmpty());
    if (found.size() >= fields) visit(found);
  }
}

bool IsZero(std::string_view hex) { return hex.find_first_not_of('0') == std::string_view::npos; }

void Add(const IpAddress& gateway, std::vector<IpAddress>& gateways) {
  static const Cidr kLinkLocal[] = {*Cidr::Parse("169.254.0.0/16"), *Cidr::Parse("fe80::/10")};
  for (const Cidr& block : kLinkLocal) {
    if (block.Contains(gateway)) return;
  }
  if (std::find(gateways.begin(), gateways.end(), gateway) == gateways.end()) {
    gateways.push_back(gateway);
  }
}

// Iface Destination Gateway Flags RefCnt Use Metric Mask: addresses as numbers in the order of this
// machine's bytes.
void AddV4(const Fields& route, std::vector<IpAddress>& gateways) {
  uint32_t gateway = 0;
  if (!IsZero(route[1]) || !IsZero(route[7]) || !absl::SimpleHexAtoi(route[2], &gateway)) return;
  if (gateway == 0) return;
  uint8_t bytes[4];
  std::memcpy(bytes, &gateway, sizeof bytes);
  Add(IpAddress::V4(bytes), gateways);
}

// Destination, its bits, source, its bits, gateway: bytes in the order of the address.
void AddV6(const Fields& route, std::vector<IpAddress>& gateways) {
  if (!IsZero(route[0]) || !IsZero(route[1]) || IsZero(route[4]) || route[4].size() != 32) return;
  const std::string bytes = absl::HexStringToBytes(route[4]);
  Add(IpAddress::V6(
          std::span<const uint8_t, 16>(reinterpret_cast<const uint8_t*>(bytes.data()), 16)),
      gateways);
}

}  // namespace

std::vector<IpAddress> DefaultGateways(const std::string& folder) {
  std::vector<IpAddress> gateways;
  ForEachLine(folder + "/route", 8, [&](const Fields& route) { AddV4(route, gateways); });
  ForEachLine(folder + "/ipv6_route", 10, [&](const Fields& route) { AddV6(route, gateways); });
  return gateways;
}

}  // namespace portolan::proxy

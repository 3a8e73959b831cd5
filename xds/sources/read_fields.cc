#include "xds/sources/read_fields.h"

#include <algorithm>

#include "common/status.h"

namespace portolan::xds {

IpAddress ReadIp(const Field& field) {
  const std::string text = field.String();
  auto ip = IpAddress::Parse(text);
  if (ip.ok()) return *ip;
  field.Fail(fmt::format("'{}' is not an IP address", text));
  return {};
}

std::vector<IpAddress> ReadIps(const Field& list) {
  std::vector<IpAddress> ips;
  list.ForEachItem([&](const Field& item) { ips.push_back(ReadIp(item)); });
  return ips;
}

Cidr ReadCidr(const Field& field) {
  const auto cidr = Cidr::Parse(field.String());
  if (cidr.ok()) return *cidr;
  field.Fail(fmt::format("'{}' is not a block of addresses", field.String()));
  return {};
}

std::vector<Cidr> ReadCidrs(const Field& list) {
  std::vector<Cidr> cidrs;
  list.ForEachItem([&](const Field& item) { cidrs.push_back(ReadCidr(item)); });
  return cidrs;
}

LabelMap ReadLabels(const Field& map, std::string_view prefix) {
  LabelMap labels;
  map.ForEachField([&](const std::string& key, const Field& value) {
    if (key.starts_with(prefix)) labels.emplace_back(key, value.String());
  });
  std::sort(labels.begin(), labels.end());
  return labels;
}

Protocol ReadProtocol(const Field& field) {
  return ReadWord<Protocol>(
      field, {{"TCP", Protocol::kTcp}, {"UDP", Protocol::kUdp}, {"SCTP", Protocol::kSctp}});
}

uint16_t ReadPort(const Field& field) {
  const int64_t port = field.Int(1);
  if (port >= 1 && port <= kMaxPort) return static_cast<uint16_t>(port);
  field.Fail(fmt::format("{} is not a port", port));
  return 0;
}

absl::Time ReadTime(const Field& field) {
  absl::Time time = absl::InfinitePast();
  if (!field.present()) return time;
  const std::string text = field.String();
  if (!absl::ParseTime(absl::RFC3339_full, text, &time, nullptr)) {
    field.Fail(fmt::format("'{}' is not a time", text));
  }
  return time;
}

}  // namespace portolan::xds

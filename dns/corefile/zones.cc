#include "dns/corefile/zones.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <string_view>

#include "common/ip.h"
#include "common/nearest.h"

namespace portolan::dns::corefile {
namespace {

constexpr std::array<std::string_view, 6> kSchemes = {"dns",    "tls",  "https",
                                                      "https3", "grpc", "quic"};

// The labels of an address that the prefix covers whole, and how many values the next one may have.
struct ReverseShape {
  size_t bits_per_label;
  std::string_view suffix;
};

uint8_t LabelValue(const Cidr& cidr, size_t label, const ReverseShape& shape) {
  const auto bytes = cidr.base.bytes();
  if (shape.bits_per_label == 8) return bytes[label];
  const uint8_t byte = bytes[label / 2];
  return label % 2 == 0 ? byte >> 4 : byte & 15;
}

std::string LabelText(unsigned value, const ReverseShape& shape) {
  return shape.bits_per_label == 8 ? fmt::format("{}.", value) : fmt::format("{:x}.", value);
}

absl::StatusOr<std::vector<wire::Zone>> ReverseZones(const Cidr& cidr) {
  const ReverseShape shape =
      cidr.base.is_v4() ? ReverseShape{8, "in-addr.arpa."} : ReverseShape{4, "ip6.arpa."};
  const size_t whole = cidr.prefix_bits / shape.bits_per_label;
  const size_t rest = cidr.prefix_bits % shape.bits_per_label;
  std::string name(shape.suffix);
  for (size_t i = 0; i < whole; ++i) name = LabelText(LabelValue(cidr, i, shape), shape) + name;

  std::vector<wire::Zone> zones;
  const size_t count = rest == 0 ? 1 : size_t{1} << (shape.bits_per_label - rest);
  for (size_t i = 0; i < count; ++i) {
    const std::string last =
        rest == 0 ? ""
                  : LabelText(LabelValue(cidr, whole, shape) + static_cast<unsigned>(i), shape);
    auto zone = wire::Zone::Parse(last + name);
    if (!zone.ok()) return zone.status();
    zones.push_back(*std::move(zone));
  }
  return zones;
}

absl::StatusOr<std::vector<wire::Zone>> ZonesOf(const Token& token, std::string_view text) {
  if (text.find('/') != std::string_view::npos) {
    auto cidr = Cidr::Parse(text);
    if (!cidr.ok()) return token.Error(Message(cidr.status()));
    auto zones = ReverseZones(*cidr);
    if (!zones.ok()) return token.Error(Message(zones.status()));
    return zones;
  }
  auto zone = wire::Zone::Parse(text);
  if (!zone.ok()) return token.Error(fmt::format("'{}': {}", text, Message(zone.status())));
  return std::vector<wire::Zone>{*std::move(zone)};
}

}  // namespace

absl::StatusOr<std::vector<wire::Zone>> ParseZones(const Token& token) {
  return ZonesOf(token, token.text);
}

absl::StatusOr<std::vector<wire::Zone>> ParseZones(const std::vector<Token>& tokens) {
  std::vector<wire::Zone> all;
  for (const Token& token : tokens) {
    auto zones = ParseZones(token);
    if (!zones.ok()) return zones.status();
    all.insert(all.end(), zones->begin(), zones->end());
  }
  return all;
}

absl::StatusOr<ServerKey> ParseServerKey(const Token& token) {
  ServerKey key;
  std::string_view text = token.text;
  if (const size_t at = text.find("://"); at != std::string_view::npos) {
    key.scheme = text.substr(0, at);
    if (std::find(kSchemes.begin(), kSchemes.end(), key.scheme) == kSchemes.end()) {
      return token.Error(
          fmt::format("unknown scheme '{}://'{}", key.scheme, DidYouMean(key.scheme, kSchemes)));
    }
    text.remove_prefix(at + 3);
  }
  // A colon within an IPv6 block stands before its slash.
  const size_t slash = text.find('/');
  const size_t colon = text.rfind(':');
  if (colon != std::string_view::npos && (slash == std::string_view::npos || colon > slash)) {
    const std::string_view port = text.substr(colon + 1);
    const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), key.port);
    if (error != std::errc() || end != port.data() + port.size() || key.port == 0) {
      return token.Error(fmt::format("'{}' is not a port", port));
    }
    key.explicit_port = true;
    text = text.substr(0, colon);
  }
  if (text.empty()) text = ".";
  auto zones = ZonesOf(token, text);
  if (!zones.ok()) return zones.status();
  key.zones = *std::move(zones);
  return key;
}

}  // namespace portolan::dns::corefile

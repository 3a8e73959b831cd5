#include "xds/api/checked_fields.h"

#include <span>

namespace portolan::api {

absl::Status CheckText(std::string_view field, std::string_view text, size_t max,
                       Presence presence) {
  if (text.empty() && presence == Presence::kRequired) return InvalidArgument("{}: empty", field);
  if (text.size() > max) return InvalidArgument("{}: longer than {} bytes", field, max);
  for (const char c : text) {
    if (static_cast<unsigned char>(c) <= ' ' || c == '/' || c == 0x7f) {
      return InvalidArgument("{}: a character that no name has", field);
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<IpAddress> ParseAddress(std::string_view bytes) {
  const auto* data = reinterpret_cast<const uint8_t*>(bytes.data());
  if (bytes.size() == 4) return IpAddress::V4(std::span<const uint8_t, 4>(data, 4));
  if (bytes.size() == 16) return IpAddress::V6(std::span<const uint8_t, 16>(data, 16));
  return InvalidArgument("{} bytes are no IP address", bytes.size());
}

absl::StatusOr<Protocol> ParseProtocol(v1::Protocol protocol) {
  switch (protocol) {
    case v1::TCP:
      return Protocol::kTcp;
    case v1::UDP:
      return Protocol::kUdp;
    case v1::SCTP:
      return Protocol::kSctp;
    default:
      return InvalidArgument("protocol: {} is unknown", static_cast<int>(protocol));
  }
}

v1::Protocol ToProto(Protocol protocol) {
  switch (protocol) {
    case Protocol::kTcp:
      return v1::TCP;
    case Protocol::kUdp:
      return v1::UDP;
    case Protocol::kSctp:
      return v1::SCTP;
  }
  return v1::TCP;
}

absl::Status Named(std::string_view type_url, std::string_view name, const absl::Status& error) {
  return InvalidArgument("{} '{}': {}", type_url.substr(type_url.rfind('/') + 1),
                         name.substr(0, 2 * kMaxName), Message(error));
}

}  // namespace portolan::api

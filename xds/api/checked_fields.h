// The checks that fields of several messages share, and how their errors read: for the codecs of
// this folder alone. Pure functions; any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "common/ip.h"
#include "common/status.h"
#include "directory/model.h"
#include "envoy/service/discovery/v3/discovery.pb.h"
#include "portolan/v1/directory.pb.h"

namespace portolan::api {

// Of a DNS label and of a Kubernetes object's name.
inline constexpr size_t kMaxLabel = 63;
inline constexpr size_t kMaxName = 253;
inline constexpr uint32_t kMaxPort = 65535;

enum class Presence { kRequired, kOptional };

// Of a name: no longer than `max`, without blanks, control characters and slashes.
absl::Status CheckText(std::string_view field, std::string_view text, size_t max,
                       Presence presence);

// 4 or 16 bytes. An error does not say the field.
absl::StatusOr<IpAddress> ParseAddress(std::string_view bytes);

template <typename Repeated>
absl::StatusOr<std::vector<IpAddress>> ParseAddresses(std::string_view field,
                                                      const Repeated& values) {
  std::vector<IpAddress> addresses;
  addresses.reserve(static_cast<size_t>(values.size()));
  for (const std::string& bytes : values) {
    auto address = ParseAddress(bytes);
    if (!address.ok()) {
      return InvalidArgument("{}[{}]: {}", field, addresses.size(), Message(address.status()));
    }
    addresses.push_back(*address);
  }
  return addresses;
}

// An error says the field: "protocol".
absl::StatusOr<Protocol> ParseProtocol(v1::Protocol protocol);
v1::Protocol ToProto(Protocol protocol);

template <typename Message>
absl::StatusOr<Message> Unpack(const envoy::service::discovery::v3::Resource& resource) {
  Message message;
  if (!resource.resource().UnpackTo(&message)) {
    return InvalidArgument("resource: '{}' cannot be read as {}",
                           std::string_view(resource.resource().type_url()).substr(0, kMaxName),
                           message.GetTypeName());
  }
  return message;
}

// The error with the resource in front, which is what an operator looks for.
absl::Status Named(std::string_view type_url, std::string_view name, const absl::Status& error);

inline void SetBytes(const IpAddress& address, std::string& to) {
  to.assign(reinterpret_cast<const char*>(address.bytes().data()), address.bytes().size());
}

}  // namespace portolan::api

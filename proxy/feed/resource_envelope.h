// What is around a resource in a response, and is kept for every one. Any thread.
#pragma once

#include "absl/status/status.h"
#include "common/status.h"
#include "envoy/service/discovery/v3/discovery.pb.h"

namespace portolan::proxy {

inline constexpr int kMaxResourceNameBytes = 1024;
inline constexpr int kMaxVersionBytes = 256;

inline absl::Status CheckEnvelope(const envoy::service::discovery::v3::Resource& resource) {
  if (resource.name().size() > kMaxResourceNameBytes) {
    return InvalidArgument("a resource's name: longer than {} bytes", kMaxResourceNameBytes);
  }
  if (resource.version().size() > kMaxVersionBytes) {
    return InvalidArgument("'{}': version: longer than {} bytes", resource.name(),
                           kMaxVersionBytes);
  }
  return absl::OkStatus();
}

}  // namespace portolan::proxy

// The streams that a client may open, by the name of the gRPC method.
//
// The aggregated service carries all types on one stream.
// https://www.envoyproxy.io/docs/envoy/latest/api-docs/xds_protocol#aggregated-discovery-service
#pragma once

#include <memory>
#include <optional>
#include <string_view>

#include "xds/serving/resource.h"
#include "xds/serving/session.h"

namespace portolan::xds {

enum class DiscoveryProtocol : uint8_t { kDelta, kState };

struct DiscoveryMethod {
  std::string_view name;  // "/PACKAGE.SERVICE/METHOD"
  DiscoveryProtocol protocol;
  std::optional<ResourceType> only;  // nothing: aggregated
};

// Null: no such method here.
const DiscoveryMethod* FindDiscoveryMethod(std::string_view name);

// `options.only` is the method's.
std::unique_ptr<Session> MakeSession(const DiscoveryMethod& method, Session::Options options);

}  // namespace portolan::xds

#include "xds/serving/discovery_methods.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "xds/serving/delta_session.h"

namespace portolan::xds {
namespace {

constexpr DiscoveryMethod kMethods[] = {
    {"/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources",
     DiscoveryProtocol::kDelta, std::nullopt},
};

}  // namespace

const DiscoveryMethod* FindDiscoveryMethod(std::string_view name) {
  const auto* found = std::find_if(std::begin(kMethods), std::end(kMethods),
                                   [&](const DiscoveryMethod& m) { return m.name == name; });
  return found == std::end(kMethods) ? nullptr : found;
}

std::unique_ptr<Session> MakeSession(const DiscoveryMethod& method, Session::Options options) {
  options.only = method.only;
  return std::make_unique<DeltaSession>(std::move(options));
}

}  // namespace portolan::xds

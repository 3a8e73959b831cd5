// What the ingress policies of pods say, out of what this replica serves, and whether they are in
// force there, out of what its sidecars report. The loop's thread only.
#pragma once

#include <functional>
#include <memory>
#include <optional>

#include <nlohmann/json.hpp>

#include "common/ip.h"
#include "directory/model.h"
#include "xds/serving/resource_cache.h"
#include "xds/sidecars/reported_sidecar.h"

namespace portolan::xds {

class IngressJudge {
 public:
  using Resources = std::function<std::shared_ptr<const ResourceSet>()>;

  // `resources`: what is served now; null: no policy is known. `sidecars` outlives it; null: none
  // reports.
  IngressJudge(Resources resources, const AskedSidecars* sidecars);

  // As IngressAt (ingress.h), and "inForce": whether the sidecar of the pod that is led to has
  // these policies in force; missing where that is not known here: it is connected to another
  // replica, or there is none. Nothing too where the client or who is led to is no pod that is
  // known.
  std::optional<nlohmann::json> Judge(const ObjectName& client, const SocketAddress& to,
                                      Protocol protocol) const;

 private:
  std::optional<bool> IsInForce(const ResourceSet& resources, const Pod& pod,
                                Protocol protocol) const;

  const Resources resources_;
  const AskedSidecars* const sidecars_;
};

}  // namespace portolan::xds

// Where the pod runs: what the flags say, and for what they leave open what the control plane says
// of the pod's addresses (xds/api/portolan/v1/directory.proto, PodAddress).
//
// Another pod may have had the address just before, so an address counts only where it is this
// pod's. What was known stays while it is not held. Main thread only.
#pragma once

#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "common/ip.h"
#include "directory/directory.h"
#include "proxy/forwarder/eligible_endpoints.h"

namespace portolan::proxy {

class OwnPlace {
 public:
  // `pod`: NAMESPACE/POD, which has the addresses `ips`. `given`: by flags.
  OwnPlace(std::string pod, std::vector<IpAddress> ips, Place given);

  // The addresses whose owners have to be held; none where the flags say everything.
  std::vector<IpAddress> Wanted() const;

  // True if it is another place now.
  bool Follow(const Snapshot& snapshot);
  const Place& current() const { return current_; }

  // {"node", "nodeSource", "zone", "zoneSource"}; a source is "flag", "control plane" or "none".
  nlohmann::json Dump() const;

 private:
  const std::string pod_;
  const std::vector<IpAddress> ips_;
  const Place given_;
  Place current_;
};

}  // namespace portolan::proxy

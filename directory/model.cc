#include "directory/model.h"

#include <algorithm>

namespace portolan {

std::vector<IpAddress> Service::Addresses() const {
  std::vector<IpAddress> all(cluster_ips.begin(), cluster_ips.end());
  for (const auto* more : {&extras->external_ips, &extras->load_balancer_ips}) {
    all.insert(all.end(), more->begin(), more->end());
  }
  std::sort(all.begin(), all.end());
  all.erase(std::unique(all.begin(), all.end()), all.end());
  return all;
}

}  // namespace portolan

#include "directory/model.h"

#include <algorithm>

namespace portolan {

std::vector<IpAddress> Service::Addresses() const {
  std::vector<IpAddress> all = cluster_ips;
  all.insert(all.end(), external_ips.begin(), external_ips.end());
  all.insert(all.end(), load_balancer_ips.begin(), load_balancer_ips.end());
  std::sort(all.begin(), all.end());
  all.erase(std::unique(all.begin(), all.end()), all.end());
  return all;
}

}  // namespace portolan

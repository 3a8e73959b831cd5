#include "directory/dns_egress_policy.h"

namespace portolan {

std::string DnsEgressPolicy::Key() const {
  switch (kind) {
    case Kind::kDnsEgressPolicy:
      return "DNSEgressPolicy/" + name.ToString();
    case Kind::kClusterNetworkPolicy:
      return "ClusterNetworkPolicy/" + name.name;
    case Kind::kAdminNetworkPolicy:
      return "AdminNetworkPolicy/" + name.name;
  }
  return "";
}

}  // namespace portolan

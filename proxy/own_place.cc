#include "proxy/own_place.h"

#include <string_view>
#include <utility>

namespace portolan::proxy {
namespace {

std::string_view Source(const std::string& given, const std::string& current) {
  if (!given.empty()) return "flag";
  return current.empty() ? "none" : "control plane";
}

}  // namespace

OwnPlace::OwnPlace(std::string pod, std::vector<IpAddress> ips, Place given)
    : pod_(std::move(pod)), ips_(std::move(ips)), given_(std::move(given)), current_(given_) {}

std::vector<IpAddress> OwnPlace::Wanted() const {
  const bool is_given = !given_.node.empty() && !given_.zone.empty();
  return is_given ? std::vector<IpAddress>() : ips_;
}

bool OwnPlace::Follow(const Snapshot& snapshot) {
  for (const IpAddress& ip : Wanted()) {
    const AddressOwner* owner = snapshot.FindAddress(ip);
    if (owner == nullptr || owner->pod.ToString() != pod_) continue;
    const Place now = {.node = given_.node.empty() ? owner->node : given_.node,
                       .zone = given_.zone.empty() ? owner->zone : given_.zone};
    if (now == current_) return false;
    current_ = now;
    return true;
  }
  return false;
}

nlohmann::json OwnPlace::Dump() const {
  return {{"node", current_.node},
          {"nodeSource", Source(given_.node, current_.node)},
          {"zone", current_.zone},
          {"zoneSource", Source(given_.zone, current_.zone)}};
}

}  // namespace portolan::proxy

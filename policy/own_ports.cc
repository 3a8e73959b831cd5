#include "policy/own_ports.h"

#include <algorithm>
#include <utility>

namespace portolan {
namespace {

// False: the pod has no such port.
bool Resolve(PortInput& port, const std::vector<ContainerPort>& ports) {
  if (port.name.empty()) return true;
  const auto own = std::find_if(ports.begin(), ports.end(), [&](const ContainerPort& one) {
    return one.name == port.name && one.protocol == port.protocol;
  });
  if (own == ports.end()) return false;
  port = {port.protocol, own->port};
  return true;
}

}  // namespace

PolicyInput WithOwnPorts(PolicyInput policy, const std::vector<ContainerPort>& ports) {
  // A rule that is left without ports would allow all of them.
  std::erase_if(policy.rules, [&](RuleInput& rule) {
    if (rule.ports.empty()) return false;
    std::erase_if(rule.ports, [&](PortInput& port) { return !Resolve(port, ports); });
    return rule.ports.empty();
  });
  return policy;
}

}  // namespace portolan

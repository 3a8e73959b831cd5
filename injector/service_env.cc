#include "injector/service_env.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "injector/names.h"

namespace portolan::injector {
namespace {

using Variables = std::vector<std::pair<std::string, std::string>>;

// "my-backend" is MY_BACKEND.
std::string VariableName(std::string_view service) {
  std::string name;
  for (const char c : service) name += c == '-' ? '_' : c >= 'a' && c <= 'z' ? char(c - 32) : c;
  return name;
}

uint16_t PortOf(const ServiceEnv& service, const std::string& name_space,
                const ClusterFacts& facts) {
  if (service.port != 0 || !facts.service_port) return service.port;
  return facts.service_port(name_space, service.name).value_or(0);
}

Variables Wanted(const Pod& pod, std::string_view name_space, const Sidecar& sidecar,
                 std::vector<std::string>& warnings) {
  const Json* service_links = pod.Spec("enableServiceLinks");
  const bool links = service_links == nullptr || *service_links == true;
  Variables wanted;
  for (const ServiceEnv& service : sidecar.settings.service_env) {
    const std::string its(service.name_space.empty() ? name_space : service.name_space);
    const std::string prefix = VariableName(service.name) + "_SERVICE_";
    const bool twice = std::any_of(wanted.begin(), wanted.end(), [&](const auto& variable) {
      return variable.first == prefix + "HOST";
    });
    if (twice) continue;  // the first of a name counts
    wanted.emplace_back(prefix + "HOST", fmt::format("{}.{}.svc.{}", service.name, its,
                                                     sidecar.common.cluster_domain));
    const uint16_t port = PortOf(service, its, sidecar.facts);
    if (port != 0) {
      wanted.emplace_back(prefix + "PORT", fmt::to_string(port));
    } else if (!links || its != name_space) {
      warnings.push_back(fmt::format("{}PORT is not set: say {}:PORT in portolan.dev/service-env",
                                     prefix, service.name));
    }
  }
  return wanted;
}

bool Sets(const Json* env, const std::string& name) {
  if (env == nullptr) return false;
  for (const Json& variable : *env) {
    if (TextAt(&variable, "name") == name) return true;
  }
  return false;
}

}  // namespace

void AddServiceEnv(const Pod& pod, std::string_view name_space, const Sidecar& sidecar,
                   Patch& patch, std::vector<std::string>& warnings) {
  const Variables wanted = Wanted(pod, name_space, sidecar, warnings);
  // Of init containers the numbers have shifted: ours are in front by now.
  const size_t shifted = (pod.FindContainer("initContainers", kInit) == nullptr ? 1 : 0) +
                         (pod.FindContainer("initContainers", kProxy) == nullptr ? 1 : 0);
  for (const Container& container : pod.containers()) {
    if (container.name == kInit || container.name == kProxy) continue;
    const Json* env = Pod::Find(*container.json, "env");
    Json missing = Json::array();
    for (const auto& [name, value] : wanted) {
      if (!Sets(env, name)) missing.push_back({{"name", name}, {"value", value}});
    }
    const size_t index = container.index + (container.list == "initContainers" ? shifted : 0);
    patch.Insert(fmt::format("/spec/{}/{}/env", container.list, index), env == nullptr, 0, missing);
  }
}

}  // namespace portolan::injector

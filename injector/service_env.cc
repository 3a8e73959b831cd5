#include "injector/service_env.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "injector/names.h"

namespace portolan::injector {
namespace {

// What a container finds of one Service.
struct Variables {
  std::string prefix;  // "BACKEND_SERVICE_"
  std::string host;
  uint16_t port = 0;  // 0: not known
};

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

std::vector<Variables> Wanted(const Pod& pod, std::string_view name_space, const Sidecar& sidecar,
                              std::vector<std::string>& warnings) {
  const Json* service_links = pod.Spec("enableServiceLinks");
  const bool links = service_links == nullptr || *service_links == true;
  std::vector<Variables> wanted;
  for (const ServiceEnv& service : sidecar.settings.service_env) {
    const std::string its(service.name_space.empty() ? name_space : service.name_space);
    const Variables variables = {
        VariableName(service.name) + "_SERVICE_",
        fmt::format("{}.{}.svc.{}", service.name, its, sidecar.common.cluster_domain),
        PortOf(service, its, sidecar.facts)};
    // Of two Services with one name the first counts.
    const bool twice = std::any_of(wanted.begin(), wanted.end(), [&](const Variables& other) {
      return other.prefix == variables.prefix;
    });
    if (twice) continue;
    if (variables.port == 0 && (!links || its != name_space)) {
      warnings.push_back(fmt::format("{}PORT is not set: say {}:PORT in portolan.dev/service-env",
                                     variables.prefix, service.name));
    }
    wanted.push_back(variables);
  }
  return wanted;
}

bool Sets(const Json* env, const std::string& name) {
  if (env == nullptr) return false;
  return std::any_of(env->begin(), env->end(),
                     [&](const Json& variable) { return TextAt(&variable, "name") == name; });
}

// A container that names a host of its own gets no port of another.
Json Missing(const Json* env, const std::vector<Variables>& wanted) {
  Json missing = Json::array();
  for (const Variables& variables : wanted) {
    const std::string host = variables.prefix + "HOST", port = variables.prefix + "PORT";
    if (Sets(env, host)) continue;
    missing.push_back({{"name", host}, {"value", variables.host}});
    if (variables.port == 0 || Sets(env, port)) continue;
    missing.push_back({{"name", port}, {"value", fmt::to_string(variables.port)}});
  }
  return missing;
}

}  // namespace

void AddServiceEnv(const Pod& pod, std::string_view name_space, const Sidecar& sidecar,
                   Patch& patch, std::vector<std::string>& warnings) {
  const std::vector<Variables> wanted = Wanted(pod, name_space, sidecar, warnings);
  // Of init containers the numbers have shifted: ours are in front by now.
  const size_t shifted = (pod.FindContainer("initContainers", kInit) == nullptr ? 1 : 0) +
                         (pod.FindContainer("initContainers", kProxy) == nullptr ? 1 : 0);
  for (const Container& container : pod.containers()) {
    if (container.name == kInit || container.name == kProxy) continue;
    const Json* env = Pod::Find(*container.json, "env");
    const size_t index = container.index + (container.list == "initContainers" ? shifted : 0);
    patch.Insert(fmt::format("/spec/{}/{}/env", container.list, index), env == nullptr, 0,
                 Missing(env, wanted));
  }
}

}  // namespace portolan::injector

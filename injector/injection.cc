#include "injector/injection.h"

#include <algorithm>
#include <utility>

#include "common/status.h"
#include "injector/as_made.h"
#include "injector/decision.h"
#include "injector/names.h"
#include "injector/patch.h"
#include "injector/service_env.h"
#include "injector/sidecar.h"

namespace portolan::injector {
namespace {

// TCP ports that containers declare, ascending, each once.
std::vector<uint16_t> AppPorts(const Pod& pod) {
  std::vector<uint16_t> declared;
  for (const Container& container : pod.containers()) {
    const Json* ports = Pod::Find(*container.json, "ports");
    if (ports == nullptr || container.name == kProxy) continue;
    for (const Json& port : *ports) {
      const std::string_view protocol = TextAt(&port, "protocol");
      const int64_t number = NumberAt(&port, "containerPort").value_or(0);
      if ((!protocol.empty() && protocol != "TCP") || number < 1 || number > 65535) continue;
      declared.push_back(static_cast<uint16_t>(number));
    }
  }
  std::sort(declared.begin(), declared.end());
  declared.erase(std::unique(declared.begin(), declared.end()), declared.end());
  return declared;
}

bool AsksClusterDns(const Pod& pod) {
  const std::string_view policy = pod.SpecText("dnsPolicy");
  return policy != "Default" && policy != "None";
}

// The API server has not said it yet, or cannot, and neither has the Template.
void WarnOfUnknownRanges(const Sidecar& sidecar, std::vector<std::string>& warnings) {
  const PodSettings& settings = sidecar.settings;
  const bool known = !sidecar.common.service_cidrs.empty() ||
                     !sidecar.facts.service_cidrs.empty() || !settings.include_cidrs.empty() ||
                     !settings.include_ports.empty();
  if (known || settings.capture == "all") return;
  warnings.push_back("the Service ranges are not known: of this pod only DNS is captured");
}

// Which init container, the first of them, runs before the rules are there: a webhook that came
// after us has put it in front. Empty: none.
std::string RunsBeforeCapture(const Pod& pod) {
  const Container* init = pod.FindContainer("initContainers", kInit);
  for (const Container& container : pod.containers()) {
    if (init == nullptr || container.list != init->list || container.name == kProxy) continue;
    if (container.index < init->index) {
      return fmt::format("init container {} runs before {}", container.name, kInit);
    }
  }
  return {};
}

// What keeps something out of the capture although the annotations do not ask for it; empty:
// nothing.
std::string Evasion(const Pod& pod, const Sidecar& sidecar) {
  const std::string other = NotAsMade(pod, sidecar);
  if (!other.empty()) return fmt::format("{} is not as the injector makes it", other);
  return RunsBeforeCapture(pod);
}

void WarnOfEarlyContainer(const Pod& pod, std::vector<std::string>& warnings) {
  const std::string early = RunsBeforeCapture(pod);
  if (!early.empty()) warnings.push_back(early + ": nothing that it sends is captured");
}

// True where a container of ours was missing.
bool AddContainers(const Pod& pod, const Sidecar& sidecar, Patch& patch) {
  const Container* init = pod.FindContainer("initContainers", kInit);
  const bool has_proxy = pod.FindContainer("initContainers", kProxy) != nullptr;
  Json missing = Json::array();
  if (init == nullptr) missing.push_back(InitContainer(sidecar));
  if (!has_proxy) missing.push_back(ProxyContainer(sidecar));
  // Before all others, as these may want names and Services already.
  patch.Insert("/spec/initContainers", pod.Spec("initContainers") == nullptr,
               init == nullptr ? 0 : init->index + 1, missing);
  return !missing.empty();
}

// A container of ours that is there may come from another release, with volumes of its own.
bool Mounts(const Container* container, std::string_view volume) {
  const Json* mounts = container == nullptr ? nullptr : Pod::Find(*container->json, "volumeMounts");
  if (mounts == nullptr) return false;
  return std::any_of(mounts->begin(), mounts->end(),
                     [&](const Json& mount) { return TextAt(&mount, "name") == volume; });
}

void AddVolumes(const Pod& pod, const Template& common, Patch& patch) {
  const Container* proxy = pod.FindContainer("initContainers", kProxy);
  Json missing = Json::array();
  for (Json& volume : Volumes(common)) {
    const std::string_view name = TextAt(&volume, "name");
    const bool wanted = proxy == nullptr || Mounts(proxy, name);
    if (wanted && !pod.Has("volumes", name)) missing.push_back(std::move(volume));
  }
  patch.Append("/spec/volumes", pod.Spec("volumes") == nullptr, missing);
}

void AddPullSecrets(const Pod& pod, const Template& common, Patch& patch) {
  Json missing = Json::array();
  for (const std::string& secret : common.image_pull_secrets) {
    if (!pod.Has("imagePullSecrets", secret)) missing.push_back({{"name", secret}});
  }
  patch.Append("/spec/imagePullSecrets", pod.Spec("imagePullSecrets") == nullptr, missing);
}

std::string StatusText(const Template& common) {
  return Json({{"version", PORTOLAN_VERSION},
               {"template", common.hash},
               {"initContainers", {kInit, kProxy}},
               {"volumes", kVolumes}})
      .dump();
}

// Prometheus is told of the sidecar only where the pod tells it nothing of itself.
Json ScrapeAnnotations(const Pod& pod, const Sidecar& sidecar) {
  Json wanted = {{"prometheus.io/scrape", "true"},
                 {"prometheus.io/port", fmt::to_string(sidecar.settings.status_port)},
                 {"prometheus.io/path", "/metrics"}};
  for (const auto& [name, value] : wanted.items()) {
    if (pod.Annotation(name) != nullptr) return Json::object();
  }
  return wanted;
}

// What kubectl exec and logs take where no container is named.
Json DefaultContainer(const Pod& pod) {
  Json annotations = Json::object();
  const std::string first(pod.containers().empty() ? "" : pod.containers().front().name);
  for (const char* name : {"kubectl.kubernetes.io/default-container",
                           "kubectl.kubernetes.io/default-logs-container"}) {
    if (pod.Annotation(name) == nullptr && !first.empty()) annotations[name] = first;
  }
  return annotations;
}

void AddAnnotations(const Pod& pod, const Sidecar& sidecar, Patch& patch) {
  Json missing = DefaultContainer(pod);
  if (sidecar.common.scrape) missing.update(ScrapeAnnotations(pod, sidecar));
  missing[std::string(kStatus)] = StatusText(sidecar.common);
  if (!pod.has_metadata()) patch.Add("/metadata", Json::object());
  patch.Merge("/metadata/annotations", !pod.has_annotations(), missing);
}

}  // namespace

absl::StatusOr<Injection> Inject(const Json& json, std::string_view name_space,
                                 const Template& common, const ClusterFacts& facts,
                                 std::string_view own_namespace) {
  const auto pod = Pod::From(json);
  if (!pod.ok()) return pod.status();
  Decision decision = Decide(*pod, name_space, common, facts, own_namespace);
  Injection injection{decision.outcome, std::move(decision.detail), std::move(decision.warnings)};
  if (injection.outcome != Outcome::kInjected) return injection;

  const Sidecar sidecar{decision.settings, common, facts, AppPorts(*pod), AsksClusterDns(*pod)};
  const std::string evasion = decision.all_demanded ? Evasion(*pod, sidecar) : "";
  if (!evasion.empty()) {
    injection.outcome = Outcome::kDeniedCapture;
    injection.detail = fmt::format("{}, and {}", evasion, Demand(name_space));
    return injection;
  }
  WarnOfEarlyContainer(*pod, injection.warnings);
  Patch patch;
  const bool containers_added = AddContainers(*pod, sidecar, patch);
  AddVolumes(*pod, common, patch);
  AddPullSecrets(*pod, common, patch);
  AddServiceEnv(*pod, name_space, sidecar, patch, injection.warnings);
  if (containers_added) {
    AddAnnotations(*pod, sidecar, patch);
    WarnOfUnknownRanges(sidecar, injection.warnings);
  }
  if (patch.empty()) injection.outcome = Outcome::kAlreadyInjected;
  injection.patch = patch.Take();
  return injection;
}

}  // namespace portolan::injector

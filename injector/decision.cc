#include "injector/decision.h"

#include <algorithm>

#include "common/nearest.h"
#include "common/status.h"
#include "injector/names.h"
#include "injector/other_mesh.h"
#include "injector/setting_values.h"

namespace portolan::injector {
namespace {

constexpr KubernetesVersion kNativeSidecars = {1, 29};
constexpr std::string_view kMirror = "kubernetes.io/config.mirror";

// Keeps the first thing that speaks against injection: false.
bool Against(Decision& decision, Outcome outcome, std::string detail) {
  decision.outcome = outcome;
  decision.detail = std::move(detail);
  return false;
}

bool NamespaceAllows(std::string_view name_space, std::string_view own, Decision& decision) {
  if (std::find(kKubeNamespaces.begin(), kKubeNamespaces.end(), name_space) !=
      kKubeNamespaces.end()) {
    return Against(decision, Outcome::kKubeNamespace, fmt::format("namespace {}", name_space));
  }
  if (name_space == own) {
    return Against(decision, Outcome::kOwnNamespace, "the control plane's own namespace");
  }
  return true;
}

// A label wins over an annotation, either over the namespace.
bool PodAllows(const Pod& pod, Decision& decision) {
  const std::string* label = pod.Label(kInject);
  const std::string* value = label != nullptr ? label : pod.Annotation(kInject);
  if (value == nullptr || *value == "true") return true;
  const std::string_view kind = label != nullptr ? "label" : "annotation";
  if (*value == "false") {
    return Against(decision, Outcome::kOptedOut, fmt::format("{} {}: false", kind, kInject));
  }
  return Against(decision, Outcome::kDeniedAnnotation,
                 fmt::format("{} {}: {} is neither true nor false", kind, kInject, Quoted(*value)));
}

bool IsWindows(const Pod& pod) {
  const Json* selector = pod.Spec("nodeSelector");
  return TextAt(pod.Spec("os"), "name") == "windows" ||
         TextAt(selector, "kubernetes.io/os") == "windows" ||
         TextAt(selector, "beta.kubernetes.io/os") == "windows";
}

bool CanBeCaptured(const Pod& pod, const ClusterFacts& facts, Decision& decision) {
  const Json* host_network = pod.Spec("hostNetwork");
  if (host_network != nullptr && *host_network == true) {
    return Against(decision, Outcome::kHostNetwork, "hostNetwork");
  }
  if (IsWindows(pod)) return Against(decision, Outcome::kWindows, "a Windows pod");
  if (pod.Annotation(kMirror) != nullptr) {
    return Against(decision, Outcome::kMirrorPod, "the mirror of a static pod");
  }
  if (const auto mesh = FindOtherMesh(pod)) return Against(decision, mesh->outcome, mesh->sign);
  if (facts.version.has_value() && *facts.version < kNativeSidecars) {
    return Against(decision, Outcome::kNoNativeSidecars,
                   fmt::format("Kubernetes {}.{} has no native sidecars, 1.29 has",
                               facts.version->major, facts.version->minor));
  }
  return true;
}

std::string Unknown(std::string_view name) {
  std::vector<std::string_view> known = {kInject.substr(kAnnotationPrefix.size())};
  for (const PodSettingRow& row : PodSettingRows()) known.push_back(row.name);
  return fmt::format("annotation {}{}: no such setting{}", kAnnotationPrefix, name.substr(0, 60),
                     DidYouMean(name, known));
}

// An unknown annotation is a warning: a newer injector may know it.
bool ReadAnnotations(const Pod& pod, Decision& decision) {
  std::string fault;
  pod.ForEachAnnotation([&](const std::string& annotation, const std::string& value) {
    if (!annotation.starts_with(kAnnotationPrefix)) return;
    if (annotation == kInject || annotation == kStatus) return;
    const std::string_view name = std::string_view(annotation).substr(kAnnotationPrefix.size());
    const PodSettingRow* row = FindPodSetting(name);
    if (row == nullptr) {
      decision.warnings.push_back(Unknown(name));
      return;
    }
    const absl::Status status = row->read(value, decision.settings);
    if (!status.ok() && fault.empty()) {
      fault = fmt::format("annotation {}: {}", annotation, Message(status));
    }
  });
  if (!fault.empty()) return Against(decision, Outcome::kDeniedAnnotation, fault);
  const std::string conflict = Conflict(decision.settings);
  if (conflict.empty()) return true;
  return Against(decision, Outcome::kDeniedAnnotation,
                 fmt::format("annotations {}...: {}", kAnnotationPrefix, conflict));
}

// Annotations that can take something out of the capture, and the value of each that does not. An
// image of the pod's choice is both programs, and need not write a rule.
struct Evading {
  std::string_view name;
  std::string_view harmless = {};
};
constexpr Evading kEvading[] = {{"capture", "all"}, {"udp", "tproxy"}, {"exclude-cidrs"},
                                {"exclude-ports"},  {"exclude-uids"},  {"image"}};

// What takes something out of the capture again, where the namespace demands all of it.
bool MeetsDemand(const Pod& pod, std::string_view name_space, Decision& decision) {
  if (!decision.all_demanded) return true;
  for (const Evading& evading : kEvading) {
    const std::string annotation = fmt::format("{}{}", kAnnotationPrefix, evading.name);
    const std::string* value = pod.Annotation(annotation);
    if (value == nullptr || *value == evading.harmless) continue;
    return Against(decision, Outcome::kDeniedAnnotation,
                   fmt::format("annotation {}: {} can take something out of the capture, and {}",
                               annotation, Quoted(*value), Demand(name_space)));
  }
  PodSettings& settings = decision.settings;
  settings.capture = "all";
  settings.udp = "tproxy";
  settings.exclude_cidrs.clear();
  settings.exclude_ports.clear();
  settings.exclude_uids.clear();
  return true;
}

// Who is left alone at its own word evades the demand.
void DenyWhoLeaves(std::string_view name_space, Decision& decision) {
  constexpr Outcome kOwnWord[] = {Outcome::kOptedOut, Outcome::kIstio, Outcome::kLinkerd,
                                  Outcome::kAmbient};
  if (std::find(std::begin(kOwnWord), std::end(kOwnWord), decision.outcome) == std::end(kOwnWord)) {
    return;
  }
  Against(decision, Outcome::kDeniedCapture,
          fmt::format("{} keeps the sidecar out, and {}", decision.detail, Demand(name_space)));
}

bool IsOurs(const Container& container) {
  return container.list == "initContainers" &&
         (container.name == kInit || container.name == kProxy);
}

// An earlier call, or `portolanctl inject`, has been here: the status annotation tells, or both
// containers, should somebody have lost the annotation.
bool WasInjected(const Pod& pod) {
  return pod.Annotation(kStatus) != nullptr ||
         (pod.FindContainer("initContainers", kInit) != nullptr &&
          pod.FindContainer("initContainers", kProxy) != nullptr);
}

bool NamesAreFree(const Pod& pod, Decision& decision) {
  const bool was_injected = WasInjected(pod);
  for (const Container& container : pod.containers()) {
    if (container.name != kInit && container.name != kProxy) continue;
    if (was_injected && IsOurs(container)) continue;
    return Against(
        decision, Outcome::kDeniedName,
        fmt::format("a container has the name {}, which the injector gives", container.name));
  }
  for (const std::string_view volume : kVolumes) {
    if (was_injected || !pod.Has("volumes", volume)) continue;
    return Against(decision, Outcome::kDeniedName,
                   fmt::format("a volume has the name {}, which the injector gives", volume));
  }
  return true;
}

bool HasOurToken(const Json& volume) {
  const Json* projected = Pod::Find(volume, "projected");
  const Json* sources = projected == nullptr ? nullptr : Pod::Find(*projected, "sources");
  return sources != nullptr &&
         std::any_of(sources->begin(), sources->end(), [](const Json& source) {
           return TextAt(Pod::Find(source, "serviceAccountToken"), "audience") == kTokenAudience;
         });
}

// The sidecar's state and token, and other volumes with such a token: the control plane asks for
// the audience, not for the volume.
std::vector<std::string_view> VolumesOfTheSidecar(const Pod& pod) {
  std::vector<std::string_view> names = {kStateVolume, kTokenVolume};
  const Json* volumes = pod.Spec("volumes");
  if (volumes == nullptr) return names;
  for (const Json& volume : *volumes) {
    if (HasOurToken(volume)) names.push_back(TextAt(&volume, "name"));
  }
  return names;
}

// Who says who the pod is to the control plane, and what the sidecar knows after a restart.
bool MountsAreOthers(const Pod& pod, Decision& decision) {
  const std::vector<std::string_view> ours = VolumesOfTheSidecar(pod);
  for (const Container& container : pod.containers()) {
    if (IsOurs(container)) continue;
    const Json* mounts = Pod::Find(*container.json, "volumeMounts");
    if (mounts == nullptr) continue;
    for (const Json& mount : *mounts) {
      const std::string_view volume = TextAt(&mount, "name");
      if (std::find(ours.begin(), ours.end(), volume) == ours.end()) continue;
      const bool by_name = volume == kStateVolume || volume == kTokenVolume;
      return Against(decision, Outcome::kDeniedName,
                     fmt::format("container {} mounts {}{}, which is the sidecar's alone",
                                 Quoted(container.name), volume,
                                 by_name ? "" : " with a token for the control plane"));
    }
  }
  return true;
}

bool RunsAsSidecar(const Pod& pod, const Container& container, std::string_view field) {
  const auto own = NumberAt(Pod::Find(*container.json, "securityContext"), field);
  return own.value_or(NumberAt(pod.Spec("securityContext"), field).value_or(-1)) == kUid;
}

// All containers have these groups. A process may make a group that it has its own, by a program
// file that is set-group-ID.
bool GroupsAreOthers(const Pod& pod, Decision& decision) {
  const Json* context = pod.Spec("securityContext");
  const Json* groups = context == nullptr ? nullptr : Pod::Find(*context, "supplementalGroups");
  const bool supplemental =
      groups != nullptr && std::find(groups->begin(), groups->end(), Json(kUid)) != groups->end();
  if (!supplemental && NumberAt(context, "fsGroup") != kUid) return true;
  return Against(
      decision, Outcome::kDeniedUid,
      fmt::format("the pod has gid {0} by {1}, which is the sidecar's: a container could "
                  "run as it, and nothing that it sends would be captured; give it "
                  "another {1}",
                  kUid, supplemental ? "supplementalGroups" : "fsGroup"));
}

bool UsersAreOthers(const Pod& pod, Decision& decision) {
  for (const Container& container : pod.containers()) {
    if (IsOurs(container)) continue;
    for (const auto& [field, word] :
         {std::pair("runAsUser", "uid"), std::pair("runAsGroup", "gid")}) {
      if (!RunsAsSidecar(pod, container, field)) continue;
      return Against(decision, Outcome::kDeniedUid,
                     fmt::format("container {} runs as {} {}, which is the sidecar's: nothing that "
                                 "it sends would be captured; give it another {}",
                                 container.name, word, kUid, field));
    }
  }
  return true;
}

// Which annotation moves a port of the sidecar; empty: none does.
std::string_view MovedBy(const PodSettings& settings, int64_t port) {
  if (port == settings.admin_port) return "admin-port";
  if (port == settings.forward_port) return "forward-port";
  if (port == settings.dns_port) return "dns-port";
  if (port == settings.status_port) return "status-port";
  return {};
}

bool PortsAreFree(const Pod& pod, Decision& decision) {
  for (const Container& container : pod.containers()) {
    const Json* ports = IsOurs(container) ? nullptr : Pod::Find(*container.json, "ports");
    if (ports == nullptr) continue;
    for (const Json& port : *ports) {
      const int64_t number = NumberAt(&port, "containerPort").value_or(0);
      const std::string_view mover = MovedBy(decision.settings, number);
      if (mover.empty() && number != kInboundPort) continue;
      const std::string remedy =
          mover.empty()
              ? "Portolan keeps it for itself"
              : fmt::format("the sidecar listens there, unless the annotation {}{} moves it",
                            kAnnotationPrefix, mover);
      return Against(
          decision, Outcome::kDeniedPort,
          fmt::format("container {} declares port {}: {}", container.name, number, remedy));
    }
  }
  return true;
}

}  // namespace

std::string Demand(std::string_view name_space) {
  return fmt::format("namespace {} demands {}capture: all of its pods", name_space,
                     kAnnotationPrefix);
}

Decision Decide(const Pod& pod, std::string_view name_space, const Template& common,
                const ClusterFacts& facts, std::string_view own_namespace) {
  Decision decision;
  decision.settings = common.defaults;
  decision.all_demanded = facts.demands_all && facts.demands_all(name_space);
  // Each says no by leaving an outcome behind.
  [[maybe_unused]] const bool injected =
      NamespaceAllows(name_space, own_namespace, decision) && PodAllows(pod, decision) &&
      CanBeCaptured(pod, facts, decision) && ReadAnnotations(pod, decision) &&
      MeetsDemand(pod, name_space, decision) && NamesAreFree(pod, decision) &&
      MountsAreOthers(pod, decision) && UsersAreOthers(pod, decision) &&
      GroupsAreOthers(pod, decision) && PortsAreFree(pod, decision);
  if (decision.all_demanded) DenyWhoLeaves(name_space, decision);
  return decision;
}

}  // namespace portolan::injector

#include "injector/as_made.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <string_view>
#include <vector>

#include "injector/names.h"

namespace portolan::injector {
namespace {

// Where ServiceAccount admission mounts the token in every container.
constexpr std::string_view kServiceAccount = "/var/run/secrets/kubernetes.io/serviceaccount";
constexpr std::string_view kTerminationMessagePath = "/dev/termination-log";

// Fields that built-in admission and defaulting change, and that change no program. sizeLimit is a
// quantity, which the API server writes in its own way.
bool IsNotCompared(std::string_view field) {
  return field == "imagePullPolicy" || field == "resources" || field == "resizePolicy" ||
         field == "sizeLimit";
}

// What defaulting adds to objects in ours; to mounts it adds nothing.
// https://github.com/kubernetes/kubernetes/blob/master/pkg/apis/core/v1/defaults.go
bool IsDefault(std::string_view field, const Json& value) {
  return (field == "apiVersion" && value == "v1") || (field == "defaultMode" && value == 0644) ||
         (field == "scheme" && value == "HTTP") || (field == "successThreshold" && value == 1);
}

// Any other member counts: a subPath or another defaultMode takes the token from the sidecar.
// Defaulting adds no items to lists.
bool Same(const Json& there, const Json& made) {
  if (made.is_array()) {
    return there.is_array() &&
           std::equal(there.begin(), there.end(), made.begin(), made.end(), Same);
  }
  if (!made.is_object() || !there.is_object()) return there == made;
  for (const auto& [field, value] : made.items()) {
    const Json* found = Pod::Find(there, field);
    if (!IsNotCompared(field) && (found == nullptr || !Same(*found, value))) return false;
  }
  for (const auto& [field, value] : there.items()) {
    const bool counts = !IsNotCompared(field) && !IsDefault(field, value) && !value.is_null();
    if (counts && !made.contains(field)) return false;
  }
  return true;
}

bool Names(std::string_view address, const std::vector<SocketAddress>& known) {
  const auto parsed = SocketAddress::Parse(address);
  return parsed.ok() && std::find(known.begin(), known.end(), *parsed) != known.end();
}

// The value of FLAG=VALUE; nothing where it is another flag.
std::optional<std::string_view> ValueOf(std::string_view arg, std::string_view flag) {
  if (!arg.starts_with(flag) || !arg.substr(flag.size()).starts_with('=')) return std::nullopt;
  return arg.substr(flag.size() + 1);
}

// An argument that another moment, replica or webhook would have had otherwise, and that leaves all
// captured: where all is, no range of pods counts, nor does one of Services too many, by which more
// is denied. A control plane or DNS server has to be one we know.
bool IsOfTheMoment(const Json& argument, const Json& made, const ClusterFacts& facts) {
  const auto* text = argument.get_ptr<const std::string*>();
  if (text == nullptr) return false;
  for (const std::string_view flag : {"--pod-cidr", "--app-ports"}) {
    if (ValueOf(*text, flag).has_value()) return true;
  }
  if (ValueOf(*text, "--service-cidr").has_value()) {
    return std::find(made.begin(), made.end(), argument) == made.end();
  }
  if (const auto control = ValueOf(*text, "--control")) return Names(*control, facts.control_pods);
  if (const auto dns = ValueOf(*text, "--cluster-dns")) return Names(*dns, facts.dns_endpoints);
  return false;
}

// A sidecar that is told no address of the control plane finds it by the pod's nameservers and
// hostAliases alone, which are not ours.
bool NamesControl(const Json& args, const ClusterFacts& facts) {
  return std::any_of(args.begin(), args.end(), [&](const Json& arg) {
    const auto* text = arg.get_ptr<const std::string*>();
    const auto control = text == nullptr ? std::nullopt : ValueOf(*text, "--control");
    return control.has_value() && Names(*control, facts.control_pods);
  });
}

bool SameArgs(const Json* there, const Json& made, const ClusterFacts& facts) {
  const auto lasting = [&](const Json& args) {
    Json kept = Json::array();
    for (const Json& arg : args) {
      if (!IsOfTheMoment(arg, made, facts)) kept.push_back(arg);
    }
    return kept;
  };
  return there != nullptr && there->is_array() && lasting(*there) == lasting(made) &&
         (NamesControl(*there, facts) || !NamesControl(made, facts));
}

// Ours are there, and nothing else but the service account's token.
bool SameMounts(const Json* there, const Json& made) {
  Json others = there == nullptr ? Json::array() : *there;
  for (const Json& ours : made) {
    const auto found = std::find_if(others.begin(), others.end(),
                                    [&](const Json& mount) { return Same(mount, ours); });
    if (found == others.end()) return false;
    others.erase(found);
  }
  return std::all_of(others.begin(), others.end(), [](const Json& mount) {
    return TextAt(&mount, "mountPath") == kServiceAccount;
  });
}

bool SameField(std::string_view field, const Json* there, const Json* made,
               const ClusterFacts& facts) {
  if (IsNotCompared(field)) return true;
  const Json none = Json::array();
  if (field == "args") return SameArgs(there, made == nullptr ? none : *made, facts);
  if (field == "volumeMounts") return SameMounts(there, made == nullptr ? none : *made);
  if (field == "terminationMessagePath")
    return there == nullptr || *there == kTerminationMessagePath;
  return there != nullptr && made != nullptr && Same(*there, *made);
}

// The name of the first field that is another one; empty: none.
std::string OtherField(const Json& there, const Json& made, const ClusterFacts& facts) {
  for (const auto& [field, value] : made.items()) {
    if (!SameField(field, Pod::Find(there, field), &value, facts)) return field;
  }
  for (const auto& [field, value] : there.items()) {
    if (!value.is_null() && !SameField(field, &value, Pod::Find(made, field), facts)) return field;
  }
  return {};
}

std::string OtherContainer(const Pod& pod, std::string_view name, const Json& made,
                           const ClusterFacts& facts) {
  const Container* there = pod.FindContainer("initContainers", name);
  const std::string field = there == nullptr ? "" : OtherField(*there->json, made, facts);
  return field.empty() ? "" : fmt::format("container {} ({})", name, field.substr(0, 60));
}

std::string OtherVolume(const Pod& pod, const Template& common) {
  const Json* there = pod.Spec("volumes");
  if (there == nullptr) return {};
  for (const Json& made : Volumes(common)) {
    for (const Json& volume : *there) {
      if (TextAt(&volume, "name") == TextAt(&made, "name") && !Same(volume, made)) {
        return fmt::format("volume {}", TextAt(&made, "name"));
      }
    }
  }
  return {};
}

}  // namespace

std::string NotAsMade(const Pod& pod, const Sidecar& sidecar) {
  std::string other = OtherContainer(pod, kInit, InitContainer(sidecar), sidecar.facts);
  if (other.empty()) other = OtherContainer(pod, kProxy, ProxyContainer(sidecar), sidecar.facts);
  if (other.empty()) other = OtherVolume(pod, sidecar.common);
  return other;
}

}  // namespace portolan::injector

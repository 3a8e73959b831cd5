#include "xds/workload.h"

#include <algorithm>
#include <string_view>

namespace portolan::xds {
namespace {

// What the API server appends to metadata.generateName.
constexpr size_t kGeneratedBytes = 5;
// Minutes since 1970, from 1989 on: what the CronJob controller appends.
constexpr size_t kMinutesDigits = 8;

// Empty: the pod has no such label.
std::string_view Label(const Pod& pod, std::string_view key) {
  const auto found = std::lower_bound(
      pod.labels.begin(), pod.labels.end(), key,
      [](const auto& label, std::string_view wanted) { return label.first < wanted; });
  return found != pod.labels.end() && found->first == key ? found->second : std::string_view();
}

std::string_view WithoutLastPart(std::string_view name) {
  const size_t dash = name.rfind('-');
  return dash == name.npos || dash == 0 ? name : name.substr(0, dash);
}

std::string_view WithoutHash(std::string_view name, std::string_view hash) {
  const size_t at = name.rfind(std::string("-") + std::string(hash) + "-");
  if (at != name.npos && at > 0) return name.substr(0, at);
  // A name that was too long for what is generated was cut, in the hash or before it.
  if (name.size() <= kGeneratedBytes) return name;
  name.remove_suffix(kGeneratedBytes);
  return WithoutLastPart(name);
}

std::string_view WithoutMinutes(std::string_view job) {
  const std::string_view name = WithoutLastPart(job);
  const std::string_view last = job.substr(std::min(name.size() + 1, job.size()));
  const bool is_minutes =
      last.size() == kMinutesDigits && last.find_first_not_of("0123456789") == last.npos;
  return is_minutes ? name : job;
}

}  // namespace

std::string WorkloadOf(const Pod& pod) {
  const std::string_view name = pod.name.name;
  if (const auto hash = Label(pod, "pod-template-hash"); !hash.empty()) {
    return std::string(WithoutHash(name, hash));
  }
  if (!Label(pod, "statefulset.kubernetes.io/pod-name").empty() ||
      !Label(pod, "apps.kubernetes.io/pod-index").empty()) {
    return std::string(WithoutLastPart(name));
  }
  if (const auto job = Label(pod, "batch.kubernetes.io/job-name"); !job.empty()) {
    return std::string(WithoutMinutes(job));
  }
  if (!Label(pod, "controller-revision-hash").empty()) return std::string(WithoutLastPart(name));
  return std::string(name);
}

}  // namespace portolan::xds

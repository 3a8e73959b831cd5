#include "xds/dashboard/asked_by.h"

#include <algorithm>
#include <string>
#include <utility>

#include "directory/listing.h"
#include "xds/dashboard/all_replicas.h"

namespace portolan::xds {
namespace {

using nlohmann::json;

// Times are of one form, so that texts compare as they do.
json Later(const json& a, const json& b) {
  if (!b.is_string()) return a;
  return a.is_string() && a.get<std::string>() >= b.get<std::string>() ? a : b;
}

json FieldOr(const json& object, const char* key) {
  const auto found = object.find(key);
  return found == object.end() ? json() : *found;
}

}  // namespace

json AskedByJson(const AskedBy& asked, bool with_pods) {
  const auto time = [](absl::Time at) {
    return at == absl::InfinitePast() ? json() : TimeJson(at);
  };
  json out = {
      {"pods", asked.pods}, {"queries", asked.queries}, {"lastAsked", time(asked.last_asked)}};
  if (!with_pods) return out;
  json pods = json::array();
  for (const AskedBy::ByPod& pod : asked.by_pod) {
    pods.push_back(
        {{"node", pod.node}, {"queries", pod.queries}, {"lastAsked", time(pod.last_asked)}});
  }
  out["byPod"] = std::move(pods);
  return out;
}

void AddAskedBy(json& to, const json& other) {
  if (!other.is_object()) return;
  for (const char* key : {"pods", "queries"}) to[key] = NumberIn(to, key) + NumberIn(other, key);
  to["lastAsked"] = Later(to["lastAsked"], FieldOr(other, "lastAsked"));
  const json theirs = FieldOr(other, "byPod");
  if (!to.contains("byPod") || !theirs.is_array()) return;
  json& pods = to["byPod"];
  for (const json& pod : theirs) {
    if (!pod.is_object()) continue;
    pods.push_back({{"node", TextIn(pod, "node")},
                    {"queries", NumberIn(pod, "queries")},
                    {"lastAsked", Later(nullptr, FieldOr(pod, "lastAsked"))}});
  }
  std::stable_sort(pods.begin(), pods.end(), [](const json& a, const json& b) {
    return NumberIn(a, "queries") > NumberIn(b, "queries");
  });
  if (pods.size() > kMostAskingPods) pods.erase(pods.begin() + kMostAskingPods, pods.end());
}

}  // namespace portolan::xds

#include "xds/dashboard/asked_by.h"

#include <algorithm>
#include <string>
#include <utility>

#include "common/json_fields.h"
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

void Subtract(json& from, const char* key, uint64_t count) {
  const uint64_t all = NumberIn(from, key);
  from[key] = all - std::min(all, count);
}

// A pod that came from one replica to another is known to both for a while. Its queries count from
// its start: the greater number has the other in it.
void AddPod(json& to, const json& pod) {
  json& pods = to["byPod"];
  const std::string node = TextOf(pod, "node");
  const uint64_t queries = NumberIn(pod, "queries");
  const json asked = Later(nullptr, FieldOr(pod, "lastAsked"));
  const auto known = std::find_if(pods.begin(), pods.end(),
                                  [&](const json& one) { return TextOf(one, "node") == node; });
  if (known == pods.end()) {
    pods.push_back({{"node", node}, {"queries", queries}, {"lastAsked", asked}});
    return;
  }
  const uint64_t before = NumberIn(*known, "queries");
  Subtract(to, "pods", 1);
  Subtract(to, "queries", std::min(before, queries));
  (*known)["queries"] = std::max(before, queries);
  (*known)["lastAsked"] = Later((*known)["lastAsked"], asked);
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
  size_t taken = 0;
  for (const json& pod : theirs) {
    if (++taken > kMostAskingPods) break;
    if (pod.is_object()) AddPod(to, pod);
  }
  json& pods = to["byPod"];
  std::stable_sort(pods.begin(), pods.end(), [](const json& a, const json& b) {
    return NumberIn(a, "queries") > NumberIn(b, "queries");
  });
  if (pods.size() > kMostAskingPods) pods.erase(pods.begin() + kMostAskingPods, pods.end());
}

}  // namespace portolan::xds

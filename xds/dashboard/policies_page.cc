#include "xds/dashboard/policies_page.h"

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "common/json_fields.h"
#include "xds/dashboard/page.h"

namespace portolan::xds {
namespace {

using nlohmann::json;

constexpr char kPath[] = "/api/v1/policies";

// Of policies that we know too: what another replica alone knows of is not there yet, or gone.
void AddSidecarsOf(const std::vector<ReplicaAnswer>& others, EnforcementByPolicy& counts) {
  for (const json& theirs : ListsOf(others, "policies")) {
    const auto found = counts.find(TextOf(theirs, "name"));
    if (found == counts.end()) continue;
    found->second.enforcing += NumberIn(theirs, "enforcingSidecars");
    found->second.partly += NumberIn(theirs, "partlyEnforced");
  }
}

json ToJson(const EnforcementByPolicy& counts) {
  std::vector<const EnforcementByPolicy::value_type*> sorted;
  for (const auto& entry : counts) sorted.push_back(&entry);
  std::sort(sorted.begin(), sorted.end(),
            [](const auto* a, const auto* b) { return a->first < b->first; });
  json list = json::array();
  for (const auto* entry : sorted) {
    list.push_back({{"name", entry->first},
                    {"selectedPods", entry->second.selected_pods},
                    {"enforcingSidecars", entry->second.enforcing},
                    {"partlyEnforced", entry->second.partly}});
  }
  return list;
}

}  // namespace

void AddPoliciesPage(http::Server& server, std::function<EnforcementByPolicy()> ours,
                     const AllReplicas& replicas) {
  server.Get(kPath, [ours = std::move(ours), &replicas](const http::Request& request,
                                                        http::Responder responder) {
    const auto counts = std::make_shared<EnforcementByPolicy>(ours());
    replicas.Ask(request, [counts, request, responder, &replicas](const auto& others) mutable {
      AddSidecarsOf(others, *counts);
      responder.Send(
          Fresh(request, {{"policies", ToJson(*counts)}, {"replicas", replicas.List(others)}}));
    });
  });
}

void CountWithOthers(EnforcementByPolicy ours, Replicas& replicas,
                     std::function<void(const std::optional<EnforcementByPolicy>& all)> done) {
  const auto counts = std::make_shared<EnforcementByPolicy>(std::move(ours));
  replicas.Ask(kPath, Replicas::kPatience,
               [counts, done = std::move(done)](const std::vector<ReplicaAnswer>& others) {
                 const bool all = std::all_of(others.begin(), others.end(),
                                              [](const auto& other) { return other.answer.ok(); });
                 if (!all) return done(std::nullopt);
                 AddSidecarsOf(others, *counts);
                 done(*counts);
               });
}

}  // namespace portolan::xds

#include "xds/sidecars/asked_names.h"

#include <algorithm>

namespace portolan::xds {

void AskedNames::OnReport(const std::string& node_id, const v1::NamesReport& names) {
  state_.With([&](State& state) {
    Forget(state, node_id);
    Node& node = state.nodes[node_id];
    for (const v1::AskedName& name : names.names()) {
      if (!name.service()) continue;
      Asked& asked = state.by_service[name.name()][node_id];
      asked = {name.queries(), name.last_asked_unix_s()};
      node.services.push_back(name.name());
    }
  });
}

void AskedNames::OnGone(const std::string& node_id, absl::Duration now) {
  state_.With([&](State& state) {
    const auto node = state.nodes.find(node_id);
    if (node == state.nodes.end()) return;
    node->second.gone = now;
    state.gone.push_back({node_id, now});
    Sweep(state, now);
  });
}

void AskedNames::Forget(State& state, const std::string& node_id) {
  const auto node = state.nodes.find(node_id);
  if (node == state.nodes.end()) return;
  for (const std::string& service : node->second.services) {
    const auto asked = state.by_service.find(service);
    if (asked == state.by_service.end()) continue;  // a report that had it twice
    asked->second.erase(node_id);
    if (asked->second.empty()) state.by_service.erase(asked);
  }
  state.nodes.erase(node);
}

void AskedNames::Sweep(State& state, absl::Duration now) {
  while (!state.gone.empty() &&
         (state.gone.size() > kMostGone || now - state.gone.front().at >= kKept)) {
    const auto node = state.nodes.find(state.gone.front().node_id);
    const bool is_still_gone =
        node != state.nodes.end() && node->second.gone == state.gone.front().at;
    if (is_still_gone) Forget(state, state.gone.front().node_id);
    state.gone.pop_front();
  }
}

AskedBy AskedNames::Find(std::string_view service_key, size_t most_pods, absl::Duration now) const {
  AskedBy by;
  state_.With([&](State& state) {
    Sweep(state, now);
    const auto found = state.by_service.find(service_key);
    if (found == state.by_service.end()) return;
    by.pods = found->second.size();
    for (const auto& [node_id, asked] : found->second) {
      const absl::Time last_asked = absl::FromUnixSeconds(asked.last_asked);
      by.queries += asked.queries;
      by.last_asked = std::max(by.last_asked, last_asked);
      if (most_pods > 0) by.by_pod.push_back({node_id, asked.queries, last_asked});
    }
  });
  std::sort(by.by_pod.begin(), by.by_pod.end(), [](const auto& a, const auto& b) {
    return a.queries != b.queries ? a.queries > b.queries : a.node < b.node;
  });
  if (by.by_pod.size() > most_pods) by.by_pod.resize(most_pods);
  return by;
}

}  // namespace portolan::xds

#include "xds/policy/policy_index.h"

#include <algorithm>

#include "xds/api/policy_codec.h"

namespace portolan::xds {
namespace {

// As far as policies go by it.
bool IsSelectedAlike(const Pod& a, const Pod& b) {
  return a.labels == b.labels && a.ips == b.ips && a.finished == b.finished &&
         a.host_network == b.host_network && *a.named_ports == *b.named_ports;
}

// The number that the peer's port has for a set; nothing: the pod is not in it.
std::optional<uint16_t> PortFor(const PeerSelector& selector, const Pod& pod) {
  if (selector.port_name.empty()) return 0;
  for (const ContainerPort& port : *pod.named_ports) {
    if (port.name == selector.port_name && port.protocol == selector.protocol) return port.port;
  }
  return std::nullopt;
}

const std::vector<IpAddress>& AddressesOf(const Node* node) {
  static const std::vector<IpAddress> kNone;
  return node == nullptr ? kNone : node->internal_ips;
}

template <typename Map>
auto* Get(const Map& map, std::string_view name) {
  const auto* found = map.Find(name);
  return found == nullptr ? nullptr : found->get();
}

}  // namespace

ResourcePtr PolicySnapshot::FindRules(std::string_view name) const {
  const ResourcePtr* found = rules_.Find(name);
  return found == nullptr ? nullptr : *found;
}

const PeerSet* PolicySnapshot::FindPeers(std::string_view name) const { return Get(peers_, name); }

const PolicyNames* PolicySnapshot::FindPolicies(std::string_view pod_key) const {
  return Get(pods_, pod_key);
}

// The next snapshot in the making.
struct PolicyIndex::Edit {
  Edit(const Snapshot& to, const PolicySnapshot& from, size_t most, ChangedResources& all_changed)
      : now(to),
        rules(from.rules_),
        peers(from.peers_),
        pods(from.pods_),
        changed(all_changed),
        most_counts(most) {}

  void MarkChanged(ResourceType type, std::string name) {
    changed[static_cast<size_t>(type)].push_back(std::move(name));
  }

  void Count(const Pod& pod, int by, Selections::Referred& set) {
    const auto port = PortFor(set.peers.selector(), pod);
    if (pod.finished || !port.has_value()) return;
    for (const IpAddress& ip : pod.ips) set.peers.Count({ip, *port}, by);
    counted.insert(&set);
    counts += pod.ips.size();
    if (counts >= most_counts) CommitCounted();
  }

  // A set may have several versions on the way; only the last is shown.
  void CommitCounted() {
    for (Selections::Referred* set : counted) set->peers.Commit();
    counts = 0;
  }

  const Snapshot& now;
  PolicySnapshot::ByName<Resource>::Edit rules;
  PolicySnapshot::ByName<PeerSet>::Edit peers;
  PodLists::Edit pods;
  ChangedResources& changed;
  const size_t most_counts;
  size_t counts = 0;  // that are not committed

  // Other policies are for the pods of these now.
  Selections::Some other_policies;
  // Sets of these that are new, and so without the pods that there are.
  Selections::Some other_sets;
  absl::flat_hash_set<Selections::Referred*> new_sets;
  // A policy stands on these no longer.
  Selections::Some released;
  // Pods, as they were, that other policies may be for now.
  absl::flat_hash_set<const Pod*> other_lists;
  absl::flat_hash_set<Selections::Referred*> counted;
};

PolicyIndex::PolicyIndex(size_t most_counts)
    : most_counts_(most_counts),
      snapshot_(std::make_shared<const Snapshot>()),
      current_(std::make_shared<const PolicySnapshot>()) {}

// First the selectors and namespaces, with the pods as they were; then the pods.
void PolicyIndex::Follow(const Directory::Committed& committed, ChangedResources& changed) {
  const DirectoryChanges& changes = committed.changes;
  Edit edit(*committed.snapshot, *current_, most_counts_, changed);
  for (const std::string& ns : changes.namespaces) FollowNamespace(ns, edit);
  for (const std::string& key : changes.network_policies) {
    FollowPolicy(NetworkPolicyRulesName(key), edit);
    FollowPolicy(IngressRulesName(key), edit);
  }
  for (const std::string& key : changes.dns_egress_policies) FollowPolicy(key, edit);
  LookAtSelected(edit);
  DropReleased(edit);
  for (const std::string& key : changes.pods) FollowPod(key, edit);
  for (const Pod* pod : edit.other_lists) {
    const std::string key = pod->name.ToString();
    if (!changes.pods.contains(key)) SetPolicies(key, PoliciesFor(*pod), edit);
  }
  FollowNodes(changes, edit);
  edit.CommitCounted();
  for (const Selections::Referred* set : edit.counted) {
    const std::shared_ptr<const PeerSet>& now = set->peers.set();
    const auto* shown = edit.peers.Find(now->name());
    if (shown != nullptr && (*shown)->version() == now->version()) continue;
    edit.peers.Set(now->name(), now);
    edit.MarkChanged(ResourceType::kPeerSet, now->name());
  }
  snapshot_ = committed.snapshot;
  auto next = std::make_shared<PolicySnapshot>();
  next->rules_ = std::move(edit.rules).Finish();
  next->peers_ = std::move(edit.peers).Finish();
  next->pods_ = std::move(edit.pods).Finish();
  current_ = std::move(next);
}

void PolicyIndex::FollowNamespace(const std::string& ns, Edit& edit) {
  const Namespace* now = edit.now.FindNamespace(ns);
  if (selections_.LabelsOf(ns) == NamespaceLabels(ns, now)) {
    return selections_.SetNamespace(ns, now);
  }
  const std::vector<const Pod*> pods = selections_.PodsIn(ns);
  for (const Pod* pod : pods) CountPeers(*pod, -1, edit);
  selections_.SetNamespace(ns, now);
  for (const Pod* pod : pods) CountPeers(*pod, 1, edit);
  edit.other_lists.insert(pods.begin(), pods.end());
}

void PolicyIndex::FollowPolicy(const std::string& name, Edit& edit) {
  const auto now = FindPolicyResource(edit.now, name);
  // What it stood on before and stands on now stays.
  std::optional<Followed> next;
  if (now.has_value()) next = StandOn(*now, edit);
  const auto before = policies_.find(name);
  if (before != policies_.end()) {
    Release(before->second, edit);
    if (!next.has_value() || next->pods != before->second.pods) {
      before->second.pods->policies.erase(name);
      edit.other_policies.insert(before->second.pods);
      edit.released.insert(before->second.pods);
    }
  }
  if (!next.has_value()) {
    policies_.erase(name);
    if (edit.rules.Erase(name)) edit.MarkChanged(ResourceType::kPolicyRules, name);
    return;
  }
  policies_.insert_or_assign(name, *std::move(next));
  const ResourcePtr rules =
      EncodeResource(ResourceType::kPolicyRules, name, api::ToProto(now->rules), now->origin);
  const ResourcePtr* held = edit.rules.Find(name);
  if (held != nullptr && (*held)->version == rules->version) return;
  edit.rules.Set(name, rules);
  edit.MarkChanged(ResourceType::kPolicyRules, name);
}

PolicyIndex::Followed PolicyIndex::StandOn(const PolicyResource& policy, Edit& edit) {
  Followed followed{&selections_.At(policy.pods), {}};
  if (followed.pods->policies.insert(policy.rules.name).second) {
    edit.other_policies.insert(followed.pods);
  }
  for (const auto& [name, peers] : policy.peers) {
    Selection& selection = selections_.At(peers.of);
    const auto [set, is_new] =
        selection.sets.try_emplace(name, Selections::Referred{CountedPeers(peers)});
    ++set->second.policies;
    if (is_new) {
      edit.other_sets.insert(&selection);
      edit.new_sets.insert(&set->second);
      edit.counted.insert(&set->second);
    }
    followed.peers.emplace_back(&selection, name);
  }
  return followed;
}

void PolicyIndex::Release(const Followed& policy, Edit& edit) {
  for (const auto& [selection, name] : policy.peers) {
    --selection->sets.find(name)->second.policies;
    edit.released.insert(selection);
  }
}

void PolicyIndex::LookAtSelected(Edit& edit) {
  Selections::Some both = edit.other_policies;
  both.insert(edit.other_sets.begin(), edit.other_sets.end());
  if (both.empty()) return;
  selections_.ForEachSelected(both, [&](const Pod& pod, Selection& selection) {
    if (edit.other_policies.contains(&selection)) edit.other_lists.insert(&pod);
    if (!edit.other_sets.contains(&selection)) return;
    for (auto& [name, set] : selection.sets) {
      if (edit.new_sets.contains(&set)) edit.Count(pod, 1, set);
    }
  });
}

void PolicyIndex::DropReleased(Edit& edit) {
  for (Selection* selection : edit.released) {
    for (auto set = selection->sets.begin(); set != selection->sets.end();) {
      if (set->second.policies > 0) {
        ++set;
        continue;
      }
      edit.counted.erase(&set->second);
      edit.new_sets.erase(&set->second);
      if (edit.peers.Erase(set->first)) edit.MarkChanged(ResourceType::kPeerSet, set->first);
      set = selection->sets.erase(set);
    }
    selections_.DropIfUnused(*selection);
  }
}

void PolicyIndex::FollowPod(const std::string& key, Edit& edit) {
  const Pod* before = snapshot_->FindPod(key);
  const Pod* now = edit.now.FindPod(key);
  const bool alike = before != nullptr && now != nullptr && IsSelectedAlike(*before, *now);
  if (before != nullptr) {
    if (!alike) CountPeers(*before, -1, edit);
    selections_.RemovePod(*before);
  }
  if (now == nullptr) return SetPolicies(key, {}, edit);
  selections_.AddPod(*now);
  if (!alike) CountPeers(*now, 1, edit);
  if (!alike || edit.other_lists.contains(before)) SetPolicies(key, PoliciesFor(*now), edit);
  const auto* names = edit.pods.Find(key);
  if (names == nullptr) {
    // That there are none is known from now on.
    if (before == nullptr) edit.MarkChanged(ResourceType::kEgressPolicy, key);
    return;
  }
  if (before == nullptr) return;
  const bool is_served_other =
      before->node_name != now->node_name ||
      (!(*names)->ingress.empty() && *before->named_ports != *now->named_ports);
  if (is_served_other) edit.MarkChanged(ResourceType::kEgressPolicy, key);
}

// A node's addresses are set when it joins and hardly ever again.
void PolicyIndex::FollowNodes(const DirectoryChanges& changes, Edit& edit) {
  absl::flat_hash_set<std::string> others;
  for (const std::string& name : changes.nodes) {
    if (AddressesOf(snapshot_->FindNode(name)) != AddressesOf(edit.now.FindNode(name))) {
      others.insert(name);
    }
  }
  if (others.empty() || current_->pods_.empty()) return;
  edit.now.ForEachPod([&](const Pod& pod) {
    if (!others.contains(pod.node_name)) return;
    std::string key = pod.name.ToString();
    if (edit.pods.Find(key) != nullptr) {
      edit.MarkChanged(ResourceType::kEgressPolicy, std::move(key));
    }
  });
}

void PolicyIndex::CountPeers(const Pod& pod, int by, Edit& edit) {
  selections_.ForEachOf(pod, [&](Selection& selection) {
    for (auto& [name, set] : selection.sets) edit.Count(pod, by, set);
  });
}

PolicyNames PolicyIndex::PoliciesFor(const Pod& pod) {
  Names names;
  selections_.ForEachOf(pod, [&](Selection& selection) {
    for (const std::string& name : selection.policies) {
      (IsForIngress(name) ? names.ingress : names.egress).push_back(name);
    }
  });
  std::sort(names.egress.begin(), names.egress.end());
  std::sort(names.ingress.begin(), names.ingress.end());
  return names;
}

void PolicyIndex::SetPolicies(const std::string& key, Names names, Edit& edit) {
  const auto* held = edit.pods.Find(key);
  if (held == nullptr ? names.empty() : **held == names) return;
  edit.MarkChanged(ResourceType::kEgressPolicy, key);
  const std::shared_ptr<const Names> before = held == nullptr ? nullptr : *held;
  if (names.empty()) {
    edit.pods.Erase(key);
  } else {
    edit.pods.Set(key, Share(std::move(names)));
  }
  if (before != nullptr) Unshare(before);
}

std::shared_ptr<const PolicyIndex::Names> PolicyIndex::Share(Names names) {
  auto list = lists_.find(names);
  if (list == lists_.end()) {
    list = lists_.emplace(std::make_shared<const Names>(std::move(names)), 0).first;
  }
  ++list->second;
  return list->first;
}

void PolicyIndex::Unshare(const std::shared_ptr<const Names>& names) {
  const auto list = lists_.find(names);
  if (--list->second == 0) lists_.erase(list);
}

void PolicyIndex::AddMetrics(MetricFamilies& families) const {
  const auto count = [&](std::string_view kind, bool for_ingress) {
    const auto found = std::count_if(policies_.begin(), policies_.end(), [&](const auto& policy) {
      return policy.first.substr(0, policy.first.find('/')) == kind &&
             IsForIngress(policy.first) == for_ingress;
    });
    AddGaugeSample(families, "portolan_control_policies",
                   "Policies for what pods may reach, and for who may connect to them.",
                   {{"kind", kind}, {"direction", for_ingress ? "ingress" : "egress"}},
                   static_cast<double>(found));
  };
  for (const std::string_view kind :
       {"NetworkPolicy", "DNSEgressPolicy", "ClusterNetworkPolicy", "AdminNetworkPolicy"}) {
    count(kind, false);
  }
  count("NetworkPolicy", true);
  AddGaugeSample(families, "portolan_control_peer_sets",
                 "Selectors that policies name peers by, each counted once.", {},
                 static_cast<double>(current_->peer_set_count()));
  AddGaugeSample(families, "portolan_control_selected_pods", "Pods that such a policy is for.", {},
                 static_cast<double>(current_->selected_pod_count()));
}

}  // namespace portolan::xds

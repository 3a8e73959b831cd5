#include "xds/policy/policy_resources.h"

#include <algorithm>
#include <set>
#include <utility>
#include <vector>

#include "common/log.h"
#include "xds/api/policy_codec.h"

namespace portolan::xds {
namespace {

constexpr std::string_view kNetworkPolicy = "NetworkPolicy/";
constexpr std::string_view kIngress = "/ingress";

PodSelector SelectorOf(const NetworkPolicyPeer& peer, const std::string& own_namespace) {
  PodSelector selector;
  if (peer.namespaces.has_value()) {
    selector.namespaces = *peer.namespaces;
  } else {
    selector.ns = own_namespace;
  }
  selector.pods = peer.pods.value_or(ObjectSelector());
  return selector;
}

PortInput NumberOf(const NetworkPolicyPort& port) {
  return {port.protocol, port.port, port.end_port};
}

// Of the pod that the rule is for, which knows what its ports are called.
PortInput OwnPort(const NetworkPolicyPort& port) {
  return {port.protocol, port.port, port.end_port, port.name};
}

// What one takes up, repetitions that its text leaves out included.
size_t BytesOf(const ObjectSelector& selector) {
  size_t bytes = 0;
  for (const auto& [key, value] : selector.match_labels) {
    bytes += 2 * sizeof key + key.size() + value.size();
  }
  for (const LabelRequirement& one : selector.match_expressions) {
    bytes += sizeof one + one.key.size();
    for (const std::string& value : one.values) bytes += sizeof value + value.size();
  }
  return bytes;
}

// A selector of a rule, with what it takes up.
struct RuleSelector {
  explicit RuleSelector(PodSelector selector)
      : pods(std::move(selector)), bytes(BytesOf(pods.namespaces) + BytesOf(pods.pods)) {}

  PodSelector pods;
  size_t bytes;
};

// A rule's peers, each selector once: an object has room for tens of thousands of one.
struct RulePeers {
  bool anybody;
  std::vector<RuleSelector> selectors;
  std::vector<IpBlock> blocks;
};

RulePeers PeersOf(const NetworkPolicyRule& rule, const std::string& own_namespace) {
  RulePeers peers{rule.peers.empty(), {}, {}};
  std::set<std::string> texts;
  for (const NetworkPolicyPeer& peer : rule.peers) {
    if (peer.block.has_value()) {
      peers.blocks.push_back(*peer.block);
      continue;
    }
    PodSelector selector = SelectorOf(peer, own_namespace);
    if (texts.insert(ToText(selector)).second) peers.selectors.emplace_back(std::move(selector));
  }
  return peers;
}

// How many more of each a reader takes, in all rules (xds/api/policy_codec.h).
struct Room {
  size_t rules = api::kMaxRulesOfPolicy;
  size_t peer_sets = api::kMaxPartsOfPolicy;
  size_t blocks = api::kMaxPartsOfPolicy;
  size_t holes = api::kMaxPartsOfPolicy;
  size_t names = api::kMaxPartsOfPolicy;
  size_t ports = api::kMaxPartsOfPolicy;
};

// Makes rules, and the sets that they name, out of a policy's own. Leaves out what is more than
// the limits.
class RuleWriter {
 public:
  RuleWriter(PolicyResource& to, const std::string& ns) : to_(to), ns_(ns) {}

  void Add(const NetworkPolicyRule& rule) {
    const RulePeers peers = PeersOf(rule, ns_);
    std::vector<PortInput> numbers;
    for (const NetworkPolicyPort& port : rule.ports) {
      if (port.name.empty()) numbers.push_back(NumberOf(port));
    }
    if (rule.ports.empty() || !numbers.empty()) AddAt(peers, std::move(numbers));
    std::set<std::pair<Protocol, std::string_view>> done;
    for (const NetworkPolicyPort& port : rule.ports) {
      if (port.name.empty() || !done.emplace(port.protocol, port.name).second) continue;
      AddByName(peers, port);
    }
    ++index_;
  }

  void AddIngress(const NetworkPolicyRule& rule) {
    std::vector<PortInput> ports;
    for (const NetworkPolicyPort& port : rule.ports) ports.push_back(OwnPort(port));
    AddAt(PeersOf(rule, ns_), std::move(ports));
    ++index_;
  }

  void Add(const DnsEgressRule& rule) {
    RuleInput input;
    input.index = rule.index;
    input.names = rule.names;
    for (const NetworkPolicyPort& port : rule.ports) input.ports.push_back(NumberOf(port));
    Put(std::move(input));
  }

  // Says what was too much.
  void Finish() const {
    if (left_out_ == 0) return;
    log::warn(
        "{}: {} of its peers, ports and rules are left out, so not allowed: more than {} sets of "
        "peers, {} rules, {} parts of one kind, or {} bytes of selectors",
        to_.rules.name, left_out_, kMostSetsOfPolicy, api::kMaxRulesOfPolicy,
        api::kMaxPartsOfPolicy, kMostSelectorBytesOfPolicy);
  }

 private:
  void AddAt(const RulePeers& peers, std::vector<PortInput> ports) {
    RuleInput input;
    input.index = index_;
    input.any_peer = peers.anybody;
    input.ports = std::move(ports);
    input.blocks = peers.blocks;
    ReferToEach(peers.selectors, {}, {}, input);
    Put(std::move(input));
  }

  // A port's name means something at pods alone: "anybody" are all that have it, and of a block
  // nobody.
  void AddByName(const RulePeers& peers, const NetworkPolicyPort& port) {
    static const std::vector<RuleSelector> kAllPods = {RuleSelector({})};
    RuleInput input;
    input.index = index_;
    input.ports = {{port.protocol, 0, 0}};
    ReferToEach(peers.anybody ? kAllPods : peers.selectors, port.name, port.protocol, input);
    Put(std::move(input));
  }

  void ReferToEach(const std::vector<RuleSelector>& selectors, const std::string& port_name,
                   Protocol protocol, RuleInput& rule) {
    for (size_t i = 0; i < selectors.size(); ++i) {
      if (Refer(selectors[i], port_name, protocol, rule)) continue;
      left_out_ += selectors.size() - i;
      return;
    }
  }

  // False: there is no room, nor is there for any other set from then on. A set's name takes time,
  // and a rule may multiply 30,000 peers with as many ports.
  bool Refer(const RuleSelector& selector, const std::string& port_name, Protocol protocol,
             RuleInput& rule) {
    if (room_.rules == 0 || room_.peer_sets == 0 || selector.bytes > selector_bytes_) {
      sets_are_full_ = true;
    }
    if (sets_are_full_) return false;
    selector_bytes_ -= selector.bytes;
    PeerSelector peer{selector.pods, port_name, protocol};
    std::string name = peer.SetName();
    if (to_.peers.size() >= kMostSetsOfPolicy && !to_.peers.contains(name)) {
      sets_are_full_ = true;
      return false;
    }
    --room_.peer_sets;
    rule.peer_sets.push_back(name);
    to_.peers.try_emplace(std::move(name), std::move(peer));
    return true;
  }

  void Put(RuleInput rule) {
    const bool at_any_port = rule.ports.empty();
    std::sort(rule.peer_sets.begin(), rule.peer_sets.end());
    CutBlocks(rule.blocks);
    Cut(rule.names, room_.names);
    Cut(rule.ports, room_.ports);
    const bool matches_nothing =
        !rule.any_peer && rule.peer_sets.empty() && rule.blocks.empty() && rule.names.empty();
    // Without the ports that it had it would allow them all.
    if (matches_nothing || (rule.ports.empty() && !at_any_port)) return;
    if (room_.rules == 0) {
      ++left_out_;
      return;
    }
    --room_.rules;
    to_.rules.rules.push_back(std::move(rule));
  }

  template <typename T>
  void Cut(std::vector<T>& parts, size_t& room) {
    const size_t kept = std::min(parts.size(), room);
    left_out_ += parts.size() - kept;
    room -= kept;
    parts.resize(kept);
  }

  // A block without some of its holes would allow more than the policy does.
  void CutBlocks(std::vector<IpBlock>& blocks) {
    left_out_ += std::erase_if(blocks, [&](const IpBlock& block) {
      if (room_.blocks == 0 || block.except.size() > room_.holes) return true;
      --room_.blocks;
      room_.holes -= block.except.size();
      return false;
    });
  }

  PolicyResource& to_;
  const std::string& ns_;
  uint32_t index_ = 0;
  Room room_;
  size_t selector_bytes_ = kMostSelectorBytesOfPolicy;  // that may still be referred to
  bool sets_are_full_ = false;
  size_t left_out_ = 0;
};

// Without rules.
PolicyResource IsolatingResource(const NetworkPolicy& policy, std::string name) {
  PolicyResource resource;
  resource.rules.name = std::move(name);
  resource.rules.isolates = true;
  resource.rules.audit = policy.audit;
  resource.pods.ns = policy.name.ns;
  resource.pods.pods = policy.pods;
  resource.origin = policy.origin;
  return resource;
}

}  // namespace

std::string NetworkPolicyRulesName(std::string_view key) {
  return std::string(kNetworkPolicy) + std::string(key);
}

std::string IngressRulesName(std::string_view key) {
  return NetworkPolicyRulesName(key) + std::string(kIngress);
}

// A policy may be named "ingress".
bool IsForIngress(std::string_view rules_name) {
  return rules_name.ends_with(kIngress) &&
         std::count(rules_name.begin(), rules_name.end(), '/') == 3;
}

std::optional<PolicyResource> ResourceOf(const NetworkPolicy& policy) {
  if (!policy.for_egress) return std::nullopt;
  const std::string key = policy.name.ToString();
  PolicyResource resource = IsolatingResource(policy, NetworkPolicyRulesName(key));
  RuleWriter writer(resource, policy.name.ns);
  for (const NetworkPolicyRule& rule : policy.egress) writer.Add(rule);
  writer.Finish();
  return resource;
}

std::optional<PolicyResource> IngressResourceOf(const NetworkPolicy& policy) {
  if (!policy.for_ingress) return std::nullopt;
  PolicyResource resource = IsolatingResource(policy, IngressRulesName(policy.name.ToString()));
  RuleWriter writer(resource, policy.name.ns);
  for (const NetworkPolicyRule& rule : policy.ingress) writer.AddIngress(rule);
  writer.Finish();
  return resource;
}

PolicyResource ResourceOf(const DnsEgressPolicy& policy) {
  PolicyResource resource;
  resource.rules.name = policy.Key();
  resource.rules.isolates = policy.default_deny;
  resource.rules.isolates_names = policy.default_deny;
  resource.rules.audit = policy.audit;
  resource.pods.ns = policy.name.ns;
  resource.pods.namespaces = policy.namespaces;
  resource.pods.pods = policy.pods;
  resource.origin = policy.origin;
  RuleWriter writer(resource, policy.name.ns);
  for (const DnsEgressRule& rule : policy.rules) writer.Add(rule);
  writer.Finish();
  return resource;
}

std::optional<PolicyResource> FindPolicyResource(const Snapshot& snapshot, std::string_view name) {
  if (name.starts_with(kNetworkPolicy)) {
    const bool for_ingress = IsForIngress(name);
    name.remove_prefix(kNetworkPolicy.size());
    if (for_ingress) name.remove_suffix(kIngress.size());
    const NetworkPolicy* policy = snapshot.FindNetworkPolicy(name);
    if (policy == nullptr) return std::nullopt;
    return for_ingress ? IngressResourceOf(*policy) : ResourceOf(*policy);
  }
  const DnsEgressPolicy* policy = snapshot.FindDnsEgressPolicy(name);
  if (policy == nullptr) return std::nullopt;
  return ResourceOf(*policy);
}

}  // namespace portolan::xds

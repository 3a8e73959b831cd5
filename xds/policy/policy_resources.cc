#include "xds/policy/policy_resources.h"

#include <algorithm>
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

// Makes rules, and the sets that they name, out of a policy's own.
class RuleWriter {
 public:
  RuleWriter(PolicyResource& to, const std::string& ns) : to_(to), ns_(ns) {}
  void Add(const NetworkPolicyRule& rule) {
    std::vector<PortInput> numbers;
    for (const NetworkPolicyPort& port : rule.ports) {
      if (port.name.empty()) numbers.push_back(NumberOf(port));
    }
    if (rule.ports.empty() || !numbers.empty()) AddAt(rule, std::move(numbers));
    for (const NetworkPolicyPort& port : rule.ports) {
      if (!port.name.empty()) AddByName(rule, port);
    }
    ++index_;
  }

  void AddIngress(const NetworkPolicyRule& rule) {
    std::vector<PortInput> ports;
    for (const NetworkPolicyPort& port : rule.ports) ports.push_back(OwnPort(port));
    AddAt(rule, std::move(ports));
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
    log::warn("{}: {} of its peers and rules are left out: more than {} rules, or {} sets of peers",
              to_.rules.name, left_out_, api::kMaxRulesOfPolicy, kMostSetsOfPolicy);
  }

 private:
  void AddAt(const NetworkPolicyRule& rule, std::vector<PortInput> ports) {
    RuleInput input;
    input.index = index_;
    input.any_peer = rule.peers.empty();
    input.ports = std::move(ports);
    for (const NetworkPolicyPeer& peer : rule.peers) {
      if (peer.block.has_value()) {
        input.blocks.push_back(*peer.block);
      } else {
        Refer({SelectorOf(peer, ns_), {}, {}}, input);
      }
    }
    Put(std::move(input));
  }

  // A port's name means something at pods alone: "anybody" are all that have it, and of a block
  // nobody.
  void AddByName(const NetworkPolicyRule& rule, const NetworkPolicyPort& port) {
    RuleInput input;
    input.index = index_;
    input.ports = {{port.protocol, 0, 0}};
    if (rule.peers.empty()) Refer({{}, port.name, port.protocol}, input);
    for (const NetworkPolicyPeer& peer : rule.peers) {
      if (!peer.block.has_value()) Refer({SelectorOf(peer, ns_), port.name, port.protocol}, input);
    }
    Put(std::move(input));
  }

  void Refer(const PeerSelector& peer, RuleInput& rule) {
    std::string name = peer.SetName();
    if (to_.peers.size() >= kMostSetsOfPolicy && !to_.peers.contains(name)) {
      ++left_out_;
      return;
    }
    rule.peer_sets.push_back(name);
    to_.peers.try_emplace(std::move(name), peer);
  }

  void Put(RuleInput rule) {
    std::sort(rule.peer_sets.begin(), rule.peer_sets.end());
    rule.peer_sets.erase(std::unique(rule.peer_sets.begin(), rule.peer_sets.end()),
                         rule.peer_sets.end());
    const bool matches_nothing =
        !rule.any_peer && rule.peer_sets.empty() && rule.blocks.empty() && rule.names.empty();
    if (matches_nothing) return;
    if (to_.rules.rules.size() >= static_cast<size_t>(api::kMaxRulesOfPolicy)) {
      ++left_out_;
      return;
    }
    to_.rules.rules.push_back(std::move(rule));
  }

  PolicyResource& to_;
  const std::string& ns_;
  uint32_t index_ = 0;
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

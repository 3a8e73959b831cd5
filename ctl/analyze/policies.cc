// NetworkPolicies that keep pods from the DNS:
// https://kubernetes.io/docs/concepts/services-networking/ network-policies/. What no rule of any
// policy of a pod allows is denied.
#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <vector>

#include "common/ip.h"
#include "ctl/analyze/analyze.h"

namespace portolan::ctl::analyze {
namespace {

constexpr uint16_t kDnsPort = 53;

std::string_view ValueOf(const Labels& labels, const std::string& key, bool& there) {
  const auto found = labels.find(key);
  there = found != labels.end();
  return there ? std::string_view(found->second) : std::string_view();
}

bool Holds(const LabelRequirement& requirement, const Labels& labels) {
  bool there = false;
  const std::string_view value = ValueOf(labels, requirement.key, there);
  const bool listed = std::find(requirement.values.begin(), requirement.values.end(), value) !=
                      requirement.values.end();
  switch (requirement.op) {
    case LabelRequirement::Operator::kIn:
      return there && listed;
    case LabelRequirement::Operator::kNotIn:
      return !there || !listed;
    case LabelRequirement::Operator::kExists:
      return there;
    case LabelRequirement::Operator::kDoesNotExist:
      return !there;
  }
  return false;
}

bool Matches(const ObjectSelector& selector, const Labels& labels) {
  for (const auto& [key, wanted] : selector.match_labels) {
    bool there = false;
    if (ValueOf(labels, key, there) != wanted || !there) return false;
  }
  return std::all_of(selector.match_expressions.begin(), selector.match_expressions.end(),
                     [&](const LabelRequirement& one) { return Holds(one, labels); });
}

bool HasPort(const NetworkPolicyRule& rule, Protocol protocol) {
  if (rule.ports.empty()) return true;
  return std::any_of(rule.ports.begin(), rule.ports.end(), [&](const NetworkPolicyPort& port) {
    if (port.protocol != protocol) return false;
    // CoreDNS calls its ports dns and dns-tcp; another name may be anything.
    if (!port.name.empty() || port.port == 0) return true;
    const uint16_t last = std::max(port.port, port.end_port);
    return port.port <= kDnsPort && kDnsPort <= last;
  });
}

// The cluster DNS's pods, as every installer labels them.
const Labels& ClusterDns() {
  static const Labels labels{{"k8s-app", "kube-dns"}};
  return labels;
}

class PolicyChecks {
 public:
  PolicyChecks(const Objects& objects, std::vector<Finding>& findings)
      : objects_(objects), findings_(findings) {}

  void Check(const Workload& workload) {
    if (workload.host_network) return;  // for which NetworkPolicies do not hold
    std::vector<const Policy*> policies;
    for (const Policy& policy : objects_.policies) {
      if (policy.policy.for_egress && policy.policy.name.ns == workload.ns &&
          Matches(policy.policy.pods, workload.labels)) {
        policies.push_back(&policy);
      }
    }
    if (policies.empty()) return;
    const bool udp = Allowed(policies, workload, Protocol::kUdp);
    const bool tcp = Allowed(policies, workload, Protocol::kTcp);
    if (udp && tcp) return;
    std::string names;
    for (const Policy* policy : policies) {
      names += fmt::format("{}{}", names.empty() ? "" : ", ", policy->policy.name.name);
    }
    findings_.push_back(
        {udp ? "policy-blocks-dns-over-tcp" : "policy-blocks-dns",
         udp ? Severity::kWarning : Severity::kError, workload.ToString(), policies.front()->place,
         fmt::format("NetworkPolicy {} limits its egress and allows no {} to port 53 of {}", names,
                     udp ? "TCP" : "UDP", ResolversOf(workload)),
         udp ? "Large answers come over TCP: allow it beside UDP"
             : "Allow egress to port 53, UDP and TCP, of namespace kube-system (label "
               "kubernetes.io/metadata.name) and pods k8s-app=kube-dns"});
  }

 private:
  static bool OwnResolvers(const Workload& workload) {
    return workload.dns_policy == "None" && !workload.nameservers.empty();
  }
  static std::string ResolversOf(const Workload& workload) {
    return OwnResolvers(workload) ? workload.nameservers.front() : "the cluster DNS";
  }

  Labels LabelsOfNamespace(const std::string& name) const {
    const auto found = objects_.namespaces.find(name);
    Labels labels = found == objects_.namespaces.end() ? Labels() : found->second.labels;
    labels["kubernetes.io/metadata.name"] = name;  // which every namespace has
    return labels;
  }

  bool Leads(const NetworkPolicyPeer& peer, const Workload& workload) const {
    if (OwnResolvers(workload)) {
      if (!peer.block.has_value()) return false;
      const auto ip = IpAddress::Parse(workload.nameservers.front());
      if (!ip.ok() || !peer.block->cidr.Contains(*ip)) return false;
      return std::none_of(peer.block->except.begin(), peer.block->except.end(),
                          [&](const Cidr& cidr) { return cidr.Contains(*ip); });
    }
    // Where the cluster DNS's addresses are is not known here: a block may hold them.
    if (peer.block.has_value()) return true;
    if (!peer.namespaces.has_value() && workload.ns != "kube-system") return false;
    if (peer.namespaces.has_value() &&
        !Matches(*peer.namespaces, LabelsOfNamespace("kube-system"))) {
      return false;
    }
    return !peer.pods.has_value() || Matches(*peer.pods, ClusterDns());
  }

  bool Allowed(const std::vector<const Policy*>& policies, const Workload& workload,
               Protocol protocol) const {
    for (const Policy* policy : policies) {
      for (const NetworkPolicyRule& rule : policy->policy.egress) {
        if (!HasPort(rule, protocol)) continue;
        if (rule.peers.empty()) return true;
        for (const NetworkPolicyPeer& peer : rule.peers) {
          if (Leads(peer, workload)) return true;
        }
      }
    }
    return false;
  }

  const Objects& objects_;
  std::vector<Finding>& findings_;
};

}  // namespace

void CheckPolicies(const Objects& objects, std::vector<Finding>& findings) {
  PolicyChecks checks(objects, findings);
  for (const Workload& workload : objects.workloads) checks.Check(workload);
}

}  // namespace portolan::ctl::analyze

// NetworkPolicies that keep pods from the DNS:
// https://kubernetes.io/docs/concepts/services-networking/network-policies/. What no rule of any
// policy of a pod allows is denied.
#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <span>
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

// The cluster DNS's pods and Service as kubeadm, k3s and the clouds' installers have them.
// OpenShift has others, and NodeLocal DNSCache answers on the node.
constexpr std::string_view kDnsNamespace = "kube-system";
constexpr std::string_view kDnsService = "kube-dns";
const Labels& ClusterDns() {
  static const Labels labels{{"k8s-app", "kube-dns"}};
  return labels;
}

bool IsOneOf(std::span<const char* const> cidrs, const IpAddress& ip) {
  return std::any_of(cidrs.begin(), cidrs.end(),
                     [&](const char* cidr) { return Cidr::Parse(cidr)->Contains(ip); });
}

bool Holds(const Cidr& outer, const Cidr& inner) {
  return outer.prefix_bits <= inner.prefix_bits && outer.Contains(inner.base);
}

bool Holds(const IpBlock& block, const IpAddress& ip) {
  return block.cidr.Contains(ip) &&
         std::none_of(block.except.begin(), block.except.end(),
                      [&](const Cidr& except) { return except.Contains(ip); });
}

// What pods' and Services' addresses are mostly of: RFC 1918, RFC 4193; and sometimes, as some
// clouds and NodeLocal DNSCache have it.
constexpr const char* kPrivate[] = {"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"};
constexpr const char* kSometimes[] = {"100.64.0.0/10", "169.254.0.0/16"};

// "All but private addresses", the commonest policy that blocks the DNS.
bool ExceptsAllPrivate(const IpBlock& block) {
  bool holds_any = false;
  for (const char* text : kPrivate) {
    const Cidr range = *Cidr::Parse(text);
    if (!Holds(block.cidr, range)) continue;
    holds_any = true;
    if (std::none_of(block.except.begin(), block.except.end(),
                     [&](const Cidr& except) { return Holds(except, range); })) {
      return false;
    }
  }
  return holds_any;
}

// Whom a pod asks for names: one of them allowed is enough.
struct Resolver {
  bool cluster_dns = false;
  std::optional<IpAddress> own = {};  // with both: one or the other
};

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
    const std::vector<Resolver> resolvers = ResolversOf(workload);
    if (policies.empty() || resolvers.empty()) return;
    const bool udp = Allowed(policies, workload, resolvers, Protocol::kUdp);
    const bool tcp = Allowed(policies, workload, resolvers, Protocol::kTcp);
    if (udp && tcp) return;
    std::string names;
    for (const Policy* policy : policies) {
      names += fmt::format("{}{}", names.empty() ? "" : ", ", policy->policy.name.name);
    }
    findings_.push_back(
        {udp ? "policy-blocks-dns-over-tcp" : "policy-blocks-dns",
         udp ? Severity::kWarning : Severity::kError, workload.ToString(), policies.front()->place,
         fmt::format("NetworkPolicy {} limits its egress and allows no {} to port 53 of {}", names,
                     udp ? "TCP" : "UDP", WordsOf(resolvers)),
         udp ? "Large answers come over TCP: allow it beside UDP" : AdviceFor(resolvers.front())});
  }

 private:
  static std::string WordsOf(const std::vector<Resolver>& resolvers) {
    std::string words;
    for (const Resolver& resolver : resolvers) {
      words += fmt::format("{}{}", words.empty() ? "" : " or ",
                           resolver.own.has_value() ? resolver.own->ToString() : "the cluster DNS");
    }
    return words;
  }

  static std::string AdviceFor(const Resolver& resolver) {
    if (resolver.own.has_value()) {
      return fmt::format("Allow egress to port 53, UDP and TCP, of the block {}/{}",
                         resolver.own->ToString(), resolver.own->is_v4() ? 32 : 128);
    }
    return "Allow egress to port 53, UDP and TCP, of namespace kube-system (label "
           "kubernetes.io/metadata.name) and pods k8s-app=kube-dns";
  }

  // None: it is not known, or not the policies' business.
  std::vector<Resolver> ResolversOf(const Workload& workload) const {
    if (workload.dns_policy == "Default") return {};  // the node's
    if (workload.dns_policy != "None") {
      const bool absent = objects_.whole_services.Of(kDnsNamespace) &&
                          objects_.FindService(kDnsNamespace, kDnsService) == nullptr;
      return absent ? std::vector<Resolver>() : std::vector{Resolver{.cluster_dns = true}};
    }
    std::vector<Resolver> resolvers;
    for (const std::string& text : workload.nameservers) {
      const auto ip = IpAddress::Parse(text);
      if (!ip.ok()) continue;
      const Service* service = ServiceAt(text);
      if (service == nullptr) {
        const bool may_be_service = !objects_.whole_services.everywhere &&
                                    (IsOneOf(kPrivate, *ip) || IsOneOf(kSometimes, *ip));
        resolvers.push_back({.cluster_dns = may_be_service, .own = *ip});
      } else if (service->ns == kDnsNamespace && service->name == kDnsService) {
        resolvers.push_back({.cluster_dns = true});
      } else {
        return {};  // pods that we do not look for
      }
    }
    return resolvers;
  }

  const Service* ServiceAt(const std::string& ip) const {
    for (const auto& [name, service] : objects_.services) {
      const auto& ips = service.cluster_ips;
      if (std::find(ips.begin(), ips.end(), ip) != ips.end()) return &service;
    }
    return nullptr;
  }

  // Of a namespace that was not read its name alone is known: what else is required of its labels
  // may be so.
  bool MayBeDnsNamespace(ObjectSelector selector) const {
    constexpr std::string_view kName = "kubernetes.io/metadata.name";  // which every namespace has
    Labels labels;
    const auto found = objects_.namespaces.find(kDnsNamespace);
    if (found != objects_.namespaces.end()) {
      labels = found->second.labels;
    } else {
      std::erase_if(selector.match_labels, [&](const auto& label) { return label.first != kName; });
      std::erase_if(selector.match_expressions,
                    [&](const LabelRequirement& one) { return one.key != kName; });
    }
    labels[std::string(kName)] = kDnsNamespace;
    return Matches(selector, labels);
  }

  bool MayHoldClusterDns(const IpBlock& block) const {
    const auto found = objects_.endpoints.find(fmt::format("{}/{}", kDnsNamespace, kDnsService));
    if (found == objects_.endpoints.end() || found->second.ips.empty()) {
      return !ExceptsAllPrivate(block);
    }
    const auto& ips = found->second.ips;
    return std::any_of(ips.begin(), ips.end(), [&](const std::string& text) {
      const auto ip = IpAddress::Parse(text);
      return ip.ok() && Holds(block, *ip);
    });
  }

  bool LeadsToClusterDns(const NetworkPolicyPeer& peer, const Workload& workload) const {
    if (peer.block.has_value()) return MayHoldClusterDns(*peer.block);
    if (!peer.namespaces.has_value() && workload.ns != kDnsNamespace) return false;
    if (peer.namespaces.has_value() && !MayBeDnsNamespace(*peer.namespaces)) return false;
    return !peer.pods.has_value() || Matches(*peer.pods, ClusterDns());
  }

  bool Leads(const NetworkPolicyPeer& peer, const Workload& workload,
             const std::vector<Resolver>& resolvers) const {
    return std::any_of(resolvers.begin(), resolvers.end(), [&](const Resolver& resolver) {
      return (resolver.cluster_dns && LeadsToClusterDns(peer, workload)) ||
             (resolver.own.has_value() && peer.block.has_value() &&
              Holds(*peer.block, *resolver.own));
    });
  }

  bool Allowed(const std::vector<const Policy*>& policies, const Workload& workload,
               const std::vector<Resolver>& resolvers, Protocol protocol) const {
    for (const Policy* policy : policies) {
      for (const NetworkPolicyRule& rule : policy->policy.egress) {
        if (!HasPort(rule, protocol)) continue;
        if (rule.peers.empty()) return true;
        for (const NetworkPolicyPeer& peer : rule.peers) {
          if (Leads(peer, workload, resolvers)) return true;
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
  for (const auto& [ns, workloads] : objects.workloads) {
    if (!objects.Judges(ns)) continue;
    for (const Workload& workload : workloads) {
      if (!objects.IsMade(workload)) checks.Check(workload);
    }
  }
}

}  // namespace portolan::ctl::analyze

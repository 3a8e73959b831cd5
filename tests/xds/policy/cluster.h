// Pods, namespaces and policies for tests of policies.
#pragma once

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "directory/dns_egress_policy.h"
#include "directory/model.h"
#include "directory/network_policy.h"

namespace portolan::xds {

inline IpAddress Ip(const std::string& text) { return *IpAddress::Parse(text); }

inline Pod MakePod(const std::string& ns, const std::string& name, LabelMap labels,
                   const std::vector<std::string>& ips) {
  Pod pod;
  pod.name = {ns, name};
  pod.labels = std::move(labels);
  std::sort(pod.labels.begin(), pod.labels.end());
  for (const std::string& ip : ips) pod.ips.push_back(Ip(ip));
  return pod;
}

inline Pod WithPorts(Pod pod, std::vector<ContainerPort> ports) {
  pod.named_ports = std::move(ports);
  return pod;
}

inline Namespace MakeNamespace(const std::string& name, LabelMap labels) {
  return {name, std::move(labels), {}, {}};
}

inline ObjectSelector Labelled(LabelMap labels) { return {std::move(labels), {}}; }

inline NetworkPolicyPeer PodsWith(LabelMap labels) { return {Labelled(std::move(labels)), {}, {}}; }
inline NetworkPolicyPeer NamespacesWith(LabelMap labels) {
  return {{}, Labelled(std::move(labels)), {}};
}
inline NetworkPolicyPeer PodsIn(LabelMap pods, LabelMap namespaces) {
  return {Labelled(std::move(pods)), Labelled(std::move(namespaces)), {}};
}
inline NetworkPolicyPeer Block(const std::string& cidr) {
  return {{}, {}, IpBlock{*Cidr::Parse(cidr), {}}};
}

inline NetworkPolicyPort Tcp(uint16_t port) { return {Protocol::kTcp, port, 0, {}}; }
inline NetworkPolicyPort NamedTcp(const std::string& name) { return {Protocol::kTcp, 0, 0, name}; }

inline NetworkPolicy MakePolicy(const std::string& ns, const std::string& name, LabelMap pods,
                                std::vector<NetworkPolicyRule> egress) {
  NetworkPolicy policy;
  policy.name = {ns, name};
  policy.pods = Labelled(std::move(pods));
  policy.for_ingress = false;
  policy.for_egress = true;
  policy.egress = std::move(egress);
  return policy;
}

inline NetworkPolicy MakeIngress(const std::string& ns, const std::string& name, LabelMap pods,
                                 std::vector<NetworkPolicyRule> ingress) {
  NetworkPolicy policy;
  policy.name = {ns, name};
  policy.pods = Labelled(std::move(pods));
  policy.ingress = std::move(ingress);
  return policy;
}

inline DnsEgressPolicy MakeDnsPolicy(const std::string& ns, const std::string& name, LabelMap pods,
                                     const std::vector<std::string>& names) {
  DnsEgressPolicy policy;
  policy.name = {ns, name};
  policy.pods = Labelled(std::move(pods));
  DnsEgressRule& rule = policy.rules.emplace_back();
  for (const std::string& one : names) rule.names.push_back({one, false});
  return policy;
}

}  // namespace portolan::xds

// Pods and their templates: ndots traps, resolvers that are missing, ports that the sidecar has.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "absl/strings/str_split.h"
#include "common/ip.h"
#include "common/text.h"
#include "ctl/analyze/analyze.h"

namespace portolan::ctl::analyze {
namespace {

// Of docs/injection.md.
struct SidecarPort {
  int port;
  std::string moved_by;  // the annotation's name behind portolan.dev/; empty: none moves it
};
const std::array<SidecarPort, 5> kSidecarPorts = {{{15000, "admin-port"},
                                                   {15001, "forward-port"},
                                                   {15006, ""},
                                                   {15020, "status-port"},
                                                   {15053, "dns-port"}}};
// NAMESPACE.svc.cluster.local, svc.cluster.local, cluster.local.
constexpr int kSearchList = 3;

// The hosts of URLs in a text: "postgres://user@db.example.com:5432/x" has db.example.com.
std::vector<std::string> HostsIn(std::string_view text) {
  std::vector<std::string> hosts;
  for (size_t at = 0; (at = text.find("://", at)) != text.npos;) {
    at += 3;
    std::string_view authority = text.substr(at, text.find_first_of("/?#\"' ,\t\n", at) - at);
    authority.remove_prefix(authority.rfind('@') + 1);  // npos + 1: nothing
    const std::string_view host = authority.substr(0, authority.find(':'));
    if (!host.empty()) hosts.push_back(Lower(host));
  }
  // A whole word that is "host.domain:port".
  const size_t colon = text.rfind(':');
  if (hosts.empty() && colon != text.npos && colon + 1 < text.size() &&
      text.find_first_not_of("0123456789", colon + 1) == text.npos &&
      text.find_first_of(" /=@") == text.npos) {
    hosts.push_back(Lower(text.substr(0, colon)));
  }
  return hosts;
}

bool IsHost(std::string_view host) {
  return host.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-._") == host.npos &&
         host.find('.') != host.npos && host.front() != '.' &&
         host.find_first_of("abcdefghijklmnopqrstuvwxyz") != host.npos;
}

// How many of the search list's names are asked for in vain before `host` itself is.
int Wasted(const Workload& workload, const std::string& host) {
  const auto dots = static_cast<int>(std::count(host.begin(), host.end(), '.'));
  if (host.ends_with('.') || dots >= workload.ndots) return 0;
  // Which is found with the list.
  return host.ends_with(".svc") ? 0 : kSearchList + workload.searches;
}

class PodChecks {
 public:
  PodChecks(const Objects& objects, std::vector<Finding>& findings)
      : objects_(objects), findings_(findings) {}

  void Check(const Workload& workload) {
    if (workload.dns_policy == "None" && workload.nameservers.empty()) {
      Add("dns-none-without-nameservers", Severity::kError, workload, workload.dns_policy_line,
          "dnsPolicy is None and dnsConfig names no nameservers",
          "The API server refuses such pods: add dnsConfig.nameservers, or leave dnsPolicy out");
    }
    CheckNdots(workload);
    CheckPorts(workload);
  }

 private:
  void Add(const char* code, Severity severity, const Workload& workload, int line,
           std::string what, std::string advice) {
    Place place = workload.place;
    if (line > 0) place.line = line;
    findings_.push_back(
        {code, severity, workload.ToString(), place, std::move(what), std::move(advice)});
  }

  // NAME.NAMESPACE, which the search list is for, or such a name behind the hostname of a pod.
  bool MayBeService(const Workload& workload, const std::string& host) const {
    const std::vector<std::string> labels = absl::StrSplit(host, '.');
    if (labels.size() == 3) return objects_.FindService(labels[2], labels[1]) != nullptr;
    // Files do not say which namespaces there are.
    return labels.size() == 2 && (!objects_.whole_services.everywhere || labels[1] == workload.ns ||
                                  objects_.FindService(labels[1], labels[0]) != nullptr ||
                                  objects_.FindService(workload.ns, labels[1]) != nullptr);
  }

  void CheckNdots(const Workload& workload) {
    // With dnsPolicy Default, and on the host's network without ClusterFirstWithHostNet, the node's
    // resolv.conf counts.
    const bool cluster = workload.dns_policy == "ClusterFirst" && !workload.host_network;
    if (!cluster && workload.dns_policy != "ClusterFirstWithHostNet") return;
    std::set<std::string> told;
    for (const GivenText& given : workload.texts) {
      for (const std::string& host : HostsIn(given.text)) {
        if (!IsHost(host) || IpAddress::Parse(host).ok() || MayBeService(workload, host)) continue;
        const int wasted = Wasted(workload, host);
        if (wasted == 0 || !told.insert(host).second) continue;
        Add("ndots-trap", Severity::kWarning, workload, given.line,
            fmt::format("{} of container {} names {}: with ndots:{} each lookup asks {} questions "
                        "instead of 2",
                        given.what, given.container, host, workload.ndots, 2 * (wasted + 1)),
            fmt::format("Write {}. (with the last dot), or set ndots to {} in dnsConfig; a sidecar "
                        "answers the {} in vain itself",
                        host, std::count(host.begin(), host.end(), '.'), 2 * wasted));
      }
    }
  }

  // A label wins over the annotation, as with the injector; either over the namespace.
  bool IsInjected(const Workload& workload) const {
    const auto label = workload.labels.find("portolan.dev/inject");
    if (label != workload.labels.end()) return label->second == "true";
    const auto annotation = workload.settings.find("inject");
    if (annotation != workload.settings.end()) return annotation->second == "true";
    const auto ns = objects_.namespaces.find(workload.ns);
    if (ns == objects_.namespaces.end()) return false;
    const auto opted = ns->second.labels.find("portolan.dev/inject");
    return opted != ns->second.labels.end() && opted->second == "enabled";
  }

  static int PortOf(const SidecarPort& own, const Workload& workload) {
    const auto moved = workload.settings.find(own.moved_by);
    return moved == workload.settings.end() ? own.port : std::atoi(moved->second.c_str());
  }

  void CheckPorts(const Workload& workload) {
    if (workload.host_network) return;
    for (const ContainerPort& port : workload.ports) {
      if (port.container == "portolan-proxy") continue;
      for (const SidecarPort& own : kSidecarPorts) {
        if (port.port != PortOf(own, workload)) continue;
        Add("port-collides-with-sidecar",
            IsInjected(workload) ? Severity::kError : Severity::kWarning, workload, port.line,
            fmt::format("container {} has port {}, which is the sidecar's", port.container,
                        port.port),
            own.moved_by.empty()
                ? "Give the container another: nothing moves the sidecar's"
                : fmt::format(
                      "Move the sidecar's with the annotation portolan.dev/{}, or the container's",
                      own.moved_by));
      }
    }
  }

  const Objects& objects_;
  std::vector<Finding>& findings_;
};

}  // namespace

void CheckPods(const Objects& objects, std::vector<Finding>& findings) {
  PodChecks checks(objects, findings);
  for (const auto& [ns, workloads] : objects.workloads) {
    if (!objects.Judges(ns)) continue;
    for (const Workload& workload : workloads) {
      if (!objects.IsMade(workload)) checks.Check(workload);
    }
  }
}

}  // namespace portolan::ctl::analyze

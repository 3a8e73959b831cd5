// Services: whom they select, which ports those have, who claims an address, who sees them.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <tuple>

#include "ctl/analyze/analyze.h"

namespace portolan::ctl::analyze {
namespace {

bool IsNumber(const std::string& text) {
  return !text.empty() && text.find_first_not_of("0123456789") == std::string::npos;
}

std::string ListOf(const Labels& labels) {
  std::string out;
  for (const auto& [key, value] : labels) {
    out += fmt::format("{}{}={}", out.empty() ? "" : ",", key, value);
  }
  return out;
}

class ServiceChecks {
 public:
  ServiceChecks(const Objects& objects, std::vector<Finding>& findings)
      : objects_(objects), findings_(findings), namespaces_(objects.NamespaceNames()) {}

  void Check(const Service& service) {
    CheckExport(service, service.export_to);
    if (service.type == "ExternalName") return;
    CheckTargets(service);
    const auto selected = objects_.SelectedBy(service);
    if (!service.selector.empty() && selected.empty() && KnowsPodsOf(service)) {
      return CheckNobody(service);
    }
    CheckPorts(service, selected);
    CheckHostNetwork(service, selected);
    CheckEndpoints(service);
  }

  void Check(const std::string& name, const Namespace& ns) {
    CheckExport({"Namespace", {}, name, ns.place}, ns.export_to);
  }

  // Of two Services with an address and a port in common connections go to one of them.
  void CheckAddresses() {
    std::map<std::tuple<std::string, int, std::string>, const Service*> claimed;
    std::set<std::tuple<std::string, const Service*, const Service*>> told;
    for (const auto& [name, service] : objects_.services) {
      for (const std::string& ip : service.external_ips) {
        for (const ServicePort& port : service.ports) {
          const auto [it, fresh] = claimed.try_emplace({ip, port.port, port.protocol}, &service);
          if (fresh || it->second == &service) continue;
          if (!told.emplace(ip, it->second, &service).second) continue;
          const bool judged = objects_.Judges(service.ns);
          if (!judged && !objects_.Judges(it->second->ns)) continue;
          const Service& one = judged ? service : *it->second;
          const Service& other = judged ? *it->second : service;
          Add("duplicate-external-ip", Severity::kError, one, judged ? port.line : 0,
              fmt::format("{} port {}/{} is claimed by {} too", ip, port.port, port.protocol,
                          other.ToString()),
              "Give one of the two another address or port");
        }
      }
    }
  }

 private:
  void Add(const char* code, Severity severity, const Object& object, int line, std::string what,
           std::string advice) {
    Place place = object.place;
    if (line > 0) place.line = line;
    findings_.push_back(
        {code, severity, object.ToString(), place, std::move(what), std::move(advice)});
  }

  // Files may be a part of what is in the namespace; where they hold no pods of it at all, nothing
  // can be said about whom a Service selects.
  bool KnowsPodsOf(const Service& service) const {
    return objects_.whole_pods.Of(service.ns) ||
           (service.place.IsOfFile() && !objects_.WorkloadsOf(service.ns).empty());
  }

  void CheckNobody(const Service& service) {
    // The workload that all labels but one fit.
    std::string near;
    for (const Workload& workload : objects_.WorkloadsOf(service.ns)) {
      const auto missing =
          std::count_if(service.selector.begin(), service.selector.end(),
                        [&](const auto& label) { return !Selects({label}, workload); });
      const bool has_key =
          std::any_of(service.selector.begin(), service.selector.end(),
                      [&](const auto& label) { return workload.labels.count(label.first) > 0; });
      if (missing == 1 && has_key) {
        near = fmt::format("; {} has {}", workload.ToString(), ListOf(workload.labels));
      }
    }
    Add("selector-selects-nothing", Severity::kError, service, 0,
        fmt::format("no pod of namespace {} has the labels {}{}", service.ns,
                    ListOf(service.selector), near),
        "Make spec.selector what the pods' labels are; until then the name leads nowhere");
  }

  void CheckTargets(const Service& service) {
    for (const ServicePort& port : service.ports) {
      if (port.target_fault.empty()) continue;
      Add("target-port-invalid", Severity::kError, service, port.line,
          fmt::format("port {} leads to '{}', which {}", port.port, port.target, port.target_fault),
          "The API server refuses it: give a container's port by number or by name");
    }
  }

  void CheckPorts(const Service& service, const std::vector<const Workload*>& selected) {
    for (const ServicePort& port : service.ports) {
      bool served = selected.empty() || !port.target_fault.empty();
      bool declares = false;  // some container states its ports
      for (const Workload* workload : selected) {
        for (const ContainerPort& container : workload->ports) {
          declares = true;
          const bool same = IsNumber(port.target) ? std::to_string(container.port) == port.target
                                                  : container.name == port.target;
          served = served || (same && container.protocol == port.protocol);
        }
      }
      if (served) continue;
      if (!IsNumber(port.target)) {
        Add("target-port-missing", Severity::kError, service, port.line,
            fmt::format("port {} leads to '{}', which no container of {} calls a port of {}",
                        port.port, port.target, selected.front()->ToString(), port.protocol),
            "Name a container's port so, or give its number as targetPort");
      } else if (declares) {
        Add("target-port-undeclared", Severity::kWarning, service, port.line,
            fmt::format("port {} leads to {}/{}, which no container of {} states", port.port,
                        port.target, port.protocol, selected.front()->ToString()),
            "Right if something listens there all the same: containerPort only informs");
      }
    }
  }

  void CheckHostNetwork(const Service& service, const std::vector<const Workload*>& selected) {
    const auto found = std::find_if(selected.begin(), selected.end(),
                                    [](const Workload* one) { return one->host_network; });
    if (found == selected.end()) return;
    Add("selects-host-network", Severity::kWarning, service, 0,
        fmt::format("selects {}, which is on the host's network", (*found)->ToString()),
        "Its endpoints are nodes' addresses: pods there have no sidecar, share the node's ports, "
        "and NetworkPolicies do not hold for them");
  }

  // Of Services with a selector files hold no slices: a controller makes them. Of those without
  // they are to hold what the author writes.
  bool KnowsEndpointsOf(const Service& service) const {
    return objects_.whole_slices.Of(service.ns) ||
           (service.place.IsOfFile() && service.selector.empty());
  }

  void CheckEndpoints(const Service& service) {
    const auto found = objects_.endpoints.find(service.ns + "/" + service.name);
    static const Endpoints kNone;
    const Endpoints& endpoints = found == objects_.endpoints.end() ? kNone : found->second;
    if (endpoints.ready > 0) return;
    if (endpoints.count > 0) {
      Add(service.headless ? "headless-without-endpoints" : "none-ready",
          service.headless ? Severity::kError : Severity::kWarning, service, 0,
          fmt::format("none of its {} endpoints is ready{}", endpoints.count,
                      service.headless ? ", so its name is answered NXDOMAIN" : ""),
          "kubectl describe pod says why; portolanctl history says since when");
      return;
    }
    if (!KnowsEndpointsOf(service)) return;
    Add(service.headless ? "headless-without-endpoints" : "no-endpoints",
        service.headless ? Severity::kError : Severity::kWarning, service, 0,
        service.headless ? "is headless and has no endpoints, so its name is answered NXDOMAIN"
                         : "has no endpoints: its name resolves and every connection is refused",
        service.selector.empty() ? "Add an EndpointSlice with the label "
                                   "kubernetes.io/service-name, or a selector"
                                 : "Start the pods that it selects");
  }

  // Files that declare no namespace leave them to somebody else.
  bool KnowsNamespaces(const Object& object) const {
    return objects_.whole_namespaces.everywhere ||
           (object.place.IsOfFile() && !objects_.namespaces.empty());
  }

  void CheckExport(const Object& object, const std::optional<ExportTo>& to) {
    if (!to.has_value() || !KnowsNamespaces(object)) return;
    std::string word;
    for (const char c : to->text + ",") {
      if (c == ' ') continue;
      if (c != ',') {
        word += c;
        continue;
      }
      if (!word.empty() && word != "*" && word != "." && namespaces_.count(word) == 0) {
        Add("export-to-unknown-namespace", Severity::kWarning, object, to->line,
            fmt::format("portolan.dev/export-to names '{}', and there is no such namespace", word),
            "Correct the name: pods of the namespace that was meant do not see what is exported");
      }
      word.clear();
    }
  }

  const Objects& objects_;
  std::vector<Finding>& findings_;
  const std::set<std::string, std::less<>> namespaces_;
};

}  // namespace

void CheckServices(const Objects& objects, std::vector<Finding>& findings) {
  ServiceChecks checks(objects, findings);
  for (const auto& [name, service] : objects.services) {
    if (objects.Judges(service.ns)) checks.Check(service);
  }
  for (const auto& [name, ns] : objects.namespaces) {
    if (objects.Judges(name)) checks.Check(name, ns);
  }
  checks.CheckAddresses();
}

}  // namespace portolan::ctl::analyze

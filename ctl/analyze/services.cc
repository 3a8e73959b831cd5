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
    CheckExport(service);
    if (service.type == "ExternalName") return;
    const auto selected = objects_.SelectedBy(service);
    if (!service.selector.empty() && selected.empty() && KnowsPodsOf(service.ns)) {
      return CheckNobody(service);
    }
    CheckPorts(service, selected);
    CheckHostNetwork(service, selected);
    CheckEndpoints(service);
  }

  // Of two Services with an address and a port in common connections go to one of them.
  void CheckAddresses() {
    std::map<std::tuple<std::string, int, std::string>, const Service*> claimed;
    std::set<std::tuple<std::string, const Service*, const Service*>> told;
    for (const Service& service : objects_.services) {
      for (const std::string& ip : service.external_ips) {
        for (const ServicePort& port : service.ports) {
          const auto [it, fresh] = claimed.try_emplace({ip, port.port, port.protocol}, &service);
          if (fresh || it->second == &service) continue;
          if (!told.emplace(ip, it->second, &service).second) continue;
          Add("duplicate-external-ip", Severity::kError, service, port.line,
              fmt::format("{} port {}/{} is claimed by {} too", ip, port.port, port.protocol,
                          it->second->ToString()),
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
  bool KnowsPodsOf(const std::string& ns) const {
    return objects_.origin == Origin::kCluster ||
           std::any_of(objects_.workloads.begin(), objects_.workloads.end(),
                       [&](const Workload& workload) { return workload.ns == ns; });
  }

  void CheckNobody(const Service& service) {
    // The workload that all labels but one fit.
    std::string near;
    for (const Workload& workload : objects_.workloads) {
      if (workload.ns != service.ns) continue;
      const auto missing =
          std::count_if(service.selector.begin(), service.selector.end(),
                        [&](const auto& label) { return !Selects({label}, workload.labels); });
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

  void CheckPorts(const Service& service, const std::vector<const Workload*>& selected) {
    for (const ServicePort& port : service.ports) {
      bool served = selected.empty();
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
    for (const Workload* workload : selected) {
      if (!workload->host_network) continue;
      Add("selects-host-network", Severity::kWarning, service, 0,
          fmt::format("selects {}, which is on the host's network", workload->ToString()),
          "Its endpoints are nodes' addresses: pods there have no sidecar, share the node's ports, "
          "and NetworkPolicies do not hold for them");
    }
  }

  void CheckEndpoints(const Service& service) {
    const auto found = objects_.endpoints.find(service.ns + "/" + service.name);
    const bool any = found != objects_.endpoints.end() && found->second.addresses > 0;
    if (any && found->second.ready == 0) {
      Add("none-ready", Severity::kWarning, service, 0,
          fmt::format("none of its {} endpoints is ready", found->second.addresses),
          "kubectl describe pod says why; portolanctl history says since when");
    }
    // Of those with a selector files hold no slices: a controller makes them.
    if (any || (objects_.origin == Origin::kFiles && !service.selector.empty())) return;
    if (service.headless) {
      Add("headless-without-endpoints", Severity::kError, service, 0,
          "is headless and has no endpoints, so its name is answered NXDOMAIN",
          service.selector.empty() ? "Add an EndpointSlice with the label "
                                     "kubernetes.io/service-name, or a selector"
                                   : "Start the pods that it selects");
    } else {
      Add("no-endpoints", Severity::kWarning, service, 0,
          "has no endpoints: its name resolves and every connection is refused",
          service.selector.empty() ? "Add an EndpointSlice with the label "
                                     "kubernetes.io/service-name, or a selector"
                                   : "Start the pods that it selects");
    }
  }

  void CheckExport(const Service& service) {
    if (!service.export_to.has_value()) return;
    std::string word;
    for (const char c : *service.export_to + ",") {
      if (c == ' ') continue;
      if (c != ',') {
        word += c;
        continue;
      }
      if (!word.empty() && word != "*" && word != "." && namespaces_.count(word) == 0) {
        Add("export-to-unknown-namespace", Severity::kWarning, service, service.export_to_line,
            fmt::format("portolan.dev/export-to names '{}', and there is no such namespace", word),
            "Correct the name: pods of the namespace that was meant do not see this Service");
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
  for (const Service& service : objects.services) checks.Check(service);
  checks.CheckAddresses();
}

}  // namespace portolan::ctl::analyze

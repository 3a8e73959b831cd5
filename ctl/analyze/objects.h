// The objects that `portolanctl analyze` looks at, and what of them it goes by: more of pods and
// their templates than the Directory keeps, and where each thing is written. Values; any thread.
//
// Reading is tolerant: what is missing or of another type is nothing. What the API server would
// refuse is found by the control plane's own readers (xds/sources/objects.h) and kept as a fault.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "common/document/value.h"
#include "directory/network_policy.h"

namespace portolan::ctl::analyze {

struct Place {
  std::string file = {};  // empty: of a cluster
  int line = 0;           // 0: not known
};

using Labels = std::map<std::string, std::string, std::less<>>;

// "Service default/backend"
struct Object {
  std::string kind;
  std::string ns;
  std::string name;
  Place place;

  std::string ToString() const { return kind + " " + ns + "/" + name; }
};

struct ServicePort {
  std::string name;
  int port = 0;
  std::string protocol = "TCP";
  std::string target;  // a number or a name; never empty
  int line = 0;
};

struct Service : Object {
  std::string type = "ClusterIP";
  bool headless = false;
  Labels selector;  // empty: none
  std::string external_name;
  int external_name_line = 0;
  std::vector<ServicePort> ports;
  std::vector<std::string> external_ips;  // and load-balancer IPs
  std::optional<std::string> export_to;   // the annotation, of the Service
  int export_to_line = 0;
};

struct ContainerPort {
  std::string container;
  std::string name;
  int port = 0;
  std::string protocol = "TCP";
  int line = 0;
};

// A word that a container is given: the value of a variable, an argument.
struct GivenText {
  std::string container;
  std::string what;  // "env URL", "args"
  std::string text;
  int line = 0;
};

// A Pod, or what pods are made from.
struct Workload : Object {
  Labels labels;  // of the pods
  bool host_network = false;
  std::string dns_policy = "ClusterFirst";
  int dns_policy_line = 0;
  std::vector<std::string> nameservers;
  int ndots = 5;
  std::vector<ContainerPort> ports;
  std::vector<GivenText> texts;
  std::optional<bool> inject;  // portolan.dev/inject, of the pod
};

struct Namespace {
  Labels labels;
  std::optional<std::string> export_to;
  Place place;
};

// All EndpointSlices of a Service.
struct Endpoints {
  int addresses = 0;
  int ready = 0;
};

struct Policy {
  NetworkPolicy policy;
  Place place;
};

struct Fault {
  Object object;
  std::string what;  // "spec.ports[0].port: 70000 is not a port"
};

enum class Origin : uint8_t {
  kFiles,   // part of a cluster: what is not there may be elsewhere
  kCluster  // all there is
};

struct Objects {
  Origin origin = Origin::kFiles;
  std::vector<Service> services;
  std::vector<Workload> workloads;
  std::vector<Policy> policies;
  std::map<std::string, Namespace, std::less<>> namespaces;  // those that are declared
  std::map<std::string, Endpoints, std::less<>> endpoints;   // by "namespace/service"
  std::vector<Fault> faults;
  int read = 0;  // of the kinds that count

  // An object of any kind, or a List of them. Kinds that do not count are left out, and of those
  // that others make (a Deployment's pods) only the ones that are not read themselves count.
  void Add(const Value& object, const std::string& file);
  // All namespaces that anything is in, or that are declared.
  std::set<std::string, std::less<>> NamespaceNames() const;
  const Service* FindService(std::string_view ns, std::string_view name) const;
  // The workloads of its namespace that its selector selects.
  std::vector<const Workload*> SelectedBy(const Service& service) const;
};

// Every label of `selector` is one of `labels`.
bool Selects(const Labels& selector, const Labels& labels);

}  // namespace portolan::ctl::analyze

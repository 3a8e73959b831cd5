// The objects that `portolanctl analyze` looks at, and what of them it goes by: more of pods and
// their templates than the Directory keeps, and where each thing is written. Values; any thread.
//
// Reading is tolerant: what is missing or of another type is nothing. What the API server would
// refuse is found by the control plane's own readers (xds/sources/objects.h) and kept as a fault.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "common/document/value.h"
#include "directory/network_policy.h"

namespace portolan::ctl::analyze {

struct Place {
  std::string file = {};  // empty: of a cluster
  int line = 0;           // 0: not known

  bool IsOfFile() const { return !file.empty(); }
};

using Labels = std::map<std::string, std::string, std::less<>>;

// "Service default/backend", "Namespace default"
struct Object {
  std::string kind;
  std::string ns;  // empty: it is in none
  std::string name;
  Place place;

  std::string ToString() const { return kind + " " + ns + (ns.empty() ? "" : "/") + name; }
};

struct ServicePort {
  std::string name;
  int port = 0;
  std::string protocol = "TCP";
  std::string target;        // a number or a name; never empty
  std::string target_fault;  // why the API server refuses it; empty: it does not
  int line = 0;
};

// The annotation portolan.dev/export-to.
struct ExportTo {
  std::string text;
  int line = 0;
};

struct Service : Object {
  std::string type = "ClusterIP";
  bool headless = false;
  Labels selector;  // empty: none
  std::vector<std::string> cluster_ips;
  std::string external_name;
  int external_name_line = 0;
  std::vector<ServicePort> ports;
  std::vector<std::string> external_ips;  // and load-balancer IPs
  std::optional<ExportTo> export_to;
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
  std::string id;     // "apps/v1 Deployment default/backend"
  std::string owner;  // the id of what made it; empty: nothing did
  Labels labels;      // of the pods
  Labels settings;    // annotations portolan.dev/... of the pods, without that
  bool host_network = false;
  std::string hostname;   // of the pods; "db-*" of a StatefulSet's, which are db-0 and on
  std::string subdomain;  // the headless Service that hostname is a name of
  std::string dns_policy = "ClusterFirst";
  int dns_policy_line = 0;
  std::vector<std::string> nameservers;
  int searches = 0;  // of dnsConfig
  int ndots = 5;
  std::vector<ContainerPort> ports;
  std::vector<GivenText> texts;
};

struct Namespace {
  Labels labels;
  std::optional<ExportTo> export_to;
  Place place;
};

// All EndpointSlices of a Service, or the Endpoints that its author wrote.
struct Endpoints {
  int count = 0;
  int ready = 0;
  std::vector<std::string> ips;
};

struct Policy {
  NetworkPolicy policy;
  Place place;
};

struct Fault {
  Object object;
  std::string what;  // "spec.ports[0].port: 70000 is not a port"
};

// Where a kind was read whole: what was not read there does not exist.
struct Whole {
  bool everywhere = false;
  std::string ns = {};  // else there; empty: nowhere

  bool Of(std::string_view name) const { return everywhere || (!ns.empty() && ns == name); }
};

struct Objects {
  // Files are a part of a cluster: nothing of them is whole.
  Whole whole_namespaces;
  Whole whole_services;
  Whole whole_slices;
  Whole whole_pods;
  std::string only;  // the namespace whose objects are judged; empty: all
  std::string cluster_domain = "cluster.local";

  std::map<std::string, Service, std::less<>> services;                 // by "namespace/name"
  std::map<std::string, std::vector<Workload>, std::less<>> workloads;  // by namespace
  std::set<std::string> workload_ids;
  std::vector<Policy> policies;
  std::map<std::string, Namespace, std::less<>> namespaces;  // those that are declared
  std::map<std::string, Endpoints, std::less<>> endpoints;   // by "namespace/service"
  std::vector<Fault> faults;
  int read = 0;  // of the kinds that count

  // An object of any kind, or a List of them, or of Lists. Kinds that do not count are left out.
  void Add(const Value& object, const std::string& file);
  // All namespaces that anything is in, or that are declared.
  std::set<std::string, std::less<>> NamespaceNames() const;
  bool Judges(std::string_view ns) const { return only.empty() || only == ns; }
  const Service* FindService(std::string_view ns, std::string_view name) const;
  const std::vector<Workload>& WorkloadsOf(std::string_view ns) const;
  // What made it was read too, and says all that it could.
  bool IsMade(const Workload& workload) const { return workload_ids.count(workload.owner) > 0; }
  // The workloads of its namespace that its selector selects. Of templates made of templates the
  // first counts alone: a Deployment keeps ReplicaSets that are no longer its own picture.
  std::vector<const Workload*> SelectedBy(const Service& service) const;
};

// The item of a list, which need not say what it is.
std::shared_ptr<const Value> Typed(const Value& item, std::string_view api_version,
                                   std::string_view kind);

// Every label of `selector` is one that the workload's pods have, or are given when they are made.
bool Selects(const Labels& selector, const Workload& workload);

}  // namespace portolan::ctl::analyze

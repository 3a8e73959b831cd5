// What the cluster consists of, as Portolan sees it: plain values, close to the Kubernetes API's
// own objects, holding only what answering names and choosing endpoints needs.
//
// Sources: the Service, EndpointSlice, Pod, Namespace and Node pages of the Kubernetes API
// reference (https://kubernetes.io/docs/reference/kubernetes-api/). Values; any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "absl/strings/cord.h"
#include "absl/time/time.h"
#include "common/ip.h"
#include "common/rare.h"

namespace portolan {

// Where a fact came from. Not part of a resource's version: two replicas that saw the same object
// at different moments agree on its content.
struct Origin {
  // metadata.resourceVersion; empty when the source has none (manifests written by hand). A Cord
  // takes half the place of a string.
  absl::Cord resource_version;
  // When the event that brought it arrived at the control plane.
  absl::Time arrived;
  // In a sidecar: the version of the xDS resource that brought it. Empty: not known, and elsewhere.
  absl::Cord held_version = {};
};

// namespace/name.
struct ObjectName {
  std::string ns;
  std::string name;

  std::string ToString() const { return ns + "/" + name; }
  friend auto operator<=>(const ObjectName&, const ObjectName&) = default;

  template <typename H>
  friend H AbslHashValue(H h, const ObjectName& n) {
    return H::combine(std::move(h), n.ns, n.name);
  }
};

using LabelMap = std::vector<std::pair<std::string, std::string>>;  // sorted by key

enum class Protocol : uint8_t { kTcp, kUdp, kSctp };
enum class ServiceType : uint8_t { kClusterIp, kNodePort, kLoadBalancer, kExternalName };
enum class SessionAffinity : uint8_t { kNone, kClientIp };
enum class TrafficPolicy : uint8_t { kCluster, kLocal };

struct ServicePort {
  std::string name;  // empty allowed when the Service has one port
  Protocol protocol = Protocol::kTcp;
  uint16_t port = 0;
  friend bool operator==(const ServicePort&, const ServicePort&) = default;
};

// What few Services have.
struct ServiceExtras {
  std::vector<IpAddress> external_ips;
  std::vector<IpAddress> load_balancer_ips;
  std::string external_name;         // as written, without a trailing dot; kExternalName only
  std::string traffic_distribution;  // "", PreferClose, PreferSameZone, PreferSameNode
  LabelMap annotations;              // only those below portolan.dev/
  uint32_t session_affinity_seconds = 10800;
  friend bool operator==(const ServiceExtras&, const ServiceExtras&) = default;
};

// A sidecar holds tens of thousands of these, of 216 bytes each.
struct Service {
  ObjectName name;
  ServiceType type = ServiceType::kClusterIp;
  // spec.clusterIP: None. Such a Service has no cluster_ips.
  bool headless = false;
  bool publish_not_ready_addresses = false;
  SessionAffinity session_affinity = SessionAffinity::kNone;
  TrafficPolicy internal_traffic_policy = TrafficPolicy::kCluster;
  absl::InlinedVector<IpAddress, 1> cluster_ips;
  absl::InlinedVector<ServicePort, 1> ports;
  Rare<LabelMap> labels;
  Rare<ServiceExtras> extras;
  Origin origin;

  // Cluster, external and load-balancer addresses, sorted, each once.
  std::vector<IpAddress> Addresses() const;
};

struct EndpointPort {
  std::string name;
  Protocol protocol = Protocol::kTcp;
  uint16_t port = 0;  // 0: not set, all ports
  friend bool operator==(const EndpointPort&, const EndpointPort&) = default;
};

// https://kubernetes.io/docs/concepts/services-networking/endpoint-slices/#conditions, with the
// defaults for absent values already applied.
struct EndpointConditions {
  bool ready = true;
  bool serving = true;
  bool terminating = false;
  friend bool operator==(const EndpointConditions&, const EndpointConditions&) = default;
};

struct Endpoint {
  // One address family per slice; the API allows several addresses but only the first is
  // meaningful.
  std::vector<IpAddress> addresses;
  std::string hostname;
  EndpointConditions conditions;
  std::string node_name;
  std::string zone;
  std::vector<std::string> zone_hints;
  std::vector<std::string> node_hints;
  // targetRef, where it is a Pod; else empty.
  ObjectName pod;
};

struct EndpointSlice {
  ObjectName name;
  // The Service (label kubernetes.io/service-name) or, where `imported`, the ServiceImport (label
  // multicluster.kubernetes.io/service-name) of the same namespace; empty: belongs to none. An API
  // object may carry both labels, of different names: it is then two slices here.
  std::string service;
  bool imported = false;
  std::string source_cluster;  // label multicluster.kubernetes.io/source-cluster; imported only
  IpFamily family = IpFamily::kIpv4;  // slices of type FQDN are left out by the sources
  std::vector<EndpointPort> ports;
  std::vector<Endpoint> endpoints;
  // When the pod or Service changed that the slice follows, to the second at best: annotation
  // endpoints.kubernetes.io/last-change-trigger-time. Not part of a resource's version.
  absl::Time triggered = absl::InfinitePast();
  Origin origin;
};

// A Service of the cluster set
// (https://multicluster.sigs.k8s.io/concepts/multicluster-services-api/), which DNS knows in the
// zones of `kubernetes { multicluster }`.
struct ServiceImport {
  ObjectName name;
  bool headless = false;       // spec.type: Headless, and not ClusterSetIP
  std::vector<IpAddress> ips;  // none where headless
  std::vector<ServicePort> ports;
  Origin origin;
};

struct Namespace {
  std::string name;
  LabelMap labels;
  Origin origin;
  LabelMap annotations = {};  // only those below portolan.dev/; none in a sidecar
};

// Of a container, so far as it has a name.
struct ContainerPort {
  std::string name;
  Protocol protocol = Protocol::kTcp;
  uint16_t port = 0;
  friend bool operator==(const ContainerPort&, const ContainerPort&) = default;
};

struct Pod {
  ObjectName name;
  std::vector<IpAddress> ips;
  std::string node_name;
  LabelMap labels;
  bool terminating = false;  // metadata.deletionTimestamp is set
  bool host_network = false;
  // status.phase is Succeeded or Failed: its addresses may be another pod's by now.
  bool finished = false;
  // Of its containers and of its init containers that keep running (restartPolicy: Always), in
  // their order.
  Rare<std::vector<ContainerPort>> named_ports = {};
  absl::Time created = absl::InfinitePast();  // metadata.creationTimestamp
  Origin origin;
};

struct Node {
  std::string name;
  std::string zone;    // label topology.kubernetes.io/zone
  std::string region;  // label topology.kubernetes.io/region
  std::vector<Cidr> pod_cidrs;
  std::vector<IpAddress> internal_ips;
  Origin origin;
};

// A range that cluster IPs are taken from
// (https://kubernetes.io/docs/reference/networking/service-cidr/).
struct ServiceCidr {
  std::string name;
  std::vector<Cidr> cidrs;
  Origin origin;
};

// A Service that lists an address among its endpoints.
struct AddressService {
  ObjectName name;
  bool headless = false;
  std::vector<EndpointPort> ports;  // at that address; sorted by port
  friend bool operator==(const AddressService&, const AddressService&) = default;
};

// Who has an address, for those who hold no Pods but may ask for one address at a time.
struct AddressOwner {
  static constexpr size_t kMostServices = 4;

  IpAddress ip;
  // The Pod that has it and is not finished; empty: nobody, which is known as well.
  ObjectName pod = {};
  // Where that Pod runs: the Node's name and its zone. Empty: not known.
  std::string node = {};
  std::string zone = {};
  // Headless ones first, then by name; no more than kMostServices.
  std::vector<AddressService> services = {};
};

}  // namespace portolan

// Where a name below a cluster zone leads: the part of the kubernetes plugin that knows the schema
// of names (Kubernetes DNS specification 1.1.0) and nothing of messages.
// What `kubernetes` was told to hide is unknown here.
//
// Reads immutable data, allocates nothing; any thread.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "common/ip.h"
#include "directory/directory.h"
#include "dns/cluster_data.h"
#include "dns/plugins/kubernetes_config.h"
#include "dns/plugins/service_records.h"
#include "dns/wire/name.h"
#include "dns/wire/query.h"

namespace portolan::dns {

// A name cut into labels, in lower case: a query's own or one read from a Service.
class LabelledName {
 public:
  explicit LabelledName(const wire::Query& query)
      : bytes_(query.name.data()), label_at_(query.label_at.data()), labels_(query.labels) {}

  size_t labels() const { return labels_; }
  // Counted from the left.
  std::string_view label(size_t i) const {
    const uint8_t* at = bytes_ + label_at_[i];
    return {reinterpret_cast<const char*>(at + 1), *at};
  }
  // The first `count` labels with their length bytes.
  std::span<const uint8_t> first(size_t count) const { return {bytes_, label_at_[count]}; }

 protected:
  LabelledName() = default;

  const uint8_t* bytes_ = nullptr;
  const uint8_t* label_at_ = nullptr;
  size_t labels_ = 0;
};

// One zone of the directive, with what its names mean.
struct ServedZone {
  enum class Holds : uint8_t { kServices, kServiceImports, kAddresses };

  wire::Zone zone;
  Holds holds = Holds::kServices;
};

std::vector<ServedZone> ServedZones(const KubernetesConfig& config);

struct ClusterName {
  enum class Kind : uint8_t {
    kUnknown,       // no such name
    kEmpty,         // exists and has no records: the apex, a namespace, `svc`, `pod`
    kClusterIps,    // `owner`, `ips`, `service_ports`, `ports`
    kEndpoints,     // `owner`, `records`, `named`, `zone`, `ports`; may be none
    kExternalName,  // `service`
    kPod,           // `address`
    kUnverified,    // a pod that exists if someone has `address`, which is not held
    kNameServer,    // ns.dns, the cluster's DNS server
    kVersion,       // dns-version, 2.1 of the specification
    kNotHeld,       // as the endpoints of `owner` say, and they are not held
  };

  Kind kind = Kind::kUnknown;
  const Service* service = nullptr;
  // The Service or ServiceImport, and its addresses and ports.
  const ObjectName* owner = nullptr;
  std::span<const IpAddress> ips;
  std::span<const ServicePort> service_ports;
  const EndpointRecords* records = nullptr;
  // The endpoints of one name, as indices; empty: all of them.
  std::span<const uint32_t> named;
  // The topology zone (labels with their length bytes) they must be in; empty: any.
  std::span<const uint8_t> zone;
  PortMatch ports;
  IpAddress address;
};

// `name` is in `zone`.
ClusterName FindClusterName(const LabelledName& name, const ServedZone& zone,
                            const KubernetesConfig& config, const ClusterData& data);

// The port and protocol in front of a Service's name: "_http" asks for the port "http"; CoreDNS
// does without the underscore as well.
PortMatch PortsAsked(const LabelledName& name);

// False: it must first be asked for which endpoints the Service has.
bool KnowsEndpoints(const ObjectName& service, const KubernetesConfig& config,
                    const ClusterData& data);

// False: `kubernetes` was told to hide it. What hides it for want of endpoints (`ignore
// empty_service`) does so once they are known.
bool IsShown(const Service& service, const KubernetesConfig& config, const ClusterData& data);

// The published endpoints of a Service; null: none, or `noendpoints`.
const EndpointRecords* EndpointsOf(const ObjectName& service, const KubernetesConfig& config,
                                   const ClusterData& data);
const EndpointRecords* EndpointsOf(std::string_view service_key, const KubernetesConfig& config,
                                   const ClusterData& data);

// The address that a pod's name stands for: "10-244-2-1", "fd00-10-244--201". False if none.
bool ParseDashedAddress(std::string_view label, IpAddress* address);

// An externalName of digits and dots is an address to CoreDNS, and so no name.
bool IsIpv4Text(std::string_view text);

// The address asked about in a name below in-addr.arpa or ip6.arpa; false if it is not a whole one.
bool ParseReverseName(const LabelledName& name, IpAddress* address);

}  // namespace portolan::dns

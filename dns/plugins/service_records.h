// What the kubernetes plugin needs beyond the directory's own snapshot, in the form answers take:
// the published addresses of each Service's endpoints, sorted and without duplicates, the names of
// endpoints, the cluster IPs as a query's name finds them, and which namespaces have a Service.
//
// Compiled on the thread that owns the Directory, change by change; what did not change is shared
// with the version before. The result is immutable and read by every worker without a lock.
//
// Kubernetes DNS specification 1.1.0, 2.4 (headless Services); which endpoints are published: those
// that are ready (publishNotReadyAddresses is already in the slice's own ready condition).
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/time/time.h"
#include "common/shared_map.h"
#include "common/string_map.h"
#include "directory/directory.h"
#include "dns/plugins/cluster_ip_table.h"

namespace portolan::dns {

// An endpoint's own name below its Service: its hostname or, without one, its address with dashes.
struct EndpointName {
  std::string label;  // lower case
  IpAddress address;
  friend auto operator<=>(const EndpointName&, const EndpointName&) = default;
};

struct EndpointRecords {
  // 4 and 16 bytes an address. Left empty for Services that have a cluster IP.
  std::vector<uint8_t> ipv4;
  std::vector<uint8_t> ipv6;
  std::vector<EndpointName> names;

  // All entries of one label, next to each other.
  std::span<const EndpointName> Named(std::string_view label) const;
};

// "10-244-0-2"; "fd00-10-244--1"; an address that ends in "::" gets a final 0, since no label ends
// in a hyphen.
std::string DashedAddress(const IpAddress& address);

class ServiceRecords {
 public:
  // Null if the Service publishes no endpoint. The key is "namespace/name".
  const EndpointRecords* Find(std::string_view service_key) const {
    const auto* found = endpoints_.Find(service_key);
    return found == nullptr ? nullptr : found->get();
  }
  bool NamespaceHasService(std::string_view ns) const { return services_in_.Find(ns) != nullptr; }
  // The Services that have cluster IPs, but for the few that the table leaves out.
  const ClusterIpTable& cluster_ips() const { return cluster_ips_; }
  // The zone's SOA serial: when Services or endpoints last changed, in seconds since 1970.
  uint32_t serial() const { return serial_; }

 private:
  friend class ServiceRecordsCompiler;
  template <typename V>
  using ByName = SharedMap<std::string, V, StringHash, std::equal_to<>>;

  ByName<std::shared_ptr<const EndpointRecords>> endpoints_;
  ByName<uint32_t> services_in_;  // how many
  ClusterIpTable cluster_ips_;
  uint32_t serial_ = 1;
};

// One thread, with the Directory.
class ServiceRecordsCompiler {
 public:
  // The records of `committed.snapshot`. Commits must be given in order and none left out.
  std::shared_ptr<const ServiceRecords> Apply(const Directory::Committed& committed,
                                              absl::Time now);

  const std::shared_ptr<const ServiceRecords>& current() const { return current_; }

 private:
  std::shared_ptr<const Snapshot> before_ = std::make_shared<const Snapshot>();
  std::shared_ptr<const ServiceRecords> current_ = std::make_shared<const ServiceRecords>();
};

}  // namespace portolan::dns

// What the kubernetes plugin needs beyond the directory's own snapshot, in the form answers take:
// the published endpoints of each Service and ServiceImport, the Services that an address is an
// endpoint of, the addresses of each as a query's name finds them, and which namespaces have a
// Service.
//
// Compiled on the thread that owns the Directory, change by change; what did not change is shared
// with the version before. The result is immutable and read by every worker without a lock.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "absl/container/inlined_vector.h"
#include "absl/time/time.h"
#include "common/shared_map.h"
#include "common/string_map.h"
#include "directory/directory.h"
#include "dns/plugins/endpoint_records.h"
#include "dns/plugins/service_table.h"

namespace portolan::dns {

class ServiceRecords {
 public:
  // Null if the Service publishes no endpoint. The key is "namespace/name".
  const EndpointRecords* Find(std::string_view service_key) const {
    return Get(endpoints_, service_key);
  }
  // Null if the ServiceImport publishes no endpoint.
  const EndpointRecords* FindImported(std::string_view import_key) const {
    return Get(imported_, import_key);
  }
  // Keys of the Services that publish an endpoint with this address.
  using ServiceKeys = absl::InlinedVector<std::shared_ptr<const std::string>, 1>;
  std::span<const std::shared_ptr<const std::string>> ServicesAt(const IpAddress& ip) const {
    const ServiceKeys* found = services_at_.Find(ip);
    return found == nullptr ? std::span<const std::shared_ptr<const std::string>>()
                            : std::span(found->data(), found->size());
  }
  bool NamespaceHasService(std::string_view ns) const { return services_in_.Find(ns) != nullptr; }
  // Every Service.
  const ServiceTable& table() const { return table_; }
  // SOA serials, in seconds since 1970: when Services or endpoints last changed, and when
  // ServiceImports or theirs did. Never lower than before, also when the wall clock was set back.
  uint32_t serial() const { return serial_; }
  uint32_t multicluster_serial() const { return multicluster_serial_; }

 private:
  friend class ServiceRecordsCompiler;
  template <typename V>
  using ByName = SharedMap<std::string, V, StringHash, std::equal_to<>>;
  using Endpoints = ByName<std::shared_ptr<const EndpointRecords>>;

  static const EndpointRecords* Get(const Endpoints& endpoints, std::string_view key) {
    const auto* found = endpoints.Find(key);
    return found == nullptr ? nullptr : found->get();
  }

  Endpoints endpoints_;
  Endpoints imported_;
  SharedMap<IpAddress, ServiceKeys> services_at_;
  ByName<uint32_t> services_in_;  // how many
  ServiceTable table_;            // points into endpoints_
  uint32_t serial_ = 1;
  uint32_t multicluster_serial_ = 1;
};

// One thread, with the Directory.
class ServiceRecordsCompiler {
 public:
  // The records of `committed.snapshot`. Commits must be given in order and none left out.
  std::shared_ptr<const ServiceRecords> Apply(const Directory::Committed& committed,
                                              absl::Time now);

  const std::shared_ptr<const ServiceRecords>& current() const { return current_; }

 private:
  void ApplyServices(const Directory::Committed& committed, ServiceRecords& next);
  void ApplyImports(const Directory::Committed& committed, ServiceRecords& next);
  void CountServices(const Directory::Committed& committed, ServiceRecords& next) const;

  SharedValues<EndpointKinds> kinds_;
  SharedValues<ServiceTable::Ports> ports_;
  std::shared_ptr<const Snapshot> before_ = std::make_shared<const Snapshot>();
  std::shared_ptr<const ServiceRecords> current_ = std::make_shared<const ServiceRecords>();
};

}  // namespace portolan::dns

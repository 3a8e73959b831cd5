// Where a name below a cluster zone leads: the part of the kubernetes plugin that knows the schema
// of names (Kubernetes DNS specification 1.1.0) and nothing of messages.
//
// Reads immutable data, allocates nothing; any thread.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "common/ip.h"
#include "directory/directory.h"
#include "dns/plugins/service_records.h"
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

 protected:
  LabelledName() = default;

  const uint8_t* bytes_ = nullptr;
  const uint8_t* label_at_ = nullptr;
  size_t labels_ = 0;
};

struct ClusterName {
  enum class Kind : uint8_t {
    kUnknown,       // no such name
    kEmpty,         // exists and has no records: a namespace, `svc`, `pod`
    kClusterIps,    // `service`
    kHeadless,      // `service`, `records`
    kExternalName,  // `service`
    kEndpoint,      // `service`, `records`, `label`
    kPod,           // `address`
    kVersion,       // dns-version, 2.1 of the specification
    kElsewhere,     // may exist, and only the cluster DNS knows
  };

  Kind kind = Kind::kUnknown;
  const Service* service = nullptr;
  const EndpointRecords* records = nullptr;
  std::string_view label;
  IpAddress address;
};

enum class PodNames : uint8_t { kDisabled, kInsecure, kVerified };

// `name` is in a zone of `zone_labels` labels and has more labels than that.
ClusterName FindClusterName(const LabelledName& name, size_t zone_labels, PodNames pods,
                            const Snapshot& snapshot, const ServiceRecords* records);

// The address that a pod's name stands for: "10-244-2-1", "fd00-10-244--201". False if none.
bool ParseDashedAddress(std::string_view label, IpAddress* address);

// The address asked about in a name below in-addr.arpa or ip6.arpa; false if it is not a whole one.
bool ParseReverseName(const LabelledName& name, IpAddress* address);

}  // namespace portolan::dns

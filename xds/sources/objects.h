// The rules by which an object of the Kubernetes API becomes a value of the directory's model:
// defaults, validation, and what is left out. Whatever the object was read from, a manifest or the
// API's own JSON, it comes here as a Value.
//
// Sources: the API reference pages of Service, EndpointSlice, Pod, Namespace, Node and ServiceCIDR
// (https://kubernetes.io/docs/reference/kubernetes-api/), pkg/apis/core/validation of Kubernetes,
// and the multi-cluster services API (https://multicluster.sigs.k8s.io/). Any thread.
#pragma once

#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "common/document/value.h"
#include "directory/dns_egress_policy.h"
#include "directory/model.h"
#include "directory/network_policy.h"

namespace portolan::xds {

enum class ObjectKind : uint8_t {
  kNamespace,
  kService,
  kEndpointSlice,
  kImportedSlice,  // of a ServiceImport; the same API object may be both
  kServiceImport,
  kPod,
  kNode,
  kServiceCidr,
  kNetworkPolicy,
  kDnsEgressPolicy,
  kClusterNetworkPolicy,
  kAdminNetworkPolicy
};

std::string_view KindName(ObjectKind kind);

using Object = std::variant<Namespace, Service, EndpointSlice, ServiceImport, Pod, Node,
                            ServiceCidr, NetworkPolicy, DnsEgressPolicy>;

// Which object this is; what lies in no namespace has an empty ns.
struct ObjectId {
  ObjectKind kind = ObjectKind::kNamespace;
  ObjectName name;

  // "Service default/backend", "Namespace default".
  std::string ToString() const;
  friend auto operator<=>(const ObjectId&, const ObjectId&) = default;

  template <typename H>
  friend H AbslHashValue(H h, const ObjectId& id) {
    return H::combine(std::move(h), id.kind, id.name);
  }
};

ObjectId IdOf(const Object& object);

// kUnknown: a kind, or a version of one, that the directory has no use for.
enum class KnownKind : uint8_t {
  kUnknown,
  kNamespace,
  kService,
  kEndpointSlice,
  kServiceImport,
  kPod,
  kNode,
  kServiceCidr,
  kNetworkPolicy,
  kDnsEgressPolicy,
  kClusterNetworkPolicy,
  kAdminNetworkPolicy
};
KnownKind KindOf(std::string_view api_version, std::string_view kind);
// Whether objects of the kind lie in namespaces.
bool InNamespaces(KnownKind kind);

// metadata.name and metadata.namespace; the latter is "default" when absent, as with kubectl.
ObjectName NameOf(const Field& object);

// Each reads a whole object of that kind. Errors go to the Field's FieldErrors, and the value is
// then not to be used.
Namespace ReadNamespace(const Field& object, const Origin& origin);
Service ReadService(const Field& object, const Origin& origin);
ServiceImport ReadServiceImport(const Field& object, const Origin& origin);
Pod ReadPod(const Field& object, const Origin& origin);
// The slice of a Service, of a ServiceImport, or one of each, as its labels say; one that belongs
// to nobody where they say nothing. None for a slice of addressType FQDN, which has no addresses to
// give.
std::vector<EndpointSlice> ReadEndpointSlices(const Field& object, const Origin& origin);
Node ReadNode(const Field& object, const Origin& origin);
ServiceCidr ReadServiceCidr(const Field& object, const Origin& origin);

// What an object of the API is to the directory, by the above: one value, for some two or none.
std::vector<Object> ReadObjects(const Field& object, KnownKind kind, const Origin& origin);

}  // namespace portolan::xds

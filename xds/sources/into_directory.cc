#include "xds/sources/into_directory.h"

#include <utility>

namespace portolan::xds {
namespace {

using Kind = DnsEgressPolicy::Kind;

std::string KeyOf(Kind kind, const ObjectName& name) {
  return DnsEgressPolicy{.kind = kind, .name = name}.Key();
}

}  // namespace

void Put(Directory& directory, Object object) {
  std::visit([&](auto& value) { directory.Put(std::move(value)); }, object);
}

void Remove(Directory& directory, const ObjectId& id) {
  switch (id.kind) {
    case ObjectKind::kNamespace:
      return directory.RemoveNamespace(id.name.name);
    case ObjectKind::kService:
      return directory.RemoveService(id.name);
    case ObjectKind::kEndpointSlice:
      return directory.RemoveSlice(id.name);
    case ObjectKind::kImportedSlice:
      return directory.RemoveImportedSlice(id.name);
    case ObjectKind::kServiceImport:
      return directory.RemoveServiceImport(id.name);
    case ObjectKind::kPod:
      return directory.RemovePod(id.name);
    case ObjectKind::kNode:
      return directory.RemoveNode(id.name.name);
    case ObjectKind::kServiceCidr:
      return directory.RemoveServiceCidr(id.name.name);
    case ObjectKind::kNetworkPolicy:
      return directory.RemoveNetworkPolicy(id.name);
    case ObjectKind::kDnsEgressPolicy:
      return directory.RemoveDnsEgressPolicy(KeyOf(Kind::kDnsEgressPolicy, id.name));
    case ObjectKind::kClusterNetworkPolicy:
      return directory.RemoveDnsEgressPolicy(KeyOf(Kind::kClusterNetworkPolicy, id.name));
    case ObjectKind::kAdminNetworkPolicy:
      return directory.RemoveDnsEgressPolicy(KeyOf(Kind::kAdminNetworkPolicy, id.name));
  }
}

}  // namespace portolan::xds

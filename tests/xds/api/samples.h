// Resources as a control plane sends them, for tests.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "common/ip.h"
#include "envoy/service/discovery/v3/discovery.pb.h"
#include "xds/api/codec.h"

namespace portolan::api {

using envoy::service::discovery::v3::DeltaDiscoveryRequest;
using envoy::service::discovery::v3::DeltaDiscoveryResponse;
using envoy::service::discovery::v3::Resource;

template <typename Message>
Resource MakeResource(const std::string& name, const std::string& version, const Message& body) {
  Resource resource;
  resource.set_name(name);
  resource.set_version(version);
  resource.mutable_resource()->PackFrom(body);
  return resource;
}

inline std::string Bytes(const std::string& address) {
  const IpAddress ip = *IpAddress::Parse(address);
  return {reinterpret_cast<const char*>(ip.bytes().data()), ip.bytes().size()};
}

// In namespace default; the version is the address.
inline Resource ServiceResource(const std::string& name, const std::string& address) {
  v1::Service service;
  service.set_namespace_("default");
  service.set_name(name);
  service.add_cluster_ips(Bytes(address));
  auto* port = service.add_ports();
  port->set_name("http");
  port->set_port(8080);
  return MakeResource("default/" + name, address, service);
}

inline Resource NamespaceResource(const std::string& name) {
  v1::Namespace ns;
  ns.set_name(name);
  return MakeResource(name, "1", ns);
}

// A slice of default/`service` with these addresses.
inline Resource SliceResource(const std::string& service, const std::string& name,
                              const std::string& version,
                              const std::vector<std::string>& addresses) {
  v1::Endpoints endpoints;
  v1::EndpointSlice& slice = *endpoints.mutable_slice();
  slice.set_namespace_("default");
  slice.set_service(service);
  slice.set_name(name);
  for (const std::string& address : addresses) {
    slice.add_endpoints()->set_address(Bytes(address));
  }
  return MakeResource("default/" + service + "/" + name, version, endpoints);
}

// slices: name and version.
inline Resource HeadResource(const std::string& service, const std::string& version,
                             const std::vector<std::pair<std::string, std::string>>& slices) {
  v1::Endpoints endpoints;
  endpoints.mutable_head();
  for (const auto& [slice, slice_version] : slices) {
    auto* listed = endpoints.mutable_head()->add_slices();
    listed->set_name(slice);
    listed->set_version(slice_version);
  }
  return MakeResource("default/" + service, version, endpoints);
}

// Of default/`name` in cluster c1, headless, with one slice of these addresses.
inline Resource ImportResource(const std::string& name, const std::string& version,
                               const std::string& slice,
                               const std::vector<std::string>& addresses) {
  v1::ServiceImport import;
  import.set_namespace_("default");
  import.set_name(name);
  import.set_headless(true);
  v1::EndpointSlice& body = *import.add_slices();
  body.set_namespace_("default");
  body.set_service(name);
  body.set_name(slice);
  body.set_source_cluster("c1");
  for (const std::string& address : addresses) body.add_endpoints()->set_address(Bytes(address));
  return MakeResource("default/" + name, version, import);
}

// That the Pod default/`pod` has the address.
inline Resource AddressResource(const std::string& address, const std::string& pod) {
  v1::Address body;
  body.mutable_pod()->set_namespace_("default");
  body.mutable_pod()->set_name(pod);
  return MakeResource(address, pod, body);
}

inline Resource ConfigResource(const std::string& corefile) {
  v1::ProxyConfig config;
  config.set_corefile(corefile);
  return MakeResource("default", corefile, config);
}

enum class Update { kLast, kMoreToCome };

inline DeltaDiscoveryResponse MakeResponse(std::string_view type_url,
                                           std::vector<Resource> resources,
                                           std::vector<std::string> removed = {},
                                           Update update = Update::kLast) {
  DeltaDiscoveryResponse response;
  response.set_type_url(std::string(type_url));
  for (Resource& resource : resources) *response.add_resources() = std::move(resource);
  for (std::string& name : removed) response.add_removed_resources(std::move(name));
  if (update == Update::kLast) response.set_system_version_info("1");
  return response;
}

}  // namespace portolan::api

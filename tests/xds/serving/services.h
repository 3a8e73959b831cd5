// Services and slices for tests of serving.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "directory/model.h"

namespace portolan::xds {

inline Service MakeClusterIpService(const std::string& name, const std::string& ip,
                                    std::vector<std::pair<std::string, uint16_t>> ports) {
  Service service;
  service.name = {"default", name};
  service.cluster_ips = {*IpAddress::Parse(ip)};
  for (auto& [port_name, port] : ports) {
    service.ports.push_back({port_name, Protocol::kTcp, port});
  }
  return service;
}

struct EndpointSpec {
  std::string address;
  EndpointConditions conditions = {};
  std::string zone = {};
};

inline EndpointSlice MakeSliceOf(const std::string& service, const std::string& name,
                                 std::vector<EndpointPort> ports,
                                 const std::vector<EndpointSpec>& endpoints) {
  EndpointSlice slice;
  slice.name = {"default", name};
  slice.service = service;
  slice.ports = std::move(ports);
  for (const EndpointSpec& spec : endpoints) {
    Endpoint& endpoint = slice.endpoints.emplace_back();
    endpoint.addresses = {*IpAddress::Parse(spec.address)};
    slice.family = endpoint.addresses[0].family();
    endpoint.conditions = spec.conditions;
    endpoint.zone = spec.zone;
  }
  return slice;
}

}  // namespace portolan::xds

// A Service and its slices, for tests of what is remembered of them.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "directory/directory.h"
#include "xds/history/state.h"

namespace portolan::xds {

inline const absl::Time kNoon = absl::FromUnixSeconds(1'700'000'000);

inline Endpoint MakeEndpoint(const std::string& address, const std::string& pod = "",
                             EndpointConditions conditions = {}) {
  Endpoint endpoint;
  endpoint.addresses = {*IpAddress::Parse(address)};
  endpoint.conditions = conditions;
  endpoint.node_name = "node-a";
  endpoint.zone = "zone-a";
  if (!pod.empty()) endpoint.pod = {"default", pod};
  return endpoint;
}

inline Origin MakeOrigin(const std::string& version, absl::Time arrived) {
  return {absl::Cord(version), arrived, {}};
}

inline Service MakeService(const std::string& name = "backend", const std::string& version = "10",
                           absl::Time arrived = kNoon) {
  Service service;
  service.name = {"default", name};
  service.cluster_ips = {*IpAddress::Parse("10.43.0.1")};
  service.ports = {{"http", Protocol::kTcp, 8080}};
  service.origin = MakeOrigin(version, arrived);
  return service;
}

inline EndpointSlice MakeSlice(std::vector<Endpoint> endpoints, const std::string& version,
                               absl::Time arrived, const std::string& name = "backend-a",
                               const std::string& service = "backend") {
  EndpointSlice slice;
  slice.name = {"default", name};
  slice.service = service;
  slice.ports = {{"http", Protocol::kTcp, 8080}};
  slice.endpoints = std::move(endpoints);
  slice.origin = MakeOrigin(version, arrived);
  return slice;
}

// The one name of a test, in memory.
struct OneName {
  std::shared_ptr<const Service> service;
  SliceSet slices;

  OneName& Put(Service to) {
    service = std::make_shared<const Service>(std::move(to));
    return *this;
  }
  OneName& Put(EndpointSlice slice) {
    const std::string name = slice.name.name;
    slices[name] = std::make_shared<const EndpointSlice>(std::move(slice));
    return *this;
  }
  StateView view() const { return {service.get(), slices.empty() ? nullptr : &slices}; }
};

// As the API would show it, but not which version of an object that is: there is no entry for one
// that changes nothing.
inline nlohmann::json Shown(const StateView& state, const ObjectName& name) {
  Directory directory;
  if (state.service != nullptr) {
    Service service = *state.service;
    service.origin = {};
    directory.Put(std::move(service));
  }
  if (state.slices != nullptr) {
    for (const auto& [slice_name, from] : *state.slices) {
      EndpointSlice slice = *from;
      slice.origin = {};
      slice.triggered = absl::InfinitePast();
      directory.Put(std::move(slice));
    }
  }
  const auto snapshot = directory.Commit().snapshot;
  const std::string key = name.ToString();
  const Service* service = snapshot->FindService(key);
  nlohmann::json shown = {{"slices", SlicesJson(snapshot->FindSlices(key))}};
  if (service != nullptr) {
    shown["service"] = ServiceDetailJson(*snapshot, *service, "cluster.local");
  }
  return shown;
}

inline nlohmann::json Shown(NameState state, const ObjectName& name) {
  const auto snapshot = SnapshotOf(std::move(state));
  return Shown(StateIn(*snapshot, name.ToString()), name);
}

}  // namespace portolan::xds

// A cluster of a few Services, for tests that show what is in one.
#pragma once

#include <memory>
#include <utility>

#include "directory/directory.h"

namespace portolan {

// default/backend: ClusterIP, two slices (IPv4 and IPv6) of the same two pods, of which one is
// terminating. default/backend-headless: headless, one endpoint not ready. web/external:
// ExternalName. web/none: a ClusterIP without endpoints.
inline void PutSmallCluster(Directory& directory) {
  const auto ip = [](const char* text) { return *IpAddress::Parse(text); };
  const auto endpoint = [&](const char* address, const char* pod, EndpointConditions conditions) {
    Endpoint out;
    out.addresses = {ip(address)};
    out.conditions = conditions;
    if (pod != nullptr) out.pod = {"default", pod};
    return out;
  };
  const absl::Time arrived = absl::FromUnixSeconds(1'700'000'000);

  Service backend;
  backend.name = {"default", "backend"};
  backend.cluster_ips = {ip("10.43.0.123"), ip("fd43::123")};
  backend.ports = {{"http", Protocol::kTcp, 8080}};
  backend.labels = {{"app", "backend"}};
  backend.origin = {absl::Cord("42"), arrived, {}};
  directory.Put(backend);
  for (const bool v6 : {false, true}) {
    EndpointSlice slice;
    slice.name = {"default", v6 ? "backend-6" : "backend-4"};
    slice.service = "backend";
    slice.family = v6 ? IpFamily::kIpv6 : IpFamily::kIpv4;
    slice.ports = {{"http", Protocol::kTcp, 8080}};
    slice.endpoints = {endpoint(v6 ? "fd42::1" : "10.42.0.1", "backend-1", {true, true, false}),
                       endpoint(v6 ? "fd42::2" : "10.42.0.2", "backend-2", {false, true, true})};
    slice.endpoints[0].node_name = "node-a";
    slice.endpoints[0].zone = "zone-a";
    slice.origin = {absl::Cord("43"), arrived, {}};
    directory.Put(std::move(slice));
  }

  Service headless;
  headless.name = {"default", "backend-headless"};
  headless.headless = true;
  directory.Put(headless);
  EndpointSlice slice;
  slice.name = {"default", "backend-headless-1"};
  slice.service = "backend-headless";
  slice.endpoints = {endpoint("10.42.0.9", nullptr, {false, false, false})};
  slice.endpoints[0].hostname = "nine";
  directory.Put(std::move(slice));

  Service external;
  external.name = {"web", "external"};
  external.type = ServiceType::kExternalName;
  ServiceExtras extras;
  extras.external_name = "www.Example.com";
  external.extras = std::move(extras);
  directory.Put(external);

  Service none;
  none.name = {"web", "none"};
  none.cluster_ips = {ip("10.43.0.7")};
  directory.Put(none);
}

inline std::shared_ptr<const Snapshot> SmallCluster() {
  Directory directory;
  PutSmallCluster(directory);
  return directory.Commit().snapshot;
}

}  // namespace portolan

// What any bytes do as the body of a state file and as a response of a control plane: they are
// refused, or what was taken from them can be saved and comes back the same; and of endpoints that
// are had on demand nothing stays when they are given up.
#include <cstdint>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>

#include "absl/time/time.h"
#include "proxy/feed/replica.h"
#include "proxy/feed/saved_state.h"
#include "tests/proxy/feed/state_bytes.h"

namespace portolan::proxy {
namespace {

void Require(bool holds) {
  if (!holds) std::abort();
}

void SaveAndRestore(const Replica& replica) {
  const std::string file =
      StateBytes({replica.image(), std::nullopt, absl::FromUnixSeconds(1), "fuzz"});
  const auto restored = RestoreState(file, "fuzz");
  Require(restored.ok());
  const Snapshot& before = *replica.snapshot();
  const Snapshot& after = *restored->replica->snapshot();
  Require(after.service_count() == before.service_count());
  Require(after.slice_set_count() == before.slice_set_count());
  Require(after.service_import_count() == before.service_import_count());
  Require(restored->replica->endpoints_in_transit() == 0);
}

void AsResponse(std::string_view bytes) {
  envoy::service::discovery::v3::DeltaDiscoveryResponse response;
  if (!response.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) return;
  Replica replica;
  replica.Demand(*IpAddress::Parse("10.42.0.1"));
  if (replica.Apply(response).ok()) SaveAndRestore(replica);
}

void AsResponseOnDemand(std::string_view bytes) {
  envoy::service::discovery::v3::DeltaDiscoveryResponse response;
  if (!response.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) return;
  const std::string service = "default/backend";
  Replica replica(Directory::Slices::kOfThoseAskedFor);
  replica.Demand(service);
  if (!replica.Apply(response).ok()) return;
  Require(replica.snapshot()->slice_set_count() <= 1);
  replica.GiveUp({}, {service});
  Require(replica.snapshot()->slice_set_count() == 0);
  Require(replica.held_count(api::kEndpointsType) == 0);
  Require(replica.endpoints_in_transit() == 0);
}

void AsState(std::string_view bytes) {
  Require(!RestoreState(bytes, "fuzz").ok() || bytes.substr(0, 8) == "PORTOLAN");
  const auto restored = RestoreState(SealState(bytes), "fuzz");
  if (restored.ok()) SaveAndRestore(*restored->replica);
}

}  // namespace
}  // namespace portolan::proxy

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  portolan::proxy::AsResponse(bytes);
  portolan::proxy::AsResponseOnDemand(bytes);
  portolan::proxy::AsState(bytes);
  return 0;
}

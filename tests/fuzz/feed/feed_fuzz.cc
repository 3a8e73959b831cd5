// What any bytes do as the body of a state file and as a response of a control plane: they are
// refused, or what was taken from them can be saved and comes back the same; of endpoints that are
// had on demand nothing stays when they are given up; and a policy in force stays as it is when
// what changes it is refused.
#include <cstdint>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>

#include "absl/time/time.h"
#include "proxy/feed/replica.h"
#include "proxy/feed/saved_state.h"
#include "proxy/feed/subscriptions.h"
#include "tests/proxy/feed/state_bytes.h"
#include "tests/xds/api/policy_samples.h"

namespace portolan::proxy {
namespace {

void Require(bool holds) {
  if (!holds) std::abort();
}

const PolicyReplica::Own kOwn = {"default/frontend-1", {}, true};

absl::StatusOr<RestoredState> Restore(std::string_view file) {
  return RestoreState(file, "fuzz", Directory::Slices::kOfAll, kOwn);
}

void RequireSame(const EgressRules* before, const EgressRules* after) {
  Require((before == nullptr) == (after == nullptr));
  if (before == nullptr) return;
  Require(before->isolating() == after->isolating());
  Require(before->auditing() == after->auditing());
  Require(before->size().rules == after->size().rules);
  Require(before->size().peers == after->size().peers);
}

void SaveAndRestore(const Replica& replica, const PolicyReplica& policy) {
  const std::string file =
      StateBytes({replica.image(), policy.image(), std::nullopt, absl::FromUnixSeconds(1), "fuzz"});
  const auto restored = Restore(file);
  Require(restored.ok());
  RequireSame(policy.rules().get(), restored->policy->rules().get());
  RequireSame(policy.ingress_rules().get(), restored->policy->ingress_rules().get());
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
  if (replica.Apply(response).ok()) SaveAndRestore(replica, PolicyReplica(kOwn));
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

// default/a with one set of two, and default/b with the same and one of nobody; and who may connect
// to the port "web", which are those two.
void PutInForce(PolicyReplica& policy) {
  const std::string a = "NetworkPolicy/default/a";
  const std::string b = "NetworkPolicy/default/b";
  const std::string pair = "0000000000000001";
  const std::string nobody = "0000000000000002";
  using namespace api;
  const std::string in = a + "/ingress";
  const Resource head =
      BothWaysResource(kOwn.name, "h1", {a, b}, {in}, {{"web", Protocol::kTcp, 80}});
  Require(policy.Apply(MakeResponse(kEgressPolicyType, {head})).ok());
  const Resource rules_a = RulesResource(a, "a1", {pair});
  const Resource rules_b = RulesResource(b, "b1", {pair, nobody});
  const Resource rules_in = NamedPortRulesResource(in, "i1", {pair}, "web");
  Require(policy.Apply(MakeResponse(kPolicyRulesType, {rules_a, rules_b, rules_in})).ok());
  const Resource two = PeerSetResource(pair, "s1", {"10.0.0.1", "10.0.0.3"});
  const Resource none = PeerSetResource(nobody, "s1", {});
  Require(policy.Apply(MakeResponse(kPeerSetType, {two, none})).ok());
  Require(policy.rules() != nullptr && policy.ingress_rules() != nullptr);
}

void AsPolicyResponse(std::string_view bytes) {
  envoy::service::discovery::v3::DeltaDiscoveryResponse response;
  if (!response.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) return;
  if (!IsPolicyType(response.type_url())) return;
  PolicyReplica policy(kOwn);
  PutInForce(policy);
  const auto before = policy.rules();
  const auto ingress_before = policy.ingress_rules();
  const bool applied = policy.Apply(response).ok();
  Require(applied || (policy.rules() == before && policy.ingress_rules() == ingress_before));
  SaveAndRestore(Replica(), policy);
}

void AsState(std::string_view bytes) {
  Require(!Restore(bytes).ok() || bytes.substr(0, 8) == "PORTOLAN");
  const auto restored = Restore(SealState(bytes));
  if (restored.ok()) SaveAndRestore(*restored->replica, *restored->policy);
}

}  // namespace
}  // namespace portolan::proxy

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  portolan::proxy::AsResponse(bytes);
  portolan::proxy::AsResponseOnDemand(bytes);
  portolan::proxy::AsPolicyResponse(bytes);
  portolan::proxy::AsState(bytes);
  return 0;
}

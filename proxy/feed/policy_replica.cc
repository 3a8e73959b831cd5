#include "proxy/feed/policy_replica.h"

#include <algorithm>
#include <utility>

#include "common/status.h"
#include "policy/own_ports.h"
#include "proxy/feed/resource_envelope.h"
#include "xds/api/codec.h"

namespace portolan::proxy {
namespace {

using envoy::service::discovery::v3::Resource;

void AddSetsOf(const PolicyInput& policy, StringSet& sets) {
  for (const RuleInput& rule : policy.rules) {
    sets.insert(rule.peer_sets.begin(), rule.peer_sets.end());
  }
}

// All resources of the response as values, in its order.
template <typename T>
absl::Status ParseAll(const envoy::service::discovery::v3::DeltaDiscoveryResponse& response,
                      absl::StatusOr<T> (*parse)(const Resource&), std::vector<T>& values) {
  StringSet names;
  for (const Resource& resource : response.resources()) {
    if (absl::Status status = CheckEnvelope(resource); !status.ok()) return status;
    auto value = parse(resource);
    if (!value.ok()) return value.status();
    if (!names.insert(resource.name()).second) {
      return InvalidArgument("'{}': twice in one response", resource.name());
    }
    values.push_back(*std::move(value));
  }
  return absl::OkStatus();
}

// Copies what is between the changed members in one piece each: sets are large and changes small.
absl::StatusOr<Peers> Changed(const Peers& peers, const api::PeerSet& change) {
  Peers next;
  next.reserve(peers.size() + change.added.size());
  auto from = peers.begin();
  auto added = change.added.begin();
  auto removed = change.removed.begin();
  while (added != change.added.end() || removed != change.removed.end()) {
    const bool adds =
        removed == change.removed.end() || (added != change.added.end() && *added < *removed);
    const Peer& member = adds ? *added++ : *removed++;
    const auto place = std::lower_bound(from, peers.end(), member);
    const bool is_there = place != peers.end() && *place == member;
    if (adds == is_there) {
      return InvalidArgument("{}: {} is {} the set", adds ? "added" : "removed",
                             member.ip.ToString(), is_there ? "in" : "not in");
    }
    next.insert(next.end(), from, place);
    from = place + (is_there ? 1 : 0);
    if (adds) next.push_back(member);
  }
  next.insert(next.end(), from, peers.end());
  if (next.size() > api::kMaxPeersOfSet) {
    return InvalidArgument("more than {} peers", api::kMaxPeersOfSet);
  }
  return next;
}

// What is there already in equal form stays what it is: nothing changed for those who use it.
template <typename T>
std::shared_ptr<const T> KeepEqual(const std::shared_ptr<const T>& held, T value) {
  if (held != nullptr && *held == value) return held;
  return std::make_shared<const T>(std::move(value));
}

}  // namespace

PolicyReplica::PolicyReplica(Own own) : own_(std::move(own)) {
  if (api::IsEgressPolicyName(own_.name)) wanted_[kHead].Want({own_.name});
}

PolicyReplica::Type PolicyReplica::TypeOf(std::string_view type_url) {
  if (type_url == api::kEgressPolicyType) return kHead;
  return type_url == api::kPolicyRulesType ? kPolicies : kSets;
}

absl::Status PolicyReplica::Apply(const Response& response) {
  const Type type = TypeOf(response.type_url());
  absl::Status status = type == kHead       ? ApplyHead(response)
                        : type == kPolicies ? ApplyPolicies(response)
                                            : ApplySets(response);
  WantedNames& wanted = wanted_[type];
  if (!status.ok()) {
    for (const Resource& resource : response.resources()) wanted.Refused(resource.name());
    return status;
  }
  for (const Resource& resource : response.resources()) wanted.Arrived(resource.name());
  for (const std::string& name : response.removed_resources()) wanted.Arrived(name);
  // Members that come and go are all that changes most of the time.
  if (type != kSets || !is_whole_ || response.removed_resources_size() > 0) Settle();
  for (Direction* direction : {&egress_, &ingress_}) {
    if (direction->inputs) direction->rules = direction->compiler.Commit();
  }
  return absl::OkStatus();
}

absl::Status PolicyReplica::ApplyHead(const Response& response) {
  std::vector<api::EgressPolicy> heads;
  absl::Status status = ParseAll(response, api::ParseEgressPolicy, heads);
  if (wanted_[kHead].all().empty())
    status.Update(InvalidArgument("no EgressPolicy was subscribed to"));
  for (const Resource& resource : response.resources()) {
    if (resource.name() == own_.name) continue;
    status.Update(InvalidArgument("EgressPolicy '{}' was not subscribed to", resource.name()));
  }
  if (!status.ok()) return status;
  const auto& removed = response.removed_resources();
  const bool has_none = std::find(removed.begin(), removed.end(), own_.name) != removed.end();
  if (has_none) head_.reset();
  // A response without it says that it is as it was, or that the pod is not known there (yet).
  if (has_none || !heads.empty()) is_told_ = true;
  if (heads.empty()) return absl::OkStatus();
  head_ = {KeepEqual(head_ ? head_->value : nullptr, std::move(heads.front())),
           response.resources(0).version()};
  return absl::OkStatus();
}

absl::Status PolicyReplica::ApplyPolicies(const Response& response) {
  std::vector<PolicyInput> policies;
  absl::Status status = ParseAll(response, api::ParsePolicyRules, policies);
  if (!status.ok()) return status;
  for (const std::string& name : response.removed_resources()) policies_.erase(name);
  for (size_t i = 0; i < policies.size(); ++i) {
    const Resource& resource = response.resources(static_cast<int>(i));
    // Else the answer crossed with the request that gave it up.
    if (!wanted_[kPolicies].Wants(resource.name())) continue;
    Held<PolicyInput>& held = policies_[resource.name()];
    held = {KeepEqual(held.value, std::move(policies[i])), resource.version()};
  }
  return absl::OkStatus();
}

absl::Status PolicyReplica::ReadChange(const HeldSet* held, const api::PeerSet& change,
                                       HeldSet& next) const {
  if (change.is_whole()) {
    next.describes = change.describes;
    next.peers = KeepEqual(held != nullptr ? held->peers : nullptr, change.added);
    return absl::OkStatus();
  }
  if (held == nullptr || held->version != change.base) {
    return InvalidArgument("base: '{}' is not the version held", change.base);
  }
  auto peers = Changed(*held->peers, change);
  if (!peers.ok()) return peers.status();
  next.describes = held->describes;
  next.peers = std::make_shared<const Peers>(*std::move(peers));
  return absl::OkStatus();
}

absl::Status PolicyReplica::ApplySets(const Response& response) {
  std::vector<api::PeerSet> changes;
  absl::Status status = ParseAll(response, api::ParsePeerSet, changes);
  if (!status.ok()) return status;
  std::vector<HeldSet> next(changes.size());
  for (size_t i = 0; i < changes.size(); ++i) {
    const Resource& resource = response.resources(static_cast<int>(i));
    if (!wanted_[kSets].Wants(resource.name())) continue;
    const auto held = sets_.find(resource.name());
    status = ReadChange(held == sets_.end() ? nullptr : &held->second, changes[i], next[i]);
    if (!status.ok()) {
      // The server takes all of the response for held.
      for (const Resource& one : response.resources()) wanted_[kSets].AskAgain(one.name());
      return InvalidArgument("portolan.v1.PeerSet '{}': {}", resource.name(), Message(status));
    }
    next[i].version = resource.version();
  }
  for (const std::string& name : response.removed_resources()) RemoveSet(name);
  for (size_t i = 0; i < changes.size(); ++i) {
    if (next[i].peers == nullptr) continue;
    PutSet(response.resources(static_cast<int>(i)).name(), changes[i], std::move(next[i]));
  }
  return absl::OkStatus();
}

void PolicyReplica::PutSet(const std::string& name, const api::PeerSet& change, HeldSet next) {
  HeldSet& held = sets_[name];
  const bool is_same = held.peers == next.peers;
  held = std::move(next);
  if (is_same) return;
  for (Direction* direction : {&egress_, &ingress_}) {
    if (!direction->sets.contains(name)) continue;
    if (change.is_whole()) {
      direction->compiler.SetPeers(name, *held.peers);
    } else {
      direction->compiler.ChangePeers(name, change.added, change.removed);
    }
  }
}

void PolicyReplica::RemoveSet(const std::string& name) {
  if (!IsInForce(name)) {
    sets_.erase(name);
  } else if (const auto held = sets_.find(name); held != sets_.end()) {
    held->second.withdrawn = true;
    held->second.version.clear();
  }
}

bool PolicyReplica::IsInForce(std::string_view set) const {
  return egress_.sets.contains(set) || ingress_.sets.contains(set);
}

bool PolicyReplica::HasSetsOf(const PolicyInput& policy) const {
  return std::all_of(policy.rules.begin(), policy.rules.end(), [&](const RuleInput& rule) {
    return std::all_of(rule.peer_sets.begin(), rule.peer_sets.end(), [&](const auto& name) {
      const auto set = sets_.find(name);
      return set != sets_.end() && !set->second.withdrawn;
    });
  });
}

bool PolicyReplica::IsWhole() const {
  const StringSet& names = wanted_[kPolicies].all();
  return is_told_ && std::all_of(names.begin(), names.end(), [&](const std::string& name) {
           const auto policy = policies_.find(name);
           return policy != policies_.end() && HasSetsOf(*policy->second.value);
         });
}

// After something that leads to something else came or went.
void PolicyReplica::Settle() {
  StringSet policies;
  if (head_) policies.insert(head_->value->policies.begin(), head_->value->policies.end());
  if (head_ && own_.ingress) {
    policies.insert(head_->value->ingress.begin(), head_->value->ingress.end());
  }
  wanted_[kPolicies].Want(std::move(policies));
  absl::erase_if(policies_,
                 [&](const auto& held) { return !wanted_[kPolicies].Wants(held.first); });

  is_whole_ = IsWhole();
  if (is_whole_) PutInForce();

  StringSet sets = SetsInForce();
  for (const auto& [name, held] : policies_) AddSetsOf(*held.value, sets);
  wanted_[kSets].Want(std::move(sets));
  absl::erase_if(sets_, [&](const auto& held) { return !wanted_[kSets].Wants(held.first); });
}

// REQUIRES: what is held is whole.
void PolicyReplica::PutInForce() {
  static const api::EgressPolicy kNone;
  head_in_force_ = head_ ? head_->value : nullptr;
  const api::EgressPolicy& head = head_ ? *head_->value : kNone;
  std::vector<IpAddress> always_allowed = own_.addresses;
  always_allowed.insert(always_allowed.end(), head.node_addresses.begin(),
                        head.node_addresses.end());
  PutInForce(head.policies, {{}, always_allowed, {}}, egress_);
  if (own_.ingress) PutInForce(head.ingress, {{}, always_allowed, head.ports}, ingress_);
}

void PolicyReplica::PutInForce(const std::vector<std::string>& policies, Direction::Inputs inputs,
                               Direction& direction) {
  StringSet sets;
  for (const std::string& name : policies) {
    inputs.policies.push_back(policies_.find(name)->second.value);
    AddSetsOf(*inputs.policies.back(), sets);
  }
  if (direction.inputs == inputs) return;
  PolicyCompiler& compiler = direction.compiler;
  for (const std::string& set : sets) {
    if (!direction.sets.contains(set)) compiler.SetPeers(set, *sets_.find(set)->second.peers);
  }
  for (const std::string& set : direction.sets) {
    if (!sets.contains(set)) compiler.ForgetPeers(set);
  }
  std::vector<PolicyInput> compiled;
  compiled.reserve(inputs.policies.size());
  for (const auto& policy : inputs.policies) {
    compiled.push_back(WithOwnPorts(*policy, inputs.ports));
  }
  compiler.SetPolicies(std::move(compiled), inputs.always_allowed);
  direction.sets = std::move(sets);
  direction.inputs = std::move(inputs);
}

StringSet PolicyReplica::SetsInForce() const {
  StringSet sets = egress_.sets;
  sets.insert(ingress_.sets.begin(), ingress_.sets.end());
  return sets;
}

void PolicyReplica::BeginStream() {
  for (WantedNames& wanted : wanted_) wanted.BeginStream();
}

void PolicyReplica::ForEachWanted(std::string_view type_url,
                                  absl::FunctionRef<void(const std::string&)> visit) const {
  for (const std::string& name : wanted_[TypeOf(type_url)].all()) visit(name);
}

WantedNames::Asked PolicyReplica::TakeAsked(std::string_view type_url) {
  return wanted_[TypeOf(type_url)].TakeAsked();
}

bool PolicyReplica::lacks_any(std::string_view type_url) const {
  return wanted_[TypeOf(type_url)].lacks_any();
}

size_t PolicyReplica::held_count(std::string_view type_url) const {
  const Type type = TypeOf(type_url);
  if (type == kHead) return head_ ? 1 : 0;
  return type == kPolicies ? policies_.size() : sets_.size();
}

void PolicyReplica::ForEachHeld(
    std::string_view type_url,
    absl::FunctionRef<void(const std::string&, const std::string&)> visit) const {
  const Type type = TypeOf(type_url);
  if (type == kHead && head_) visit(own_.name, head_->version);
  if (type == kPolicies) {
    for (const auto& [name, held] : policies_) visit(name, held.version);
  } else if (type == kSets) {
    for (const auto& [name, held] : sets_) visit(name, held.version);
  }
}

PolicyReplica::Image PolicyReplica::image() const {
  Image image;
  if (!head_in_force_) return image;
  const std::shared_ptr<const api::EgressPolicy>& head = *head_in_force_;
  const bool is_head = head_ && head_->value == head;
  image.head = {own_.name, is_head ? head_->version : std::string(), head};
  if (head == nullptr) image.head->value = std::make_shared<api::EgressPolicy>();
  for (const Direction* direction : {&egress_, &ingress_}) {
    if (!direction->inputs) continue;
    for (const auto& policy : direction->inputs->policies) {
      const auto held = policies_.find(policy->name);
      const bool is_held = held != policies_.end() && held->second.value == policy;
      image.policies.push_back({policy->name, is_held ? held->second.version : "", policy});
    }
  }
  for (const std::string& name : SetsInForce()) {
    const HeldSet& set = sets_.find(name)->second;
    image.sets.push_back({name, set.version, {set.describes, set.peers}});
  }
  return image;
}

}  // namespace portolan::proxy

#include "xds/serving/delta_session.h"

#include <fmt/format.h>

#include <utility>

#include "common/status.h"

namespace portolan::xds {
namespace {

constexpr char kWildcard[] = "*";

bool HoldsAlready(const DeltaSession::Request& request, const std::string& name,
                  const std::string& version) {
  const auto held = request.initial_resource_versions().find(name);
  return held != request.initial_resource_versions().end() && held->second == version;
}

}  // namespace

// A nonce that is unknown or old is no reason to refuse anything: subscriptions count whatever it
// says, and only error_detail makes a NACK.
absl::Status DeltaSession::Take(const grpc::ByteBuffer& bytes) {
  Request request;
  if (!Parse(bytes, request)) return InvalidArgument("the request is no DeltaDiscoveryRequest");
  const auto found = Begin(request);
  if (!found.ok()) return found.status();
  Subscription& sub = **found;

  // What it has of those sets that it refused is not known any more.
  if (request.has_error_detail()) sub.held.clear();
  const bool is_first = std::exchange(sub.first, false);
  for (const std::string& name : request.resource_names_unsubscribe()) Unsubscribe(name, sub);
  if (!request.resource_names_unsubscribe().empty()) {
    const auto not_covered = [&](const std::string& name) { return !Covers(sub, name); };
    absl::erase_if(sub.pending, not_covered);
    absl::erase_if(sub.removed, not_covered);
  }
  for (const std::string& name : request.resource_names_subscribe()) {
    Subscribe(name, request, sub);
  }
  // The older way to say "*".
  if (is_first && request.resource_names_subscribe().empty() &&
      request.resource_names_unsubscribe().empty()) {
    StartWildcard(request, sub);
  }
  MarkVanished(request, sub);
  return absl::OkStatus();
}

void DeltaSession::Unsubscribe(const std::string& name, Subscription& sub) {
  if (name == kWildcard) {
    sub.wildcard = false;
    sub.first_set = FirstSet();
  } else {
    RemoveName(name, sub);
    sub.held.erase(name);
    // The client drops it, but the wildcard still covers it: say what it is.
    if (Covers(sub, name)) OnChanged(name, sub);
  }
}

void DeltaSession::Subscribe(const std::string& name, const Request& request, Subscription& sub) {
  if (name == kWildcard) return StartWildcard(request, sub);
  sub.owes_answer = true;
  AddName(name, sub);
  MarkUnlessHeld(name, request, sub);
  if (sub.type != ResourceType::kEndpoints) return;
  if (const auto* slices = SlicesOf(name)) {
    for (const std::string& slice : *slices) MarkUnlessHeld(slice, request, sub);
  }
}

void DeltaSession::MarkUnlessHeld(const std::string& name, const Request& request,
                                  Subscription& sub) {
  if (sub.type == ResourceType::kPeerSet) return MarkPeers(name, request, sub);
  const ResourcePtr resource = Find(sub, name);
  if (resource == nullptr || !HoldsAlready(request, name, resource->version)) OnChanged(name, sub);
}

void DeltaSession::MarkPeers(const std::string& name, const Request& request, Subscription& sub) {
  const auto held = request.initial_resource_versions().find(name);
  const bool known =
      held != request.initial_resource_versions().end() && held->second.size() == kVersionDigits;
  if (known) {
    sub.held.insert_or_assign(name, held->second);
  } else {
    sub.held.erase(name);
  }
  const PeerSet* peers = set()->FindPeers(name);
  if (peers == nullptr || !known || held->second != peers->version()) OnChanged(name, sub);
}

void DeltaSession::StartWildcard(const Request& request, Subscription& sub) {
  sub.wildcard = true;
  sub.owes_answer = true;
  if (!sub.type.has_value()) return;
  if (request.initial_resource_versions().empty() && !IsEnvoyType(*sub.type)) {
    sub.first_set = FirstSet(set()->WalkAll(*sub.type));
    return;
  }
  std::vector<ResourcePtr> lacking;
  ForEach(sub, [&](const std::string& name, const ResourcePtr& made) {
    if (made == nullptr) {
      MarkUnlessHeld(name, request, sub);
    } else if (!HoldsAlready(request, name, made->version)) {
      lacking.push_back(made);
    }
  });
  sub.first_set = FirstSet(std::move(lacking));
}

// What the client brought from an earlier stream and is no more.
void DeltaSession::MarkVanished(const Request& request, Subscription& sub) {
  for (const auto& [name, version] : request.initial_resource_versions()) {
    if (Covers(sub, name) && !Exists(name, sub)) OnChanged(name, sub);
  }
}

// Without making a set of peers whole that nobody is sent.
bool DeltaSession::Exists(const std::string& name, const Subscription& sub) const {
  if (sub.type == ResourceType::kPeerSet) return set()->FindPeers(name) != nullptr;
  return Find(sub, name) != nullptr;
}

void DeltaSession::OnChanged(const std::string& name, Subscription& sub) {
  sub.removed.erase(name);
  sub.pending.insert(name);
}

bool DeltaSession::Owes(const Subscription& sub) const {
  return !sub.first_set.empty() || !sub.pending.empty() || !sub.removed.empty() || sub.owes_answer;
}

ResourcePtr DeltaSession::FindOwed(const std::string& name, const Subscription& sub) const {
  if (sub.type != ResourceType::kPeerSet) return Find(sub, name);
  const PeerSet* peers = set()->FindPeers(name);
  if (peers == nullptr) return nullptr;
  const auto held = sub.held.find(name);
  return held == sub.held.end() ? peers->Whole() : peers->Since(held->second);
}

grpc::ByteBuffer DeltaSession::Compose(Subscription& sub) {
  Body body;
  while (!sub.first_set.empty()) {
    // Gone meanwhile: it is in `pending` then, or was sent as removed.
    const ResourcePtr resource = Find(sub, sub.first_set.next().name);
    if (resource != nullptr && !body.Add(resource->wire, kMaxResponseBytes)) break;
    sub.first_set.Pop();
  }
  while (sub.first_set.empty() && !sub.pending.empty()) {
    const auto name = sub.pending.begin();
    if (const ResourcePtr resource = FindOwed(*name, sub)) {
      if (!body.Add(resource->wire, kMaxResponseBytes)) break;
      if (sub.type == ResourceType::kPeerSet) sub.held[*name] = resource->version;
    } else if (!sub.type || set()->KnowsWhetherThereIs(*sub.type, *name)) {
      sub.removed.insert(*name);
      sub.held.erase(*name);
    }
    sub.pending.erase(name);
  }
  envoy::service::discovery::v3::DeltaDiscoveryResponse response;
  while (sub.first_set.empty() && sub.pending.empty() && !sub.removed.empty()) {
    const auto name = sub.removed.begin();
    if (!body.Fits(name->size(), kMaxResponseBytes)) break;
    body.Count(name->size());
    response.add_removed_resources(*name);
    sub.removed.erase(name);
  }
  const bool completes = sub.first_set.empty() && sub.pending.empty() && sub.removed.empty();
  if (completes) {
    sub.owes_answer = false;
    response.set_system_version_info(fmt::format("{}", set()->generation()));
  }
  Stamp(sub, completes, response);
  return std::move(body).Finish(response);
}

}  // namespace portolan::xds

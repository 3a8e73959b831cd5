#include "xds/serving/state_session.h"

#include <fmt/format.h>

#include <limits>
#include <vector>

#include "common/status.h"

namespace portolan::xds {
namespace {

constexpr std::string_view kWildcard = "*";

// Whether a response holds all that there is, which also says what there is not.
bool IsComplete(const std::optional<ResourceType>& type) {
  return type != ResourceType::kRoute && type != ResourceType::kLoadAssignment;
}

}  // namespace

absl::Status StateSession::Take(const grpc::ByteBuffer& bytes) {
  Request request;
  if (!Parse(bytes, request)) return InvalidArgument("the request is no DiscoveryRequest");
  const auto found = Begin(request);
  if (!found.ok()) return found.status();
  Subscription& sub = **found;
  // To a response that another followed. Where none was sent yet the nonce is of an earlier stream.
  const std::string& nonce = request.response_nonce();
  if (!nonce.empty() && !sub.last_nonce.empty() && nonce != sub.last_nonce) return absl::OkStatus();
  if (static_cast<size_t>(request.resource_names_size()) > kMaxNames) {
    return absl::ResourceExhaustedError("too many resource names on one stream");
  }
  Follow(request, sub);
  return absl::OkStatus();
}

// Each request lists all the names that are wanted.
void StateSession::Follow(const Request& request, Subscription& sub) {
  StringSet wanted(request.resource_names().begin(), request.resource_names().end());
  // The older way to say "*", until a name was given.
  const bool all =
      wanted.erase(kWildcard) > 0 || (wanted.empty() && !sub.named && IsComplete(sub.type));
  sub.named = sub.named || request.resource_names_size() > 0;

  std::vector<std::string> unwanted;
  for (const std::string& name : sub.names) {
    if (!wanted.contains(name)) unwanted.push_back(name);
  }
  for (const std::string& name : unwanted) RemoveName(name, sub);
  if (!all) sub.wildcard = false;
  absl::erase_if(sub.pending, [&](const std::string& name) { return !Covers(sub, name); });
  for (const std::string& name : wanted) {
    if (sub.names.contains(name)) continue;
    AddName(name, sub);
    OnChanged(name, sub);
    sub.owes_answer = true;
  }
  if (all && !sub.wildcard) StartWildcard(sub);
}

void StateSession::StartWildcard(Subscription& sub) {
  sub.wildcard = true;
  sub.owes_answer = true;
  if (IsComplete(sub.type)) return;
  ForEach(sub, [&](const std::string& name, const ResourcePtr&) { OnChanged(name, sub); });
}

void StateSession::OnChanged(const std::string& name, Subscription& sub) {
  if (IsComplete(sub.type)) {
    sub.owes_answer = true;
  } else {
    sub.pending.insert(name);
  }
}

bool StateSession::Owes(const Subscription& sub) const {
  return sub.owes_answer || !sub.pending.empty();
}

grpc::ByteBuffer StateSession::Compose(Subscription& sub) {
  Body body;
  if (IsComplete(sub.type)) {
    AddAll(sub, body);
  } else {
    AddPending(sub, body);
  }
  sub.owes_answer = false;
  envoy::service::discovery::v3::DiscoveryResponse response;
  response.set_version_info(fmt::format("{}", set()->generation()));
  Stamp(sub, sub.pending.empty(), response);
  return std::move(body).Finish(response);
}

void StateSession::AddAll(const Subscription& sub, Body& body) const {
  constexpr size_t kAnySize = std::numeric_limits<size_t>::max();
  const auto add = [&](const std::string& name) {
    if (const ResourcePtr resource = Find(sub, name)) body.Add(StateField(*resource), kAnySize);
  };
  for (const std::string& name : sub.names) {
    if (!WildcardCovers(sub, name)) add(name);
  }
  if (!sub.wildcard) return;
  ForEach(sub, [&](const std::string& name, const ResourcePtr&) { add(name); });
}

// Of what does not exist a response says nothing.
void StateSession::AddPending(Subscription& sub, Body& body) const {
  while (!sub.pending.empty()) {
    const ResourcePtr resource = Find(sub, *sub.pending.begin());
    if (resource != nullptr && !body.Add(StateField(*resource), kMaxPartialBytes)) return;
    sub.pending.erase(sub.pending.begin());
  }
}

}  // namespace portolan::xds

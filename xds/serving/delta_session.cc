#include "xds/serving/delta_session.h"

#include <grpcpp/support/slice.h>

#include <algorithm>
#include <utility>

#include "common/status.h"

namespace portolan::xds {
namespace {

constexpr char kWildcard[] = "*";
constexpr size_t kMaxUnanswered = 1024;
constexpr size_t kMaxTextBytes = 1024;

// The head that a slice belongs to: NAMESPACE/SERVICE of NAMESPACE/SERVICE/SLICE; empty for a head.
std::string_view HeadOf(std::string_view name) {
  const size_t first = name.find('/');
  if (first == std::string_view::npos) return {};
  const size_t second = name.find('/', first + 1);
  return second == std::string_view::npos ? std::string_view() : name.substr(0, second);
}

bool HoldsAlready(const DeltaSession::Request& request, const Resource& resource) {
  const auto held = request.initial_resource_versions().find(resource.name);
  return held != request.initial_resource_versions().end() && held->second == resource.version;
}

}  // namespace

std::string Printable(std::string_view text) {
  std::string clean(text.substr(0, kMaxTextBytes));
  std::replace_if(
      clean.begin(), clean.end(), [](unsigned char c) { return c < 0x20 || c == 0x7f; }, ' ');
  return clean;
}

DeltaSession::DeltaSession(std::shared_ptr<const ResourceSet> set, std::string peer,
                           std::string identifier)
    : set_(std::move(set)), identifier_(std::move(identifier)) {
  client_.peer = std::move(peer);
  client_.connected = absl::Now();
}

absl::Status DeltaSession::OnRequest(const Request& request) {
  // Sent with a stream's first request only.
  if (request.has_node() && client_.node_id.empty()) {
    client_.node_id = Printable(request.node().id());
    client_.version = Printable(request.node().user_agent_version());
  }
  if (request.type_url().empty()) return InvalidArgument("the request has no type_url");
  if (request.type_url().size() > kMaxTypeUrlBytes) return InvalidArgument("type_url is too long");
  const auto type = ResourceTypeOf(request.type_url());
  const size_t place = type.has_value() ? static_cast<size_t>(*type) : kResourceTypes;
  const std::pair<size_t, std::string> key(place, request.type_url());
  if (!subscriptions_.contains(key) && subscriptions_.size() >= kMaxTypes) {
    return absl::ResourceExhaustedError("too many types on one stream");
  }
  Subscription& sub = subscriptions_[key];
  sub.type = type;
  TakeAnswer(request, sub);

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
  if (name_count_ > kMaxNames) {
    return absl::ResourceExhaustedError("too many resource names on one stream");
  }
  return absl::OkStatus();
}

// A nonce that is unknown or old is no reason to refuse anything: subscriptions count whatever it
// says, and only error_detail makes a NACK.
void DeltaSession::TakeAnswer(const Request& request, Subscription& sub) {
  TypeStatus& status = sub.status;
  if (request.has_error_detail()) {
    ++status.nacks;
    status.last_nack = Printable(request.error_detail().message());
    sub.refused = true;
  }
  if (request.response_nonce().empty()) return;
  const auto answered =
      std::find_if(sub.unanswered.begin(), sub.unanswered.end(),
                   [&](const Sent& sent) { return sent.nonce == request.response_nonce(); });
  if (answered == sub.unanswered.end()) return;
  const Sent sent = *answered;
  sub.unanswered.erase(sub.unanswered.begin(), answered + 1);
  if (!sent.completes) return;
  if (!std::exchange(sub.refused, false)) {
    status.acknowledged_generation = sent.generation;
    status.last_acknowledged = absl::Now();
    status.last_nack.clear();
  }
}

void DeltaSession::Unsubscribe(const std::string& name, Subscription& sub) {
  if (name == kWildcard) {
    sub.wildcard = false;
    sub.backlog.clear();
    sub.backlog_set.reset();
  } else {
    name_count_ -= sub.names.erase(name);
    // The client drops it, but the wildcard still covers it: say what it is.
    if (Covers(sub, name)) Mark(name, sub);
  }
}

void DeltaSession::Subscribe(const std::string& name, const Request& request, Subscription& sub) {
  if (name == kWildcard) return StartWildcard(request, sub);
  sub.owes_answer = true;
  name_count_ += sub.names.insert(name).second ? 1 : 0;
  const auto mark = [&](const std::string& wanted) {
    const ResourcePtr resource = Find(sub, wanted);
    if (resource == nullptr || !HoldsAlready(request, *resource)) Mark(wanted, sub);
  };
  mark(name);
  if (sub.type != ResourceType::kEndpoints) return;
  if (const auto* slices = set_->SlicesOf(name)) {
    for (const std::string& slice : *slices) mark(slice);
  }
}

void DeltaSession::StartWildcard(const Request& request, Subscription& sub) {
  sub.wildcard = true;
  sub.owes_answer = true;
  sub.backlog.clear();
  sub.backlog_set = set_;
  if (!sub.type.has_value()) return;
  set_->ForEach(*sub.type, [&](const Resource& resource) {
    if (!HoldsAlready(request, resource)) sub.backlog.push_back(&resource);
  });
}

// What the client brought from an earlier stream and is no more.
void DeltaSession::MarkVanished(const Request& request, Subscription& sub) {
  for (const auto& [name, version] : request.initial_resource_versions()) {
    if (Covers(sub, name) && Find(sub, name) == nullptr) Mark(name, sub);
  }
}

void DeltaSession::Mark(const std::string& name, Subscription& sub) {
  sub.removed.erase(name);
  sub.pending.insert(name);
}

bool DeltaSession::Covers(const Subscription& sub, std::string_view name) const {
  // Addresses are had by name only.
  const bool all = sub.wildcard && sub.type != ResourceType::kAddress;
  if (all || sub.names.contains(name)) return true;
  return sub.type == ResourceType::kEndpoints && sub.names.contains(HeadOf(name));
}

ResourcePtr DeltaSession::Find(const Subscription& sub, std::string_view name) const {
  return sub.type.has_value() ? set_->Find(*sub.type, name) : nullptr;
}

void DeltaSession::OnPublish(std::shared_ptr<const ResourceSet> set,
                             const ChangedResources& changed) {
  set_ = std::move(set);
  for (auto& [key, sub] : subscriptions_) {
    if (!sub.type.has_value()) continue;
    for (const std::string& name : changed[static_cast<size_t>(*sub.type)]) {
      if (Covers(sub, name)) Mark(name, sub);
    }
  }
}

std::optional<grpc::ByteBuffer> DeltaSession::NextResponse() {
  for (auto& [key, sub] : subscriptions_) {
    if (sub.backlog.empty() && sub.pending.empty() && sub.removed.empty() && !sub.owes_answer) {
      continue;
    }
    return Compose(key.second, sub);
  }
  return std::nullopt;
}

grpc::ByteBuffer DeltaSession::Compose(const std::string& type_url, Subscription& sub) {
  std::vector<grpc::Slice> parts(1);  // the first is the response without its resources
  size_t bytes = 0;
  const auto fits = [&](size_t more) { return bytes == 0 || bytes + more <= kMaxResponseBytes; };
  const auto add = [&](const Resource& resource) {
    if (!fits(resource.wire.size())) return false;
    bytes += resource.wire.size();
    parts.push_back(resource.wire);
    return true;
  };

  while (!sub.backlog.empty()) {
    // Gone meanwhile: it is in `pending` then, or was sent as removed.
    const ResourcePtr resource = Find(sub, sub.backlog.back()->name);
    if (resource != nullptr && !add(*resource)) break;
    sub.backlog.pop_back();
  }
  if (sub.backlog.empty()) sub.backlog_set.reset();
  while (sub.backlog.empty() && !sub.pending.empty()) {
    const auto name = sub.pending.begin();
    if (const ResourcePtr resource = Find(sub, *name)) {
      if (!add(*resource)) break;
    } else {
      sub.removed.insert(*name);
    }
    sub.pending.erase(name);
  }
  envoy::service::discovery::v3::DeltaDiscoveryResponse response;
  while (sub.backlog.empty() && sub.pending.empty() && !sub.removed.empty()) {
    const auto name = sub.removed.begin();
    if (!fits(name->size())) break;
    bytes += name->size();
    response.add_removed_resources(*name);
    sub.removed.erase(name);
  }
  const bool completes = sub.backlog.empty() && sub.pending.empty() && sub.removed.empty();

  response.set_type_url(type_url);
  response.set_nonce(fmt::format("{}", ++last_nonce_));
  if (completes) response.set_system_version_info(fmt::format("{}", set_->generation()));
  response.mutable_control_plane()->set_identifier(identifier_);
  sub.owes_answer = sub.owes_answer && !completes;
  sub.unanswered.push_back({response.nonce(), set_->generation(), completes});
  if (sub.unanswered.size() > kMaxUnanswered) sub.unanswered.pop_front();
  sub.status.last_sent = absl::Now();
  if (completes) sub.status.sent_generation = set_->generation();
  parts[0] = grpc::Slice(response.SerializeAsString());
  return grpc::ByteBuffer(parts.data(), parts.size());
}

ClientStatus DeltaSession::Status() const {
  ClientStatus status = client_;
  for (const auto& [key, sub] : subscriptions_) {
    TypeStatus type = sub.status;
    type.type_url = key.second;
    type.wildcard = sub.wildcard;
    type.subscribed_names = sub.names.size();
    status.types.push_back(std::move(type));
  }
  return status;
}

}  // namespace portolan::xds

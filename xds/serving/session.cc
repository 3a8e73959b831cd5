#include "xds/serving/session.h"

#include <fmt/format.h>
#include <grpcpp/support/proto_buffer_reader.h>
#include <grpcpp/support/slice.h>

#include <algorithm>
#include <utility>

#include "absl/time/clock.h"
#include "common/status.h"

namespace portolan::xds {
namespace {

constexpr size_t kMaxTextBytes = 1024;

}  // namespace

std::string Printable(std::string_view text) {
  std::string clean(text.substr(0, kMaxTextBytes));
  std::replace_if(
      clean.begin(), clean.end(), [](unsigned char c) { return c < 0x20 || c == 0x7f; }, ' ');
  return clean;
}

bool Session::Body::Add(const grpc::Slice& part, size_t most) {
  if (!Fits(part.size(), most)) return false;
  bytes_ += part.size();
  parts_.push_back(part);
  return true;
}

grpc::ByteBuffer Session::Body::Finish(const google::protobuf::Message& rest) && {
  parts_[0] = grpc::Slice(rest.SerializeAsString());
  return grpc::ByteBuffer(parts_.data(), parts_.size());
}

Session::Session(Options options, size_t most_unanswered)
    : set_(std::move(options.set)),
      identifier_(std::move(options.identifier)),
      only_(options.only),
      times_(options.times),
      most_unanswered_(most_unanswered) {
  client_.peer = std::move(options.peer);
  client_.connected = absl::Now();
}

Session::~Session() = default;

bool Session::Parse(grpc::ByteBuffer bytes, google::protobuf::Message& request) {
  grpc::ProtoBufferReader reader(&bytes);
  return reader.status().ok() && request.ParseFromZeroCopyStream(&reader);
}

absl::Status Session::OnRequest(const grpc::ByteBuffer& bytes) {
  refusal_.reset();
  absl::Status taken = Take(bytes);
  if (taken.ok() && name_count_ > kMaxNames) {
    return absl::ResourceExhaustedError("too many resource names on one stream");
  }
  return taken;
}

// Sent with a stream's first request only; empty otherwise.
absl::Status Session::TakeNode(const envoy::config::core::v3::Node& node) {
  if (admitted_.has_value() && !node.id().empty() && node.id() != *admitted_) {
    return absl::PermissionDeniedError(
        fmt::format("Node.id is '{}', but the token is {}'s", Printable(node.id()), *admitted_));
  }
  if (!client_.node_id.empty()) return absl::OkStatus();
  client_.node_id = admitted_.value_or(Printable(node.id()));
  client_.version = Printable(node.user_agent_version());
  const size_t slash = client_.node_id.find('/');
  if (slash != std::string::npos) viewer_ = {client_.node_id.substr(0, slash), client_.node_id};
  return absl::OkStatus();
}

absl::StatusOr<Session::Subscription*> Session::FindOrAdd(const std::string& asked) {
  const std::string type_url =
      asked.empty() && only_.has_value() ? std::string(TypeUrl(*only_)) : asked;
  if (type_url.empty()) return InvalidArgument("the request has no type_url");
  if (type_url.size() > kMaxTypeUrlBytes) return InvalidArgument("type_url is too long");
  const auto type = ResourceTypeOf(type_url);
  if (only_.has_value() && type != only_) {
    return InvalidArgument("this stream is for {}, not for {}", TypeUrl(*only_),
                           Printable(type_url));
  }
  const std::pair<size_t, std::string> key(
      type.has_value() ? static_cast<size_t>(*type) : kResourceTypes, type_url);
  if (!subscriptions_.contains(key) && subscriptions_.size() >= kMaxTypes) {
    return absl::ResourceExhaustedError("too many types on one stream");
  }
  Subscription& sub = subscriptions_[key];
  sub.type_url = type_url;
  if (type.has_value() && Serves(*type)) sub.type = type;
  return &sub;
}

void Session::TakeRefusal(const std::string& why, Subscription& sub) {
  refusal_ = Refusal{sub.type_url, Printable(why)};
  ++sub.status.nacks;
  sub.status.last_nack = refusal_->why;
  sub.refused = true;
}

void Session::TakeAnswer(const std::string& nonce, Subscription& sub) {
  if (nonce.empty()) return;
  const auto answered = std::find_if(sub.unanswered.begin(), sub.unanswered.end(),
                                     [&](const Sent& sent) { return sent.nonce == nonce; });
  if (answered == sub.unanswered.end()) return;
  Sent sent = *answered;
  // With it those before are answered.
  for (auto before = sub.unanswered.begin(); before != answered; ++before) {
    sent.since = std::min(sent.since, before->since);
  }
  sub.unanswered.erase(sub.unanswered.begin(), answered + 1);
  if (!sent.completes) return;
  if (!std::exchange(sub.refused, false)) {
    sub.status.acknowledged_generation = sent.generation;
    sub.status.last_acknowledged = absl::Now();
    sub.status.last_nack.clear();
    if (sent.since == absl::InfiniteFuture()) return;
    sub.status.last_propagation = sub.status.last_acknowledged - sent.since;
    if (sub.propagation == nullptr) sub.propagation = std::make_unique<RecentTimes>();
    sub.propagation->Add(sub.status.last_propagation);
    Observe(sub, PropagationTimes::Stage::kAcknowledged, sub.status.last_propagation);
  }
}

void Session::AddName(const std::string& name, Subscription& sub) {
  name_count_ += sub.names.insert(name).second ? 1 : 0;
}

void Session::RemoveName(const std::string& name, Subscription& sub) {
  name_count_ -= sub.names.erase(name);
}

bool Session::Covers(const Subscription& sub, std::string_view name) const {
  if (sub.names.contains(name) || WildcardCovers(sub, name)) return true;
  return sub.type == ResourceType::kEndpoints && sub.names.contains(ServiceOfEndpoints(name));
}

bool Session::WildcardCovers(const Subscription& sub, std::string_view name) const {
  return sub.wildcard && (!sub.type.has_value() || InWildcard(*sub.type, name));
}

ResourcePtr Session::Find(const Subscription& sub, std::string_view name) const {
  return sub.type.has_value() ? set_->Find(*sub.type, name, viewer_) : nullptr;
}

void Session::OnPublish(const ResourceCache::Published& published) {
  set_ = published.set;
  for (auto& [key, sub] : subscriptions_) {
    if (!sub.type.has_value()) continue;
    const auto& changed = published.changed[static_cast<size_t>(*sub.type)];
    const auto owe = [&, &sub = sub](const std::string& name) {
      OnChanged(name, sub);
      sub.owed_since = std::min(sub.owed_since, published.since);
    };
    // A policy for all pods changes as many EgressPolicies, and each client has asked for one.
    const bool by_name = !sub.wildcard && sub.type != ResourceType::kEndpoints;
    if (by_name && sub.names.size() < changed.size()) {
      for (const std::string& name : sub.names) {
        if (std::binary_search(changed.begin(), changed.end(), name)) owe(name);
      }
      continue;
    }
    for (const std::string& name : changed) {
      if (Covers(sub, name)) owe(name);
    }
  }
}

std::optional<grpc::ByteBuffer> Session::NextResponse() {
  bool waits = false;
  for (auto& [key, sub] : subscriptions_) {
    // What comes later may refer to a type that waits for its client, and waits too; but Envoy
    // accepts Clusters only when it has the endpoints of all of them.
    if (!Owes(sub) || (waits && sub.type != ResourceType::kLoadAssignment)) continue;
    if (sub.unanswered.size() < most_unanswered_) return Compose(sub);
    waits = true;
  }
  return std::nullopt;
}

std::string Session::NextNonce(Subscription& sub, bool completes) {
  sub.last_nonce = fmt::format("{}", ++last_nonce_);
  Sent& sent = sub.unanswered.emplace_back();
  sent.nonce = sub.last_nonce;
  sent.generation = set_->generation();
  sent.completes = completes;
  sub.status.last_sent = absl::Now();
  if (!completes) return sub.last_nonce;
  sub.status.sent_generation = set_->generation();
  sent.since = std::exchange(sub.owed_since, absl::InfiniteFuture());
  if (sent.since != absl::InfiniteFuture()) {
    Observe(sub, PropagationTimes::Stage::kSent, sub.status.last_sent - sent.since);
  }
  return sub.last_nonce;
}

void Session::Observe(const Subscription& sub, PropagationTimes::Stage stage, absl::Duration took) {
  if (times_ != nullptr && sub.type.has_value()) times_->Observe(*sub.type, stage, took);
}

ClientStatus Session::Status(size_t most_names) const {
  ClientStatus status = client_;
  for (const auto& [key, sub] : subscriptions_) {
    TypeStatus type = sub.status;
    type.type_url = sub.type_url;
    type.wildcard = sub.wildcard;
    type.subscribed_names = sub.names.size();
    absl::Time since = sub.owed_since;
    for (const Sent& sent : sub.unanswered) since = std::min(since, sent.since);
    type.lag = std::max(absl::ZeroDuration(), absl::Now() - since);
    if (sub.propagation != nullptr) {
      type.propagation_p50 = sub.propagation->Quantile(0.5);
      type.propagation_p99 = sub.propagation->Quantile(0.99);
    }
    for (auto name = sub.names.begin(); name != sub.names.end(); ++name) {
      if (type.names.size() == most_names) break;
      type.names.push_back(Printable(*name));
    }
    std::sort(type.names.begin(), type.names.end());
    status.types.push_back(std::move(type));
  }
  return status;
}

}  // namespace portolan::xds

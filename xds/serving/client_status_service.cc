#include "xds/serving/client_status_service.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/ascii.h"
#include "common/handover.h"

namespace portolan::xds {
namespace {

namespace status = envoy::service::status::v3;
namespace admin = envoy::admin::v3;
using envoy::type::matcher::v3::StringMatcher;

void SetTime(absl::Time from, google::protobuf::Timestamp& to) {
  to.set_seconds(absl::ToUnixSeconds(from));
  to.set_nanos(static_cast<int32_t>(
      absl::ToInt64Nanoseconds(from - absl::FromUnixSeconds(absl::ToUnixSeconds(from)))));
}

bool Matches(const StringMatcher& matcher, std::string text) {
  std::string wanted;
  for (const std::string* pattern :
       {&matcher.exact(), &matcher.prefix(), &matcher.suffix(), &matcher.contains()}) {
    if (!pattern->empty()) wanted = *pattern;
  }
  if (matcher.ignore_case()) {
    absl::AsciiStrToLower(&wanted);
    absl::AsciiStrToLower(&text);
  }
  switch (matcher.match_pattern_case()) {
    case StringMatcher::kExact:
      return text == wanted;
    case StringMatcher::kPrefix:
      return text.starts_with(wanted);
    case StringMatcher::kSuffix:
      return text.ends_with(wanted);
    case StringMatcher::kContains:
      return text.find(wanted) != std::string::npos;
    case StringMatcher::MATCH_PATTERN_NOT_SET:
      break;
  }
  return false;
}

bool IsWanted(const status::ClientStatusRequest& request, const std::string& node_id) {
  const auto& matchers = request.node_matchers();
  return matchers.empty() || std::any_of(matchers.begin(), matchers.end(), [&](const auto& one) {
           return Matches(one.node_id(), node_id);
         });
}

void SetStates(const TypeStatus& type, status::ClientConfig::GenericXdsConfig& entry) {
  const bool accepted_any = type.last_acknowledged != absl::Time();
  entry.set_client_status(accepted_any ? admin::ACKED : admin::REQUESTED);
  switch (StateOf(type)) {
    case SyncState::kNotSent:
      return entry.set_config_status(status::NOT_SENT);
    case SyncState::kSynced:
      return entry.set_config_status(status::SYNCED);
    case SyncState::kStale:
      return entry.set_config_status(status::STALE);
    case SyncState::kRefused:
      entry.set_config_status(status::ERROR);
      entry.set_client_status(admin::NACKED);
      entry.mutable_error_state()->set_details(type.last_nack);
      entry.mutable_error_state()->set_version_info(fmt::format("{}", type.sent_generation));
      SetTime(type.last_sent, *entry.mutable_error_state()->mutable_last_update_attempt());
  }
}

status::ClientConfig ConfigOf(const ClientStatus& client) {
  status::ClientConfig config;
  config.mutable_node()->set_id(client.node_id);
  config.mutable_node()->set_user_agent_version(client.version);
  config.set_client_scope(client.peer);
  for (const TypeStatus& type : client.types) {
    auto& entry = *config.add_generic_xds_configs();
    entry.set_type_url(type.type_url);
    SetStates(type, entry);
    if (type.last_acknowledged == absl::Time()) continue;
    entry.set_version_info(fmt::format("{}", type.acknowledged_generation));
    SetTime(type.last_acknowledged, *entry.mutable_last_updated());
  }
  return config;
}

// An answer for each request; the next is read when it was written. The next reaction may run on
// another thread before this one has returned, so all is handed over before it is asked for.
class StatusStream
    : public grpc::ServerBidiReactor<ClientStatusService::Request, ClientStatusService::Response> {
 public:
  StatusStream(const ClientStatusService& service, std::string peer)
      : service_(service), peer_(std::move(peer)) {
    HandOver(this);
    StartRead(&request_);
  }

  void OnReadDone(bool ok) override {
    TakeOver(this);
    if (!ok) return End(grpc::Status::OK);
    response_.Clear();
    const grpc::Status answered = service_.Answer(peer_, request_, response_);
    if (!answered.ok()) return End(answered);
    HandOver(this);
    StartWrite(&response_);
  }

  void OnWriteDone(bool ok) override {
    TakeOver(this);
    if (!ok) return End(grpc::Status::CANCELLED);
    HandOver(this);
    StartRead(&request_);
  }

  void OnDone() override {
    TakeOver(this);
    delete this;
  }

 private:
  void End(const grpc::Status& status) {
    HandOver(this);
    Finish(status);
  }

  const ClientStatusService& service_;
  const std::string peer_;
  ClientStatusService::Request request_;
  ClientStatusService::Response response_;
};

}  // namespace

bool IsThisMachine(std::string_view peer) {
  for (const std::string_view local : {"unix:", "ipv4:127.", "ipv6:[::1]:", "ipv6:%5B::1%5D:",
                                       "ipv6:[::ffff:127.", "ipv6:%5B::ffff:127."}) {
    if (peer.starts_with(local)) return true;
  }
  return false;
}

grpc::Status ClientStatusService::Answer(std::string_view peer, const Request& request,
                                         Response& response) const {
  if (!IsThisMachine(peer)) {
    return {grpc::StatusCode::PERMISSION_DENIED,
            "client status is for this machine alone: use kubectl port-forward"};
  }
  for (const auto& matcher : request.node_matchers()) {
    if (matcher.node_id().match_pattern_case() == StringMatcher::MATCH_PATTERN_NOT_SET) {
      return {grpc::StatusCode::INVALID_ARGUMENT,
              "node_matchers: node_id with exact, prefix, suffix or contains is needed"};
    }
  }
  size_t bytes = 0;
  for (const ClientStatus& client : clients_()) {
    if (!IsWanted(request, client.node_id)) continue;
    status::ClientConfig config = ConfigOf(client);
    bytes += config.ByteSizeLong() + 8;  // with its tag and length
    if (bytes > kMaxResponseBytes) {
      return {grpc::StatusCode::RESOURCE_EXHAUSTED,
              "more than 4 MB: choose clients by node_matchers"};
    }
    *response.add_config() = std::move(config);
  }
  return grpc::Status::OK;
}

grpc::ServerUnaryReactor* ClientStatusService::FetchClientStatus(
    grpc::CallbackServerContext* context, const Request* request, Response* response) {
  auto* reactor = context->DefaultReactor();
  reactor->Finish(Answer(context->peer(), *request, *response));
  return reactor;
}

grpc::ServerBidiReactor<ClientStatusService::Request, ClientStatusService::Response>*
ClientStatusService::StreamClientStatus(grpc::CallbackServerContext* context) {
  return new StatusStream(*this, context->peer());
}

}  // namespace portolan::xds

// A client of the delta protocol.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "tests/xds/serving/discovery_client.h"
#include "xds/serving/resource.h"

namespace portolan::xds {

class DeltaClient : public DiscoveryClient<envoy::service::discovery::v3::DeltaDiscoveryRequest,
                                           envoy::service::discovery::v3::DeltaDiscoveryResponse> {
 public:
  using Names = std::vector<std::string>;
  static constexpr char kAggregated[] =
      "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources";

  explicit DeltaClient(uint16_t port, const grpc::ChannelArguments& arguments = {},
                       const char* method = kAggregated)
      : DiscoveryClient(port, method, arguments) {}

  static Request Ask(ResourceType type, const Names& subscribe = {}, const Names& unsubscribe = {},
                     const std::map<std::string, std::string>& held = {}) {
    Request request;
    request.set_type_url(std::string(TypeUrl(type)));
    for (const auto& name : subscribe) request.add_resource_names_subscribe(name);
    for (const auto& name : unsubscribe) request.add_resource_names_unsubscribe(name);
    request.mutable_initial_resource_versions()->insert(held.begin(), held.end());
    return request;
  }

  using DiscoveryClient::Send;
  void Send(ResourceType type, const Names& subscribe = {}, const Names& unsubscribe = {}) {
    Send(Ask(type, subscribe, unsubscribe));
  }
  void Ack(const Response& response) { Send(AnswerTo(response)); }
  void Nack(const Response& response, const std::string& why) {
    Request request = AnswerTo(response);
    request.mutable_error_detail()->set_message(why);
    Send(request);
  }

  // Acknowledges the response before, unless that was answered.
  Response Receive() override {
    if (unanswered_.has_value()) Ack(Response(*unanswered_));
    unanswered_ = DiscoveryClient::Receive();
    return *unanswered_;
  }
  // True if the server has nothing more to say.
  bool IsQuiet() {
    Request question;
    question.set_type_url("type.example/fence");
    question.add_resource_names_subscribe("fence");
    return IsAnsweredNext(question);
  }

 private:
  Request AnswerTo(const Response& response) {
    if (unanswered_.has_value() && unanswered_->nonce() == response.nonce()) unanswered_.reset();
    return DiscoveryClient::AnswerTo(response);
  }

  std::optional<Response> unanswered_;
};

inline std::set<std::string> NamesIn(const DeltaClient::Response& response) {
  std::set<std::string> names;
  for (const auto& resource : response.resources()) names.insert(resource.name());
  return names;
}

inline std::map<std::string, std::string> VersionsIn(const DeltaClient::Response& response) {
  std::map<std::string, std::string> versions;
  for (const auto& resource : response.resources()) versions[resource.name()] = resource.version();
  return versions;
}

inline std::vector<std::string> RemovedIn(const DeltaClient::Response& response) {
  return {response.removed_resources().begin(), response.removed_resources().end()};
}

}  // namespace portolan::xds

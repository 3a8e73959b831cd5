// A client of the state-of-the-world protocol.
#pragma once

#include <google/protobuf/wrappers.pb.h>

#include <set>
#include <string>
#include <vector>

#include "tests/xds/serving/discovery_client.h"
#include "xds/serving/resource.h"

namespace portolan::xds {

class StateClient : public DiscoveryClient<envoy::service::discovery::v3::DiscoveryRequest,
                                           envoy::service::discovery::v3::DiscoveryResponse> {
 public:
  using Names = std::vector<std::string>;
  static constexpr char kAggregated[] =
      "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources";

  explicit StateClient(uint16_t port, const char* method = kAggregated)
      : DiscoveryClient(port, method, {}) {}

  static Request Ask(ResourceType type, const Names& names = {}) {
    Request request;
    request.set_type_url(std::string(TypeUrl(type)));
    for (const auto& name : names) request.add_resource_names(name);
    return request;
  }

  using DiscoveryClient::Send;
  void Send(ResourceType type, const Names& names = {}) { Send(Ask(type, names)); }
  // An answer lists what is wanted from then on.
  void Ack(const Response& response, const Names& names = {}) {
    Request request = AnswerTo(response);
    request.set_version_info(response.version_info());
    for (const auto& name : names) request.add_resource_names(name);
    Send(request);
  }
  void Nack(const Response& response, const Names& names, const std::string& why) {
    Request request = AnswerTo(response);
    for (const auto& name : names) request.add_resource_names(name);
    request.mutable_error_detail()->set_message(why);
    Send(request);
  }

  // To be asked once: each question is of a type of its own.
  bool IsQuiet() {
    Request question;
    question.set_type_url("type.example/fence" + std::to_string(++fences_));
    return IsAnsweredNext(question);
  }

 private:
  int fences_ = 0;
};

// Each begins with its name.
inline std::set<std::string> NamesIn(const StateClient::Response& response) {
  std::set<std::string> names;
  for (const auto& any : response.resources()) {
    google::protobuf::StringValue first_field;
    EXPECT_TRUE(first_field.ParseFromString(any.value()));
    names.insert(first_field.value());
  }
  return names;
}

}  // namespace portolan::xds

// A delta ADS client over loopback, as plain as can be: what is asked goes out as it stands, what
// comes back is read one response at a time.
#pragma once

#include <grpcpp/create_channel.h>
#include <gtest/gtest.h>

#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "envoy/service/discovery/v3/ads.grpc.pb.h"
#include "xds/serving/resource.h"

namespace portolan::xds {

class DeltaClient {
 public:
  using Request = envoy::service::discovery::v3::DeltaDiscoveryRequest;
  using Response = envoy::service::discovery::v3::DeltaDiscoveryResponse;
  using Names = std::vector<std::string>;

  explicit DeltaClient(uint16_t port, const grpc::ChannelArguments& arguments = {})
      : channel_(grpc::CreateCustomChannel("127.0.0.1:" + std::to_string(port),
                                           grpc::InsecureChannelCredentials(), Own(arguments))),
        stub_(envoy::service::discovery::v3::AggregatedDiscoveryService::NewStub(channel_)) {
    context_.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(30));
    stream_ = stub_->DeltaAggregatedResources(&context_);
  }
  ~DeltaClient() {
    if (stream_ == nullptr) return;
    context_.TryCancel();
    stream_->Finish();
  }

  static Request Ask(ResourceType type, const Names& subscribe = {}, const Names& unsubscribe = {},
                     const std::map<std::string, std::string>& held = {}) {
    Request request;
    request.set_type_url(std::string(TypeUrl(type)));
    for (const auto& name : subscribe) request.add_resource_names_subscribe(name);
    for (const auto& name : unsubscribe) request.add_resource_names_unsubscribe(name);
    request.mutable_initial_resource_versions()->insert(held.begin(), held.end());
    return request;
  }

  void Send(const Request& request) { ASSERT_TRUE(stream_->Write(request)); }
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
  Response Receive() {
    if (unanswered_.has_value()) Ack(Response(*unanswered_));
    Response response;
    EXPECT_TRUE(stream_->Read(&response)) << "the stream ended";
    unanswered_ = response;
    return response;
  }
  // True if the server has nothing more to say: the answer to this question is the next response.
  bool IsQuiet() {
    Request question;
    question.set_type_url("type.example/fence");
    question.add_resource_names_subscribe("fence");
    Send(question);
    const Response next = Receive();
    if (next.type_url() == question.type_url()) return true;
    ADD_FAILURE() << next.ShortDebugString();
    return false;
  }

  grpc::Status Finish() {
    Response ignored;
    while (stream_->Read(&ignored)) {
    }
    const grpc::Status status = stream_->Finish();
    stream_ = nullptr;
    return status;
  }

  grpc::Channel& channel() { return *channel_; }
  envoy::service::discovery::v3::AggregatedDiscoveryService::Stub& stub() { return *stub_; }

 private:
  Request AnswerTo(const Response& response) {
    if (unanswered_.has_value() && unanswered_->nonce() == response.nonce()) unanswered_.reset();
    Request request;
    request.set_type_url(response.type_url());
    request.set_response_nonce(response.nonce());
    return request;
  }
  static grpc::ChannelArguments Own(grpc::ChannelArguments arguments) {
    // No connection shared with another client of the process.
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    return arguments;
  }

  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<envoy::service::discovery::v3::AggregatedDiscoveryService::Stub> stub_;
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReaderWriter<Request, Response>> stream_;
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

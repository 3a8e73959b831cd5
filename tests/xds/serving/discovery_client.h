// One discovery stream over loopback, of either protocol, as plain as can be: what is asked goes
// out as it stands, what comes back is read one response at a time.
#pragma once

#include <grpcpp/create_channel.h>
#include <grpcpp/impl/codegen/proto_utils.h>
#include <grpcpp/support/sync_stream.h>
#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <optional>
#include <string>

#include "envoy/service/discovery/v3/discovery.pb.h"

namespace portolan::xds {

template <typename RequestOf, typename ResponseOf>
class DiscoveryClient {
 public:
  using Request = RequestOf;
  using Response = ResponseOf;

  // `method` is "/PACKAGE.SERVICE/METHOD".
  DiscoveryClient(uint16_t port, const char* method, const grpc::ChannelArguments& arguments)
      : channel_(grpc::CreateCustomChannel("127.0.0.1:" + std::to_string(port),
                                           grpc::InsecureChannelCredentials(), Own(arguments))),
        method_(method, grpc::internal::RpcMethod::BIDI_STREAMING, channel_) {
    context_.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(30));
    stream_.reset(grpc::internal::ClientReaderWriterFactory<Request, Response>::Create(
        channel_.get(), method_, &context_));
  }
  virtual ~DiscoveryClient() {
    if (stream_ == nullptr) return;
    context_.TryCancel();
    stream_->Finish();
  }

  void Send(const Request& request) { ASSERT_TRUE(stream_->Write(request)); }
  static Request AnswerTo(const Response& response) {
    Request request;
    request.set_type_url(response.type_url());
    request.set_response_nonce(response.nonce());
    return request;
  }

  virtual Response Receive() {
    Response response;
    EXPECT_TRUE(stream_->Read(&response)) << "the stream ended";
    return response;
  }
  std::optional<Response> ReceiveUnlessEnded() {
    Response response;
    if (!stream_->Read(&response)) return std::nullopt;
    return response;
  }
  // True if the server has nothing more to say: the answer to `question`, of a type of its own, is
  // the next response.
  bool IsAnsweredNext(const Request& question) {
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

 private:
  static grpc::ChannelArguments Own(grpc::ChannelArguments arguments) {
    // No connection shared with another client of the process.
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    return arguments;
  }

  std::shared_ptr<grpc::Channel> channel_;
  const grpc::internal::RpcMethod method_;
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReaderWriter<Request, Response>> stream_;
};

}  // namespace portolan::xds

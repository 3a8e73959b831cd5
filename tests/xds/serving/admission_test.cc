// Who is let in to the server, by the token that comes with a stream.
#include <gmock/gmock.h>
#include <grpcpp/create_channel.h>

#include <deque>
#include <thread>

#include "common/status.h"
#include "envoy/service/discovery/v3/ads.grpc.pb.h"
#include "tests/common/certificates.h"
#include "tests/xds/authentication/counted.h"
#include "xds/authentication/token_gate.h"
#include "xds/serving/server.h"

namespace portolan::xds {
namespace {

using envoy::service::discovery::v3::AggregatedDiscoveryService;
using envoy::service::discovery::v3::DeltaDiscoveryRequest;
using envoy::service::discovery::v3::DeltaDiscoveryResponse;
using ::testing::AllOf;
using ::testing::HasSubstr;

// Knows the token "NAMESPACE/POD" as that pod's, has no answer for "later", and refuses the rest.
struct NamedPods : TokenVerifier {
  void Verify(const std::string& token, Done done) override {
    const size_t slash = token.find('/');
    if (token == "later") {
      waiting.push_back(std::move(done));
    } else if (slash == std::string::npos) {
      done(absl::UnauthenticatedError("an unknown token"));
    } else {
      done(
          PodIdentity{token.substr(0, slash), token.substr(slash + 1), "", absl::InfiniteFuture()});
    }
  }
  std::vector<Done> waiting;
};

class Admission : public ::testing::Test {
 protected:
  struct Stream {
    grpc::ClientContext context;
    std::unique_ptr<grpc::ClientReaderWriter<DeltaDiscoveryRequest, DeltaDiscoveryResponse>> calls;

    void Ask(const std::string& node) {
      DeltaDiscoveryRequest request;
      request.set_type_url(std::string(TypeUrl(ResourceType::kService)));
      if (!node.empty()) request.mutable_node()->set_id(node);
      calls->Write(request);
    }
    bool IsAnswered() {
      DeltaDiscoveryResponse response;
      return calls->Read(&response);
    }
    grpc::Status End() {
      while (IsAnswered()) {
      }
      return calls->Finish();
    }
  };

  void SetUp() override {
    auto verifier = std::make_unique<NamedPods>();
    gate = std::make_unique<TokenGate>(loop, std::move(verifier));
    thread = std::thread([this] { loop.Run(); });
    auto started = Server::Start({.listen = {*SocketAddress::Parse("127.0.0.1:0")},
                                  .identifier = "test",
                                  .gate = gate.get()},
                                 cache.current());
    ASSERT_TRUE(started.ok()) << started.status();
    server = *std::move(started);
    stub = AggregatedDiscoveryService::NewStub(
        grpc::CreateChannel("127.0.0.1:" + std::to_string(server->listening()[0].port),
                            grpc::InsecureChannelCredentials()));
  }
  void TearDown() override {
    server.reset();
    loop.Stop();
    thread.join();
  }

  Stream& Open(const std::string& token) {
    Stream& stream = streams.emplace_back();
    stream.context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(20));
    if (!token.empty()) stream.context.AddMetadata("authorization", "Bearer " + token);
    stream.calls = stub->DeltaAggregatedResources(&stream.context);
    return stream;
  }
  // Of a stream that is refused before anything is sent to it.
  grpc::Status Refusal(const std::string& token, const std::string& node) {
    Stream& stream = Open(token);
    stream.Ask(node);
    EXPECT_FALSE(stream.IsAnswered());
    return stream.End();
  }
  double Counted(const std::string& result) const { return test::Authentications(*gate, result); }

  EventLoop loop;
  std::thread thread;
  std::unique_ptr<TokenGate> gate;
  ResourceCache cache;
  std::unique_ptr<Server> server;
  std::unique_ptr<AggregatedDiscoveryService::Stub> stub;
  std::deque<Stream> streams;
};

TEST_F(Admission, APodIsServedByItsOwnName) {
  for (int i = 0; i < 2; ++i) {
    Stream& stream = Open("default/web-0");
    stream.Ask("default/web-0");
    EXPECT_TRUE(stream.IsAnswered());
  }
  EXPECT_EQ(Counted("accepted"), 2);
}

TEST_F(Admission, AClientThatDoesNotNameItselfIsThePodOfItsToken) {
  Stream& stream = Open("default/web-0");
  stream.Ask("");
  EXPECT_TRUE(stream.IsAnswered());
  EXPECT_EQ(server->Clients().at(0).node_id, "default/web-0");
}

TEST_F(Admission, AnotherPodsNameIsRefusedWithBoth) {
  const grpc::Status status = Refusal("default/web-0", "default/web-1");
  EXPECT_EQ(status.error_code(), grpc::StatusCode::PERMISSION_DENIED);
  EXPECT_EQ(status.error_message(), "Node.id is 'default/web-1', but the token is default/web-0's");
  EXPECT_EQ(Counted("wrong_pod"), 1);
}

TEST_F(Admission, TheNameIsLookedAtInEveryRequest) {
  Stream& stream = Open("default/web-0");
  stream.Ask("");
  EXPECT_TRUE(stream.IsAnswered());
  stream.Ask("default/web-1");
  EXPECT_EQ(stream.End().error_code(), grpc::StatusCode::PERMISSION_DENIED);
}

TEST_F(Admission, WithoutATokenOrWithABadOneNothingIsSent) {
  grpc::Status status = Refusal("", "default/web-0");
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAUTHENTICATED);
  EXPECT_THAT(status.error_message(), HasSubstr("no token"));
  status = Refusal("rubbish", "default/web-0");
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAUTHENTICATED);
  EXPECT_EQ(status.error_message(), "an unknown token");
}

TEST_F(Admission, AClientMayGoWhileItsTokenIsVerified) {
  Stream& stream = Open("later");
  stream.Ask("default/web-0");
  stream.context.TryCancel();
  EXPECT_EQ(stream.End().error_code(), grpc::StatusCode::CANCELLED);
  Stream& next = Open("default/web-0");
  next.Ask("default/web-0");
  EXPECT_TRUE(next.IsAnswered());
}

TEST_F(Admission, TheServerMayEndWhileTokensAreVerified) {
  Stream& stream = Open("later");
  stream.Ask("default/web-0");
  while (server->Clients().empty()) std::this_thread::yield();
  server.reset();
  EXPECT_EQ(stream.End().error_code(), grpc::StatusCode::UNAVAILABLE);
}

TEST(UnixSocket, IsServedToWhoMayWriteToIt) {
  portolan::test::PemFiles folder;
  const std::string path = folder.folder() + "/xds";
  ResourceCache cache;
  auto server = Server::Start({.identifier = "test", .sockets = {path}}, cache.current());
  ASSERT_TRUE(server.ok()) << server.status();
  const auto stub = AggregatedDiscoveryService::NewStub(
      grpc::CreateChannel("unix:" + path, grpc::InsecureChannelCredentials()));
  grpc::ClientContext context;
  const auto stream = stub->DeltaAggregatedResources(&context);
  DeltaDiscoveryRequest request;
  request.set_type_url(std::string(TypeUrl(ResourceType::kService)));
  DeltaDiscoveryResponse response;
  EXPECT_TRUE(stream->Write(request) && stream->Read(&response));
  EXPECT_TRUE((*server)->listening().empty());
  context.TryCancel();
  stream->Finish();
  const auto refused =
      Server::Start({.identifier = "test", .sockets = {"/none/xds"}}, cache.current());
  EXPECT_EQ(Message(refused.status()), "cannot listen on unix:/none/xds");
}

}  // namespace
}  // namespace portolan::xds

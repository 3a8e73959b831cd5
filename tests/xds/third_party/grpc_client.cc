// grpc_client TARGET: calls TARGET up to a hundred times a second, one call at a time, by the
// resolver and the balancer that libgrpc has for TARGET's scheme, until it is ended. A line for
// each answer:
//   ok ADDR:PORT
//   failed CODE MESSAGE
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>

#include <chrono>
#include <cstdio>
#include <string>
#include <thread>

namespace {

void Ask(grpc::GenericStub& stub) {
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(5));
  const grpc::Slice nothing("");
  const grpc::ByteBuffer request(&nothing, 1);
  grpc::ByteBuffer reply;
  grpc::Status status;
  grpc::CompletionQueue queue;
  const auto call = stub.PrepareUnaryCall(&context, "/portolan.test.Echo/Say", request, &queue);
  call->StartCall();
  call->Finish(&reply, &status, nullptr);
  void* tag = nullptr;
  bool ok = false;
  queue.Next(&tag, &ok);
  if (status.ok()) {
    const std::string peer = context.peer();  // "ipv4:10.42.0.1:8080"
    std::printf("ok %s\n", peer.substr(peer.find(':') + 1).c_str());
  } else {
    std::printf("failed %d %s\n", status.error_code(), status.error_message().c_str());
  }
  std::fflush(stdout);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  grpc::GenericStub stub(grpc::CreateChannel(argv[1], grpc::InsecureChannelCredentials()));
  for (;;) {
    Ask(stub);
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
}

// A gRPC server that answers every unary call with what it was sent: grpc_backend ADDR:PORT. On
// SIGTERM it ends as a well-behaved one does: what was begun is answered, and clients go elsewhere.
#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/grpcpp.h>
#include <signal.h>

#include <cstdio>

#include "common/handover.h"

namespace {

class Echo : public grpc::ServerGenericBidiReactor {
 public:
  Echo() {
    StartRead(&bytes_);
    portolan::HandOver(this);
  }
  void OnReadDone(bool ok) override {
    const portolan::Reaction reaction(this);
    if (!ok) return Finish(grpc::Status::CANCELLED);
    StartWriteAndFinish(&bytes_, grpc::WriteOptions(), grpc::Status::OK);
  }
  void OnDone() override {
    portolan::TakeOver(this);
    delete this;
  }

 private:
  grpc::ByteBuffer bytes_;
};

class EchoService : public grpc::CallbackGenericService {
  grpc::ServerGenericBidiReactor* CreateReactor(grpc::GenericCallbackServerContext*) override {
    return new Echo;
  }
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  sigset_t ends;
  sigemptyset(&ends);
  sigaddset(&ends, SIGTERM);
  sigprocmask(SIG_BLOCK, &ends, nullptr);

  EchoService service;
  grpc::ServerBuilder builder;
  builder.AddListeningPort(argv[1], grpc::InsecureServerCredentials());
  builder.RegisterCallbackGenericService(&service);
  const auto server = builder.BuildAndStart();
  if (server == nullptr) return 1;
  std::puts("listening");
  std::fflush(stdout);
  int signal = 0;
  sigwait(&ends, &signal);
  server->Shutdown();
  return 0;
}

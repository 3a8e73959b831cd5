#include "xds/serving/server_identity.h"

#include <grpc/grpc.h>
#include <grpc/grpc_security.h>

#include <atomic>
#include <string>
#include <utility>

#include "common/handover.h"

namespace portolan::xds {
namespace {

// Credentials of gRPC's core as its C++ interface wants them.
class CoreCredentials final : public grpc::ServerCredentials {
 public:
  // Takes `options` over.
  explicit CoreCredentials(grpc_ssl_server_credentials_options* options)
      : credentials_(grpc_ssl_server_credentials_create_with_options(options)) {}
  ~CoreCredentials() override { grpc_server_credentials_release(credentials_); }

  // Who a client is is not asked at this level.
  void SetAuthMetadataProcessor(const std::shared_ptr<grpc::AuthMetadataProcessor>&) override {}

 private:
  int AddPortToServer(const std::string& address, grpc_server* server) override {
    return grpc_server_add_http2_port(server, address.c_str(), credentials_);
  }

  grpc_server_credentials* const credentials_;
};

}  // namespace

// What one listening port was given last.
class ServerIdentity::Port {
 public:
  explicit Port(const Guarded<Shown>& shown) : shown_(shown) {}

  // At every connection of the port, one at a time, on one of gRPC's threads.
  static grpc_ssl_certificate_config_reload_status Fetch(void* port,
                                                         grpc_ssl_server_certificate_config** out) {
    const Reaction reaction(port);
    return static_cast<Port*>(port)->FetchNewer(out);
  }

 private:
  grpc_ssl_certificate_config_reload_status FetchNewer(grpc_ssl_server_certificate_config** out) {
    return shown_.With([&](const Shown& shown) {
      if (given_.exchange(shown.version) == shown.version) {
        return GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_UNCHANGED;
      }
      const grpc_ssl_pem_key_cert_pair pair = {shown.identity.key.c_str(),
                                               shown.identity.certificates.c_str()};
      // The first are CAs for clients' certificates, which are not asked for. This version of gRPC
      // aborts without any.
      *out = grpc_ssl_server_certificate_config_create(pair.cert_chain, &pair, 1);
      return GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_NEW;
    });
  }

  const Guarded<Shown>& shown_;
  std::atomic<uint64_t> given_{0};
};

ServerIdentity::ServerIdentity(TlsIdentity first) : shown_(Shown{std::move(first), 1}) {}

ServerIdentity::~ServerIdentity() {
  // The server is gone, and no connection asks any more.
  for (const auto& port : ports_) TakeOver(port.get());
}

void ServerIdentity::Set(TlsIdentity identity) {
  shown_.With([&](Shown& shown) {
    shown.identity = std::move(identity);
    ++shown.version;
  });
}

std::shared_ptr<grpc::ServerCredentials> ServerIdentity::CredentialsOfPort() {
  ports_.push_back(std::make_unique<Port>(shown_));
  HandOver(ports_.back().get());
  return std::make_shared<CoreCredentials>(
      grpc_ssl_server_credentials_create_options_using_config_fetcher(
          GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE, Port::Fetch, ports_.back().get()));
}

}  // namespace portolan::xds

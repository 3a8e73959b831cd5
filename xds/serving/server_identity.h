// The certificate that the server shows, which may be replaced while it serves: connections that
// are up stay, new ones see the new one. TLS 1.2 or 1.3; nothing is asked of clients here.
//
// Of gRPC's C++ interface a certificate is fixed once the server has started, and its file watcher
// serves nothing at all after a key that does not fit. The core below it has what is needed: it
// asks for the certificate at each new connection. grpc/grpc_security.h,
// grpc_ssl_server_credentials_create_options_using_config_fetcher.
#pragma once

#include <grpcpp/security/server_credentials.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "common/guarded.h"
#include "common/tls_files.h"

namespace portolan::xds {

class ServerIdentity {
 public:
  explicit ServerIdentity(TlsIdentity first);
  ~ServerIdentity();
  ServerIdentity(const ServerIdentity&) = delete;
  ServerIdentity& operator=(const ServerIdentity&) = delete;

  // Any thread.
  void Set(TlsIdentity identity);

  // For one listening port: gRPC remembers for each what it was given. Not after the server has
  // started, and *this outlives the server.
  std::shared_ptr<grpc::ServerCredentials> CredentialsOfPort();

 private:
  class Port;
  struct Shown {
    TlsIdentity identity;
    uint64_t version;
  };

  Guarded<Shown> shown_;
  std::vector<std::unique_ptr<Port>> ports_;
};

}  // namespace portolan::xds

// Between gRPC and what lets its callers in. Any thread.
#pragma once

#include <grpcpp/server_context.h>
#include <grpcpp/support/status.h>

#include <string>

#include "absl/status/status.h"
#include "common/status.h"

namespace portolan::xds {

// The value of that header, for TokenGate::Admit; empty: none was sent.
inline std::string AuthorizationOf(const grpc::ServerContextBase& context) {
  const auto found = context.client_metadata().find("authorization");
  if (found == context.client_metadata().end()) return {};
  return {found->second.data(), found->second.size()};
}

inline grpc::Status ToGrpc(const absl::Status& status) {
  return {static_cast<grpc::StatusCode>(status.raw_code()), std::string(Message(status))};
}

}  // namespace portolan::xds

#include "xds/api/grpc_process.h"

#include <grpc/support/log.h>
#include <openssl/ssl.h>

#include "absl/synchronization/mutex.h"
#include "common/log.h"

namespace portolan::api {
namespace {

void LogAtDebug(gpr_log_func_args* args) { log::debug("grpc: {}", args->message); }

// Called by OpenSSL for each connection that is made, whoever makes it.
void ReleaseBuffersWhileIdle(void* ssl, void*, CRYPTO_EX_DATA*, int, long, void*) {
  SSL_set_mode(static_cast<SSL*>(ssl), SSL_MODE_RELEASE_BUFFERS);
}

}  // namespace

void PrepareGrpc() {
  [[maybe_unused]] static const int once =
      SSL_get_ex_new_index(0, nullptr, ReleaseBuffersWhileIdle, nullptr, nullptr);
  gpr_set_log_function(LogAtDebug);
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
}

}  // namespace portolan::api

#include "xds/api/grpc_process.h"

#include <grpc/support/log.h>

#include "absl/synchronization/mutex.h"
#include "common/log.h"

namespace portolan::api {
namespace {

void LogAtDebug(gpr_log_func_args* args) { log::debug("grpc: {}", args->message); }

}  // namespace

void PrepareGrpc() {
  gpr_set_log_function(LogAtDebug);
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
}

}  // namespace portolan::api

#include "xds/api/grpc_log.h"

#include <grpc/support/log.h>

#include "common/log.h"

namespace portolan::api {
namespace {

void LogAtDebug(gpr_log_func_args* args) { log::debug("grpc: {}", args->message); }

}  // namespace

void QuietGrpcLog() { gpr_set_log_function(LogAtDebug); }

}  // namespace portolan::api

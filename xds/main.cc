// portolan-control: fills the directory from a source and serves it to sidecars over xDS. The flags
// that others rely on are in the design's list of command lines.
#include <signal.h>

#include "common/flags.h"
#include "common/log.h"
#include "common/status.h"
#include "xds/api/grpc_process.h"
#include "xds/control_plane.h"
#include "xds/settings.h"

namespace portolan::xds {
namespace {

int Main(int argc, char** argv) {
  log::Start("portolan-control", spdlog::level::info);
  Settings settings;
  if (const auto status = ParseSettings(argc, argv, settings)) return *status;
  signal(SIGPIPE, SIG_IGN);
  api::PrepareGrpc();
  ControlPlane control(settings);
  if (const absl::Status status = control.Start(); !status.ok()) {
    log::error("{}", Message(status));
    return kExitFailed;
  }
  control.Run();
  if (control.fault().ok()) return kExitOk;
  log::error("{}", Message(control.fault()));
  return kExitFailed;
}

}  // namespace
}  // namespace portolan::xds

int main(int argc, char** argv) { return portolan::xds::Main(argc, argv); }

// portolan-proxy: the sidecar.
#include <csignal>

#include "common/event_loop.h"
#include "common/flags.h"
#include "common/log.h"
#include "proxy/settings.h"
#include "proxy/sidecar.h"

int main(int argc, char** argv) {
  using namespace portolan;
  log::Start("portolan-proxy", spdlog::level::info);
  proxy::Settings settings;
  if (auto status = proxy::ParseSettings(argc, argv, settings)) return *status;
  std::signal(SIGPIPE, SIG_IGN);
  EventLoop loop;
  auto sidecar = proxy::Sidecar::Start(loop, std::move(settings));
  if (!sidecar.ok()) {
    log::error("{}", Message(sidecar.status()));
    return kExitFailed;
  }
  loop.Run();
  log::info("stopping");
  return kExitOk;
}

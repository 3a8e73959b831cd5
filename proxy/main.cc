// portolan-proxy: the sidecar.
#include <malloc.h>

#include <csignal>

#include "common/event_loop.h"
#include "common/flags.h"
#include "common/log.h"
#include "proxy/default_gateways.h"
#include "proxy/settings.h"
#include "proxy/sidecar.h"

namespace {

// A sidecar is paid for once for every pod. glibc would keep up to eight heaps for each processor,
// and what is freed in one that gRPC's threads used stays there; and after it has seen one large
// buffer freed it would keep such ones too.
void BoundHeap() {
  mallopt(M_ARENA_MAX, 4);
  mallopt(M_MMAP_THRESHOLD, 128 << 10);
}

}  // namespace

int main(int argc, char** argv) {
  using namespace portolan;
  BoundHeap();
  log::Start("portolan-proxy", spdlog::level::info);
  proxy::Settings settings;
  if (auto status = proxy::ParseSettings(argc, argv, settings)) return *status;
  if (settings.node_ips.empty()) settings.node_ips = proxy::DefaultGateways("/proc/net");
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

#include "proxy/pod_resolvers.h"

#include <fmt/format.h>

#include <utility>

#include "common/log.h"
#include "common/status.h"

namespace portolan::proxy {

PodResolvers::PodResolvers(EventLoop& loop, std::string path, std::function<void()> on_change)
    : path_(std::move(path)),
      on_change_(std::move(on_change)),
      look_(loop.AddTimer([this] { Look(); })) {
  if (Read()) return;
  log::warn("{}: only cluster names will be answered until one is there", why_not_);
  look_.Start(kLookEvery);
}

bool PodResolvers::Read() {
  auto conf = ReadResolvConf(path_);
  if (!conf.ok()) {
    why_not_ = fmt::format("no nameserver is known: {}", Message(conf.status()));
    return false;
  }
  current_ = *std::move(conf);
  if (current_.nameservers.empty()) {
    why_not_ = fmt::format("{} names no nameserver", path_);
    for (const std::string& skipped : current_.skipped) why_not_ += fmt::format("; {}", skipped);
    return false;
  }
  for (const std::string& skipped : current_.skipped) log::warn("{}", skipped);
  for (const SocketAddress& server : current_.nameservers) {
    if (!server.ip.is_loopback()) continue;
    log::warn(
        "{}: nameserver {} is in this pod: where it forwards to the sidecar, names outside the "
        "cluster need a `forward` to the cluster DNS in the Corefile",
        path_, server.ip.ToString());
  }
  return true;
}

void PodResolvers::Look() {
  if (!Read()) return look_.Start(kLookEvery);
  log::info("{} names a nameserver now: other names are asked there", path_);
  on_change_();
}

}  // namespace portolan::proxy

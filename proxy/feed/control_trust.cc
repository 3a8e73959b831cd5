#include "proxy/feed/control_trust.h"

#include <utility>

#include "common/log.h"
#include "common/status.h"
#include "common/tls_files.h"

namespace portolan::proxy {

absl::StatusOr<ControlTrust> ControlTrust::Load(const std::string& path) {
  auto roots = LoadTlsRoots(path);
  if (!roots.ok()) return roots.status();
  return ControlTrust(path, *std::move(roots));
}

ControlTrust::ControlTrust(std::string path, std::string roots)
    : path_(std::move(path)), roots_(std::move(roots)) {}

const std::string& ControlTrust::Roots(Counter& unusable) {
  auto roots = LoadTlsRoots(path_);
  if (roots.ok()) {
    if (roots_ != *roots) log::info("{} read again", path_);
    roots_ = *std::move(roots);
    fault_.clear();
    return roots_;
  }
  unusable.Add();
  if (fault_ != Message(roots.status())) {
    fault_ = Message(roots.status());
    log::warn("{}; the CAs read before stay in force", fault_);
  }
  return roots_;
}

}  // namespace portolan::proxy

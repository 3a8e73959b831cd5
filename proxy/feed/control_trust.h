// The CAs that the control plane is known by, in a file that may change: it is read again for every
// attempt to connect. One thread.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "common/metrics.h"

namespace portolan::proxy {

class ControlTrust {
 public:
  // An error names the file and says what is wrong with it.
  static absl::StatusOr<ControlTrust> Load(const std::string& path);

  // PEM. Of a file that cannot be used now it is what was read last; that is logged once for each
  // reason, and counted in `unusable`.
  const std::string& Roots(Counter& unusable);

 private:
  ControlTrust(std::string path, std::string roots);

  std::string path_;
  std::string roots_;
  std::string fault_;  // of the last reading; empty if it went well
};

}  // namespace portolan::proxy

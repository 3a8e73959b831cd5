// The real PolicyRouting: runs `ip`, found by PATH (Debian's package iproute2).
//
// One thread. The tool is killed if it has not ended after 30 s.
#pragma once

#include <string>

#include "proxy/capture/policy_routing.h"

namespace portolan::proxy {

class IpTool : public PolicyRouting {
 public:
  absl::StatusOr<std::string> Rules(IpFamily family) override;
  absl::StatusOr<std::string> Routes(IpFamily family) override;
  absl::Status Change(IpFamily family, const std::string& command) override;
};

}  // namespace portolan::proxy

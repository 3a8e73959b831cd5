// The policy route that has the kernel deliver marked packets through lo instead of sending them
// out: a rule for the mark, and a table of one local route (ip-rule(8), ip-route(8)).
//
// PolicyRouting is the seam to the kernel that tests replace: one thread, calls block until the
// tool that does the work has ended. The rest is pure text. Ours are the rules of priority
// kToLoTable and the table of that number; nothing else is ever named.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "common/ip.h"
#include "proxy/capture/settings.h"

namespace portolan::proxy {

// Of the routing table and of the rule that leads to it: before the main table's 32766.
inline constexpr int kToLoTable = 15001;

// Errors: NotFound, the tool is not installed; Unavailable, the kernel has no policy routing or not
// this family; PermissionDenied, a capability is missing; Internal, anything else.
class PolicyRouting {
 public:
  virtual ~PolicyRouting() = default;

  // What `ip rule show pref 15001` and `ip route show table 15001` print. Change nothing; a table
  // that is not there is empty.
  virtual absl::StatusOr<std::string> Rules(IpFamily family) = 0;
  virtual absl::StatusOr<std::string> Routes(IpFamily family) = 0;

  // Does what `ip -4 COMMAND` or `ip -6 COMMAND` does.
  virtual absl::Status Change(IpFamily family, const std::string& command) = 0;
};

// What is ours of one family, as the tool prints it.
struct PolicyRoute {
  std::vector<std::string> rules;   // "from all fwmark 0x1000000/0x1000000 lookup 15001"
  std::vector<std::string> routes;  // "local default dev lo"
};

// The same for both families; empty where neither UDP nor what comes to the pod is captured.
PolicyRoute WantedPolicyRoute(const CaptureSettings& settings);
absl::StatusOr<PolicyRoute> ReadPolicyRoute(PolicyRouting& routing, IpFamily family);

// What is missing or not wanted, one line each; empty if nothing is.
std::vector<std::string> Differences(const PolicyRoute& wanted, const PolicyRoute& found);

// The arguments of `ip -4` or `ip -6` that turn `found` into `wanted`, in this order; empty if they
// are the same.
std::vector<std::string> Commands(const PolicyRoute& wanted, const PolicyRoute& found);

}  // namespace portolan::proxy

// Whether a connection that is yet to be made is let through, in words: what `portolanctl policy
// test` says, of manifests (ctl/policy/connection.h) as of a sidecar
// (proxy/explain/policy_tester.h).
//
// In the order of an application: a name is looked up, then what it leads to is dialled. What
// looking it up would teach is taken as learned. Off the data path; pure; any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "common/ip.h"
#include "directory/model.h"
#include "policy/egress_rules.h"

namespace portolan {

struct TestedConnection {
  uint16_t port = 0;  // that is dialled
  Protocol protocol = Protocol::kTcp;
  std::string name = {};    // that is looked up, in wire form; empty: an address is dialled
  bool in_cluster = false;  // the name is of the cluster: resolved, whatever names rules have
  std::vector<std::string> learned = {};  // names, in wire form, that led to what is dialled
  // The endpoints of a Service, of which one that is allowed is enough; else what is dialled.
  // Empty: nowhere that is known.
  std::vector<SocketAddress> at = {};
  // Of these the Services' own addresses, where their endpoints are not known.
  std::vector<SocketAddress> unheld = {};
};

struct ConnectionVerdict {
  struct Rule {
    std::string policy;  // EgressRules::RuleName
    uint32_t index = 0;
  };

  bool allowed = true;
  bool audited = false;  // allowed, and a policy in audit would deny it, wherever it may go
  std::string says = {};
  std::optional<Rule> rule = {};              // that allows it
  std::vector<std::string> isolated_by = {};  // the policies, where it is denied
  std::string nearest = {};  // of what is denied, the rule that came nearest; empty: none
};

ConnectionVerdict JudgeConnection(const EgressRules& rules, const TestedConnection& connection);

// {"verdict": "allowed"|"denied", "audited", "says", "rule"?: {"policy", "index"}, "isolatedBy"?,
// "nearest"?}
nlohmann::json ToJson(const ConnectionVerdict& verdict);

// Where a connection may go, each address by itself: [ToJson(...) and "at": ADDRESS:PORT], of the
// first kMostWays. Judged as the only one there is, or all alike.
inline constexpr size_t kMostWays = 50;
nlohmann::json WaysJson(const EgressRules& rules, TestedConnection connection);
nlohmann::json WaysJson(const ConnectionVerdict& of_all, const std::vector<SocketAddress>& at);

}  // namespace portolan

// Makes EgressRules of policies and peer sets, and the next ones of what changed in them.
//
// Main thread. What is told is collected and takes effect at the next Commit. A policy that changed
// compiles all of them anew, which is milliseconds at 10,000 rules; a peer that changed costs
// microseconds at 1,000 sets of 5,000, as versions share what is the same in both.
//
// Memory follows what was told: an address in sets takes some 50 bytes, what its sets and their
// rules allow is kept once for all addresses in the same sets, and merged up to a limit
// (AllowedPortsMaker::Room).
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "common/ip.h"
#include "directory/policy_input.h"
#include "policy/egress_rules.h"
#include "policy/peer_table.h"
#include "policy/policy_table.h"
#include "policy/port_table.h"

namespace portolan {

class PolicyCompiler {
 public:
  explicit PolicyCompiler(size_t most_merged_ranges = AllowedPortsMaker::Room().most);

  // All policies of the pod, in the place of those before. Which rule allows, where several do, is
  // the first in this order. `always_allowed`: what no policy forbids, beside loopback: the pod's
  // own addresses and those of its node. A name that is none (dns/wire/name.h) matches nothing.
  void SetPolicies(std::vector<PolicyInput> policies, std::vector<IpAddress> always_allowed);

  // All members of a set, in the place of those before. Sets that no policy refers to may be told,
  // and a set that was never told has no members.
  void SetPeers(const std::string& set, const Peers& peers);
  // Members that are there already and removed ones that are none are no error.
  void ChangePeers(const std::string& set, const Peers& added, const Peers& removed);
  void ForgetPeers(const std::string& set);

  // Of all that was told. The same object as before where nothing was told since.
  std::shared_ptr<const EgressRules> Commit();

 private:
  std::shared_ptr<AllowedPortsMaker::Room> room_;
  std::shared_ptr<const PolicyTable> policies_;
  std::unique_ptr<AllowedPortsMaker> maker_;
  PeerTable peers_;
  std::shared_ptr<const EgressRules> committed_;  // null: something was told since
};

}  // namespace portolan

// Which rules have an address for the peer sets it is in.
//
// An address leads to its class: the sets it is in, with what their rules allow merged to one table
// of ports. Pods of one workload are in the same sets and share their class, so that the table is
// as small as the cluster is uniform, and an address in a thousand sets costs one lookup.
//
// PeerMap and what it leads to are immutable: any thread. PeerTable: main thread.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "common/ip.h"
#include "common/shared_map.h"
#include "common/string_map.h"
#include "policy/policy_table.h"
#include "policy/port_table.h"

namespace portolan {

// That an address is a member of a set.
struct Membership {
  uint32_t set = 0;
  uint16_t port = 0;  // Peer::port
  friend auto operator<=>(const Membership&, const Membership&) = default;

  template <typename H>
  friend H AbslHashValue(H h, const Membership& m) {
    return H::combine(std::move(h), m.set, m.port);
  }
};

struct PeerClass {
  std::vector<Membership> memberships;  // sorted
  AllowedPorts ports;
};

using PeerMap = SharedMap<IpAddress, std::shared_ptr<const PeerClass>>;

class PeerTable {
 public:
  void Set(const std::string& set, const Peers& peers);
  void Change(const std::string& set, const Peers& added, const Peers& removed);
  void Forget(const std::string& set);

  // Other policies than before are to be judged by. REQUIRES: before the first Commit; both outlive
  // all later ones.
  void SetPolicies(const PolicyTable* policies, AllowedPortsMaker* maker);

  // What was told up to now.
  PeerMap Commit();
  // Memberships, as of the last Commit.
  size_t size() const { return size_; }

 private:
  // What was told of a set since it was last applied.
  struct Pending {
    bool emptied = false;    // before the changes
    bool forgotten = false;  // and not told of again
    struct Change {
      Peer peer;
      bool present;
    };
    std::vector<Change> changes;  // in the order they were told
  };
  struct MembershipChange {
    IpAddress ip;
    Membership membership;
    bool present;
  };

  struct ClassHash {
    using is_transparent = void;
    size_t operator()(const std::vector<Membership>& list) const { return absl::HashOf(list); }
    size_t operator()(const std::shared_ptr<PeerClass>& c) const { return (*this)(c->memberships); }
  };
  struct ClassEq {
    using is_transparent = void;
    static const std::vector<Membership>& Of(const std::shared_ptr<PeerClass>& c) {
      return c->memberships;
    }
    static const std::vector<Membership>& Of(const std::vector<Membership>& list) { return list; }
    template <typename A, typename B>
    bool operator()(const A& a, const B& b) const {
      return Of(a) == Of(b);
    }
  };

  Pending& PendingOf(const std::string& set);
  void ApplyWhenMany();
  void Apply();
  std::vector<MembershipChange> TakePending();
  std::shared_ptr<PeerClass> ClassOf(std::vector<Membership> memberships);
  void RenewClasses();
  void CompileNewClasses();
  void DropUnusedClasses();

  const PolicyTable* policies_ = nullptr;
  AllowedPortsMaker* maker_ = nullptr;

  StringMap<uint32_t> numbers_;  // of sets, never used again
  uint32_t next_number_ = 0;
  absl::flat_hash_map<uint32_t, const RuleNumbers*> rules_of_;  // by number; null: none
  absl::flat_hash_map<uint32_t, Pending> pending_;
  size_t pending_changes_ = 0;

  PeerMap peers_;
  size_t size_ = 0;
  absl::flat_hash_set<std::shared_ptr<PeerClass>, ClassHash, ClassEq> classes_;
  std::vector<std::shared_ptr<PeerClass>> new_classes_;  // not compiled yet
  size_t classes_in_use_ = 0;                            // when last counted
};

}  // namespace portolan

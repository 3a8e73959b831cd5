// The addresses that a selector stands for, as sidecars get them: whole once, then as differences.
//
// A PeerSet is one version of a set, immutable and read by any thread. It remembers what its last
// 64 changes were, so that a client with one of these versions is sent what differs: one pod more
// in a set of 5,000 is some 100 bytes. What is sent is encoded when it is first asked for, once for
// each version that clients come from, and shared.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "common/guarded.h"
#include "common/string_map.h"
#include "directory/policy_input.h"
#include "xds/policy/selector.h"
#include "xds/policy/shared_sorted.h"
#include "xds/serving/resource.h"

namespace portolan::xds {

class PeerSet {
 public:
  // So many changes are remembered, and of twice as many peers or an eighth of the set: beyond, the
  // whole is little more to send.
  static constexpr size_t kMostChanges = 64;

  // Without members.
  explicit PeerSet(const PeerSelector& selector);
  // REQUIRES: all of `removed` are members and none of `added`.
  std::shared_ptr<const PeerSet> Changed(Peers added, Peers removed) const;

  const std::string& name() const { return about_->name; }
  const std::string& describes() const { return about_->describes; }
  // Of the members alone, whatever order they came in.
  const std::string& version() const { return version_; }
  size_t size() const { return v4_.size() + v6_.size(); }
  bool Contains(const Peer& peer) const;
  Peers Members() const;

  // The resource without metadata. All of it, and what to send to who has version `held`: the
  // difference where that is remembered, else all of it.
  ResourcePtr Whole() const;
  ResourcePtr Since(std::string_view held) const;

 private:
  struct About {
    std::string name;
    std::string describes;
  };
  struct Change {
    std::string base;  // the version that it made another of
    Peers added;
    Peers removed;
  };
  struct Encoded {
    ResourcePtr whole;
    StringMap<ResourcePtr> since;
  };
  // In the order of Peer; address and port, big end first.
  using V4 = uint64_t;
  using V6 = std::array<uint8_t, 18>;

  PeerSet() = default;
  void TrimLog();
  static V4 KeyOfV4(const Peer& peer);
  static V6 KeyOfV6(const Peer& peer);
  ResourcePtr EncodeWhole() const;
  // Null: `held` is not remembered, or all of it is no more than what differs.
  ResourcePtr EncodeSince(std::string_view held) const;

  std::shared_ptr<const About> about_;
  std::string version_;
  uint64_t hash_ = 0;
  SharedSorted<V4> v4_;
  SharedSorted<V6> v6_;
  std::vector<std::shared_ptr<const Change>> log_;  // the latest last
  mutable Guarded<Encoded> encoded_;
};

// A set while pods come and go. Peers are counted: for a moment two pods may have one address. One
// thread.
class CountedPeers {
 public:
  explicit CountedPeers(PeerSelector selector);

  const PeerSelector& selector() const { return selector_; }
  // `by` more pods (fewer, where negative) are this peer.
  void Count(const Peer& peer, int by) { counted_.emplace_back(peer, by); }
  // True if what was counted since the last time made another version of it.
  bool Commit();
  // The last version that was committed.
  const std::shared_ptr<const PeerSet>& set() const { return set_; }

 private:
  struct PeerHash {
    size_t operator()(const Peer& peer) const { return absl::HashOf(peer.ip, peer.port); }
  };

  const PeerSelector selector_;
  std::shared_ptr<const PeerSet> set_;
  std::vector<std::pair<Peer, int>> counted_;  // since the last Commit
  // Pods beyond the first that are a peer; nearly always empty.
  absl::flat_hash_map<Peer, int, PeerHash> more_;
};

}  // namespace portolan::xds

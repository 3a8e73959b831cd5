// Every Service as the page of names shows it, kept from commit to commit: what a line says, what
// is searched, and in which order, so that a page costs what is on it and not what the cluster has.
//
// A commit marks the names that it changes, and those whose warnings hang on them; they are worked
// out at once, and beyond kAtOnce in further turns of the loop: only a first load takes more than
// one. The loop's thread only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "absl/container/btree_map.h"
#include "absl/container/btree_set.h"
#include "absl/container/flat_hash_map.h"
#include "absl/container/inlined_vector.h"
#include "absl/time/time.h"
#include "common/event_loop.h"
#include "common/string_map.h"
#include "directory/directory.h"
#include "xds/dashboard/name_warnings.h"
#include "xds/dashboard/sidecar_dns.h"
#include "xds/serving/address_index.h"

namespace portolan::xds {

struct NamesQuery {
  enum class Sort : uint8_t { kName, kChanged };

  std::string ns = {};      // empty: all
  std::string search = {};  // words, all of which must match: names_search.h
  std::string label = {};   // "key" or "key=value"; empty: any
  std::optional<WarningCode> warning = std::nullopt;
  bool any_warning = false;
  Sort sort = Sort::kName;
  ObjectName after = {};  // of sort kName: where the page before ended; empty: from the start
  size_t offset = 0;      // of those that match
  size_t limit = 500;
};

class NamesIndex {
 public:
  // Of work in one turn of the loop.
  static constexpr absl::Duration kAtOnce = absl::Milliseconds(4);
  // A slice is stale once it has been so for as long: the endpoints of a pod that ends follow it.
  static constexpr absl::Duration kStaleAfter = absl::Seconds(10);
  static constexpr size_t kMostWaiting = 256;

  struct Entry {
    ObjectName name;
    // {"namespace": ..., "warnings": [...]: directory/listing.h and more, compact, without the last
    // brace.
    std::string json;
    std::string text;  // what is searched, lower case
    nlohmann::json warnings;
    uint32_t warning_bits = 0;
    absl::Time last_change;
    size_t endpoints = 0;  // ready or serving
    size_t hostnames = 0;  // of a headless one's endpoints

   private:
    friend class NamesIndex;
    absl::Time touched = absl::InfinitePast();        // by a commit after the first load
    absl::Time stale_since = absl::InfiniteFuture();  // see kStaleAfter
    bool marked = false;
    std::vector<IpAddress> addresses;  // as in by_address_
    std::string alias_of;              // key of a Service, as in aliases_
  };

  struct Page {
    std::vector<const Entry*> entries;  // valid until the loop's next turn
    size_t total = 0;                   // of all that match
    bool more = false;
  };

  NamesIndex(EventLoop& loop, std::string cluster_domain, SidecarDns& dns);
  NamesIndex(const NamesIndex&) = delete;
  NamesIndex& operator=(const NamesIndex&) = delete;

  // Each commit, in order. `addresses` follow it. `loaded`: the source had been read before it, so
  // that what arrives has changed now.
  void OnCommit(const Directory::Committed& committed, const AddressIndex& addresses, bool loaded);
  // The Corefile of `dns` is another: all are looked at anew.
  void OnCorefile();

  // Calls `task` when every name is as the last commit left it: now, or in a later turn. False, and
  // it is not called, where too many wait.
  bool WhenCurrent(std::function<void()> task);

  Page Find(const NamesQuery& query) const;
  const Entry* Find(const ObjectName& name) const;

  const std::shared_ptr<const Snapshot>& snapshot() const { return snapshot_; }
  const AddressIndex& addresses() const { return addresses_; }
  const std::string& cluster_domain() const { return cluster_domain_; }
  size_t size() const { return entries_.size(); }
  size_t endpoints() const { return endpoints_; }

 private:
  using Names = absl::btree_set<ObjectName>;

  void MarkServices(const Directory::Committed& committed, const Snapshot& before, bool loaded);
  void MarkByPods(const Directory::Committed& committed, const Snapshot& before);
  void Mark(const ObjectName& name);
  void MarkAliasesOf(const std::string& key);
  void MarkSuspects();
  void Remove(const ObjectName& name);
  void Work();
  void WorkOut(Entry& entry);
  void SetAddresses(Entry& entry, std::vector<IpAddress> addresses);
  void SetAlias(Entry& entry, std::string alias_of);
  std::vector<NameWarning> JudgeWarnings(Entry& entry, const Service& service);

  const std::string cluster_domain_;
  SidecarDns& dns_;
  std::shared_ptr<const Snapshot> snapshot_ = std::make_shared<const Snapshot>();
  AddressIndex addresses_;
  absl::btree_map<ObjectName, std::unique_ptr<Entry>> entries_;
  size_t endpoints_ = 0;
  // Who has an address as cluster, external or load-balancer address.
  absl::flat_hash_map<IpAddress, absl::InlinedVector<const Entry*, 1>> by_address_;
  StringMap<Names> aliases_;  // of a Service, by its key
  Names suspects_;            // with a slice that may be stale
  std::deque<ObjectName> marked_;
  std::vector<std::function<void()>> waiting_;
  EventLoop::Timer go_on_;
  EventLoop::Timer look_again_;
};

}  // namespace portolan::xds

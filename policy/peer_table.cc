#include "policy/peer_table.h"

#include <algorithm>
#include <tuple>
#include <utility>

namespace portolan {
namespace {

// Some megabytes, however many sets a first load brings.
constexpr size_t kMostPending = 65'536;

// Both sorted; of the latter each membership once.
template <typename Changes>
std::vector<Membership> Changed(const std::vector<Membership>& before, const Changes& changes) {
  std::vector<Membership> after;
  after.reserve(before.size() + changes.size());
  auto old = before.begin();
  for (const auto& change : changes) {
    while (old != before.end() && *old < change.membership) after.push_back(*old++);
    if (old != before.end() && *old == change.membership) ++old;
    if (change.present) after.push_back(change.membership);
  }
  after.insert(after.end(), old, before.end());
  return after;
}

}  // namespace

PeerTable::Pending& PeerTable::PendingOf(const std::string& set) {
  const auto [number, is_new] = numbers_.try_emplace(set, next_number_);
  if (is_new) {
    if (policies_ != nullptr) rules_of_[next_number_] = policies_->RulesOf(set);
    ++next_number_;
  }
  Pending& pending = pending_[number->second];
  pending.forgotten = false;
  return pending;
}

void PeerTable::Set(const std::string& set, const Peers& peers) {
  const bool told = numbers_.contains(set);
  Pending& pending = PendingOf(set);
  pending_changes_ += peers.size() - pending.changes.size();
  pending = {.emptied = told, .changes = {}};
  pending.changes.reserve(peers.size());
  for (const Peer& peer : peers) pending.changes.push_back({peer, true});
  ApplyWhenMany();
}

void PeerTable::Change(const std::string& set, const Peers& added, const Peers& removed) {
  Pending& pending = PendingOf(set);
  for (const Peer& peer : removed) pending.changes.push_back({peer, false});
  for (const Peer& peer : added) pending.changes.push_back({peer, true});
  pending_changes_ += added.size() + removed.size();
  ApplyWhenMany();
}

void PeerTable::Forget(const std::string& set) {
  if (!numbers_.contains(set)) return;
  Pending& pending = PendingOf(set);
  pending_changes_ -= pending.changes.size();
  pending = {.emptied = true, .forgotten = true, .changes = {}};
}

void PeerTable::ApplyWhenMany() {
  if (pending_changes_ > kMostPending) Apply();
}

std::vector<PeerTable::MembershipChange> PeerTable::TakePending() {
  std::vector<MembershipChange> changes;
  changes.reserve(pending_changes_);
  const auto emptied = [&](const Membership& m) {
    const auto found = pending_.find(m.set);
    return found != pending_.end() && found->second.emptied;
  };
  if (std::any_of(pending_.begin(), pending_.end(),
                  [](const auto& entry) { return entry.second.emptied; })) {
    peers_.ForEach([&](const IpAddress& ip, const std::shared_ptr<const PeerClass>& in) {
      for (const Membership& m : in->memberships) {
        if (emptied(m)) changes.push_back({ip, m, false});
      }
    });
  }
  for (const auto& [set, pending] : pending_) {
    for (const Pending::Change& change : pending.changes) {
      changes.push_back({change.peer.ip, {set, change.peer.port}, change.present});
    }
  }
  absl::erase_if(numbers_, [&](const auto& entry) {
    const auto found = pending_.find(entry.second);
    return found != pending_.end() && found->second.forgotten && rules_of_.erase(entry.second) == 1;
  });
  pending_.clear();
  pending_changes_ = 0;
  return changes;
}

void PeerTable::Apply() {
  if (pending_.empty()) return;
  std::vector<MembershipChange> changes = TakePending();
  const auto key = [](const MembershipChange& c) { return std::tie(c.ip, c.membership); };
  std::stable_sort(changes.begin(), changes.end(),
                   [&](const auto& a, const auto& b) { return key(a) < key(b); });
  PeerMap::Edit edit(peers_);
  std::vector<MembershipChange> of_address;
  for (auto at = changes.begin(); at != changes.end();) {
    const IpAddress ip = at->ip;
    of_address.clear();
    for (; at != changes.end() && at->ip == ip; ++at) {
      // What was told last counts.
      if (!of_address.empty() && of_address.back().membership == at->membership) {
        of_address.pop_back();
      }
      of_address.push_back(*at);
    }
    const auto* before = peers_.Find(ip);
    const size_t was = before == nullptr ? 0 : (*before)->memberships.size();
    auto after =
        Changed(before == nullptr ? std::vector<Membership>() : (*before)->memberships, of_address);
    size_ += after.size() - was;
    if (!after.empty()) {
      edit.Set(ip, ClassOf(std::move(after)));
    } else if (before != nullptr) {
      edit.Erase(ip);
    }
  }
  peers_ = std::move(edit).Finish();
  DropUnusedClasses();
}

std::shared_ptr<PeerClass> PeerTable::ClassOf(std::vector<Membership> memberships) {
  const auto found = classes_.find(memberships);
  if (found != classes_.end()) return *found;
  auto made = std::make_shared<PeerClass>();
  made->memberships = std::move(memberships);
  classes_.insert(made);
  new_classes_.push_back(made);
  return made;
}

void PeerTable::DropUnusedClasses() {
  // Now and then, so that a change does not look at all of them.
  constexpr size_t kSpare = 64;
  if (classes_.size() <= 2 * classes_in_use_ + kSpare) return;
  std::erase_if(new_classes_, [](const auto& c) { return c.use_count() == 2; });
  absl::erase_if(classes_, [](const auto& c) { return c.use_count() == 1; });
  classes_in_use_ = classes_.size();
}

void PeerTable::SetPolicies(const PolicyTable* policies, AllowedPortsMaker* maker) {
  policies_ = policies;
  maker_ = maker;
  for (const auto& [set, number] : numbers_) rules_of_[number] = policies->RulesOf(set);
  RenewClasses();
}

void PeerTable::RenewClasses() {
  classes_.clear();
  new_classes_.clear();
  absl::flat_hash_map<const PeerClass*, std::shared_ptr<PeerClass>> renewed;
  PeerMap::Edit edit(peers_);
  peers_.ForEach([&](const IpAddress& ip, const std::shared_ptr<const PeerClass>& old) {
    std::shared_ptr<PeerClass>& now = renewed[old.get()];
    if (now == nullptr) now = ClassOf(old->memberships);
    edit.Set(ip, now);
  });
  peers_ = std::move(edit).Finish();
}

void PeerTable::CompileNewClasses() {
  std::vector<RuleAt> rules;
  for (const std::shared_ptr<PeerClass>& made : new_classes_) {
    if (made.use_count() == 2) {  // here and in classes_: nobody stayed in it
      classes_.erase(made);
      continue;
    }
    rules.clear();
    for (const Membership& m : made->memberships) {
      const RuleNumbers* numbers = rules_of_[m.set];
      if (numbers == nullptr) continue;
      for (const uint32_t rule : *numbers) rules.push_back({rule, m.port});
    }
    made->ports = maker_->Make(rules);
  }
  new_classes_.clear();
}

PeerMap PeerTable::Commit() {
  Apply();
  CompileNewClasses();
  return peers_;
}

}  // namespace portolan

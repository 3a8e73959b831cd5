#include "proxy/policy/learned_addresses.h"

#include <algorithm>

#include "dns/wire/name.h"

namespace portolan::proxy {
namespace {

// Never less than before.
void Raise(std::atomic<int64_t>& value, int64_t least) {
  int64_t before = value.load(std::memory_order_relaxed);
  while (before < least && !value.compare_exchange_weak(before, least, std::memory_order_release,
                                                        std::memory_order_relaxed)) {
  }
}

uint32_t MostOf(const LearnedAddresses::Limits& limits) {
  constexpr size_t kMost = FixedIndex::kMostThings - LearnedAddresses::kAtWork;
  return static_cast<uint32_t>(std::min(limits.addresses, kMost)) + LearnedAddresses::kAtWork;
}

}  // namespace

LearnedAddresses::LearnedAddresses(const Limits& limits)
    : limits_(limits),
      names_(MostOf(limits)),
      by_ip_(MostOf(limits)),
      free_(MostOf(limits)),
      slots_(MostOf(limits)) {}

uint64_t LearnedAddresses::Pin(Slot& slot) {
  uint64_t state = slot.state.load(std::memory_order_relaxed);
  do {
    if (!IsThere(state)) return 0;
  } while (!slot.state.compare_exchange_weak(state, state + kPin, std::memory_order_acq_rel,
                                             std::memory_order_relaxed));
  return state + kPin;
}

LearnedAddresses::Outcome LearnedAddresses::Add(Bytes wire_name, const IpAddress& ip,
                                                absl::Duration ttl, absl::Duration now) {
  // In whole seconds, so that an answer that is given again within one asks for no more than
  // before.
  const int64_t at = Nanoseconds(now);
  const int64_t expires = SecondOf(at) * kSecond + Nanoseconds(ttl + limits_.grace);
  return Insert(wire_name, ip, expires, at, at);
}

LearnedAddresses::Outcome LearnedAddresses::Insert(Bytes wire_name, const IpAddress& ip,
                                                   int64_t expires, int64_t used, int64_t now) {
  const uint64_t pair = PairOf(wire_name, ip);
  bool fresh = false;
  size_t others = 0;
  const bool found = by_ip_.Visit(HashOf(ip), [&](uint32_t number) {
    ++others;
    fresh = IsFresh(slots_[number], pair, expires, now);
    return fresh || Renew(slots_[number], pair, expires, used);
  });
  if (found) return fresh ? Outcome::kFresh : Outcome::kRenewed;
  if (others >= limits_.per_address && !MakeRoomAt(ip, now)) return Outcome::kAddressFull;
  const uint32_t name = names_.Hold(wire_name);
  if (name == LearnedNames::kNone) return Outcome::kFull;
  const Outcome outcome = InsertNew(name, ip, pair, expires, used, now);
  // An entry that was added holds it.
  if (outcome != Outcome::kAdded) names_.Release(name);
  return outcome;
}

// What is asked often is answered many times a second, by several workers: nothing is written then.
bool LearnedAddresses::IsFresh(const Slot& slot, uint64_t pair, int64_t expires, int64_t now) {
  constexpr auto kAcquire = std::memory_order_acquire;
  const uint64_t state = slot.state.load(kAcquire);
  return IsThere(state) && slot.pair.load(kAcquire) == pair &&
         slot.expires.load(kAcquire) >= expires &&
         SecondOf(slot.last_used.load(kAcquire)) >= SecondOf(now) &&
         slot.state.load(kAcquire) / kGeneration == state / kGeneration;
}

bool LearnedAddresses::Renew(Slot& slot, uint64_t pair, int64_t expires, int64_t used) {
  if (slot.pair.load(std::memory_order_relaxed) != pair || Pin(slot) == 0) return false;
  const bool same = slot.pair.load(std::memory_order_relaxed) == pair;
  if (same) {
    Raise(slot.expires, expires);
    Raise(slot.last_used, used);
    Count(touches_);
  }
  slot.state.fetch_add((same ? kUsed : 0) - kPin, std::memory_order_acq_rel);
  return same;
}

LearnedAddresses::Outcome LearnedAddresses::InsertNew(uint32_t name, const IpAddress& ip,
                                                      uint64_t pair, int64_t expires, int64_t used,
                                                      int64_t now) {
  std::atomic<uint32_t>& of_name = names_.addresses(name);
  if (!Reserve(of_name, limits_.per_name, name, now)) return Outcome::kNameFull;
  if (Reserve(used_, limits_.addresses, kAnyName, now)) {
    if (Put(name, ip, pair, expires, used)) return Outcome::kAdded;
    used_.fetch_sub(1, std::memory_order_relaxed);
  }
  of_name.fetch_sub(1, std::memory_order_relaxed);
  return Outcome::kFull;
}

// False without a number for it, of which there are more than may be reserved.
bool LearnedAddresses::Put(uint32_t name, const IpAddress& ip, uint64_t pair, int64_t expires,
                           int64_t used) {
  const uint32_t number = free_.Take();
  if (number == FreeNumbers::kNone) return false;
  Slot& slot = slots_[number];
  slot.ip = ip;
  slot.name.store(name, std::memory_order_relaxed);
  slot.pair.store(pair, std::memory_order_release);
  slot.expires.store(expires, std::memory_order_release);
  slot.last_used.store(used, std::memory_order_release);
  slot.place = FixedIndex::kNowhere;
  // There, and pinned: nobody takes it away before it has its place.
  slot.state.fetch_add(kGeneration + kPin, std::memory_order_release);
  const uint32_t place = by_ip_.Put(HashOf(ip), number, [&](uint32_t other) {
    return Renew(slots_[other], pair, expires, used);
  });
  slot.place = place;
  // Another worker was faster: this one is nowhere, and goes with what has expired.
  if (place == FixedIndex::kNowhere) slot.expires.store(0, std::memory_order_release);
  Unpin(slot);
  Count(additions_);
  return true;
}

bool LearnedAddresses::Reserve(std::atomic<uint32_t>& used, size_t most, uint32_t name,
                               int64_t now) {
  uint32_t count = used.load(std::memory_order_relaxed);
  while (true) {
    if (count < most) {
      if (used.compare_exchange_weak(count, count + 1, std::memory_order_relaxed)) return true;
    } else {
      if (!MakeRoom(name, now)) return false;
      count = used.load(std::memory_order_relaxed);
    }
  }
}

LearnedAddresses::Candidate LearnedAddresses::LongestUnused(uint32_t name, int64_t now) const {
  Candidate found;
  for (uint32_t i = 0; i < free_.touched(); ++i) {
    const uint64_t state = slots_[i].state.load(std::memory_order_acquire);
    if (name != kAnyName && slots_[i].name.load(std::memory_order_relaxed) != name) continue;
    Consider(i, state, now, found);
  }
  return found;
}

// Somebody may take the one that was found meanwhile, or use it: then it is looked for once more.
bool LearnedAddresses::MakeRoom(uint32_t name, int64_t now) {
  while (true) {
    const Candidate found = LongestUnused(name, now);
    if (found.number == FreeNumbers::kNone) return false;
    if (TakeForRoom(found)) return true;
  }
}

bool LearnedAddresses::MakeRoomAt(const IpAddress& ip, int64_t now) {
  while (true) {
    Candidate found;
    size_t entries = 0;
    by_ip_.Visit(HashOf(ip), [&](uint32_t number) {
      Slot& slot = slots_[number];
      const uint64_t pinned = Pin(slot);
      if (pinned == 0) return false;
      if (slot.ip == ip) {
        ++entries;
        Consider(number, pinned - kPin, now, found);
      }
      Unpin(slot);
      return false;
    });
    if (entries < limits_.per_address) return true;
    if (found.number == FreeNumbers::kNone) return false;
    if (TakeForRoom(found)) return true;
  }
}

bool LearnedAddresses::TakeForRoom(const Candidate& candidate) {
  if (!TakeAway(candidate)) return false;
  Count(candidate.last_used < 0 ? counters_.expired : counters_.evicted);
  return true;
}

bool LearnedAddresses::Remove(const Candidate& candidate) {
  Slot& slot = slots_[candidate.number];
  uint64_t state = candidate.state;
  if (!slot.state.compare_exchange_strong(state, state + kGeneration, std::memory_order_acq_rel,
                                          std::memory_order_relaxed)) {
    return false;
  }
  if (slot.place != FixedIndex::kNowhere) by_ip_.Remove(slot.place);
  const uint32_t name = slot.name.load(std::memory_order_relaxed);
  names_.addresses(name).fetch_sub(1, std::memory_order_relaxed);
  names_.Release(name);
  free_.Give(candidate.number);
  used_.fetch_sub(1, std::memory_order_relaxed);
  return true;
}

void LearnedAddresses::Release(Admission admission, absl::Duration now) {
  Slot& slot = SlotOf(admission);
  Raise(slot.last_used, Nanoseconds(now));
  const uint64_t before = slot.state.fetch_add(kUsed - kLive, std::memory_order_acq_rel);
  if (LiveOf(before) == 1) Count(touches_);
}

std::span<const uint8_t> LearnedAddresses::NameOf(Admission admission) const {
  return names_.bytes(SlotOf(admission).name.load(std::memory_order_relaxed));
}

std::vector<LearnedAddresses::Entry> LearnedAddresses::List(absl::Duration now) const {
  std::vector<Entry> entries;
  entries.reserve(size());
  for (uint32_t i = 0; i < free_.touched(); ++i) {
    Slot& slot = slots_[i];
    const uint64_t state = Pin(slot);
    if (state == 0) continue;
    if (IsGood(slot, state, Nanoseconds(now))) {
      Entry& entry = entries.emplace_back();
      const uint32_t name = slot.name.load(std::memory_order_relaxed);
      entry.name = dns::wire::NameToText(names_.bytes(name));
      entry.ip = slot.ip;
      entry.expires = absl::Nanoseconds(slot.expires.load(std::memory_order_relaxed));
      entry.last_used = absl::Nanoseconds(slot.last_used.load(std::memory_order_relaxed));
      entry.live = LiveOf(state);
    }
    Unpin(slot);
  }
  return entries;
}

void LearnedAddresses::Restore(const std::vector<Entry>& entries, absl::Duration now) {
  for (const Entry& entry : entries) {
    dns::wire::NameBuffer name;
    if (entry.expires <= now || !dns::wire::ReadText(entry.name, name)) continue;
    dns::wire::LowerName(std::span(name.bytes).first(name.size));
    // The clock may have begun after it was used.
    const absl::Duration used = std::max(entry.last_used, absl::ZeroDuration());
    Insert(name.view(), entry.ip, Nanoseconds(entry.expires), Nanoseconds(used), Nanoseconds(now));
  }
}

void LearnedAddresses::Expire(absl::Duration now) {
  const int64_t at = Nanoseconds(now);
  for (uint32_t i = 0; i < free_.touched(); ++i) {
    const Slot& slot = slots_[i];
    const uint64_t state = slot.state.load(std::memory_order_acquire);
    if (!IsThere(state) || !IsIdle(state)) continue;
    if (at < slot.expires.load(std::memory_order_relaxed)) continue;
    if (TakeAway({i, state})) Count(counters_.expired);
  }
}

void LearnedAddresses::CollectMetrics(MetricFamilies& families) const {
  SetGaugeSample(families, "portolan_policy_learned_addresses",
                 "Addresses that names with a rule by name led to, and that may be reached by it.",
                 {}, static_cast<double>(size()));
  AddOutcome(families, "evicted", counters_.evicted.load(std::memory_order_relaxed));
  AddOutcome(families, "expired", counters_.expired.load(std::memory_order_relaxed));
}

void LearnedAddresses::AddOutcome(MetricFamilies& families, std::string_view outcome,
                                  uint64_t count) {
  AddCounterSample(families, "portolan_policy_learned_total",
                   "What became of addresses in answers to names with a rule by name.",
                   {{"outcome", outcome}}, static_cast<double>(count));
}

}  // namespace portolan::proxy

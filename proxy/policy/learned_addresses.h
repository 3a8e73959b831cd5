// The addresses that names led to, as DNS answers said: what rules by name let be reached.
//
// An entry is a name and an address. It is good until the TTL of its record and a grace are over,
// in whole seconds and never less, and as long as a connection or a flow that it let through is
// open. There are so many entries at most, so many of a name and so many of an address; beyond, the
// longest unused without a live connection goes.
//
// One for a sidecar, shared by its workers: a connection may come to another worker than the answer
// did, in the microsecond in which that is sent. What Add returned from is found by every Find that
// begins after: entries are never moved, and are in the index before Add returns (fixed_index.h).
// Nobody waits for anybody, and nothing is allocated.
//
// How a reader is safe from who takes the entry away: each has one word that counts its readers
// (pins) and its live connections, and a generation that is odd while the entry is there. A reader
// counts itself in by a compare-and-swap of that word and only then reads the entry, which is taken
// away by a compare-and-swap that finds both counts at zero. What may change while it is read (when
// it expires, when it was used) is atomic. IsFresh counts itself in nowhere: it reads what is
// atomic between two looks at the generation. That is stored with release, so that who reads what a
// later entry has sees its generation as well. A hash stands for the name and the address there.
//
// Who takes an entry away decided on it earlier, by when it expires and was used. So whoever
// changes these counts itself out into another generation, odd as well: the compare-and-swap then
// fails, and what was renewed or used meanwhile stays.
//
// Two workers that learn the same pair in the same moment may leave it twice, which does no harm.
// Looking an address up takes as long as its names are many, of which there may be a few more than
// the limit where workers learn in the same moment.
//
// Times are monotonic (common/monotonic.h). Add, Find, Release, NameOf, CollectMetrics and the
// counts: any thread. The rest: the main thread.
#pragma once

#include <atomic>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/hash/hash.h"
#include "absl/time/time.h"
#include "common/ip.h"
#include "common/metrics.h"
#include "proxy/policy/fixed_index.h"
#include "proxy/policy/learned_names.h"

namespace portolan::proxy {

class LearnedAddresses {
 public:
  struct Limits {
    size_t addresses = 10'000;  // at most FixedIndex::kMostThings - kAtWork
    size_t per_name = 1'000;
    size_t per_address = 100;
    absl::Duration grace = absl::Seconds(60);
  };

  explicit LearnedAddresses(const Limits& limits);

  enum class Outcome : uint8_t {
    kAdded,
    kRenewed,
    kFresh,        // was there, good for as long, and used in the same second
    kNameFull,     // not learned: all of the name's are in use
    kAddressFull,  // not learned: all of the address's are in use
    kFull,         // not learned: all are in use
  };
  static constexpr size_t kOutcomes = 6;
  // The first three: it is there now.
  static constexpr bool IsKnown(Outcome outcome) { return outcome <= Outcome::kFresh; }
  // `wire_name` is in lower case, uncompressed with the root label. An entry that is there already
  // is good for at least as long from now on. Where there are too many all entries are looked at,
  // for the one to go; in no other case.
  Outcome Add(std::span<const uint8_t> wire_name, const IpAddress& ip, absl::Duration ttl,
              absl::Duration now);
  // The second that a moment is in: Add of the same pair and TTL in one second asks for no more.
  static int64_t SecondOf(absl::Duration now) { return SecondOf(Nanoseconds(now)); }

  // Of an entry that a connection holds. 0: none.
  using Admission = uint32_t;

  // The first entry of the address that is good and whose name `allows`,
  // bool(std::span<const uint8_t> wire_name). It is held, and is good, until Release.
  template <typename F>
  Admission Find(const IpAddress& ip, absl::Duration now, F&& allows);
  // REQUIRES, of both: what Find returned, not 0, not released since.
  void Release(Admission admission, absl::Duration now);
  std::span<const uint8_t> NameOf(Admission admission) const;

  struct Entry {
    std::string name;  // as text with the final dot
    IpAddress ip;
    // The TTL and the grace are over then.
    absl::Duration expires;
    // Learned, asked for again, dialled, or the end of a connection.
    absl::Duration last_used;
    uint32_t live = 0;  // connections and flows
  };
  // Those that are good, in no order. Whoever comes and goes meanwhile may be missing.
  std::vector<Entry> List(absl::Duration now) const;
  // Takes up entries of an earlier list, within the limits; `live` counts for nothing. A name that
  // is none is left out.
  void Restore(const std::vector<Entry>& entries, absl::Duration now);

  // Takes away what is not good any more; to be called now and then.
  void Expire(absl::Duration now);

  absl::Duration grace() const { return limits_.grace; }
  size_t size() const { return used_.load(std::memory_order_relaxed); }
  // Grow with each entry that is added, and with each that is renewed or that connections begin or
  // cease to use: what is to be saved, at once or by and by.
  uint64_t additions() const { return additions_.load(std::memory_order_relaxed); }
  uint64_t touches() const { return touches_.load(std::memory_order_relaxed); }
  // What was added after this was read is there while it is the same. Nothing: some entry is going
  // just now, be it one that was found fresh meanwhile.
  std::optional<uint64_t> removals() const {
    const uint64_t ended = removals_ended_.load(std::memory_order_acquire);
    const uint64_t begun = removals_begun_.load(std::memory_order_acquire);
    return begun == ended ? std::optional(begun) : std::nullopt;
  }

  struct Counters {
    std::atomic<uint64_t> evicted{0};  // to make room
    std::atomic<uint64_t> expired{0};
  };
  const Counters& counters() const { return counters_; }
  // portolan_policy_learned_addresses, and these two of portolan_policy_learned_total{outcome}.
  void CollectMetrics(MetricFamilies& families) const;
  // Of the latter, what became of addresses that were to be added.
  static void AddOutcome(MetricFamilies& families, std::string_view outcome, uint64_t count);

  // So many threads may be about to add an entry that has no place yet.
  static constexpr uint32_t kAtWork = 64;

 protected:
  // How entries are taken away, in steps for tests, which do something in between.
  struct Candidate {
    uint32_t number = FreeNumbers::kNone;
    uint64_t state = 0;                                       // as it was seen
    int64_t last_used = std::numeric_limits<int64_t>::max();  // -1: it has expired
  };
  // What has expired or else is the longest unused, of the name or of any (kAnyName).
  Candidate LongestUnused(uint32_t name, int64_t now) const;
  // False: somebody took it, or used it meanwhile.
  bool TakeAway(const Candidate& candidate) {
    BeginRemoval();
    const bool taken = Remove(candidate);
    EndRemoval();
    return taken;
  }
  void BeginRemoval() { removals_begun_.fetch_add(1, std::memory_order_acq_rel); }
  bool Remove(const Candidate& candidate);
  void EndRemoval() { removals_ended_.fetch_add(1, std::memory_order_acq_rel); }
  static constexpr uint32_t kAnyName = LearnedNames::kNone;

 private:
  // Of Slot::state. Generations go round after some 16 million changes.
  static constexpr uint64_t kPin = 1;
  static constexpr uint64_t kLive = uint64_t{1} << 16;
  static constexpr uint64_t kGeneration = uint64_t{1} << 40;
  static constexpr uint64_t kUsed = 2 * kGeneration;  // it stays there
  static uint32_t LiveOf(uint64_t state) { return (state & (kGeneration - 1)) >> 16; }
  static bool IsThere(uint64_t state) { return (state & kGeneration) != 0; }
  static bool IsIdle(uint64_t state) { return (state & (kGeneration - 1)) == 0; }

  struct Slot {
    std::atomic<uint64_t> state;
    std::atomic<int64_t> expires;    // ns
    std::atomic<int64_t> last_used;  // ns
    std::atomic<uint64_t> pair;      // PairOf the name and the address
    std::atomic<uint32_t> name;      // of names_, held; may be read without a pin, as a hint
    uint32_t place;                  // in by_ip_
    IpAddress ip;
  };
  using Bytes = std::span<const uint8_t>;

  static int64_t Nanoseconds(absl::Duration time) { return absl::ToInt64Nanoseconds(time); }
  static constexpr int64_t kSecond = 1'000'000'000;
  static int64_t SecondOf(int64_t at) { return (at + kSecond - 1) / kSecond; }
  static uint64_t HashOf(const IpAddress& ip) { return absl::HashOf(ip); }
  // 64 bits stand for both: two pairs are not taken for each other.
  static uint64_t PairOf(Bytes wire_name, const IpAddress& ip) {
    return absl::HashOf(LearnedNames::HashOf(wire_name), ip);
  }
  static void Count(std::atomic<uint64_t>& counter) {
    counter.fetch_add(1, std::memory_order_relaxed);
  }

  // No generation is in it: others may renew the entry while it is held.
  static Admission AdmissionOf(uint32_t number) { return number + 1; }
  Slot& SlotOf(Admission admission) const {
    Slot& slot = slots_[admission - 1];
    assert(LiveOf(slot.state.load(std::memory_order_relaxed)) > 0);
    return slot;
  }

  // The state with the pin; 0 if nothing is there.
  static uint64_t Pin(Slot& slot);
  static void Unpin(Slot& slot) { slot.state.fetch_sub(kPin, std::memory_order_acq_rel); }
  static bool IsGood(const Slot& slot, uint64_t state, int64_t now) {
    return LiveOf(state) > 0 || now < slot.expires.load(std::memory_order_relaxed);
  }

  static bool IsFresh(const Slot& slot, uint64_t pair, int64_t expires, int64_t now);
  bool Renew(Slot& slot, uint64_t pair, int64_t expires, int64_t used);
  Outcome Insert(Bytes wire_name, const IpAddress& ip, int64_t expires, int64_t used, int64_t now);
  Outcome InsertNew(uint32_t name, const IpAddress& ip, uint64_t pair, int64_t expires,
                    int64_t used, int64_t now);
  bool Put(uint32_t name, const IpAddress& ip, uint64_t pair, int64_t expires, int64_t used);
  // Makes room for one of those that `used` counts, of which there may be `most`, by taking away
  // another of the name, or of any.
  bool Reserve(std::atomic<uint32_t>& used, size_t most, uint32_t name, int64_t now);
  bool MakeRoom(uint32_t name, int64_t now);
  // Where as many names lead to the address as may.
  bool MakeRoomAt(const IpAddress& ip, int64_t now);
  bool TakeForRoom(const Candidate& candidate);
  // `found` is the one with that number then, if that is to go first of the two.
  void Consider(uint32_t number, uint64_t state, int64_t now, Candidate& found) const {
    if (!IsThere(state) || !IsIdle(state)) return;
    const Slot& slot = slots_[number];
    const bool good = now < slot.expires.load(std::memory_order_relaxed);
    const int64_t last_used = good ? slot.last_used.load(std::memory_order_relaxed) : -1;
    if (last_used < found.last_used) found = {number, state, last_used};
  }

  const Limits limits_;
  LearnedNames names_;
  FixedIndex by_ip_;
  FreeNumbers free_;
  mutable ZeroedArray<Slot> slots_;  // who lists them pins them too
  std::atomic<uint32_t> used_{0};
  std::atomic<uint64_t> additions_{0};
  std::atomic<uint64_t> touches_{0};
  std::atomic<uint64_t> removals_begun_{0};
  std::atomic<uint64_t> removals_ended_{0};
  Counters counters_;
};

template <typename F>
LearnedAddresses::Admission LearnedAddresses::Find(const IpAddress& ip, absl::Duration now,
                                                   F&& allows) {
  if (size() == 0) return 0;
  const int64_t at = Nanoseconds(now);
  Admission found = 0;
  by_ip_.Visit(HashOf(ip), [&](uint32_t number) {
    Slot& slot = slots_[number];
    const uint64_t state = Pin(slot);
    if (state == 0) return false;
    const uint32_t name = slot.name.load(std::memory_order_relaxed);
    if (slot.ip != ip || !IsGood(slot, state, at) || !allows(names_.bytes(name))) {
      Unpin(slot);
      return false;
    }
    slot.last_used.store(at, std::memory_order_release);
    slot.state.fetch_add(kLive - kPin, std::memory_order_acq_rel);
    if (LiveOf(state) == 0) Count(touches_);
    found = AdmissionOf(number);
    return true;
  });
  return found;
}

}  // namespace portolan::proxy

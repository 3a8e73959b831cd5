// What is learned is found for as long as it is good, by every thread, and within the limits.
#include "proxy/policy/learned_addresses.h"

#include <gmock/gmock.h>

#include <array>
#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "common/monotonic.h"
#include "dns/wire/name.h"

namespace portolan::proxy {
namespace {

using dns::wire::NameToText;
using Bytes = std::span<const uint8_t>;
using testing::UnorderedElementsAre;

// 60 s of grace beside TTLs of 30 s.
constexpr absl::Duration kTtl = absl::Seconds(30);
constexpr absl::Duration kGood = absl::Seconds(90);

class Wire {
 public:
  explicit Wire(std::string_view name) : wire_(*dns::wire::NameToWire(name)) {}
  operator Bytes() const { return {reinterpret_cast<const uint8_t*>(wire_.data()), wire_.size()}; }

 private:
  const std::string wire_;
};

IpAddress Ip(std::string_view text) { return *IpAddress::Parse(text); }
IpAddress Numbered(uint32_t i) {
  const uint8_t bytes[] = {10, static_cast<uint8_t>(i >> 16), static_cast<uint8_t>(i >> 8),
                           static_cast<uint8_t>(i)};
  return IpAddress::V4(bytes);
}

bool Any(Bytes) { return true; }

using Counters = LearnedAddresses::Counters;
using Outcome = LearnedAddresses::Outcome;

struct Table {
  explicit Table(LearnedAddresses::Limits limits = {}) : learned(limits) {}

  void Add(std::string_view name, const IpAddress& ip, absl::Duration ttl = kTtl) {
    ++outcomes[static_cast<size_t>(learned.Add(Wire(name), ip, ttl, now))];
  }
  bool Has(const IpAddress& ip) {
    const auto found = learned.Find(ip, now, Any);
    if (found != 0) {
      const absl::Duration then = now;
      learned.Release(found, then);
    }
    return found != 0;
  }
  std::vector<std::string> Listed() {
    std::vector<std::string> all;
    for (const auto& entry : learned.List(now)) {
      all.push_back(entry.name + " " + entry.ip.ToString());
    }
    return all;
  }
  uint64_t Count(std::atomic<uint64_t> LearnedAddresses::Counters::*counter) {
    return (learned.counters().*counter).load();
  }

  uint64_t Count(Outcome outcome) const { return outcomes[static_cast<size_t>(outcome)]; }

  LearnedAddresses learned;
  std::array<uint64_t, LearnedAddresses::kOutcomes> outcomes = {};
  absl::Duration now = absl::Seconds(1000);
};

TEST(LearnedAddresses, AnAddressIsFoundOnceANameLedToIt) {
  Table table;
  EXPECT_FALSE(table.Has(Ip("192.0.2.1")));
  table.Add("api.example.com", Ip("192.0.2.1"));
  table.Add("api.example.com", Ip("2001:db8::1"));
  EXPECT_TRUE(table.Has(Ip("192.0.2.1")));
  EXPECT_TRUE(table.Has(Ip("2001:db8::1")));
  EXPECT_FALSE(table.Has(Ip("192.0.2.2")));
  EXPECT_FALSE(table.Has(Ip("c000:201::"))) << "the same bytes, of the other family";
  EXPECT_EQ(table.learned.size(), 2u);
  EXPECT_EQ(table.Count(Outcome::kAdded), 2u);
}

TEST(LearnedAddresses, TheNameThatLedThereIsJudgedAndShown) {
  Table table;
  table.Add("one.example.com", Ip("192.0.2.1"));
  table.Add("two.example.com", Ip("192.0.2.1"));
  std::vector<std::string> asked;
  const auto found = table.learned.Find(Ip("192.0.2.1"), table.now, [&](Bytes name) {
    asked.push_back(NameToText(name));
    return asked.back() == "two.example.com.";
  });
  ASSERT_NE(found, 0u);
  EXPECT_EQ(NameToText(table.learned.NameOf(found)), "two.example.com.");
  EXPECT_EQ(asked.back(), "two.example.com.");
  EXPECT_EQ(table.learned.Find(Ip("192.0.2.1"), table.now, [](Bytes) { return false; }), 0u);
  table.learned.Release(found, table.now);
}

TEST(LearnedAddresses, AnEntryIsGoodForTheTtlAndTheGrace) {
  Table table;
  table.Add("api.example.com", Ip("192.0.2.1"));
  table.now += kGood - absl::Nanoseconds(1);
  EXPECT_TRUE(table.Has(Ip("192.0.2.1")));
  table.now += absl::Nanoseconds(1);
  EXPECT_FALSE(table.Has(Ip("192.0.2.1")));
  EXPECT_TRUE(table.Listed().empty());
  table.learned.Expire(table.now);
  EXPECT_EQ(table.learned.size(), 0u);
  EXPECT_EQ(table.Count(&Counters::expired), 1u);
}

TEST(LearnedAddresses, AnAnswerMoreMakesItGoodForLongerAndNeverForLess) {
  Table table;
  table.Add("api.example.com", Ip("192.0.2.1"));
  table.Add("api.example.com", Ip("192.0.2.1"), absl::ZeroDuration());
  table.now += kGood - absl::Seconds(1);
  EXPECT_TRUE(table.Has(Ip("192.0.2.1")));
  table.Add("api.example.com", Ip("192.0.2.1"));
  table.now += kGood - absl::Seconds(1);
  EXPECT_TRUE(table.Has(Ip("192.0.2.1")));
  EXPECT_EQ(table.learned.size(), 1u);
  EXPECT_EQ(table.Count(Outcome::kFresh), 1u);
  EXPECT_EQ(table.Count(Outcome::kRenewed), 1u);
}

TEST(LearnedAddresses, AnAnswerGivenAgainWithinTheSecondIsNotWrittenAgain) {
  Table table;
  table.now += absl::Milliseconds(100);
  table.Add("api.example.com", Ip("192.0.2.1"));
  table.now += absl::Milliseconds(800);
  table.Add("api.example.com", Ip("192.0.2.1"));
  EXPECT_EQ(table.Count(Outcome::kFresh), 1u);
  table.Add("www.example.com", Ip("192.0.2.1"));
  table.Add("api.example.com", Ip("192.0.2.2"));
  EXPECT_EQ(table.Count(Outcome::kAdded), 3u) << "another name, another address";
  table.Add("api.example.com", Ip("192.0.2.1"), kTtl + absl::Seconds(1));
  EXPECT_EQ(table.Count(Outcome::kRenewed), 1u) << "good for longer";
  table.now += absl::Seconds(1);
  table.Add("api.example.com", Ip("192.0.2.1"), absl::ZeroDuration());
  EXPECT_EQ(table.Count(Outcome::kRenewed), 2u) << "so that it is not the longest unused";
}

TEST(LearnedAddresses, WhatExpiredIsLearnedAnewAndNotFresh) {
  Table table;
  table.Add("api.example.com", Ip("192.0.2.1"), absl::ZeroDuration());
  table.now += table.learned.grace();
  ASSERT_FALSE(table.Has(Ip("192.0.2.1")));
  table.Add("api.example.com", Ip("192.0.2.1"), absl::ZeroDuration());
  EXPECT_TRUE(table.Has(Ip("192.0.2.1")));
}

TEST(LearnedAddresses, AnEntryIsGoodWhileAConnectionThatItLetThroughIsOpen) {
  Table table;
  table.Add("api.example.com", Ip("192.0.2.1"));
  const auto first = table.learned.Find(Ip("192.0.2.1"), table.now, Any);
  table.now += 10 * kGood;
  table.learned.Expire(table.now);
  const auto second = table.learned.Find(Ip("192.0.2.1"), table.now, Any);
  EXPECT_EQ(second, first);
  ASSERT_EQ(table.learned.List(table.now).size(), 1u);
  EXPECT_EQ(table.learned.List(table.now)[0].live, 2u);
  table.learned.Release(first, table.now);
  EXPECT_TRUE(table.Has(Ip("192.0.2.1")));
  table.learned.Release(second, table.now);
  EXPECT_FALSE(table.Has(Ip("192.0.2.1")));
}

TEST(LearnedAddresses, WhatWentMayComeAgain) {
  Table table;
  table.Add("api.example.com", Ip("192.0.2.1"));
  const auto first = table.learned.Find(Ip("192.0.2.1"), table.now, Any);
  table.learned.Release(first, table.now);
  table.now += kGood;
  table.learned.Expire(table.now);
  table.Add("api.example.com", Ip("192.0.2.1"));
  const auto second = table.learned.Find(Ip("192.0.2.1"), table.now, Any);
  ASSERT_NE(second, 0u);
  table.learned.Release(second, table.now);
}

TEST(LearnedAddresses, BeyondTheLimitTheLongestUnusedGoes) {
  Table table({.addresses = 3, .per_name = 3});
  for (uint32_t i = 0; i < 3; ++i) {
    table.now += absl::Seconds(1);
    table.Add("a" + std::to_string(i) + ".example", Numbered(i));
  }
  table.now += absl::Seconds(1);
  EXPECT_TRUE(table.Has(Numbered(0))) << "dialled: 1 is the longest unused now";
  table.Add("b.example", Numbered(3));
  EXPECT_FALSE(table.Has(Numbered(1)));
  EXPECT_TRUE(table.Has(Numbered(0)));
  EXPECT_TRUE(table.Has(Numbered(2)));
  EXPECT_TRUE(table.Has(Numbered(3)));
  EXPECT_EQ(table.learned.size(), 3u);
  EXPECT_EQ(table.Count(&Counters::evicted), 1u);
}

TEST(LearnedAddresses, BeyondTheLimitOfANameTheLongestUnusedOfThatNameGoes) {
  Table table({.addresses = 10, .per_name = 2});
  table.Add("old.example", Numbered(100));
  for (uint32_t i = 0; i < 3; ++i) {
    table.now += absl::Seconds(1);
    table.Add("a.example", Numbered(i));
  }
  EXPECT_THAT(table.Listed(), UnorderedElementsAre("old.example. 10.0.0.100", "a.example. 10.0.0.1",
                                                   "a.example. 10.0.0.2"));
  EXPECT_EQ(table.Count(&Counters::evicted), 1u);
}

TEST(LearnedAddresses, WhatHasExpiredGoesBeforeWhatIsGood) {
  Table table({.addresses = 2, .per_name = 2});
  table.Add("longest.unused.example", Numbered(0));
  table.Add("longest.unused.example", Numbered(0), absl::Hours(1));
  table.now += absl::Seconds(1);
  table.Add("expired.example", Numbered(1));
  table.now += kGood;
  table.Add("new.example", Numbered(2));
  EXPECT_TRUE(table.Has(Numbered(0)));
  EXPECT_EQ(table.Count(&Counters::expired), 1u);
  EXPECT_EQ(table.Count(&Counters::evicted), 0u);
}

TEST(LearnedAddresses, WhereAllAreInUseNothingIsLearned) {
  Table table({.addresses = 3, .per_name = 2});
  table.Add("a.example", Numbered(0));
  table.Add("a.example", Numbered(1));
  table.Add("b.example", Numbered(2));
  std::vector<LearnedAddresses::Admission> held;
  for (uint32_t i = 0; i < 3; ++i) held.push_back(table.learned.Find(Numbered(i), table.now, Any));
  table.Add("a.example", Numbered(3));
  EXPECT_EQ(table.Count(Outcome::kNameFull), 1u);
  table.Add("c.example", Numbered(4));
  EXPECT_EQ(table.Count(Outcome::kFull), 1u);
  EXPECT_FALSE(table.Has(Numbered(3)));
  EXPECT_FALSE(table.Has(Numbered(4)));
  table.learned.Release(held[0], table.now);
  table.Add("a.example", Numbered(3));
  EXPECT_TRUE(table.Has(Numbered(3)));
  EXPECT_EQ(table.learned.size(), 3u);
  for (size_t i = 1; i < 3; ++i) table.learned.Release(held[i], table.now);
}

TEST(LearnedAddresses, NamesAndAddressesThatComeAndGoLeaveNothingBehind) {
  Table table({.addresses = 16, .per_name = 4});
  for (uint32_t i = 0; i < 20'000; ++i) {
    table.now += absl::Milliseconds(1);
    table.Add("n" + std::to_string(i / 3) + ".example", Numbered(i));
    ASSERT_TRUE(table.Has(Numbered(i))) << i;
  }
  EXPECT_EQ(table.learned.size(), 16u);
  EXPECT_EQ(table.Count(Outcome::kFull), 0u);
  EXPECT_EQ(table.Count(&Counters::evicted), 20'000u - 16u);
  table.now += kGood;
  table.learned.Expire(table.now);
  EXPECT_EQ(table.learned.size(), 0u);
}

TEST(LearnedAddresses, OfManyNamesOnOneAddressTheLongestUnusedGoes) {
  Table table;
  table.Add("other.example", Ip("192.0.2.2"));
  for (int i = 0; i < 2'000; ++i) {
    table.now += absl::Milliseconds(1);
    table.Add("n" + std::to_string(i) + ".example", Ip("192.0.2.1"));
  }
  EXPECT_EQ(table.learned.size(), 101u);
  EXPECT_EQ(table.Count(&Counters::evicted), 1'900u);
  EXPECT_TRUE(table.Has(Ip("192.0.2.2"))) << "another address has room of its own";
  int judged = 0;
  const auto found = table.learned.Find(Ip("192.0.2.1"), table.now, [&](Bytes name) {
    ++judged;
    return NameToText(name) == "n1900.example.";
  });
  ASSERT_NE(found, 0u);
  table.learned.Release(found, table.now);
  EXPECT_LE(judged, 100);
}

TEST(LearnedAddresses, NamesOfAnAddressThatAreAllInUseStay) {
  Table table({.per_address = 2});
  table.Add("a.example", Ip("192.0.2.1"));
  const auto first = table.learned.Find(Ip("192.0.2.1"), table.now, Any);
  table.Add("b.example", Ip("192.0.2.1"));
  const auto second = table.learned.Find(
      Ip("192.0.2.1"), table.now, [](Bytes name) { return NameToText(name) == "b.example."; });
  ASSERT_NE(second, 0u);
  table.Add("c.example", Ip("192.0.2.1"));
  EXPECT_EQ(table.Count(Outcome::kAddressFull), 1u);
  table.learned.Release(first, table.now);
  table.Add("c.example", Ip("192.0.2.1"));
  EXPECT_THAT(table.Listed(), UnorderedElementsAre("b.example. 192.0.2.1", "c.example. 192.0.2.1"));
  table.learned.Release(second, table.now);
}

TEST(LearnedAddresses, WhatWasListedIsTakenUpAgainButForConnections) {
  Table before;
  before.Add("api.example.com", Ip("192.0.2.1"));
  before.Add("api.example.com", Ip("2001:db8::1"));
  const auto held = before.learned.Find(Ip("192.0.2.1"), before.now, Any);
  auto entries = before.learned.List(before.now);
  before.learned.Release(held, before.now);
  entries.push_back({"no..name.", Ip("192.0.2.3"), before.now + kTtl, before.now, 0});
  entries.push_back({"late.example.com.", Ip("192.0.2.4"), before.now, before.now, 0});
  entries.push_back({"Upper.Example.", Ip("192.0.2.5"), before.now + kTtl, before.now, 0});

  Table after;
  after.learned.Restore(entries, after.now);
  EXPECT_THAT(after.Listed(),
              UnorderedElementsAre("api.example.com. 192.0.2.1", "api.example.com. 2001:db8::1",
                                   "upper.example. 192.0.2.5"));
  after.now += kGood;
  EXPECT_FALSE(after.Has(Ip("192.0.2.1")));
}

TEST(LearnedAddresses, AdditionsAndTouchesAreWhatIsToBeSaved) {
  Table table;
  table.Add("api.example.com", Ip("192.0.2.1"));
  EXPECT_EQ(table.learned.additions(), 1u);
  EXPECT_EQ(table.learned.touches(), 0u);
  table.now += absl::Seconds(1);
  table.Add("api.example.com", Ip("192.0.2.1"));
  EXPECT_EQ(table.learned.touches(), 1u);
  const auto first = table.learned.Find(Ip("192.0.2.1"), table.now, Any);
  const auto second = table.learned.Find(Ip("192.0.2.1"), table.now, Any);
  EXPECT_EQ(table.learned.touches(), 2u);
  table.learned.Release(first, table.now);
  EXPECT_EQ(table.learned.touches(), 2u);
  table.learned.Release(second, table.now);
  EXPECT_EQ(table.learned.touches(), 3u);
  EXPECT_EQ(table.learned.additions(), 1u);
}

// One worker has decided which entry is to go, and another comes by before it does.
class TwoSteps : public LearnedAddresses {
 public:
  TwoSteps() : LearnedAddresses({}) { Answer(0); }

  // To the question for the one name that there is, so many seconds later.
  Outcome Answer(int after) { return Add(Wire("api.example.com"), ip_, kTtl, At(after)); }
  Admission Dial(int after) { return Find(ip_, At(after), Any); }
  void Decide(int after) {
    candidate_ = LongestUnused(kAnyName, absl::ToInt64Nanoseconds(At(after)));
    EXPECT_NE(candidate_.number, FreeNumbers::kNone);
  }
  bool Go() { return TakeAway(candidate_); }

  static absl::Duration At(int after) { return absl::Seconds(1000 + after); }

 private:
  const IpAddress ip_ = Ip("192.0.2.1");
  Candidate candidate_;
};

TEST(LearnedAddresses, WhatIsToGoStaysIfItIsRenewedMeanwhile) {
  TwoSteps learned;
  learned.Decide(100);
  EXPECT_EQ(learned.Answer(100), Outcome::kRenewed);
  EXPECT_FALSE(learned.Go());
  const auto found = learned.Dial(100);
  ASSERT_NE(found, 0u);
  learned.Release(found, learned.At(100));
}

TEST(LearnedAddresses, WhatIsToGoStaysIfAConnectionCameAndWentMeanwhile) {
  TwoSteps learned;
  learned.Decide(1);
  learned.Release(learned.Dial(1), learned.At(2));
  EXPECT_FALSE(learned.Go());
  EXPECT_EQ(learned.size(), 1u);
}

TEST(LearnedAddresses, WhatIsToGoGoesIfItIsOnlyLookedAtMeanwhile) {
  TwoSteps learned;
  learned.Decide(1);
  EXPECT_EQ(learned.List(learned.At(1)).size(), 1u);
  EXPECT_EQ(learned.Answer(0), Outcome::kFresh);
  EXPECT_TRUE(learned.Go());
  EXPECT_EQ(learned.size(), 0u);
}

TEST(LearnedAddresses, AConnectionHoldsAnEntryThatIsRenewedMeanwhile) {
  TwoSteps learned;
  const auto held = learned.Dial(0);
  for (int after = 1; after < 100; ++after) EXPECT_EQ(learned.Answer(after), Outcome::kRenewed);
  EXPECT_EQ(NameToText(learned.NameOf(held)), "api.example.com.");
  learned.Release(held, learned.At(100));
  EXPECT_EQ(learned.List(learned.At(100))[0].live, 0u);
  learned.Expire(learned.At(1000));
  EXPECT_EQ(learned.size(), 0u);
}

// A worker learns, and tells another, which must find it, while other entries come and go: by the
// limits of their names, by their age, and in another table by the limit of all.
class SeveralThreads : public testing::Test {
 protected:
  static constexpr uint32_t kNoiseNames = 4;
  static constexpr uint32_t kPerName = 64;
  static constexpr size_t kMost = 512;
  static constexpr int kRounds = 2'000;

  // Some names and addresses are those of the other threads too.
  void AddAndFind(LearnedAddresses& learned, uint32_t thread, uint32_t i) {
    const std::string name = "noise" + std::to_string(i / 8 % kNoiseNames) + ".example";
    learned.Add(Wire(name), Numbered(thread % 2 * 100'000 + i % 4096), absl::ZeroDuration(),
                Monotonic());
    const auto found = learned.Find(Numbered(i * 7 % 4096), Monotonic(), IsNoise);
    if (found == 0) return;
    if (!IsNoise(learned.NameOf(found))) wrong_.fetch_add(1);
    learned.Release(found, Monotonic());
  }
  static bool IsNoise(Bytes name) { return NameToText(name).starts_with("noise"); }

  void MakeNoise(uint32_t thread) {
    for (uint32_t i = 0; !done_.load(); ++i) {
      AddAndFind(learned_, thread, i);
      AddAndFind(overflowing_, thread, i);
    }
  }

  void ExpireAndList() {
    while (!done_.load()) {
      learned_.Expire(Monotonic());
      for (const auto& entry : learned_.List(Monotonic())) {
        if (!entry.name.ends_with(".example.")) wrong_.fetch_add(1);
      }
      if (overflowing_.size() > 16) wrong_.fetch_add(1);
    }
  }

  static std::string PairName(int i) { return "pair" + std::to_string(i % 20) + ".example."; }
  static IpAddress PairAddress(int i) { return Numbered(static_cast<uint32_t>(200'000 + i % 200)); }

  LearnedAddresses learned_{
      {.addresses = kMost, .per_name = kPerName, .grace = absl::Milliseconds(100)}};
  LearnedAddresses overflowing_{{.addresses = 16, .per_name = kPerName}};
  std::atomic<bool> done_{false};
  std::atomic<int> wrong_{0};
};

TEST_F(SeveralThreads, WhatOneAddedAnotherFindsWhateverComesAndGoesMeanwhile) {
  std::vector<std::thread> others;
  for (uint32_t i = 0; i < 2; ++i) others.emplace_back([this, i] { MakeNoise(i); });
  others.emplace_back([this] { ExpireAndList(); });

  std::atomic<int> added{0}, found{0};
  others.emplace_back([&] {
    for (int i = 1; i <= kRounds; ++i) {
      learned_.Add(Wire(PairName(i)), PairAddress(i), absl::Hours(1), Monotonic());
      added.store(i, std::memory_order_release);
      while (found.load(std::memory_order_acquire) < i) std::this_thread::yield();
    }
  });
  int missed = 0;
  for (int i = 1; i <= kRounds; ++i) {
    while (added.load(std::memory_order_acquire) < i) std::this_thread::yield();
    const auto admission = learned_.Find(
        PairAddress(i), Monotonic(), [&](Bytes name) { return NameToText(name) == PairName(i); });
    if (admission != 0) learned_.Release(admission, Monotonic());
    missed += admission == 0;
    found.store(i, std::memory_order_release);
  }
  done_.store(true);
  for (std::thread& thread : others) thread.join();
  EXPECT_EQ(missed, 0);
  EXPECT_EQ(wrong_.load(), 0);

  learned_.Expire(Monotonic() + absl::Hours(2));
  overflowing_.Expire(Monotonic() + absl::Hours(2));
  EXPECT_EQ(learned_.size(), 0u) << "every count came back to zero";
  EXPECT_EQ(overflowing_.size(), 0u);
}

}  // namespace
}  // namespace portolan::proxy

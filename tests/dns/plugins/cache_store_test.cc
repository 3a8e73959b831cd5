#include "dns/plugins/cache_store.h"

#include <gtest/gtest.h>

#include <string>

#include "dns/wire/name.h"
#include "tests/dns/question.h"

namespace portolan::dns {
namespace {

using test::Bytes;

constexpr CacheTime kNow{};

class CacheStoreTest : public testing::Test {
 protected:
  // A message with the question of `name` and `bytes` in all, of which each two differ.
  static Bytes Message(const std::string& name, size_t bytes) {
    Bytes message = test::MakeQuery(name, wire::type::kA);
    for (size_t i = message.size(); i < bytes; ++i) message.push_back(static_cast<uint8_t>(i * 7));
    return message;
  }

  void Put(const std::string& name, size_t bytes = 60, CacheKind kind = CacheKind::kSuccess,
           std::vector<uint16_t> ttl_at = {}, bool cuts = false) {
    const std::string wire = *wire::NameToWire(name);
    const Bytes message = Message(name, bytes);
    CachedReply reply;
    reply.message = message;
    reply.ttl_at = ttl_at;
    reply.cuts = cuts;
    store_.Put(Question(wire), kind, reply, kNow, 30);
  }

  static CacheQuestion Question(const std::string& wire, uint16_t type = wire::type::kA) {
    return {Name(wire), type, 0};
  }
  static std::span<const uint8_t> Name(const std::string& wire) {
    return {reinterpret_cast<const uint8_t*>(wire.data()), wire.size()};
  }

  CacheEntry* Find(const std::string& name) {
    return store_.Find(Question(*wire::NameToWire(name)));
  }
  CacheEntry* FindCut(const std::string& name) {
    return store_.FindCut(Name(*wire::NameToWire(name)), 0);
  }
  Bytes Copy(const CacheEntry& entry, uint32_t ttl) {
    Bytes out(entry.message_bytes);
    store_.Copy(entry, ttl, out);
    return out;
  }

  CacheStore store_{{16, 16}};
};

TEST_F(CacheStoreTest, GivesBackWhatWasPutWhateverItsLength) {
  for (const size_t bytes : {size_t{30}, size_t{123}, size_t{124}, size_t{125}, size_t{248},
                             size_t{1001}, CacheStore::kMaxMessageBytes}) {
    Put("a.example", bytes);
    ASSERT_NE(Find("a.example"), nullptr);
    EXPECT_EQ(Copy(*Find("a.example"), 7), Message("a.example", bytes)) << bytes;
  }
  EXPECT_EQ(store_.entries(CacheKind::kSuccess), 1u);
}

TEST_F(CacheStoreTest, SetsTheTtlWhereverItStands) {
  // Odd, so that the places stand behind a byte of padding, and across the end of a block.
  Put("a.example", 301, CacheKind::kSuccess, {40, 122, 290});
  const Bytes copy = Copy(*Find("a.example"), 0x01020304);
  for (const size_t at : {40, 122, 290}) {
    EXPECT_EQ(wire::Load32(&copy[at]), 0x01020304u) << at;
  }
}

TEST_F(CacheStoreTest, TellsQuestionsApart) {
  Put("a.example");
  const std::string wire = *wire::NameToWire("a.example");
  EXPECT_EQ(Find("b.example"), nullptr);
  EXPECT_EQ(store_.Find(Question(wire, wire::type::kAaaa)), nullptr);
  EXPECT_EQ(store_.Find({Name(wire), wire::type::kA, CacheQuestion::kDnssecOk}), nullptr);
  EXPECT_EQ(store_.Find({Name(wire), wire::type::kA, CacheQuestion::kCheckingDisabled}), nullptr);
}

TEST_F(CacheStoreTest, ReadsNamesThatReachOverABlock) {
  const std::string label(63, 'x');
  const std::string a = label + "." + label + ".a.example";
  const std::string b = label + "." + label + ".b.example";
  Put(a, 200);
  EXPECT_NE(Find(a), nullptr);
  EXPECT_EQ(Find(b), nullptr);
}

TEST_F(CacheStoreTest, KeepsToItsCapacityAndSparesWhatIsAskedFor) {
  for (int i = 0; i < 16; ++i) Put("n" + std::to_string(i) + ".example");
  EXPECT_NE(Find("n0.example"), nullptr);
  Put("one.more.example");
  EXPECT_EQ(store_.entries(CacheKind::kSuccess), 16u);
  EXPECT_EQ(store_.evictions(CacheKind::kSuccess), 1u);
  EXPECT_NE(Find("n0.example"), nullptr);
  EXPECT_EQ(Find("n1.example"), nullptr);
}

TEST_F(CacheStoreTest, EvictsEvenWhenAllWereAskedFor) {
  for (int i = 0; i < 16; ++i) Put("n" + std::to_string(i) + ".example");
  for (int i = 0; i < 16; ++i) EXPECT_NE(Find("n" + std::to_string(i) + ".example"), nullptr);
  Put("one.more.example");
  EXPECT_EQ(store_.entries(CacheKind::kSuccess), 16u);
  EXPECT_NE(Find("one.more.example"), nullptr);
}

TEST_F(CacheStoreTest, KindsDoNotTakeEachOthersCapacity) {
  for (int i = 0; i < 100; ++i) Put("n" + std::to_string(i) + ".example", 60, CacheKind::kDenial);
  Put("a.example");
  for (int i = 0; i < 100; ++i) Put("m" + std::to_string(i) + ".example", 60, CacheKind::kDenial);
  EXPECT_NE(Find("a.example"), nullptr);
  EXPECT_EQ(store_.entries(CacheKind::kDenial), 16u);
  EXPECT_EQ(store_.entries(CacheKind::kSuccess), 1u);
}

TEST_F(CacheStoreTest, AQuestionHasOneReplyOfEitherKind) {
  Put("a.example", 60, CacheKind::kDenial);
  Put("a.example", 60, CacheKind::kSuccess);
  EXPECT_EQ(store_.entries(CacheKind::kDenial), 0u);
  EXPECT_EQ(store_.entries(CacheKind::kSuccess), 1u);
  store_.Remove(Question(*wire::NameToWire("a.example")));
  EXPECT_EQ(store_.entries(CacheKind::kSuccess), 0u);
  EXPECT_EQ(Find("a.example"), nullptr);
}

TEST_F(CacheStoreTest, LongRepliesDoNotTakeMoreMemoryThanFourBlocksEach) {
  for (int i = 0; i < 200; ++i) {
    Put("n" + std::to_string(i) + ".example", CacheStore::kMaxMessageBytes);
  }
  EXPECT_LT(store_.entries(CacheKind::kSuccess), 16u);
  EXPECT_LE(store_.memory_bytes(), 16 * (sizeof(CacheEntry) + 4 * 128) + 4096 + 128);
}

TEST_F(CacheStoreTest, MemoryGrowsWithUseAndIsUsedAgain) {
  EXPECT_EQ(store_.memory_bytes(), 0u);
  for (int i = 0; i < 16; ++i) Put("n" + std::to_string(i) + ".example", 100 + i);
  const size_t full = store_.memory_bytes();
  for (int i = 0; i < 1000; ++i) Put("m" + std::to_string(i) + ".example", 100 + i % 20);
  EXPECT_EQ(store_.memory_bytes(), full);
}

TEST_F(CacheStoreTest, ACutGoesWithItsReply) {
  EXPECT_FALSE(store_.has_cuts());
  Put("a.example", 60, CacheKind::kDenial, {}, true);
  EXPECT_NE(FindCut("a.example"), nullptr);
  EXPECT_EQ(FindCut("example"), nullptr);
  Put("a.example", 60, CacheKind::kSuccess);
  EXPECT_EQ(FindCut("a.example"), nullptr);
  EXPECT_FALSE(store_.has_cuts());
}

}  // namespace
}  // namespace portolan::dns

// Replies are known by their hashes, for as long as there is room.
#include "proxy/policy/recent_replies.h"

#include <gtest/gtest.h>

namespace portolan::proxy {
namespace {

constexpr uint64_t kReply = 0x0123456789abcdef;
constexpr uint64_t kOther = kReply + RecentReplies::kMostAddresses + 1;

TEST(RecentReplies, AReplyIsKnownWithTheNumberOfItsAddresses) {
  RecentReplies replies;
  EXPECT_EQ(replies.Find(7, kReply), 0u);
  replies.Add(7, kReply, 3);
  replies.Add(7, kOther, RecentReplies::kMostAddresses);
  EXPECT_EQ(replies.Find(7, kReply), 3u);
  EXPECT_EQ(replies.Find(7, kOther), RecentReplies::kMostAddresses);
  EXPECT_EQ(replies.Find(8, kReply), 0u) << "of another question";
  EXPECT_EQ(replies.Find(7, 0), 0u) << "what a place without a reply has";
}

TEST(RecentReplies, TheOldestOfASetGoes) {
  RecentReplies replies;
  const auto reply = [](uint64_t i) { return kReply + (i << 32); };
  for (uint64_t i = 0; i <= RecentReplies::kOfASet; ++i) replies.Add(7, reply(i), 1);
  EXPECT_EQ(replies.Find(7, reply(0)), 0u);
  for (uint64_t i = 1; i <= RecentReplies::kOfASet; ++i) {
    EXPECT_EQ(replies.Find(7, reply(i)), 1u) << i;
  }
}

}  // namespace
}  // namespace portolan::proxy

#include "dns/wire/extended_error.h"

#include <gtest/gtest.h>

#include <string>

#include "dns/wire/message.h"
#include "tests/dns/question.h"

namespace portolan::dns::wire {
namespace {

using test::Bytes;

class ExtendedErrorTest : public ::testing::Test {
 protected:
  // A SERVFAIL in room_ for a client with or without EDNS.
  size_t Reply(int edns_version) {
    query_bytes_ = test::MakeQuery("x.example", type::kA, {.edns_version = edns_version});
    Query query;
    EXPECT_EQ(ParseQuery(query_bytes_, query), ParseOutcome::kQuery);
    return WriteEmptyReply(query, room_, Rcode::kServFail);
  }

  // The options of the reply's OPT record. The reply must be whole.
  std::string Options(size_t bytes) {
    MessageReader reader(std::span<const uint8_t>(room_).first(bytes));
    std::string options;
    for (MessageRecord record; reader.Next(record);) {
      if (record.type != type::kOpt) continue;
      options.assign(room_.begin() + static_cast<long>(record.rdata_at),
                     room_.begin() + static_cast<long>(record.end()));
    }
    EXPECT_TRUE(reader.ok());
    EXPECT_EQ(reader.position(), bytes);
    return options;
  }

  Bytes query_bytes_;
  Bytes room_ = Bytes(512);
};

TEST_F(ExtendedErrorTest, IsAnOptionOfTheReplysOptRecord) {
  const size_t bytes = Reply(0);
  const size_t longer =
      AppendExtendedError(room_, bytes, 512, ExtendedError::kNetworkError, "no server");
  EXPECT_EQ(longer, bytes + 15);
  EXPECT_EQ(Options(longer), std::string("\0\x0f\0\x0b\0\x17no server", 15));
}

TEST_F(ExtendedErrorTest, SeveralStandBehindEachOther) {
  size_t bytes = Reply(0);
  bytes = AppendExtendedError(room_, bytes, 512, ExtendedError::kStaleAnswer, "");
  bytes = AppendExtendedError(room_, bytes, 512, ExtendedError::kNetworkError, "");
  EXPECT_EQ(Options(bytes), std::string("\0\x0f\0\x02\0\x03\0\x0f\0\x02\0\x17", 12));
}

TEST_F(ExtendedErrorTest, AClientWithoutEdnsGetsNone) {
  const size_t bytes = Reply(-1);
  const Bytes before = room_;
  EXPECT_EQ(AppendExtendedError(room_, bytes, 512, ExtendedError::kBlocked, "why"), bytes);
  EXPECT_EQ(room_, before);
}

TEST_F(ExtendedErrorTest, TheTextGoesWhereOnlyTheCodeFits) {
  const size_t bytes = Reply(0);
  const size_t longer =
      AppendExtendedError(room_, bytes, bytes + 6, ExtendedError::kBlocked, "why");
  EXPECT_EQ(longer, bytes + 6);
  EXPECT_EQ(Options(longer), std::string("\0\x0f\0\x02\0\x0f", 6));
}

TEST_F(ExtendedErrorTest, NoRoomLeavesTheReplyAsItIs) {
  const size_t bytes = Reply(0);
  const Bytes before = room_;
  EXPECT_EQ(AppendExtendedError(room_, bytes, bytes + 5, ExtendedError::kBlocked, ""), bytes);
  EXPECT_EQ(AppendExtendedError(std::span(room_).first(bytes + 5), bytes, 512,
                                ExtendedError::kBlocked, ""),
            bytes);
  EXPECT_EQ(room_, before);
}

TEST_F(ExtendedErrorTest, ARecordBehindTheOptLeavesTheReplyAsItIs) {
  size_t bytes = Reply(0);
  for (uint8_t byte : {0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 9, 0, 4, 9, 9, 9, 9}) room_[bytes++] = byte;
  Store16(&room_[10], 2);
  EXPECT_EQ(AppendExtendedError(room_, bytes, 512, ExtendedError::kBlocked, "why"), bytes);
}

TEST_F(ExtendedErrorTest, AMalformedReplyStaysAsItIs) {
  const size_t bytes = Reply(0);
  Store16(&room_[6], 9);
  EXPECT_EQ(AppendExtendedError(room_, bytes, 512, ExtendedError::kBlocked, "why"), bytes);
  EXPECT_EQ(AppendExtendedError(room_, 5, 512, ExtendedError::kBlocked, "why"), 5u);
}

}  // namespace
}  // namespace portolan::dns::wire

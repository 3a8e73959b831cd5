#include "dns/wire/reply.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>

#include "dns/wire/message.h"
#include "dns/wire/name.h"
#include "tests/dns/question.h"

namespace portolan::dns::wire {
namespace {

using test::Bytes;
using test::MakeQuery;

class Reply : public ::testing::Test {
 protected:
  void Ask(std::string_view name, uint16_t qtype, const test::QueryShape& shape = {}) {
    message_ = MakeQuery(name, qtype, shape);
    outcome_ = ParseQuery(message_, query_);
  }
  std::span<const uint8_t> Written(size_t size) { return std::span(room_).first(size); }
  void AddAddress(ReplyWriter& writer) {
    auto rdata = writer.Add(Section::kAnswer, kQuestionName, type::kA, 30, 4);
    std::fill(rdata.begin(), rdata.end(), uint8_t{7});
  }

  Bytes message_;
  Query query_;
  ParseOutcome outcome_ = ParseOutcome::kDrop;
  std::array<uint8_t, 4096> room_;
};

TEST_F(Reply, EchoesIdAndQuestionWithItsCase) {
  Ask("MiXed.Example", type::kA);
  ReplyWriter writer(query_, room_, 512);
  AddAddress(writer);
  MessageReader reader(Written(writer.Finish(Rcode::kNoError, flag::kAuthoritative)));
  ASSERT_TRUE(reader.ok());
  EXPECT_EQ(reader.id(), 0x1234);
  EXPECT_EQ(reader.flags(), 0x8500);
  EXPECT_TRUE(std::ranges::equal(reader.question(), query_.question));
  MessageRecord record;
  ASSERT_TRUE(reader.Next(record));
  NameBuffer owner;
  EXPECT_NE(ReadName(Written(512), record.owner_at, owner), 0u);
  EXPECT_EQ(NameToText(owner.view()), "MiXed.Example.");
  EXPECT_EQ(record.ttl, 30u);
  EXPECT_EQ(record.rdata_bytes, 4u);
  EXPECT_FALSE(reader.Next(record));
  EXPECT_TRUE(reader.ok());
}

TEST_F(Reply, CopiesCheckingDisabledAndClearsAuthenticData) {
  Ask("a", type::kA, {.flags = 0x0130});
  const size_t size = WriteEmptyReply(query_, room_, Rcode::kServFail);
  EXPECT_EQ(MessageReader(Written(size)).flags(), 0x8112);
}

TEST_F(Reply, AnswersEdnsWithEdnsOnly) {
  Ask("a", type::kA, {.edns_version = 0, .dnssec_ok = true});
  MessageReader with(Written(WriteEmptyReply(query_, room_, Rcode::kNoError)));
  MessageRecord record;
  ASSERT_TRUE(with.Next(record));
  EXPECT_EQ(record.type, type::kOpt);
  EXPECT_EQ(record.rclass, kOurUdpPayload);
  EXPECT_EQ(record.ttl, 0x8000u);
  Ask("a", type::kA);
  MessageReader without(Written(WriteEmptyReply(query_, room_, Rcode::kNoError)));
  EXPECT_FALSE(without.Next(record));
}

TEST_F(Reply, BadversStandsInTheOptRecord) {
  Ask("a", type::kA, {.edns_version = 1});
  ASSERT_EQ(outcome_, ParseOutcome::kBadVers);
  MessageReader reader(Written(WriteEmptyReply(query_, room_, Rcode::kBadVers)));
  EXPECT_EQ(reader.rcode(), 0);
  MessageRecord record;
  ASSERT_TRUE(reader.Next(record));
  EXPECT_EQ(record.ttl >> 24, 1u);
  EXPECT_EQ((record.ttl >> 16) & 0xff, 0u) << "the version we speak";
}

TEST_F(Reply, AQueryThatDoesNotParseIsAnsweredWithoutAQuestion) {
  message_ = MakeQuery("a", type::kA);
  message_[5] = 2;
  ASSERT_EQ(ParseQuery(message_, query_), ParseOutcome::kFormErr);
  const size_t size = WriteEmptyReply(query_, room_, Rcode::kFormErr);
  EXPECT_EQ(size, kHeaderBytes);
  EXPECT_EQ(MessageReader(Written(size)).rcode(), 1);
}

TEST_F(Reply, KeepsTheOpcodeOfWhatItDoesNotImplement) {
  Ask("a", type::kA, {.flags = 2 << 11});
  EXPECT_EQ(MessageReader(Written(WriteEmptyReply(query_, room_, Rcode::kNotImp))).flags(), 0x9004);
}

TEST_F(Reply, KeepsWholeRecordsUpToTheLimitAndSetsTc) {
  for (bool edns : {false, true}) {
    Ask("a.example", type::kA, {.edns_version = edns ? 0 : -1});
    ReplyWriter writer(query_, room_, 512);
    for (int i = 0; i < 100; ++i) AddAddress(writer);
    const size_t size = writer.Finish(Rcode::kNoError, 0);
    EXPECT_LE(size, 512u);
    EXPECT_GT(size, 512u - 16);
    MessageReader reader(Written(size));
    EXPECT_TRUE(reader.flags() & flag::kTruncated);
    EXPECT_EQ(reader.count(Section::kAnswer), writer.answer_count());
    MessageRecord record;
    while (reader.Next(record)) {
    }
    EXPECT_TRUE(reader.ok());
    EXPECT_EQ(reader.position(), size);
  }
}

TEST_F(Reply, NothingIsAddedBehindARecordThatDidNotFit) {
  Ask("a", type::kA);
  ReplyWriter writer(query_, room_, 512);
  EXPECT_TRUE(writer.Add(Section::kAnswer, kQuestionName, type::kTxt, 0, 600).empty());
  EXPECT_TRUE(writer.Add(Section::kAnswer, kQuestionName, type::kA, 0, 4).empty());
  EXPECT_TRUE(writer.truncated());
}

TEST_F(Reply, GlueThatDoesNotFitIsLeftOutWithoutTc) {
  Ask("a", type::kA);
  ReplyWriter writer(query_, room_, 512);
  EXPECT_TRUE(writer.Add(Section::kAdditional, kQuestionName, type::kTxt, 0, 600).empty());
  EXPECT_FALSE(writer.truncated());
}

TEST_F(Reply, ASetFitsAsFarAsThereIsRoom) {
  Ask("a", type::kA);
  const Bytes addresses(60 * 4, 10);
  ReplyWriter small(query_, room_, 512);
  EXPECT_EQ(small.AddSet(Section::kAnswer, kQuestionName, type::kA, 5, addresses, 4), 30u);
  EXPECT_TRUE(small.truncated());
  ReplyWriter large(query_, room_, 1232);
  EXPECT_EQ(large.AddSet(Section::kAnswer, kQuestionName, type::kA, 5, addresses, 4), 60u);
  EXPECT_FALSE(large.truncated());
}

}  // namespace
}  // namespace portolan::dns::wire

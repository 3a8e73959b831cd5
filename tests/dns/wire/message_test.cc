#include "dns/wire/message.h"

#include <gtest/gtest.h>

#include <array>

#include "dns/wire/reply.h"
#include "tests/dns/question.h"

namespace portolan::dns::wire {
namespace {

using test::Bytes;
using test::MakeQuery;

Bytes ReplyWithTwoRecords() {
  const Bytes message = MakeQuery("a.example", type::kA, {.edns_version = 0});
  Query query;
  ParseQuery(message, query);
  std::array<uint8_t, 512> room;
  ReplyWriter writer(query, room, 512);
  auto address = writer.Add(Section::kAnswer, kQuestionName, type::kA, 30, 4);
  std::fill(address.begin(), address.end(), uint8_t{1});
  auto ns = writer.Add(Section::kAuthority, QuestionSuffix(query, 1), type::kNs, 60, 2);
  Store16(ns.data(), 0xc000 | kQuestionName);
  const size_t size = writer.Finish(Rcode::kNoError, 0);
  return Bytes(room.begin(), room.begin() + static_cast<long>(size));
}

TEST(MessageReader, GivesRecordsWithTheirSections) {
  const Bytes message = ReplyWithTwoRecords();
  MessageReader reader(message);
  MessageRecord record;
  ASSERT_TRUE(reader.Next(record));
  EXPECT_EQ(record.section, Section::kAnswer);
  EXPECT_EQ(message[record.rdata_at], 1);
  ASSERT_TRUE(reader.Next(record));
  EXPECT_EQ(record.section, Section::kAuthority);
  EXPECT_EQ(record.ttl, 60u);
  EXPECT_EQ(Load32(message.data() + record.ttl_at), 60u);
  ASSERT_TRUE(reader.Next(record));
  EXPECT_EQ(record.section, Section::kAdditional);
  EXPECT_EQ(record.type, type::kOpt);
  EXPECT_FALSE(reader.Next(record));
  EXPECT_TRUE(reader.ok());
}

TEST(MessageReader, ACutMessageIsNotOk) {
  const Bytes whole = ReplyWithTwoRecords();
  for (size_t n = 0; n < whole.size(); ++n) {
    const Bytes cut(whole.begin(), whole.begin() + static_cast<long>(n));
    MessageReader reader(cut);
    MessageRecord record;
    while (reader.Next(record)) EXPECT_LE(record.end(), n);
    EXPECT_FALSE(reader.ok()) << n;
  }
}

TEST(MessageReader, SeveralQuestionsAreNotOk) {
  Bytes message = ReplyWithTwoRecords();
  message[5] = 2;
  EXPECT_FALSE(MessageReader(message).ok());
}

TEST(MessageReader, AMessageWithoutAQuestionIsOk) {
  const Bytes message = {0, 1, 0x81, 0x05, 0, 0, 0, 0, 0, 0, 0, 0};
  MessageReader reader(message);
  EXPECT_TRUE(reader.ok());
  EXPECT_TRUE(reader.question().empty());
  EXPECT_EQ(reader.rcode(), 5);
}

TEST(SameQuestion, IgnoresLetterCaseInTheNameAndNowhereElse) {
  const Bytes lower = MakeQuery("a.example", type::kA), upper = MakeQuery("A.EXAMPLE", type::kA);
  const Bytes other = MakeQuery("b.example", type::kA);
  // Type 0x61 and 0x41 would be the same letter.
  const Bytes t61 = MakeQuery("a.example", 0x61), t41 = MakeQuery("a.example", 0x41);
  auto question = [](const Bytes& m) { return std::span(m).subspan(kHeaderBytes); };
  EXPECT_TRUE(SameQuestion(question(lower), question(upper)));
  EXPECT_FALSE(SameQuestion(question(lower), question(other)));
  EXPECT_FALSE(SameQuestion(question(t61), question(t41)));
  EXPECT_FALSE(SameQuestion({}, {}));
}

}  // namespace
}  // namespace portolan::dns::wire

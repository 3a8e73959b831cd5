#include "dns/wire/relabel.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "dns/wire/bytes.h"
#include "tests/conformance/records.h"
#include "tests/dns/question.h"

namespace portolan::dns::wire {
namespace {

using test::Append16;
using test::Bytes;
using test::RecordsOf;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

// A reply as an upstream writes it, by hand.
class OldReply {
 public:
  OldReply(std::string_view name, uint16_t type, uint16_t flags = 0x8180)
      : bytes_(test::MakeQuery(name, type, {.flags = flags})) {}

  // `owner` and names in `rdata` as bytes, so that a test says where they point.
  OldReply& Add(Section section, const Bytes& owner, uint16_t type, const Bytes& rdata,
                uint16_t rclass = kClassIn, uint32_t ttl = 60) {
    bytes_.insert(bytes_.end(), owner.begin(), owner.end());
    Append16(bytes_, type);
    Append16(bytes_, rclass);
    Append16(bytes_, static_cast<uint16_t>(ttl >> 16));
    Append16(bytes_, static_cast<uint16_t>(ttl));
    Append16(bytes_, static_cast<uint16_t>(rdata.size()));
    rdata_at = bytes_.size();
    bytes_.insert(bytes_.end(), rdata.begin(), rdata.end());
    const size_t count = 6 + 2 * static_cast<size_t>(section);
    Store16(&bytes_[count], static_cast<uint16_t>(Load16(&bytes_[count]) + 1));
    return *this;
  }
  OldReply& AddOpt(uint32_t ttl, const Bytes& options) {
    return Add(Section::kAdditional, {0}, type::kOpt, options, 4096, ttl);
  }
  const Bytes& bytes() const { return bytes_; }

  size_t rdata_at = 0;  // of the record added last

 private:
  Bytes bytes_;
};

Bytes Name(std::string_view text) {
  const std::string wire = *NameToWire(text);
  return {wire.begin(), wire.end()};
}
Bytes Pointer(size_t at) {
  return {static_cast<uint8_t>(0xc0 | at >> 8), static_cast<uint8_t>(at)};
}
Bytes operator+(Bytes a, const Bytes& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

const Bytes kAsked = Pointer(kHeaderBytes);
const Bytes kAddress = {192, 0, 2, 1};

void Rename(NameBuffer* name, std::string_view from, std::string_view to) {
  if (name == nullptr || NameToText(name->view()) != from) return;
  const Bytes wire = Name(to);
  std::copy(wire.begin(), wire.end(), name->bytes.begin());
  name->size = static_cast<uint8_t>(wire.size());
}

class RelabelTest : public ::testing::Test {
 protected:
  // The reply to `name`, with old.example renamed to New.example.
  Bytes Renamed(const OldReply& old, std::string_view name = "New.example",
                const test::QueryShape& shape = {}, size_t max_bytes = 512) {
    message_ = test::MakeQuery(name, type::kA, shape);
    EXPECT_EQ(ParseQuery(message_, query_), ParseOutcome::kQuery);
    Bytes room(kMaxMessageBytes);
    std::copy(old.bytes().begin(), old.bytes().end(), room.begin());
    auto relabel = std::make_unique<Relabel>(std::span(room).first(old.bytes().size()), query_,
                                             room, max_bytes);
    while (relabel->Next()) {
      Rename(&relabel->owner(), "old.example.", "New.example");
      Rename(relabel->value(), "old.example.", "New.example");
      relabel->Keep();
    }
    room.resize(relabel->Finish());
    return room;
  }

  Bytes message_;
  Query query_;
};

TEST_F(RelabelTest, TheQuestionTheIdAndTheOwnersAreTheNewOnes) {
  OldReply old("old.example", type::kA, 0x85b0);  // QR AA RD RA AD CD
  old.Add(Section::kAnswer, kAsked, type::kA, kAddress)
      .Add(Section::kAnswer, kAsked, type::kA, {192, 0, 2, 2});
  const Bytes reply = Renamed(old, "New.example", {.id = 0x4711, .flags = 0});
  EXPECT_EQ(Load16(&reply[0]), 0x4711);
  EXPECT_EQ(Load16(&reply[2]), 0x8480) << "RD and CD are the client's, AD is gone";
  EXPECT_THAT(RecordsOf(reply, Section::kAnswer),
              ElementsAre("New.example. 60 A 192.0.2.1", "New.example. 60 A 192.0.2.2"));
  EXPECT_EQ(reply.size(), kHeaderBytes + 13 + 4 + 2 * 16) << "owners point at the question";
}

TEST_F(RelabelTest, NamesInTheDataOfEachKnownTypeAreRewrittenWherePointersWere) {
  OldReply old("old.example", type::kA);
  old.Add(Section::kAnswer, kAsked, 5, kAsked)
      .Add(Section::kAnswer, kAsked, 15, Bytes{0, 10} + Name("mx"))
      .Add(Section::kAnswer, kAsked, 15, Bytes{0, 20} + kAsked)
      .Add(Section::kAnswer, kAsked, 33, Bytes{0, 1, 0, 2, 0, 80} + kAsked)
      .Add(Section::kAnswer, kAsked, 35, Bytes{0, 1, 0, 2, 1, 'u', 0, 1, '!'} + kAsked)
      .Add(Section::kAnswer, kAsked, 39, kAsked)
      .Add(Section::kAnswer, kAsked, 12, Bytes{1, 'x'} + kAsked)
      .Add(Section::kAuthority, Pointer(16), 2, kAsked)
      .Add(Section::kAuthority, Pointer(16), 6, kAsked + Bytes{1, 'h'} + kAsked + Bytes(20, 7));
  const Bytes reply = Renamed(old);
  ASSERT_FALSE(reply.empty());
  // Bare names, so that nothing is lost where the reader reads another name than meant.
  std::vector<std::string> values;
  MessageReader reader(reply);
  for (MessageRecord record; reader.Next(record);) {
    size_t at = record.rdata_at;
    if (record.type == 15) at += 2;
    if (record.type == 33) at += 6;
    if (record.type == 35) at += 9;
    NameBuffer name;
    const size_t end = ReadName(reply, at, name);
    values.push_back(NameToText(name.view()));
    if (record.type == 6) {
      EXPECT_EQ(ReadName(reply, end, name) + 20, record.end());
      values.push_back(NameToText(name.view()));
    } else {
      EXPECT_EQ(end, record.end());
    }
  }
  EXPECT_TRUE(reader.ok());
  EXPECT_THAT(values, ElementsAre("New.example.", "mx.", "New.example.", "New.example.",
                                  "New.example.", "New.example.", "x.old.example.", "New.example.",
                                  "New.example.", "h.old.example."));
}

TEST_F(RelabelTest, NamesAreCompressedOnlyWhereRfc1035AllowsIt) {
  for (const auto& [type, before, bytes] :
       {std::tuple{5, 0, 2}, std::tuple{15, 2, 4}, std::tuple{33, 6, 19}, std::tuple{39, 0, 13}}) {
    OldReply old("old.example", type::kA);
    old.Add(Section::kAnswer, kAsked, static_cast<uint16_t>(type), Bytes(before, 0) + kAsked);
    const Bytes reply = Renamed(old);
    EXPECT_EQ(reply.size(), kHeaderBytes + 17 + 12 + static_cast<size_t>(bytes)) << type;
  }
}

TEST_F(RelabelTest, UnknownTypesAndClassesAreCopiedAndThoseThatMayHidePointersLeftOut) {
  OldReply old("old.example", type::kA);
  old.Add(Section::kAnswer, kAsked, 65, {0, 1, 0})
      .Add(Section::kAnswer, kAsked, 24, Bytes(18, 0) + kAsked)
      .Add(Section::kAnswer, kAsked, type::kTxt, {1, 'x'}, kClassChaos);
  const Bytes reply = Renamed(old);
  MessageReader reader(reply);
  MessageRecord record;
  ASSERT_TRUE(reader.Next(record));
  EXPECT_EQ(record.type, 65);
  EXPECT_EQ(record.rdata_bytes, 3u);
  ASSERT_TRUE(reader.Next(record));
  EXPECT_EQ(record.type, type::kTxt);
  EXPECT_EQ(record.rclass, kClassChaos);
  EXPECT_FALSE(reader.Next(record));
}

TEST_F(RelabelTest, TheOptRecordIsTheClientsWithTheOldOnesOptionsAndRcode) {
  OldReply old("old.example", type::kA);
  old.Add(Section::kAnswer, kAsked, type::kA, kAddress).AddOpt(1u << 24, {0, 15, 0, 2, 0, 22});
  Bytes reply = Renamed(old, "New.example", {.edns_version = 0, .dnssec_ok = true});
  EXPECT_EQ(Bytes(reply.end() - 17, reply.end()),
            (Bytes{0, 0, 41, 1232 >> 8, 1232 & 255, 1, 0, 0x80, 0, 0, 6, 0, 15, 0, 2, 0, 22}));
  EXPECT_EQ(Load16(&reply[10]), 1);
  reply = Renamed(old);
  EXPECT_EQ(Load16(&reply[10]), 0);
  EXPECT_EQ(reply[3] & 15, 2) << "BADVERS cannot be said without EDNS";
}

TEST_F(RelabelTest, WhatDoesNotFitIsLeftOutWholeAndSaidInTc) {
  OldReply old("o.example", type::kA);
  for (int i = 0; i < 40; ++i) old.Add(Section::kAnswer, kAsked, type::kA, kAddress);
  const std::string longer = std::string(60, 'n') + "." + std::string(60, 'm') + ".example";
  Bytes reply = Renamed(old, longer);
  EXPECT_LE(reply.size(), 512u);
  EXPECT_EQ(Load16(&reply[2]) & flag::kTruncated, flag::kTruncated);
  EXPECT_EQ(RecordsOf(reply, Section::kAnswer).size(), Load16(&reply[6]));
  EXPECT_EQ(Load16(&reply[6]), 22);
  reply = Renamed(old, longer, {}, 4096);
  EXPECT_EQ(Load16(&reply[2]) & flag::kTruncated, 0);
  EXPECT_EQ(Load16(&reply[6]), 40);
}

TEST_F(RelabelTest, AnAdditionalRecordThatDoesNotFitIsMissingWithoutTc) {
  OldReply old("old.example", type::kA);
  old.Add(Section::kAnswer, kAsked, type::kA, kAddress)
      .Add(Section::kAdditional, kAsked, type::kTxt, Bytes(480, 0));
  const Bytes reply = Renamed(old);
  EXPECT_EQ(Load16(&reply[2]) & flag::kTruncated, 0);
  EXPECT_EQ(Load16(&reply[6]), 1);
  EXPECT_EQ(Load16(&reply[10]), 0);
}

TEST_F(RelabelTest, MalformedRepliesAreRefused) {
  const auto with = [](uint16_t type, const Bytes& rdata) {
    return OldReply("old.example", type::kA).Add(Section::kAnswer, kAsked, type, rdata);
  };
  EXPECT_THAT(Renamed(with(5, {3, 'a'})), IsEmpty()) << "a name that runs out";
  EXPECT_THAT(Renamed(with(5, kAsked + Bytes{0})), IsEmpty()) << "a byte too many";
  EXPECT_THAT(Renamed(with(6, kAsked + kAsked + Bytes(19, 0))), IsEmpty()) << "a short SOA";
  EXPECT_THAT(Renamed(with(33, {0, 0})), IsEmpty()) << "no target";
  EXPECT_THAT(Renamed(with(35, {0, 1, 0, 2, 200, 'u'})), IsEmpty()) << "a string that runs out";
  EXPECT_THAT(Renamed(with(5, Pointer(60))), IsEmpty()) << "a pointer ahead";
  OldReply counted("old.example", type::kA);
  Bytes bytes = counted.bytes();
  bytes[7] = 1;  // an answer that is not there
  Query query;
  const Bytes message = test::MakeQuery("new.example", type::kA);
  ParseQuery(message, query);
  Bytes room(512);
  EXPECT_EQ(std::make_unique<Relabel>(bytes, query, room, 512)->Finish(), 0u);
  EXPECT_EQ(std::make_unique<Relabel>(std::span(bytes).first(5), query, room, 512)->Finish(), 0u);
}

TEST_F(RelabelTest, RecordsOfOurOwnMayStandInFront) {
  OldReply old("www.example.org", type::kA);
  old.Add(Section::kAnswer, kAsked, type::kA, kAddress);
  message_ = test::MakeQuery("WWW.example.org.cluster.local", type::kA);
  ParseQuery(message_, query_);
  Bytes room(512);
  auto relabel = std::make_unique<Relabel>(old.bytes(), query_, room, 512);
  relabel->AddCname(query_.lower_name(), 30, Name("www.example.org"));
  while (relabel->Next()) relabel->Keep();
  room.resize(relabel->Finish());
  EXPECT_THAT(RecordsOf(room, Section::kAnswer),
              ElementsAre("WWW.example.org.cluster.local. 30 CNAME www.example.org.",
                          "www.example.org. 60 A 192.0.2.1"));
}

}  // namespace
}  // namespace portolan::dns::wire

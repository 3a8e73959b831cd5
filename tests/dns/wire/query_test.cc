#include "dns/wire/query.h"

#include <gtest/gtest.h>

#include "dns/wire/name.h"
#include "tests/dns/question.h"

namespace portolan::dns::wire {
namespace {

using test::Append16;
using test::AppendOpt;
using test::Bytes;
using test::MakeQuery;

ParseOutcome Parse(const Bytes& message) {
  Query query;
  return ParseQuery(message, query);
}

TEST(ParseQuery, ReadsTheQuestionAndFoldsItsCase) {
  const Bytes message = MakeQuery("BackEnd.Default.SVC.cluster.local", type::kA);
  Query query;
  ASSERT_EQ(ParseQuery(message, query), ParseOutcome::kQuery);
  EXPECT_EQ(query.id, 0x1234);
  EXPECT_TRUE(query.recursion_desired());
  EXPECT_EQ(query.type, type::kA);
  EXPECT_EQ(query.qclass, kClassIn);
  EXPECT_EQ(NameToText(query.lower_name()), "backend.default.svc.cluster.local.");
  EXPECT_EQ(query.labels, 5);
  EXPECT_EQ(query.label_at[0], 0);
  EXPECT_EQ(query.label_at[1], 8);
  EXPECT_EQ(query.label_at[5], query.name_bytes - 1);
  EXPECT_EQ(NameToText(query.question.first(query.name_bytes)),
            "BackEnd.Default.SVC.cluster.local.");
  EXPECT_FALSE(query.edns);
  EXPECT_EQ(query.udp_payload, 512);
}

TEST(ParseQuery, FoldsLettersOnly) {
  for (int first = 0; first < 256; first += 32) {
    std::string label;
    for (int byte = first; byte < first + 32; ++byte) label += static_cast<char>(byte);
    std::string lower = label;
    for (char& c : lower) {
      if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
    }
    const Bytes message = MakeQuery(NameToText("\x20" + label + '\0'), type::kA);
    Query query;
    ASSERT_EQ(ParseQuery(message, query), ParseOutcome::kQuery);
    EXPECT_EQ(std::string(query.name.begin() + 1, query.name.begin() + 33), lower) << first;
  }
}

TEST(ParseQuery, TheRootHasNoLabels) {
  const Bytes message = MakeQuery(".", type::kNs);
  Query query;
  ASSERT_EQ(ParseQuery(message, query), ParseOutcome::kQuery);
  EXPECT_EQ(query.labels, 0);
  EXPECT_EQ(query.name_bytes, 1);
}

TEST(ParseQuery, TheLongestNameAndTheMostLabelsFit) {
  std::string most;
  for (int i = 0; i < 127; ++i) most += "a.";
  Query query;
  const Bytes message = MakeQuery(most, type::kA);
  ASSERT_EQ(ParseQuery(message, query), ParseOutcome::kQuery);
  EXPECT_EQ(query.labels, 127);
  EXPECT_EQ(query.name_bytes, 255);
}

TEST(ParseQuery, ANameAbove255BytesIsFormerr) {
  Bytes message = MakeQuery("a", type::kA);
  message.resize(kHeaderBytes);
  for (int i = 0; i < 128; ++i) message.insert(message.end(), {1, 'a'});
  message.push_back(0);
  Append16(message, type::kA);
  Append16(message, kClassIn);
  EXPECT_EQ(Parse(message), ParseOutcome::kFormErr);
}

TEST(ParseQuery, ReadsEdns) {
  const Bytes message =
      MakeQuery("a", type::kA, {.edns_version = 0, .udp_payload = 4096, .dnssec_ok = true});
  Query query;
  ASSERT_EQ(ParseQuery(message, query), ParseOutcome::kQuery);
  EXPECT_TRUE(query.edns);
  EXPECT_TRUE(query.dnssec_ok);
  EXPECT_EQ(query.udp_payload, 4096);
}

TEST(ParseQuery, APayloadSizeBelow512CountsAs512) {
  const Bytes message = MakeQuery("a", type::kA, {.edns_version = 0, .udp_payload = 100});
  Query query;
  ASSERT_EQ(ParseQuery(message, query), ParseOutcome::kQuery);
  EXPECT_EQ(query.udp_payload, 512);
}

TEST(ParseQuery, AnEdnsVersionAboveZeroIsBadvers) {
  EXPECT_EQ(Parse(MakeQuery("a", type::kA, {.edns_version = 1})), ParseOutcome::kBadVers);
  EXPECT_EQ(Parse(MakeQuery("a", type::kA, {.qclass = 3, .edns_version = 1})),
            ParseOutcome::kBadVers);
}

TEST(ParseQuery, ASecondOptIsFormerr) {
  Bytes message = MakeQuery("a", type::kA, {.edns_version = 0});
  message[11] = 2;
  AppendOpt(message, {.edns_version = 0});
  EXPECT_EQ(Parse(message), ParseOutcome::kFormErr);
}

TEST(ParseQuery, AnOptOutsideTheAdditionalSectionIsFormerr) {
  Bytes message = MakeQuery("a", type::kA, {.edns_version = 0});
  message[11] = 0;
  message[7] = 1;
  EXPECT_EQ(Parse(message), ParseOutcome::kFormErr);
}

TEST(ParseQuery, SilenceForShortPacketsAndResponses) {
  const Bytes message = MakeQuery("a", type::kA);
  for (size_t n = 0; n < kHeaderBytes; ++n) {
    EXPECT_EQ(Parse(Bytes(message.begin(), message.begin() + static_cast<long>(n))),
              ParseOutcome::kDrop);
  }
  EXPECT_EQ(Parse(MakeQuery("a", type::kA, {.flags = 0x8100})), ParseOutcome::kDrop);
}

TEST(ParseQuery, EveryCutBehindTheHeaderIsFormerr) {
  const Bytes message = MakeQuery("a.example", type::kA, {.edns_version = 0});
  for (size_t n = kHeaderBytes; n < message.size(); ++n) {
    EXPECT_EQ(Parse(Bytes(message.begin(), message.begin() + static_cast<long>(n))),
              ParseOutcome::kFormErr)
        << n;
  }
}

TEST(ParseQuery, TrailingBytesAreFormerr) {
  Bytes message = MakeQuery("a", type::kA);
  message.push_back(0);
  EXPECT_EQ(Parse(message), ParseOutcome::kFormErr);
}

TEST(ParseQuery, OneQuestionExactly) {
  Bytes none = MakeQuery("a", type::kA);
  none[5] = 0;
  EXPECT_EQ(Parse(none), ParseOutcome::kFormErr);
  Bytes two = MakeQuery("a", type::kA);
  two[5] = 2;
  two.insert(two.end(), {1, 'b', 0, 0, 1, 0, 1});
  EXPECT_EQ(Parse(two), ParseOutcome::kFormErr);
}

TEST(ParseQuery, ACompressedQuestionIsFormerr) {
  Bytes message = MakeQuery("a", type::kA);
  message.resize(kHeaderBytes);
  message.insert(message.end(), {1, 'a', 0xc0, 12, 0, 1, 0, 1});
  EXPECT_EQ(Parse(message), ParseOutcome::kFormErr);
}

TEST(ParseQuery, OtherOpcodesAreNotImplemented) {
  for (uint16_t opcode : {1, 2, 4, 5, 15}) {
    const auto flags = static_cast<uint16_t>(opcode << 11);
    EXPECT_EQ(Parse(MakeQuery("a", type::kA, {.flags = flags})), ParseOutcome::kNotImp);
  }
}

TEST(ParseQuery, OtherClassesAreRefused) {
  for (uint16_t qclass : {2, 4, 254, 255}) {
    EXPECT_EQ(Parse(MakeQuery("a", type::kA, {.qclass = qclass})), ParseOutcome::kRefused);
  }
  EXPECT_EQ(Parse(MakeQuery("a", type::kA, {.qclass = kClassChaos})), ParseOutcome::kChaos);
}

TEST(ParseQuery, OtherRecordsInAQueryAreSteppedOver) {
  Bytes message = MakeQuery("a", type::kA);
  message[9] = 1;  // an authority record, as in IXFR
  message.insert(message.end(), {0xc0, 12, 0, 6, 0, 1, 0, 0, 0, 0, 0, 2, 7, 7});
  EXPECT_EQ(Parse(message), ParseOutcome::kQuery);
  message.pop_back();
  EXPECT_EQ(Parse(message), ParseOutcome::kFormErr);
}

}  // namespace
}  // namespace portolan::dns::wire

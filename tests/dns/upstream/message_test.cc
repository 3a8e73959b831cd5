#include "dns/upstream/message.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "tests/dns/upstream/world.h"

namespace portolan::dns::upstream {
namespace {

using test::Answer;
using test::Append16;
using test::Bytes;
using test::MakeQuery;
using test::QueryShape;
using wire::Load16;
using wire::type::kA;

wire::Query Parse(const Bytes& message) {
  wire::Query query;
  EXPECT_EQ(wire::ParseQuery(message, query), wire::ParseOutcome::kQuery);
  return query;
}

Bytes RequestFor(const Bytes& message) {
  Request request;
  WriteRequest(Parse(message), wire::kOurUdpPayload, request);
  return Bytes(request.bytes().begin(), request.bytes().end());
}

// A query with EDNS options: code and value each.
Bytes WithOptions(const std::vector<std::pair<uint16_t, std::string>>& options) {
  QueryShape shape;
  shape.edns_version = 0;
  Bytes message = MakeQuery("x.example", kA, shape);
  Bytes rdata;
  for (const auto& [code, value] : options) {
    Append16(rdata, code);
    Append16(rdata, static_cast<uint16_t>(value.size()));
    rdata.insert(rdata.end(), value.begin(), value.end());
  }
  wire::Store16(&message[message.size() - 2], static_cast<uint16_t>(rdata.size()));
  message.insert(message.end(), rdata.begin(), rdata.end());
  return message;
}

Bytes ForClient(const Bytes& reply_bytes, const Bytes& query_bytes, size_t max_bytes) {
  const wire::Query query = Parse(query_bytes);
  Reply reply;
  EXPECT_EQ(
      ReadReply(reply_bytes, Load16(reply_bytes.data()), query.question, Spelling::kAny, reply),
      ReplyCheck::kOk);
  Bytes room(65535);
  room.resize(WriteForClient(reply, query, room, max_bytes));
  // Whatever was cut, what is left is whole.
  wire::MessageReader reader(room);
  size_t end = reader.position();
  for (wire::MessageRecord record; reader.Next(record);) end = record.end();
  EXPECT_TRUE(reader.ok());
  EXPECT_EQ(end, room.size());
  return room;
}

TEST(UpstreamRequest, IsTheSameForAllSpellingsAndIds) {
  QueryShape other;
  other.id = 7;
  const Bytes request = RequestFor(MakeQuery("X.Example", kA, other));
  EXPECT_EQ(request, RequestFor(MakeQuery("x.eXAMPLE", kA)));
  EXPECT_EQ(Load16(request.data()), 0);
  EXPECT_EQ(Load16(request.data() + 2), 0x0100);
}

TEST(UpstreamRequest, CarriesOurPayloadSizeAndTheClientsDoBit) {
  QueryShape shape;
  shape.edns_version = 0;
  shape.udp_payload = 4096;
  shape.dnssec_ok = true;
  const Bytes request = RequestFor(MakeQuery("x.example", kA, shape));
  const wire::Query sent = Parse(request);
  EXPECT_EQ(sent.udp_payload, 1232);
  EXPECT_TRUE(sent.dnssec_ok);
}

TEST(UpstreamRequest, CarriesOptionsButNotThoseOfOneHop) {
  const Bytes request = RequestFor(WithOptions({{10, "cookie!!"}, {8, "subnet"}, {12, "padding"}}));
  const wire::Query sent = Parse(request);
  ASSERT_EQ(sent.edns_options.size(), 4u + 6);
  EXPECT_EQ(Load16(sent.edns_options.data()), 8);
}

TEST(UpstreamRequest, OptionsThatDoNotFitOrAreMalformedAreLeftOut) {
  EXPECT_EQ(Parse(RequestFor(WithOptions({{8, std::string(2000, 'x')}}))).edns_options.size(), 0u);
  Bytes cut = WithOptions({{8, "subnet"}});
  cut[cut.size() - 7] = 200;  // the option's length
  EXPECT_EQ(Parse(RequestFor(cut)).edns_options.size(), 0u);
}

TEST(UpstreamReply, AClientWithoutEdnsGetsNoOpt) {
  QueryShape edns;
  edns.edns_version = 0;
  const Bytes reply = Answer(MakeQuery("x.example", kA, edns), 2);
  ASSERT_EQ(Load16(reply.data() + 10), 1);
  const Bytes out = ForClient(reply, MakeQuery("X.example", kA), 512);
  EXPECT_EQ(Load16(out.data() + 10), 0);
  EXPECT_EQ(Load16(out.data() + 6), 2);
  EXPECT_EQ(out[13], 'X');
}

TEST(UpstreamReply, AClientWithEdnsGetsOneThoughTheUpstreamSentNone) {
  QueryShape edns;
  edns.edns_version = 0;
  edns.dnssec_ok = true;
  const Bytes out =
      ForClient(Answer(MakeQuery("x.example", kA), 2), MakeQuery("x.example", kA, edns), 1232);
  EXPECT_EQ(Load16(out.data() + 10), 1);
  EXPECT_EQ(Load16(&out[out.size() - 8]), 1232);    // payload size
  EXPECT_EQ(Load16(&out[out.size() - 4]), 0x8000);  // DO
}

TEST(UpstreamReply, AReplyThatDoesNotFitIsCutWholeWithTc) {
  const Bytes query = MakeQuery("x.example", kA);
  const Bytes out = ForClient(Answer(query, 100), query, 512);
  EXPECT_EQ(out.size(), query.size());
  EXPECT_NE(Load16(out.data() + 2) & wire::flag::kTruncated, 0);
  EXPECT_EQ(Load16(out.data() + 6), 0);
  const Bytes whole = ForClient(Answer(query, 100), query, 65535);
  EXPECT_EQ(Load16(whole.data() + 6), 100);
  EXPECT_EQ(Load16(whole.data() + 2) & wire::flag::kTruncated, 0);
}

TEST(UpstreamReply, TheAdditionalSectionGoesFirstAndWithoutTc) {
  const Bytes query = MakeQuery("x.example", kA);
  Bytes reply(2000);
  wire::Query parsed = Parse(query);
  wire::ReplyWriter writer(parsed, reply, reply.size());
  const auto add = [&](wire::Section section) {
    const auto rdata = writer.Add(section, wire::kQuestionName, kA, 1, 4);
    std::fill(rdata.begin(), rdata.end(), 1);
  };
  add(wire::Section::kAnswer);
  for (int i = 0; i < 60; ++i) add(wire::Section::kAdditional);
  reply.resize(writer.Finish(wire::Rcode::kNoError, 0));
  const Bytes out = ForClient(reply, query, 512);
  EXPECT_EQ(Load16(out.data() + 6), 1);
  EXPECT_EQ(Load16(out.data() + 10), 0);
  EXPECT_EQ(Load16(out.data() + 2) & wire::flag::kTruncated, 0);
}

TEST(UpstreamReply, WhatStandsBehindTheOptIsDropped) {
  QueryShape edns;
  edns.edns_version = 0;
  const Bytes query = MakeQuery("x.example", kA, edns);
  Bytes reply = Answer(query, 1);
  // A record behind the OPT, as a TSIG stands.
  for (uint8_t byte : {0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 9, 0, 4, 9, 9, 9, 9}) reply.push_back(byte);
  wire::Store16(&reply[10], 2);
  EXPECT_EQ(Load16(ForClient(reply, query, 1232).data() + 10), 1);
  EXPECT_EQ(Load16(ForClient(reply, MakeQuery("x.example", kA), 512).data() + 10), 0);
}

TEST(UpstreamReply, AnExtendedRcodeIsServfailToAClientWithoutEdns) {
  QueryShape edns;
  edns.edns_version = 0;
  const Bytes query = MakeQuery("x.example", kA, edns);
  Bytes reply = Answer(query, 0);
  reply[reply.size() - 6] = 1;  // rcode 16
  EXPECT_EQ(ForClient(reply, MakeQuery("x.example", kA), 512)[3] & 15, 2);
  const Bytes out = ForClient(reply, query, 512);
  EXPECT_EQ(out[3] & 15, 0);
  EXPECT_EQ(out[out.size() - 6], 1);
}

TEST(UpstreamReply, TwoOptRecordsAreMalformed) {
  QueryShape edns;
  edns.edns_version = 0;
  const Bytes query = MakeQuery("x.example", kA, edns);
  Bytes reply = Answer(query, 0);
  reply.insert(reply.end(), reply.end() - 11, reply.end());
  wire::Store16(&reply[10], 2);
  Reply out;
  EXPECT_EQ(ReadReply(reply, 0x1234, Parse(query).question, Spelling::kAny, out),
            ReplyCheck::kMalformed);
}

TEST(UpstreamReply, AReplyWithoutAQuestionIsNotOurs) {
  const Bytes query = MakeQuery("x.example", kA);
  Bytes reply = {0x12, 0x34, 0x81, 0x82, 0, 0, 0, 0, 0, 0, 0, 0};
  Reply out;
  EXPECT_EQ(ReadReply(reply, 0x1234, Parse(query).question, Spelling::kAny, out),
            ReplyCheck::kWrongQuestion);
}

}  // namespace
}  // namespace portolan::dns::upstream

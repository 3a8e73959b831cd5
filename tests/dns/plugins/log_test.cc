#include "dns/plugins/log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "common/fd.h"
#include "tests/dns/plugins/corefile_server.h"

namespace portolan::dns {
namespace {

using test::Bytes;
using test::ErrorOf;
using test::MakeQuery;
using wire::type::kA;

// A query with its reply, and what a format makes of them.
class LogFormatTest : public testing::Test, protected SuspendedPool {
 protected:
  std::string Write(std::string_view format, absl::Duration duration = absl::Microseconds(37),
                    const test::QueryShape& shape = {.id = 29008}) {
    message_ = MakeQuery("Example.ORG", kA, shape);
    EXPECT_EQ(wire::ParseQuery(message_, query_), wire::ParseOutcome::kQuery);
    Exchange exchange(query_, client_, Transport::kUdp, room_, *this);
    exchange.set_reply_bytes(wire::WriteEmptyReply(query_, room_, wire::Rcode::kNoError,
                                                   wire::flag::kRecursionAvailable));
    LogLine line;
    LogFormat(format).Write(exchange, duration, line);
    return std::string(line.Finish());
  }
  Suspended* Suspend(Exchange&) override { return nullptr; }

  SocketAddress client_ = *SocketAddress::Parse("10.0.0.1:50759");
  Bytes message_;
  wire::Query query_;
  Bytes room_ = Bytes(512);
};

TEST_F(LogFormatTest, CommonIsCoreDnss) {
  EXPECT_EQ(Write("{common}", absl::Nanoseconds(37990251)),
            "10.0.0.1:50759 - 29008 \"A IN example.org. udp 29 false 512\" NOERROR qr,rd,ra 29 "
            "0.037990251s\n");
}

TEST_F(LogFormatTest, CombinedAddsTheOpcode) {
  EXPECT_EQ(Write("{combined}").substr(Write("{common}").size() - 1), " \"0\"\n");
}

TEST_F(LogFormatTest, ShowsEdnsAndBracketsIpv6) {
  client_ = *SocketAddress::Parse("[fd00::1]:53");
  const test::QueryShape edns{.edns_version = 0, .udp_payload = 4096, .dnssec_ok = true};
  EXPECT_EQ(Write("{remote}:{port} {>do} {>BufSize}", {}, edns), "[fd00::1]:53 true 4096\n");
}

TEST_F(LogFormatTest, DurationsAreShortAndExact) {
  EXPECT_EQ(Write("{duration}"), "0.000037s\n");
  EXPECT_EQ(Write("{duration}", absl::Seconds(2)), "2s\n");
  EXPECT_EQ(Write("{duration}", absl::Milliseconds(1500)), "1.5s\n");
}

TEST_F(LogFormatTest, WhatIsNotKnownStandsForItselfOrForNothing) {
  EXPECT_EQ(Write("{typo} {>x} {/metadata/y} {local} {name"), "{typo} - - - {name\n");
  EXPECT_EQ(Write(std::string(5000, 'x')), std::string(4095, 'x') + "\n");
}

Bytes Reply(wire::Rcode rcode, bool answer, bool soa) {
  const Bytes message = MakeQuery("example.org", kA);
  wire::Query query;
  EXPECT_EQ(wire::ParseQuery(message, query), wire::ParseOutcome::kQuery);
  Bytes room(512);
  wire::ReplyWriter writer(query, room, 512);
  if (answer) writer.Add(wire::Section::kAnswer, wire::kQuestionName, kA, 5, 4);
  if (soa) writer.Add(wire::Section::kAuthority, wire::kQuestionName, wire::type::kSoa, 5, 22);
  room.resize(writer.Finish(rcode, 0));
  return room;
}

TEST(LogClasses, AreCoreDnss) {
  using wire::Rcode;
  EXPECT_EQ(ClassOf(Reply(Rcode::kNoError, true, false)), ReplyClass::kSuccess);
  EXPECT_EQ(ClassOf(Reply(Rcode::kNoError, false, false)), ReplyClass::kSuccess);
  EXPECT_EQ(ClassOf(Reply(Rcode::kNoError, false, true)), ReplyClass::kDenial);
  EXPECT_EQ(ClassOf(Reply(Rcode::kNxDomain, false, true)), ReplyClass::kDenial);
  EXPECT_EQ(ClassOf(Reply(Rcode::kNxDomain, false, false)), ReplyClass::kError);
  EXPECT_EQ(ClassOf(Reply(Rcode::kServFail, false, true)), ReplyClass::kError);
  EXPECT_EQ(ClassOf(Reply(Rcode::kRefused, false, false)), ReplyClass::kError);
}

TEST(Log, TheFirstRuleThatHoldsTheNameCounts) {
  LogRules rules;
  LogRule quiet{{*wire::Zone::Parse("quiet.org")}, LogFormat("{name}"), {}};
  LogRule loud{{*wire::Zone::Parse("org")}, LogFormat("{name}"), {true, true, true}};
  rules.rules = {quiet, loud};
  int fds[2];
  ASSERT_EQ(pipe(fds), 0);
  const Fd read(fds[0]);
  Fd write(fds[1]);
  MetricFamilies families;
  {
    LineOutput output(write.get());
    Log log(std::make_shared<const LogRules>(rules), output);
    test::Clients clients;
    for (const char* name : {"a.quiet.org", "a.loud.org", "a.net"}) {
      Exchange& exchange = clients.Make(MakeQuery(name, kA)).exchange();
      EXPECT_EQ(log.OnQuery(exchange), Verdict::kNext);
      exchange.set_reply_bytes(
          wire::WriteEmptyReply(exchange.query(), exchange.room(), wire::Rcode::kNoError));
      EXPECT_EQ(log.OnReply(exchange), After::kReply);
    }
    log.CollectMetrics(families);
  }
  write.Reset();
  char text[64];
  const ssize_t bytes = ::read(read.get(), text, sizeof text);
  EXPECT_EQ(std::string(text, static_cast<size_t>(bytes)), "[INFO] a.loud.org.\n");
  EXPECT_EQ(families.at(0).metric.at(0).counter.value, 1);
}

TEST(Log, NamesWhatItDoesNotKnow) {
  EXPECT_EQ(ErrorOf("log"), "no error");
  EXPECT_EQ(ErrorOf("log example.org example.net {combined} {\n class denial error\n}"),
            "no error");
  EXPECT_EQ(ErrorOf("log . {\n clas error\n}"),
            "Corefile:3:2: unknown option 'clas' of log, did you mean 'class'?");
  EXPECT_EQ(ErrorOf("log {\n class eror\n}"),
            "Corefile:3:8: unknown word 'eror' in log, did you mean 'error'?");
  EXPECT_EQ(ErrorOf("log {\n class\n}"), "Corefile:3:2: class needs a class of replies");
}

}  // namespace
}  // namespace portolan::dns

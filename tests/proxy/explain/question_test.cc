#include "proxy/explain/question.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/status.h"
#include "dns/wire/extended_error.h"
#include "dns/wire/query.h"
#include "dns/wire/reply.h"

namespace portolan::proxy {
namespace {

using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

ResolvConf AsKubeletWritesIt() {
  return ParseResolvConf(
      "search default.svc.cluster.local svc.cluster.local cluster.local\n"
      "nameserver 10.43.0.10\noptions ndots:5\n",
      "resolv.conf");
}

TEST(NamesAskedFor, FollowTheSearchListBelowNdots) {
  EXPECT_THAT(NamesAskedFor("backend", AsKubeletWritesIt()),
              ElementsAre("backend.default.svc.cluster.local.", "backend.svc.cluster.local.",
                          "backend.cluster.local.", "backend."));
}

TEST(NamesAskedFor, BeginWithTheNameItselfFromNdotsOn) {
  ResolvConf two = AsKubeletWritesIt();
  two.ndots = 1;
  EXPECT_EQ(NamesAskedFor("a.b", two).front(), "a.b.");
  EXPECT_EQ(NamesAskedFor("a.b", two).size(), 4u);
}

TEST(NamesAskedFor, EndWithAFinalDot) {
  EXPECT_THAT(NamesAskedFor("backend.", AsKubeletWritesIt()), ElementsAre("backend."));
}

TEST(ParseRecordType, TakesAnyCaseAndNamesTheNearest) {
  EXPECT_EQ(*ParseRecordType("srv"), 33);
  EXPECT_EQ(*ParseRecordType(""), 1);
  EXPECT_THAT(std::string(Message(ParseRecordType("AAAAA").status())),
              HasSubstr("did you mean 'AAAA'"));
}

TEST(MakeQuery, AsksWithAnOptRecordAndOnlyForNames) {
  const std::vector<uint8_t> message = MakeQuery("backend.default.svc.cluster.local.", 28, 7);
  dns::wire::Query query;
  ASSERT_EQ(dns::wire::ParseQuery(message, query), dns::wire::ParseOutcome::kQuery);
  EXPECT_EQ(query.id, 7);
  EXPECT_EQ(query.type, 28);
  EXPECT_TRUE(query.edns);
  EXPECT_TRUE(query.recursion_desired());
  EXPECT_EQ(IdOf(message), 7);
  EXPECT_TRUE(MakeQuery(std::string(70, 'a') + ".", 1, 1).empty());
  EXPECT_EQ(IdOf({}), 0);
}

TEST(ReadReply, ShowsRecordsAndTheReasonThatCameAlong) {
  const std::vector<uint8_t> message = MakeQuery("a.example.", 1, 9);
  dns::wire::Query query;
  ASSERT_EQ(dns::wire::ParseQuery(message, query), dns::wire::ParseOutcome::kQuery);
  std::vector<uint8_t> reply(512);
  size_t bytes = dns::wire::WriteEmptyReply(query, reply, dns::wire::Rcode::kServFail);
  bytes = dns::wire::AppendExtendedError(reply, bytes, reply.size(),
                                         dns::wire::ExtendedError::kNetworkError, "no way\x1b");
  const auto read = ReadReply(std::span(reply).first(bytes), 9);
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(*read, json::parse(R"({"rcode": "SERVFAIL", "answers": [],
                                   "extendedErrors": [{"code": 23, "text": "no way"}]})"));
  EXPECT_FALSE(HasAnswer(*read));
  EXPECT_FALSE(ReadReply(std::span(reply).first(bytes), 8).ok());
  EXPECT_FALSE(ReadReply(message, 9).ok()) << "a question is no reply";
  EXPECT_FALSE(ReadReply(std::span(reply).first(5), 9).ok());
}

}  // namespace
}  // namespace portolan::proxy

// Directives whose whole promise is a line or two: local, any, minimal, whoami, nsid, bufsize,
// chaos and header.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "tests/dns/plugins/corefile_server.h"

namespace portolan::dns {
namespace {

using test::Additional;
using test::Answers;
using test::Authority;
using test::Bytes;
using test::CorefileServer;
using test::ErrorOf;
using test::FlagsOf;
using test::MakeQuery;
using test::RcodeOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using wire::Section;
using namespace wire::type;  // NOLINT(google-build-using-namespace)

constexpr std::string_view kLocalSoa = "604800 SOA localhost. root.localhost. * 0 0 0 604800";

std::string HostName() {
  char name[256] = "";
  gethostname(name, sizeof name);
  return name;
}

Bytes WithOption(Bytes query, uint16_t code) {
  query[query.size() - 1] = 4;
  test::Append16(query, code);
  test::Append16(query, 0);
  return query;
}

TEST(Local, LocalhostAndWhatIsBelowAreLoopback) {
  CorefileServer server(". {\n local\n}");
  EXPECT_THAT(Answers(server.Ask("LocalHost", kA)), ElementsAre("LocalHost. 604800 A 127.0.0.1"));
  EXPECT_THAT(Answers(server.Ask("localhost", kAaaa)), ElementsAre("localhost. 604800 AAAA ::1"));
  EXPECT_THAT(Answers(server.Ask("a.localhost", kA)),
              ElementsAre("a.localhost. 604800 A 127.0.0.1"));
  EXPECT_THAT(Answers(server.Ask("localhost.svc.cluster.local", kA)),
              ElementsAre("localhost.svc.cluster.local. 604800 A 127.0.0.1"));
  EXPECT_THAT(Answers(server.Ask("localhost", kNs)),
              ElementsAre("localhost. 604800 NS localhost."));
  EXPECT_EQ(server.Metric("coredns_local_localhost_requests_total"), 2);
}

TEST(Local, OtherTypesAreNodataWithSoa) {
  CorefileServer server(". {\n local\n}");
  for (const char* name : {"localhost", "x.localhost", "localhost.example.org"}) {
    const Bytes reply = server.Ask(name, kTxt);
    EXPECT_EQ(RcodeOf(reply), 0) << name;
    EXPECT_THAT(Answers(reply), IsEmpty()) << name;
    EXPECT_THAT(Authority(reply), ElementsAre(fmt::format("{}. {}", name, kLocalSoa)));
  }
}

TEST(Local, OfTheReverseZonesOnlyTheLoopbackAddressExists) {
  CorefileServer server(". {\n local\n}");
  EXPECT_THAT(Answers(server.Ask("1.0.0.127.in-addr.arpa", kPtr)),
              ElementsAre("1.0.0.127.in-addr.arpa. 604800 PTR localhost."));
  const Bytes nodata = server.Ask("1.0.0.127.in-addr.arpa", kA);
  EXPECT_EQ(RcodeOf(nodata), 0);
  EXPECT_THAT(Authority(nodata), ElementsAre(fmt::format("127.in-addr.arpa. {}", kLocalSoa)));
  const Bytes unknown = server.Ask("9.9.9.255.in-addr.arpa", kPtr);
  EXPECT_EQ(RcodeOf(unknown), 3);
  EXPECT_THAT(Authority(unknown), ElementsAre(fmt::format("255.in-addr.arpa. {}", kLocalSoa)));
  EXPECT_THAT(Answers(server.Ask("0.in-addr.arpa", kSoa)), SizeIs(1));
}

TEST(Local, OtherNamesGoOnAndThePrefixMayToo) {
  CorefileServer server(". {\n local {\n localhost_prefix off\n }\n forward . UPSTREAM\n}");
  for (const char* name :
       {"localhost.example.org", "example.org", "1.0.0.10.in-addr.arpa", "notlocalhost", "arpa"}) {
    server.Ask(name, kA);
  }
  EXPECT_THAT(server.upstream().udp_queries, SizeIs(5));
  EXPECT_EQ(ErrorOf("local {\n localhost_prefx on\n}"),
            "Corefile:3:2: unknown option 'localhost_prefx' of local, did you mean "
            "'localhost_prefix'?");
  EXPECT_EQ(ErrorOf("local x"), "Corefile:2:7: 'x': local takes no arguments");
}

TEST(Any, IsAnsweredWithHinfo) {
  CorefileServer server(". {\n any\n forward . UPSTREAM\n}");
  const Bytes reply = server.Ask("example.org", kAny);
  wire::MessageReader reader(reply);
  wire::MessageRecord record;
  ASSERT_TRUE(reader.Next(record));
  EXPECT_EQ(record.type, 13);
  EXPECT_EQ(record.ttl, 8482u);
  EXPECT_EQ(std::string(reply.begin() + static_cast<long>(record.rdata_at),
                        reply.begin() + static_cast<long>(record.end())),
            "\x0d"
            "ANY obsoleted"
            "\x0c"
            "See RFC 8482");
  EXPECT_THAT(Answers(server.Ask("example.org", kA)), SizeIs(1));
}

// An answer, a name server and its address.
Bytes FullReply(const Bytes& query, wire::Rcode rcode, size_t answers) {
  wire::Query parsed;
  wire::ParseQuery(query, parsed);
  Bytes room(512);
  wire::ReplyWriter writer(parsed, room, 512);
  const std::array<uint8_t, 4> ip = {192, 0, 2, 1};
  for (size_t i = 0; i < answers; ++i) {
    writer.AddSet(Section::kAnswer, wire::kQuestionName, kA, 60, ip, 4);
  }
  const std::array<uint8_t, 2> target = {0xc0, wire::kQuestionName};
  writer.AddSet(Section::kAuthority, wire::kQuestionName, kNs, 60, target, 2);
  writer.AddSet(Section::kAdditional, wire::kQuestionName, kA, 60, ip, 4);
  room.resize(writer.Finish(rcode, wire::flag::kRecursionAvailable));
  return room;
}

TEST(Minimal, LeavesOnlyTheAnswerAndTheOptRecord) {
  CorefileServer server(". {\n minimal\n forward . UPSTREAM\n}");
  server.upstream().udp = [](const Bytes& query) {
    return std::vector<Bytes>{FullReply(query, wire::Rcode::kNoError, 2)};
  };
  for (int edns : {-1, 0}) {
    const Bytes reply = server.Ask("example.org", kA, {.edns_version = edns});
    EXPECT_THAT(Answers(reply), SizeIs(2));
    EXPECT_THAT(Authority(reply), IsEmpty());
    EXPECT_THAT(Additional(reply), IsEmpty());
    EXPECT_EQ(test::OptionsOf(reply).has_value(), edns == 0);
  }
}

TEST(Minimal, RefersAndDeniesInFull) {
  CorefileServer server(". {\n minimal\n forward . UPSTREAM\n}");
  wire::Rcode rcode = wire::Rcode::kNoError;
  server.upstream().udp = [&](const Bytes& query) {
    return std::vector<Bytes>{FullReply(query, rcode, 0)};
  };
  EXPECT_THAT(Authority(server.Ask("example.org", kA)), SizeIs(1));
  rcode = wire::Rcode::kNxDomain;
  EXPECT_THAT(Authority(server.Ask("other.example.org", kA)), SizeIs(1));
}

TEST(Whoami, TellsTheClientItsAddressAndPort) {
  CorefileServer server(". {\n whoami\n}");
  const Bytes reply = server.Ask("Example.org", kAny);
  EXPECT_THAT(Answers(reply), IsEmpty());
  EXPECT_THAT(Additional(reply),
              ElementsAre("Example.org. 0 A 10.0.0.7", "_udp.Example.org. 0 SRV 0 0 4321 ."));
  EXPECT_EQ(FlagsOf(reply) & wire::flag::kAuthoritative, wire::flag::kAuthoritative);
  server.client = *SocketAddress::Parse("[fd00::7]:99");
  EXPECT_THAT(Additional(server.Ask(MakeQuery(".", kA), Transport::kTcp)),
              ElementsAre(". 0 AAAA fd00::7", "_tcp. 0 SRV 0 0 99 ."));
  EXPECT_EQ(ErrorOf("whoami me"), "Corefile:2:8: 'me': whoami takes no arguments");
}

TEST(Nsid, IsToldToWhoAsksForIt) {
  CorefileServer named(". {\n nsid who am I\n whoami\n}");
  const Bytes query = MakeQuery("example.org", kA, {.edns_version = 0});
  const auto options = test::OptionsOf(named.Ask(WithOption(query, wire::kNsidOption)));
  EXPECT_EQ(std::string(options->begin(), options->end()), std::string("\0\3\0\x08who am I", 12));
  EXPECT_THAT(*test::OptionsOf(named.Ask(query)), IsEmpty());
  EXPECT_THAT(*test::OptionsOf(named.Ask(WithOption(query, 10))), IsEmpty());

  CorefileServer unnamed(". {\n nsid\n whoami\n}");
  const auto hosts = test::OptionsOf(unnamed.Ask(WithOption(query, wire::kNsidOption)));
  EXPECT_EQ(std::string(hosts->begin() + 4, hosts->end()), HostName());
}

TEST(Bufsize, BoundsRepliesToTheClientAndFromUpstreams) {
  CorefileServer server(". {\n bufsize 512\n forward . UPSTREAM\n}");
  server.upstream().tcp = server.upstream().udp = [](const Bytes& query) {
    return std::vector<Bytes>{test::Answer(query, 60)};
  };
  const test::QueryShape edns{.edns_version = 0, .udp_payload = 4096};
  const Bytes reply = server.Ask("example.org", kA, edns);
  EXPECT_LE(reply.size(), 512u);
  EXPECT_NE(FlagsOf(reply) & wire::flag::kTruncated, 0);
  // What the upstream was told it may send: the class of the OPT record, the last of the query.
  const Bytes& asked = server.upstream().udp_queries.at(0);
  EXPECT_EQ(wire::Load16(&asked[asked.size() - 8]), 512);
  EXPECT_THAT(Answers(server.Ask(MakeQuery("b.example.org", kA, edns), Transport::kTcp)),
              SizeIs(60));
}

TEST(Bufsize, IsANumberFrom512To4096) {
  EXPECT_EQ(ErrorOf("bufsize"), "no error");
  EXPECT_EQ(ErrorOf("bufsize 511"), "Corefile:2:9: bufsize '511' is not a number from 512 to 4096");
  EXPECT_EQ(ErrorOf("bufsize 4097"),
            "Corefile:2:9: bufsize '4097' is not a number from 512 to 4096");
  EXPECT_EQ(ErrorOf("bufsize 512 1232"), "Corefile:2:13: '1232': bufsize takes one argument");
}

std::string Text(CorefileServer& server, std::string_view name) {
  const Bytes reply = server.Ask(name, kTxt, {.qclass = wire::kClassChaos});
  wire::MessageReader reader(reply);
  wire::MessageRecord record;
  if (RcodeOf(reply) != 0 || !reader.Next(record)) return "rcode " + std::to_string(RcodeOf(reply));
  EXPECT_EQ(record.rclass, wire::kClassChaos);
  EXPECT_EQ(record.ttl, 0u);
  return {reply.begin() + static_cast<long>(record.rdata_at) + 1,
          reply.begin() + static_cast<long>(record.end())};
}

TEST(Chaos, TellsVersionHostAndAuthors) {
  CorefileServer server(". {\n chaos 1.2 me you\n}");
  EXPECT_EQ(Text(server, "Version.bind"), "1.2");
  EXPECT_EQ(Text(server, "version.server"), "1.2");
  EXPECT_EQ(Text(server, "hostname.bind"), HostName());
  EXPECT_EQ(Text(server, "id.server"), HostName());
  EXPECT_EQ(Answers(server.Ask("authors.bind", kTxt, {.qclass = wire::kClassChaos})).size(), 2u);
  CorefileServer bare(". {\n chaos\n}");
  EXPECT_THAT(Text(bare, "version.bind"), HasSubstr("Portolan-"));
}

TEST(Header, SetsAndClearsFlagsOfReplies) {
  CorefileServer server(
      ". {\n header {\n response set AA\n clear rd ra\n set ra\n }\n forward . UPSTREAM\n}");
  const uint16_t flags = FlagsOf(server.Ask("example.org", kA));
  EXPECT_NE(flags & wire::flag::kAuthoritative, 0);
  EXPECT_NE(flags & wire::flag::kRecursionAvailable, 0);
  EXPECT_EQ(flags & wire::flag::kRecursionDesired, 0);
}

TEST(Header, SetsAndClearsFlagsOfTheQueryForWhatIsBelow) {
  CorefileServer server(". {\n header {\n query clear rd\n }\n forward . UPSTREAM\n}");
  server.Ask("Example.org", kA);
  EXPECT_EQ(FlagsOf(server.upstream().udp_queries.at(0)) & wire::flag::kRecursionDesired, 0);
}

TEST(Bind, IsCheckedThoughTheSidecarsOwnAddressHolds) {
  EXPECT_EQ(ErrorOf("bind 10.0.0.1 eth0 {\n except 10.0.0.2\n}"), "no error");
  EXPECT_EQ(ErrorOf("bind"), "Corefile:2:1: bind needs at least 1 argument");
  EXPECT_EQ(ErrorOf("bind lo {\n exept ::1\n}"),
            "Corefile:3:2: unknown option 'exept' of bind, did you mean 'except'?");
}

TEST(Header, NamesWhatItDoesNotKnow) {
  EXPECT_EQ(ErrorOf("header {\n query sett rd\n}"),
            "Corefile:3:8: unknown word 'sett' in header, did you mean 'set'?");
  EXPECT_EQ(ErrorOf("header {\n response set qr\n}"), "Corefile:3:15: unknown word 'qr' in header");
  EXPECT_EQ(ErrorOf("header {\n reponse set ra\n}"),
            "Corefile:3:2: unknown option 'reponse' of header, did you mean 'response'?");
  EXPECT_THAT(ErrorOf("header"), HasSubstr("Corefile:2:1: header needs a rule"));
  EXPECT_EQ(ErrorOf("header {\n set\n}"), "Corefile:3:2: header: set needs a flag");
}

}  // namespace
}  // namespace portolan::dns

#include "dns/wire/name.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/dns/question.h"

namespace portolan::dns::wire {
namespace {

using ::testing::HasSubstr;
using namespace std::string_literals;

std::span<const uint8_t> View(const std::string& wire) {
  return {reinterpret_cast<const uint8_t*>(wire.data()), wire.size()};
}

TEST(Name, GoesToWireFormAndBackWithItsCase) {
  EXPECT_EQ(*NameToWire("a.Example"), "\1a\7Example\0"s);
  EXPECT_EQ(*NameToWire("a.Example."), "\1a\7Example\0"s);
  EXPECT_EQ(*NameToWire("."), "\0"s);
  EXPECT_EQ(NameToText(*NameToWire("a.Example")), "a.Example.");
  EXPECT_EQ(NameToText("\0"s), ".");
}

TEST(Name, EscapesMayHoldAnyByte) {
  EXPECT_EQ(*NameToWire(R"(a\.b.c\000\255)"), "\3a.b\3c\0\377\0"s);
  EXPECT_EQ(NameToText("\3a.b\3c\0\377\0"s), R"(a\.b.c\000\255.)");
  EXPECT_EQ(NameToText(*NameToWire(R"(\\\032)")), R"(\\\032.)");
}

TEST(Name, BadTextIsAnErrorThatSaysWhy) {
  EXPECT_THAT(NameToWire("").status().ToString(), HasSubstr("empty name"));
  EXPECT_THAT(NameToWire("a..b").status().ToString(), HasSubstr("empty label"));
  EXPECT_THAT(NameToWire(".a").status().ToString(), HasSubstr("empty label"));
  EXPECT_THAT(NameToWire(R"(a\)").status().ToString(), HasSubstr("bad escape"));
  EXPECT_THAT(NameToWire(R"(a\256)").status().ToString(), HasSubstr("bad escape"));
  EXPECT_THAT(NameToWire(R"(a\25)").status().ToString(), HasSubstr("bad escape"));
}

TEST(Name, LabelsEndAt63BytesAndNamesAt255) {
  const std::string label63(63, 'x');
  EXPECT_TRUE(NameToWire(label63).ok());
  EXPECT_THAT(NameToWire(label63 + "x").status().ToString(), HasSubstr("64 bytes"));
  const std::string longest = label63 + "." + label63 + "." + label63 + "." + std::string(61, 'y');
  EXPECT_EQ(NameToWire(longest)->size(), 255u);
  EXPECT_THAT(NameToWire(longest + "y").status().ToString(), HasSubstr("256 bytes"));
}

TEST(Name, BytesThatAreNoNameAreShownAsSuch) {
  EXPECT_EQ(NameToText("\5ab"s), "(bad name)");
  EXPECT_EQ(NameToText("\1a"s), "(bad name)");
  EXPECT_EQ(NameToText("\1a\0\1b"s), "(bad name)");
  EXPECT_EQ(NameToText(""s), "(bad name)");
}

TEST(Name, ReadFollowsPointersBackwards) {
  const std::string message = "\3com\0\7example\xc0\0\3www\xc0\5"s;
  NameBuffer name;
  EXPECT_EQ(ReadName(View(message), 15, name), message.size());
  EXPECT_EQ(NameToText(name.view()), "www.example.com.");
  EXPECT_EQ(SkipName(View(message), 15), message.size());
}

TEST(Name, ReadRefusesPointersThatDoNotLeadBack) {
  NameBuffer name;
  EXPECT_EQ(ReadName(View("\xc0\0"s), 0, name), 0u);
  EXPECT_EQ(ReadName(View("\1a\xc0\0"s), 0, name), 0u) << "into itself";
  EXPECT_EQ(ReadName(View("\xc0\2\xc0\0"s), 2, name), 0u) << "two that lead to each other";
  EXPECT_EQ(ReadName(View("\1a\xc0\4\0"s), 0, name), 0u) << "forward";
  EXPECT_EQ(ReadName(View("\1a\xc0"s), 0, name), 0u) << "cut";
  EXPECT_EQ(ReadName(View("\x41z\0"s), 0, name), 0u) << "a label type that is not in use";
}

TEST(Name, ReadRefusesNamesAbove255BytesHoweverCompressed) {
  std::string message;
  for (int i = 0; i < 3; ++i) message += "\77"s + std::string(63, 'a');
  message += '\0';
  const size_t tail = message.size();
  message += "\77"s + std::string(63, 'b') + "\xc0\0"s;
  NameBuffer name;
  EXPECT_EQ(ReadName(View(message), tail, name), 0u);
}

TEST(Zone, HoldsItsOwnNameAndThoseBelowOnLabelBoundaries) {
  const Zone zone = *Zone::Parse("Cluster.Local");
  EXPECT_EQ(zone.text, "cluster.local.");
  EXPECT_EQ(zone.labels, 2);
  auto holds = [&](std::string_view name) {
    const auto message = test::MakeQuery(name, type::kA);
    Query query;
    EXPECT_EQ(ParseQuery(message, query), ParseOutcome::kQuery);
    return zone.Holds(query);
  };
  EXPECT_TRUE(holds("cluster.local"));
  EXPECT_TRUE(holds("a.CLUSTER.local"));
  EXPECT_FALSE(holds("acluster.local"));
  EXPECT_FALSE(holds("local"));
  EXPECT_FALSE(holds("."));
  EXPECT_FALSE(holds("cluster.local.example"));
}

TEST(Zone, TheRootHoldsEverything) {
  const auto message = test::MakeQuery("a.b", type::kA);
  Query query;
  ASSERT_EQ(ParseQuery(message, query), ParseOutcome::kQuery);
  EXPECT_TRUE(Zone::Parse(".")->Holds(query));
}

}  // namespace
}  // namespace portolan::dns::wire

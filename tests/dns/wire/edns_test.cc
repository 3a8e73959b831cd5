#include "dns/wire/edns.h"

#include <gtest/gtest.h>

#include "dns/wire/reply.h"
#include "tests/dns/question.h"

namespace portolan::dns::wire {
namespace {

using test::Bytes;

TEST(EdnsOptions, AreFoundByTheirCode) {
  const Bytes options = {0, 10, 0, 2, 7, 7, 0, 3, 0, 0, 0, 3, 0, 1, 9};
  EXPECT_EQ(FindOption(options, 10)->size(), 2u);
  EXPECT_TRUE(FindOption(options, kNsidOption)->empty());
  EXPECT_FALSE(FindOption(options, 4).has_value());
  EXPECT_FALSE(FindOption({}, 4).has_value());
}

TEST(EdnsOptions, ThatRunPastTheRecordAreNone) {
  EXPECT_FALSE(FindOption(Bytes{0, 3, 0}, 3).has_value());
  EXPECT_FALSE(FindOption(Bytes{0, 3, 0, 2, 1}, 3).has_value());
  EXPECT_FALSE(FindOption(Bytes{0, 9, 0, 9, 0, 3, 0, 0}, 3).has_value());
}

TEST(EdnsOptions, AreAppendedWhereTheyFit) {
  const Bytes message = test::MakeQuery("x.example", type::kA, {.edns_version = 0});
  Query query;
  ASSERT_EQ(ParseQuery(message, query), ParseOutcome::kQuery);
  Bytes room(512);
  size_t bytes = WriteEmptyReply(query, room, Rcode::kNoError);
  const size_t before = bytes;
  EXPECT_TRUE(AppendOption(room, bytes, before + 7, kNsidOption, 4).empty());
  EXPECT_EQ(bytes, before);
  EXPECT_EQ(AppendOption(room, bytes, before + 8, kNsidOption, 4).size(), 4u);
  EXPECT_EQ(bytes, before + 8);
}

}  // namespace
}  // namespace portolan::dns::wire

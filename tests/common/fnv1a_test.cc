#include "common/fnv1a.h"

#include <gtest/gtest.h>

namespace portolan {
namespace {

// Of the test vectors at http://www.isthe.com/chongo/tech/comp/fnv/.
TEST(Fnv1a, IsTheOneOfItsAuthors) {
  EXPECT_EQ(Fnv1a(""), 0xcbf29ce484222325u);
  EXPECT_EQ(Fnv1a("a"), 0xaf63dc4c8601ec8cu);
  EXPECT_EQ(Fnv1a("foobar"), 0x85944171f73967e8u);
}

TEST(Fnv1a, OfPartsIsThatOfTheWhole) { EXPECT_EQ(Fnv1a("bar", Fnv1a("foo")), Fnv1a("foobar")); }

}  // namespace
}  // namespace portolan

#include "common/rare.h"

#include <gtest/gtest.h>

#include <string>

namespace portolan {
namespace {

TEST(Rare, IsItsDefaultUntilItIsGivenAnotherValue) {
  Rare<std::string> rare;
  EXPECT_EQ(*rare, "");
  rare = "a value";
  EXPECT_EQ(*rare, "a value");
  EXPECT_EQ(rare->size(), 7u);
  rare = "";
  EXPECT_TRUE(rare->empty());
  EXPECT_EQ(sizeof rare, sizeof(void*));
}

TEST(Rare, ACopyIsAValueOfItsOwn) {
  Rare<std::string> one;
  one = "one";
  Rare<std::string> copy = one;
  one = "two";
  EXPECT_EQ(*copy, "one");
  copy = one;
  EXPECT_EQ(*copy, "two");
  copy = Rare<std::string>();
  EXPECT_EQ(*copy, "");
  EXPECT_EQ(*one, "two");
}

}  // namespace
}  // namespace portolan

#include "common/text.h"

#include <gtest/gtest.h>

namespace portolan {
namespace {

TEST(Text, OneLineHoldsNoControlsAndNoHalfCharacter) {
  EXPECT_EQ(OneLine("a\nb\tc\x7f"
                    "d\r\n",
                    100),
            "a b c d");
  EXPECT_EQ(OneLine("abcdef", 3), "abc");
  EXPECT_EQ(OneLine("ab\u00e9", 3), "ab");
  EXPECT_EQ(OneLine("", 3), "");
}

}  // namespace
}  // namespace portolan

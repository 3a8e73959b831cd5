#include "common/nearest.h"

#include <gtest/gtest.h>

#include <array>
#include <string>

namespace portolan {
namespace {

constexpr std::array<std::string_view, 5> kKnown = {"cache", "hosts", "kubernetes", "loop", "tls"};

TEST(NearestWord, AMissingLetterIsFound) {
  EXPECT_EQ(NearestWord("kubernets", kKnown), "kubernetes");
}

TEST(NearestWord, SwappedLettersAreOneError) { EXPECT_EQ(NearestWord("lopo", kKnown), "loop"); }

TEST(NearestWord, AShortWordAllowsOneError) {
  EXPECT_EQ(NearestWord("tlss", kKnown), "tls");
  EXPECT_EQ(NearestWord("abc", kKnown), "");
}

TEST(NearestWord, WordsWithoutLikenessGiveNothing) {
  EXPECT_EQ(NearestWord("proxyprotocol", kKnown), "");
  EXPECT_EQ(NearestWord("", kKnown), "");
  EXPECT_EQ(NearestWord(std::string(5000, 'a'), kKnown), "");
}

TEST(NearestWord, DidYouMeanIsEmptyWithoutANearWord) {
  EXPECT_EQ(DidYouMean("cahce", kKnown), ", did you mean 'cache'?");
  EXPECT_EQ(DidYouMean("zzzzzz", kKnown), "");
}

}  // namespace
}  // namespace portolan

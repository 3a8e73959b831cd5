#include "dns/plugins/label_selector.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace portolan::dns {
namespace {

using corefile::Token;
using testing::HasSubstr;

// As the Corefile's lexer cuts them: at spaces.
std::vector<Token> Words(std::string_view text) {
  std::vector<Token> words;
  const auto file = std::make_shared<const std::string>("Corefile");
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.size(), text.find(' ', at));
    if (end > at) {
      words.push_back({std::string(text.substr(at, end - at)), file, 1, static_cast<int>(at) + 1});
    }
    at = end + 1;
  }
  return words;
}

bool Matches(std::string_view expression, const LabelMap& labels) {
  const auto words = Words(expression);
  const auto selector = LabelSelector::Parse(words);
  EXPECT_TRUE(selector.ok()) << selector.status();
  return selector.ok() && selector->Matches(labels);
}

std::string ErrorOf(std::string_view expression) {
  const auto words = Words(expression);
  return std::string(Message(LabelSelector::Parse(words).status()));
}

const LabelMap kWeb = {{"app", "web"}, {"empty", ""}, {"tier", "front"}};

TEST(LabelSelector, EqualityIsWrittenInThreeWays) {
  EXPECT_TRUE(Matches("app=web", kWeb));
  EXPECT_TRUE(Matches("app == web", kWeb));
  EXPECT_FALSE(Matches("app=db", kWeb));
  EXPECT_FALSE(Matches("app!=web", kWeb));
  EXPECT_TRUE(Matches("app != db", kWeb));
  EXPECT_TRUE(Matches("empty=", kWeb));
  EXPECT_FALSE(Matches("app=,tier=front", kWeb));
}

TEST(LabelSelector, SetsTakeOneOfTheirValues) {
  EXPECT_TRUE(Matches("app in (web, db)", kWeb));
  EXPECT_TRUE(Matches("app in (db,web),tier", kWeb));
  EXPECT_FALSE(Matches("app in (db)", kWeb));
  EXPECT_FALSE(Matches("app notin (web)", kWeb));
  EXPECT_TRUE(Matches("app notin (db,cache)", kWeb));
}

TEST(LabelSelector, AMissingKeyIsNotEqualAndInNoSet) {
  EXPECT_TRUE(Matches("missing!=x", kWeb));
  EXPECT_TRUE(Matches("missing notin (x)", kWeb));
  EXPECT_FALSE(Matches("missing=x", kWeb));
  EXPECT_FALSE(Matches("missing in (x)", kWeb));
}

TEST(LabelSelector, KeysAreThereOrNot) {
  EXPECT_TRUE(Matches("app", kWeb));
  EXPECT_FALSE(Matches("missing", kWeb));
  EXPECT_TRUE(Matches("!missing", kWeb));
  EXPECT_FALSE(Matches("! app", kWeb));
}

TEST(LabelSelector, AllRequirementsMustHold) {
  EXPECT_TRUE(Matches("app=web,tier in (front, back),!legacy", kWeb));
  EXPECT_FALSE(Matches("app=web,tier=back", kWeb));
}

TEST(LabelSelector, ErrorsNameThePlaceAndTheNearestWord) {
  EXPECT_THAT(ErrorOf("app inn (web)"),
              HasSubstr("Corefile:1:5: label selector: 'inn' is no operator"));
  EXPECT_THAT(ErrorOf("app notn (web)"), HasSubstr("did you mean 'notin'?"));
  EXPECT_THAT(ErrorOf("app in web"), HasSubstr("Corefile:1:8: label selector: 'web' where '('"));
  EXPECT_THAT(ErrorOf("app in (web"), HasSubstr("',' or ')' is missing behind '(web'"));
  EXPECT_THAT(ErrorOf("app in ()"), HasSubstr("')' where a value should be"));
  EXPECT_THAT(ErrorOf("app=web tier=x"),
              HasSubstr("Corefile:1:9: label selector: 'tier' where ','"));
  EXPECT_THAT(ErrorOf("size>3"), HasSubstr("'size>3' cannot be a label key"));
  EXPECT_THAT(ErrorOf("=web"), HasSubstr("'=' where a label key should be"));
  EXPECT_THAT(ErrorOf("app,"), HasSubstr("a label key is missing behind"));
  EXPECT_THAT(ErrorOf("!"), HasSubstr("a label key is missing"));
}

}  // namespace
}  // namespace portolan::dns

#include "xds/authentication/remembered_answers.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <vector>

namespace portolan::xds {
namespace {

using Answers = RememberedAnswers<int>;

class RememberedAnswersTest : public ::testing::Test {
 protected:
  void Get(const std::string& key) {
    answers->Get(
        key, [this](Answers::Done done) { asked.push_back(std::move(done)); },
        [this](const Answers::Answer& answer) { got.push_back(answer); });
  }
  void Make(RememberOptions options) { answers.emplace(options); }

  std::optional<Answers> answers{std::in_place};
  std::vector<Answers::Done> asked;
  std::vector<Answers::Answer> got;
};

TEST_F(RememberedAnswersTest, ManyWhoWantToKnowAskOnceAndLaterOnesNotAtAll) {
  Get("a");
  Get("a");
  Get("b");
  ASSERT_EQ(asked.size(), 2u);
  EXPECT_TRUE(got.empty());
  asked[0](1);
  ASSERT_EQ(got.size(), 2u);
  Get("a");
  ASSERT_EQ(got.size(), 3u);
  EXPECT_EQ(*got[2], 1);
  EXPECT_EQ(asked.size(), 2u);
}

TEST_F(RememberedAnswersTest, RefusalsAreRememberedAndFaultsAreNot) {
  Get("refused");
  asked[0](absl::PermissionDeniedError("no"));
  Get("refused");
  EXPECT_EQ(asked.size(), 1u);
  EXPECT_TRUE(absl::IsPermissionDenied(got[1].status()));
  Get("away");
  asked[1](absl::UnavailableError("away"));
  Get("away");
  EXPECT_EQ(asked.size(), 3u);
}

TEST_F(RememberedAnswersTest, WhatIsOldIsAskedAgain) {
  Make({.good_for = absl::ZeroDuration()});
  Get("a");
  asked[0](1);
  Get("a");
  EXPECT_EQ(asked.size(), 2u);
}

TEST_F(RememberedAnswersTest, WhatIsRememberedAndWhoWaitsAreBounded) {
  Make({.max_remembered = 3, .max_waiting = 4});
  for (int i = 0; i < 10; ++i) {
    Get(std::to_string(i));
    asked.back()(i);
  }
  EXPECT_EQ(answers->remembered(), 3u);
  got.clear();
  for (int i = 0; i < 5; ++i) Get("waits" + std::to_string(i));
  ASSERT_EQ(got.size(), 1u);
  EXPECT_TRUE(absl::IsUnavailable(got[0].status()));
}

TEST_F(RememberedAnswersTest, AnAnswerThatComesTooLateIsNone) {
  Get("a");
  answers.reset();
  asked[0](1);
  EXPECT_TRUE(got.empty());
}

}  // namespace
}  // namespace portolan::xds

#include <fmt/format.h>
#include <gmock/gmock.h>

#include <fstream>
#include <set>

#include "tests/injector/reviews.h"

namespace portolan::injector {
namespace {

using ::testing::HasSubstr;

Reviewed ReviewText(const std::string& body) {
  return Review(body, Template(), SmallCluster(), "portolan-system");
}

TEST(Review, WhatIsNoReviewIsABadRequestThatSaysWhy) {
  EXPECT_EQ(ReviewText("").body, "portolan: the body is no JSON\n");
  EXPECT_EQ(ReviewText("{").status, 400);
  EXPECT_EQ(ReviewText("[1, 2]").body,
            "portolan: the body is no AdmissionReview of admission.k8s.io/v1\n");
  EXPECT_THAT(
      ReviewText(R"({"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1beta1"})").body,
      HasSubstr("admission.k8s.io/v1"));
  EXPECT_THAT(ReviewText(R"({"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1"})").body,
              HasSubstr("no request with a uid"));
  EXPECT_EQ(ReviewText("{}").outcome, Outcome::kBadReview);
}

TEST(Review, SizeAndDepthAreBoundedBeforeAnythingIsRead) {
  EXPECT_THAT(ReviewText(std::string(kMaxReviewBytes + 1, ' ')).body, HasSubstr("at most 3145728"));
  EXPECT_THAT(ReviewText(std::string(200'000, '[')).body, HasSubstr("100 levels"));
  const std::string in_text = "\"" + std::string(500, '[') + "\\\"[[[\"";
  EXPECT_THAT(ReviewText(in_text).body, HasSubstr("no AdmissionReview"));
}

TEST(Review, WhatIsNoPodInAGoodReviewIsRefusedWithItsUid) {
  for (const Json& bad : {Json(), Json("pod"), Json::object(), Json({{"spec", 1}}),
                          Json({{"spec", {{"containers", "x"}}}}),
                          Json({{"spec", {{"containers", Json::array({1})}}}}),
                          Json({{"metadata", 1}, {"spec", {{"containers", Json::array()}}}})}) {
    const Answered answered = AnswerPod(bad);
    EXPECT_EQ(Name(answered.reviewed.outcome), "bad-review") << bad;
    EXPECT_EQ(answered.reviewed.status, 200);
    EXPECT_EQ(answered.response["allowed"], false);
  }
}

TEST(Review, OnlyTheCreationOfAPodIsLookedAt) {
  const auto outcome = [](const char* path, const Json& value) {
    Json review = ReviewOf(SmallPod());
    review[Json::json_pointer(path)] = value;
    const Answered answered = AnswerReview(review);
    EXPECT_EQ(answered.response["allowed"], true);
    EXPECT_FALSE(answered.response.contains("warnings"));
    return std::string(Name(answered.reviewed.outcome));
  };
  EXPECT_EQ(outcome("/request/operation", "UPDATE"), "not-a-pod");
  EXPECT_EQ(outcome("/request/kind/kind", "Deployment"), "not-a-pod");
  EXPECT_EQ(outcome("/request/kind/group", "example.com"), "not-a-pod");
  EXPECT_EQ(outcome("/request/resource/resource", "services"), "not-a-pod");
  EXPECT_EQ(outcome("/request/subResource", "ephemeralcontainers"), "not-a-pod");
  EXPECT_EQ(outcome("/request/dryRun", true), "injected");
}

// The API server checks names after it has asked.
TEST(Review, WhatIsLoggedIsOneBoundedLineWhateverNamesComeIn) {
  Json pod = SmallPod();
  pod["metadata"]["name"] = "a\nW portolan-injector: all is lost";
  pod["spec"]["containers"][0]["name"] = "x\r\ny" + std::string(250, 'z') + "\u00fc\u00fc";
  pod["spec"]["containers"][0]["securityContext"]["runAsUser"] = 1337;
  const Reviewed reviewed = AnswerPod(pod).reviewed;
  EXPECT_EQ(reviewed.pod, "a W portolan-injector: all is lost");
  EXPECT_THAT(reviewed.detail, HasSubstr("x  yzz"));
  EXPECT_LE(reviewed.detail.size(), 256u);
  Json name = SmallPod();
  name["spec"]["containers"][0]["securityContext"]["runAsUser"] = 1337;
  for (int length = 200; length < 260; ++length) {
    name["spec"]["containers"][0]["name"] = std::string(length, 'z') + "\u00fc\u00fc";
    const Answered answered = AnswerPod(name);
    EXPECT_LE(answered.response["status"]["message"].get<std::string>().size(), 256u);
  }
}

TEST(Review, EveryOutcomeHasANameOfItsOwnThatTheManualExplains) {
  std::set<std::string_view> names;
  std::ifstream in("../docs/injection.md");
  const std::string manual(std::istreambuf_iterator<char>(in), {});
  for (const Outcome outcome : kOutcomes) {
    names.insert(Name(outcome));
    EXPECT_FALSE(Denied(outcome) && Skipped(outcome));
    EXPECT_THAT(manual, HasSubstr(fmt::format("`{}`", Name(outcome))));
  }
  EXPECT_EQ(names.size(), kOutcomes.size());
}

}  // namespace
}  // namespace portolan::injector

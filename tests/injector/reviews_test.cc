#include "injector/reviews.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "common/status.h"

namespace portolan::injector {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;
using Json = nlohmann::json;

http::Request ReviewOf(const std::string& name_space) {
  http::Request request;
  request.body = Json({{"kind", "AdmissionReview"},
                       {"apiVersion", "admission.k8s.io/v1"},
                       {"request",
                        {{"uid", "u"},
                         {"kind", {{"group", ""}, {"version", "v1"}, {"kind", "Pod"}}},
                         {"resource", {{"group", ""}, {"version", "v1"}, {"resource", "pods"}}},
                         {"namespace", name_space},
                         {"operation", "CREATE"},
                         {"object",
                          {{"kind", "Pod"},
                           {"apiVersion", "v1"},
                           {"metadata", {{"name", "web"}}},
                           {"spec", {{"containers", {{{"name", "app"}, {"image", "a"}}}}}}}}}}})
                     .dump();
  return request;
}

class ReviewsTest : public ::testing::Test {
 protected:
  double Count(const std::string& outcome) const {
    MetricFamilies families;
    reviews_.AddMetrics(families);
    for (const auto& family : families) {
      if (family.name != "portolan_injector_reviews_total") continue;
      for (const auto& metric : family.metric) {
        if (metric.label[0].value == outcome) return metric.counter.value;
      }
    }
    return -1;
  }

  ClusterFacts facts_;
  Reviews reviews_{"portolan-system", [this]() -> const ClusterFacts& { return facts_; }};
};

TEST_F(ReviewsTest, AReviewIsAnsweredAndCounted) {
  ASSERT_TRUE(reviews_.SetTemplate("image: portolan:0.1.0\n").ok());
  const http::Response answer = reviews_.Answer(ReviewOf("shop"));
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.content_type, "application/json");
  EXPECT_EQ(Json::parse(answer.body)["response"]["allowed"], true);
  EXPECT_EQ(Count("injected"), 1);
}

TEST_F(ReviewsTest, OurOwnNamespaceIsLeftAlone) {
  reviews_.Answer(ReviewOf("portolan-system"));
  EXPECT_EQ(Count("own-namespace"), 1);
  EXPECT_EQ(Count("injected"), 0);
}

TEST_F(ReviewsTest, WhatIsNoReviewIsABadRequestAndCounted) {
  http::Request request;
  request.body = "rubbish";
  EXPECT_EQ(reviews_.Answer(request).status, 400);
  EXPECT_EQ(Count("bad-review"), 1);
}

TEST_F(ReviewsTest, ATemplateThatIsWrongLeavesTheOneBeforeInForce) {
  ASSERT_TRUE(reviews_.SetTemplate("image: portolan:0.1.0\n").ok());
  const std::string hash = reviews_.settings().hash;
  const absl::Status status = reviews_.SetTemplate("image: portolan:0.1.0\nimagee: x\n");
  EXPECT_THAT(std::string(Message(status)), StartsWith("2: imagee"));
  EXPECT_EQ(reviews_.settings().hash, hash);
}

}  // namespace
}  // namespace portolan::injector

// Answers are those of a kube-apiserver 1.36, without their metadata.
#include "xds/authentication/token_reviewer.h"

#include <gmock/gmock.h>

#include <deque>

#include <nlohmann/json.hpp>

#include "common/status.h"
#include "tests/xds/authentication/tokens.h"

namespace portolan::xds {
namespace {

using ::testing::HasSubstr;

constexpr char kPodBound[] =
    R"({"kind":"TokenReview","apiVersion":"authentication.k8s.io/v1","metadata":{},"spec":{"token":"T","audiences":["portolan"]},"status":{"authenticated":true,"user":{"username":"system:serviceaccount:team-2:default","uid":"3fa5d9ce","groups":["system:serviceaccounts","system:authenticated"],"extra":{"authentication.kubernetes.io/credential-id":["JTI=da851d68"],"authentication.kubernetes.io/node-name":["node-1"],"authentication.kubernetes.io/pod-name":["web-1-0"],"authentication.kubernetes.io/pod-uid":["23473dcf"]}},"audiences":["portolan"]}})";
constexpr char kBoundToNoPod[] =
    R"({"kind":"TokenReview","status":{"authenticated":true,"user":{"username":"system:serviceaccount:team-1:default","extra":{"authentication.kubernetes.io/credential-id":["JTI=14e3e7ab"]}},"audiences":["portolan"]}})";
constexpr char kPodGone[] =
    R"({"kind":"TokenReview","status":{"user":{},"error":"[invalid bearer token, service account token has been invalidated]"}})";

// Answers when it is told to.
class ScriptedApi : public ApiClient {
 public:
  std::unique_ptr<Exchange> Start(ApiRequest request, Listener& listener) override {
    requests.push_back(std::move(request));
    listeners.push_back(&listener);
    return std::make_unique<Exchange>();
  }
  void Answer(int status, const std::string& body) {
    Listener* listener = listeners.front();
    listeners.pop_front();
    ApiResponseHead head;
    head.status = status;
    listener->OnHead(head);
    for (const char c : body) listener->OnBytes({&c, 1});
    listener->OnEnd(absl::OkStatus());
  }
  void Fail(const absl::Status& status) {
    Listener* listener = listeners.front();
    listeners.pop_front();
    listener->OnEnd(status);
  }

  std::vector<ApiRequest> requests;
  std::deque<Listener*> listeners;
};

class TokenReviewerTest : public ::testing::Test {
 protected:
  void Verify(const std::string& token) {
    reviewer.Verify(token, [this](const auto& found) { results.push_back(found); });
  }
  absl::Status StatusAfter(int status, const std::string& body) {
    Verify(issuer.Token());
    api.Answer(status, body);
    return results.back().status();
  }

  const test::Issuer issuer{test::Issuer::kEc};
  ScriptedApi api;
  TokenReviewer reviewer{api};
  std::vector<absl::StatusOr<PodIdentity>> results;
};

TEST_F(TokenReviewerTest, TheApiServerIsAskedForOurAudienceAndSaysWhichPodItIs) {
  const std::string token = issuer.Token("team-2", "what-the-token-says-does-not-count");
  Verify(token);
  ASSERT_EQ(api.requests.size(), 1u);
  EXPECT_EQ(api.requests[0].method, "POST");
  EXPECT_EQ(api.requests[0].target, "/apis/authentication.k8s.io/v1/tokenreviews");
  EXPECT_EQ(nlohmann::json::parse(api.requests[0].body),
            nlohmann::json({{"apiVersion", "authentication.k8s.io/v1"},
                            {"kind", "TokenReview"},
                            {"spec", {{"token", token}, {"audiences", {"portolan"}}}}}));
  api.Answer(201, kPodBound);
  ASSERT_TRUE(results.at(0).ok()) << results.at(0).status();
  EXPECT_EQ(results[0]->name_space, "team-2");
  EXPECT_EQ(results[0]->pod, "web-1-0");
  EXPECT_EQ(results[0]->pod_uid, "23473dcf");
  EXPECT_GT(results[0]->expires, absl::Now() + absl::Minutes(59));
}

TEST_F(TokenReviewerTest, TokensThatCannotBeGoodAreNotAskedAbout) {
  nlohmann::json other = test::Issuer::Payload();
  other["aud"] = {"other"};
  for (const std::string& token : {std::string("garbage"), issuer.Sign(other)}) {
    Verify(token);
    EXPECT_TRUE(absl::IsUnauthenticated(results.back().status()));
  }
  EXPECT_TRUE(api.requests.empty());
}

TEST_F(TokenReviewerTest, WhatTheApiServerDoesNotVouchForIsRefused) {
  absl::Status status = StatusAfter(201, kPodGone);
  EXPECT_TRUE(absl::IsUnauthenticated(status));
  EXPECT_EQ(Message(status),
            "the API server: [invalid bearer token, service account token has been invalidated]");
  status = StatusAfter(201, kBoundToNoPod);
  EXPECT_TRUE(absl::IsUnauthenticated(status));
  EXPECT_THAT(Message(status), HasSubstr("bound to no pod"));
  for (const char* replaced : {R"("audiences":["other"]}})", "\"x\":1}}"}) {
    std::string other = kPodBound;
    const std::string audiences = R"("audiences":["portolan"]}})";
    other.replace(other.find(audiences), audiences.size(), replaced);
    status = StatusAfter(201, other);
    EXPECT_TRUE(absl::IsUnauthenticated(status));
    EXPECT_THAT(Message(status), HasSubstr("does not say that the token is for portolan"));
  }
  std::string user = kPodBound;
  user.replace(user.find("system:serviceaccount:"), 22, "system:node:");
  EXPECT_TRUE(absl::IsUnauthenticated(StatusAfter(201, user)));
}

TEST_F(TokenReviewerTest, WithoutAnAnswerNothingIsKnown) {
  for (const auto& [status, body] : std::vector<std::pair<int, std::string>>{
           {429, "Too many requests, please try again later.\n"},
           {500, ""},
           {401, R"({"kind":"Status","message":"Unauthorized","code":401})"},
           {201, "{"},
           {201, "{}"},
           {201, std::string(1 << 20, 'x')}}) {
    EXPECT_TRUE(absl::IsUnavailable(StatusAfter(status, body))) << status << body.substr(0, 99);
  }
  Verify(issuer.Token());
  api.Fail(absl::DeadlineExceededError("https://10.96.0.1:443: not done within 10s"));
  EXPECT_TRUE(absl::IsUnavailable(results.back().status()));
  EXPECT_EQ(Message(StatusAfter(
                403, R"({"kind":"Status","message":"tokenreviews is forbidden","code":403})")),
            "create tokenreviews.authentication.k8s.io: 403: tokenreviews is forbidden");
}

}  // namespace
}  // namespace portolan::xds

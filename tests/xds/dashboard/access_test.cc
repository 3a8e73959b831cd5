#include "xds/dashboard/access.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tests/common/certificates.h"
#include "tests/common/write_file.h"
#include "tests/kubernetes/scripted_api.h"
#include "tests/xds/authentication/tokens.h"

namespace portolan::xds {
namespace {

using nlohmann::json;
using ::testing::AllOf;
using ::testing::HasSubstr;

http::Request Get(std::string path, const std::string& authorization = "Bearer T") {
  http::Request request;
  request.method = "GET";
  request.path = std::move(path);
  request.host = "control:15080";
  if (!authorization.empty()) request.headers = {{"authorization", authorization}};
  return request;
}

std::string Review(const std::string& user, const std::string& audience = "api") {
  return json({{"status",
                {{"authenticated", true},
                 {"user", {{"username", user}}},
                 {"audiences", {audience}}}}})
      .dump();
}
std::string Verdict(bool allowed) { return json({{"status", {{"allowed", allowed}}}}).dump(); }

// The status of each answer, 0 for "go on", in the order given.
template <typename Access>
class Asking : public ::testing::Test {
 protected:
  virtual Access& access() = 0;

  void Admit(const http::Request& request) {
    access().Admit(request, [this](std::optional<http::Response> answer) {
      results.push_back(answer ? answer->status : 0);
      last = std::move(answer);
    });
  }
  portolan::test::ScriptedApi::Asked& TokenReview() { return api.For("/tokenreviews"); }
  portolan::test::ScriptedApi::Asked& AccessReview() { return api.For("/subjectaccessreviews"); }

  portolan::test::ScriptedApi api;
  std::vector<int> results;
  std::optional<http::Response> last;
};

class ReaderAccessTest : public Asking<ReaderAccess> {
 protected:
  ReaderAccess& access() override { return access_; }
  ReaderAccess access_{api};
};

TEST_F(ReaderAccessTest, WhoHasATokenAndMayIsLetInAndAskedAboutOnce) {
  Admit(Get("/api/v1/names"));
  EXPECT_TRUE(results.empty());
  TokenReview().Answer(201, Review("reader"));
  EXPECT_EQ(json::parse(AccessReview().request().body)["spec"]["nonResourceAttributes"],
            json({{"path", "/portolan/api/v1/names"}, {"verb", "get"}}));
  AccessReview().Answer(201, Verdict(true));
  EXPECT_EQ(results, std::vector<int>{0});
  Admit(Get("/api/v1/names"));
  EXPECT_EQ(results, (std::vector<int>{0, 0}));
  EXPECT_EQ(api.count(), 2u);
  // Another page is another question, not about who it is.
  Admit(Get("/api/v1/sidecars"));
  AccessReview().Answer(201, Verdict(false));
  EXPECT_EQ(results.back(), 403);
  EXPECT_EQ(api.count(), 3u);
}

TEST_F(ReaderAccessTest, ThePageThatAsksForTheTokenNeedsNoneAndAllElseDoes) {
  for (const char* path : {"/", "/assets/app.js"}) {
    Admit(Get(path, ""));
    EXPECT_EQ(results.back(), 0) << path;
  }
  for (const char* path :
       {"/api/v1/names", "/api/v1/openapi.json", "/debug/sources", "/assets", "/nothing", "//"}) {
    Admit(Get(path, ""));
    EXPECT_EQ(results.back(), 401) << path;
  }
  http::Request post = Get("/", "");
  post.method = "POST";
  Admit(post);
  EXPECT_EQ(results.back(), 401);
  for (const http::Header& field : std::vector<http::Header>{
           {"cookie", "token=T"}, {"authorization", "Basic VA=="}, {"authorization", "Bearer "}}) {
    http::Request request = Get("/api/v1/names", "");
    request.headers = {field};
    Admit(request);
    EXPECT_EQ(results.back(), 401) << field.value;
  }
  EXPECT_THAT(last->headers,
              ::testing::Contains(http::Header{"WWW-Authenticate", "Bearer realm=\"portolan\""}));
  EXPECT_EQ(api.count(), 0u);
}

TEST_F(ReaderAccessTest, ATokenThatIsNobodysIsRefusedAndARightThatIsMissingIsNamed) {
  Admit(Get("/api/v1/names"));
  TokenReview().Answer(201, R"({"status":{"user":{},"error":"invalid bearer token"}})");
  EXPECT_EQ(results.back(), 401);
  EXPECT_THAT(last->body, HasSubstr("invalid bearer token"));
  Admit(Get("/api/v1/names", "Bearer U"));
  TokenReview().Answer(201, Review("system:serviceaccount:a:b"));
  AccessReview().Answer(201, Verdict(false));
  EXPECT_EQ(results.back(), 403);
  EXPECT_THAT(last->body, AllOf(HasSubstr("system:serviceaccount:a:b may not get "
                                          "/portolan/api/v1/names"),
                                HasSubstr("portolan-dashboard-reader")));
}

TEST_F(ReaderAccessTest, WhileTheApiServerIsAwayNobodyIsLetIn) {
  Admit(Get("/api/v1/names"));
  TokenReview().End(absl::UnavailableError("https://10.96.0.1:443: Connection refused"));
  EXPECT_EQ(results.back(), 503);
  EXPECT_THAT(last->body, HasSubstr("Connection refused"));
  Admit(Get("/api/v1/names"));
  TokenReview().Answer(201, Review("reader"));
  AccessReview().Answer(500, "");
  EXPECT_EQ(results.back(), 503);
  Admit(Get("/api/v1/names"));
  AccessReview().Answer(201, "nonsense");
  EXPECT_EQ(results.back(), 503);
}

TEST_F(ReaderAccessTest, WhatChangesSomethingIsAPostAndNotFromAnotherSite) {
  http::Request post = Get("/api/v1/sidecars/default/web-0/logging");
  post.method = "POST";
  for (const char* origin : {"https://evil.example", "null", "https://control:15081"}) {
    post.headers.push_back({"origin", origin});
    Admit(post);
    EXPECT_EQ(results.back(), 403) << origin;
    post.headers.pop_back();
  }
  EXPECT_EQ(api.count(), 0u);
  post.headers.push_back({"origin", "https://control:15080"});
  Admit(post);
  TokenReview().Answer(201, Review("reader"));
  EXPECT_EQ(json::parse(AccessReview().request().body)["spec"]["nonResourceAttributes"]["verb"],
            "post");
  AccessReview().Answer(201, Verdict(true));
  EXPECT_EQ(results.back(), 0);
  // Who may post may not get, unless that is given as well.
  Admit(Get("/api/v1/sidecars/default/web-0/logging"));
  AccessReview().Answer(201, Verdict(false));
  EXPECT_EQ(results.back(), 403);
}

TEST_F(ReaderAccessTest, TheHeadOfAPageIsForWhoMayGetIt) {
  http::Request head = Get("/api/v1/names");
  head.method = "HEAD";
  Admit(head);
  TokenReview().Answer(201, Review("reader"));
  EXPECT_EQ(json::parse(AccessReview().request().body)["spec"]["nonResourceAttributes"]["verb"],
            "get");
}

class PeerAccessTest : public Asking<PeerAccess> {
 protected:
  PeerAccess& access() override { return access_; }

  static http::Request Local(const std::string& authorization = "Bearer T") {
    http::Request request = Get("/api/v1/sidecars", authorization);
    request.query = {{"scope", "local"}};
    return request;
  }
  static std::string OwnToken() {
    json payload = test::Issuer::Payload();
    payload["sub"] = "system:serviceaccount:portolan-system:portolan-control";
    return test::Issuer(test::Issuer::kEc).Sign(payload);
  }

  PeerAccessTest() { Write(OwnToken() + "\n"); }
  void Write(const std::string& token) { ASSERT_TRUE(WriteFile(file_, token).ok()); }

  const std::string file_ = ::testing::TempDir() + "portolan-peer-token";
  PeerAccess access_{api, file_};
};

TEST_F(PeerAccessTest, WhoRunsAsOurOwnServiceAccountIsAReplica) {
  Admit(Local());
  EXPECT_EQ(json::parse(TokenReview().request().body)["spec"]["audiences"],
            json::array({"portolan-peers"}));
  TokenReview().Answer(
      201, Review("system:serviceaccount:portolan-system:portolan-control", "portolan-peers"));
  EXPECT_EQ(results, std::vector<int>{0});
  Admit(Local());
  EXPECT_EQ(results.back(), 0);
  EXPECT_EQ(api.count(), 1u);
}

TEST_F(PeerAccessTest, NobodyElseIs) {
  Admit(Local(""));
  EXPECT_EQ(results.back(), 401);
  Admit(Local("Bearer 1"));
  TokenReview().Answer(201,
                       Review("system:serviceaccount:default:portolan-control", "portolan-peers"));
  EXPECT_EQ(results.back(), 403);
  // For the API server: it would be good for more than is meant.
  Admit(Local("Bearer 2"));
  TokenReview().Answer(201, Review("system:serviceaccount:portolan-system:portolan-control"));
  EXPECT_EQ(results.back(), 401);
  Admit(Local("Bearer 3"));
  TokenReview().End(absl::UnavailableError("away"));
  EXPECT_EQ(results.back(), 503);
}

TEST_F(PeerAccessTest, AQuestionThatWouldGoRoundIsRefused) {
  Admit(Get("/api/v1/sidecars"));
  EXPECT_EQ(results.back(), 403);
}

TEST_F(PeerAccessTest, WithoutOurOwnTokenNobodyIsLetIn) {
  Write("");
  Admit(Local());
  TokenReview().Answer(201, Review("", "portolan-peers"));
  EXPECT_EQ(results.back(), 503);
  Admit(Local("Bearer 2"));
  TokenReview().Answer(
      201, Review("system:serviceaccount:portolan-system:portolan-control", "portolan-peers"));
  EXPECT_EQ(results.back(), 503);
}

}  // namespace
}  // namespace portolan::xds

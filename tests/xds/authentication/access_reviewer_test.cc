// Answers are those of a kube-apiserver 1.36, without their metadata.
#include "xds/authentication/access_reviewer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>
#include <vector>

#include "common/status.h"
#include "tests/kubernetes/scripted_api.h"

namespace portolan::xds {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

constexpr char kReader[] =
    R"({"kind":"TokenReview","apiVersion":"authentication.k8s.io/v1","spec":{"token":"T"},"status":{"authenticated":true,"user":{"username":"system:serviceaccount:monitoring:reader","uid":"3fa5d9ce","groups":["system:serviceaccounts","system:serviceaccounts:monitoring","system:authenticated"],"extra":{"authentication.kubernetes.io/credential-id":["JTI=da851d68"]}},"audiences":["https://kubernetes.default.svc.cluster.local"]}})";
constexpr char kUnknown[] =
    R"({"kind":"TokenReview","apiVersion":"authentication.k8s.io/v1","spec":{"token":"garbage","audiences":["portolan"]},"status":{"user":{},"error":"invalid bearer token"}})";
constexpr char kAllowed[] =
    R"({"kind":"SubjectAccessReview","apiVersion":"authorization.k8s.io/v1","spec":{"resourceAttributes":{"verb":"list","resource":"services"},"user":"system:serviceaccount:portolan-system:portolan-control","groups":["system:serviceaccounts","system:authenticated"]},"status":{"allowed":true,"reason":"RBAC: allowed by ClusterRoleBinding \"portolan-control\" of ClusterRole \"portolan-control\" to ServiceAccount \"portolan-control/portolan-system\""}})";
constexpr char kDenied[] =
    R"({"kind":"SubjectAccessReview","apiVersion":"authorization.k8s.io/v1","spec":{"nonResourceAttributes":{"path":"/metrics","verb":"get"},"user":"system:serviceaccount:team-1:nobody"},"status":{"allowed":false}})";

class AccessReviewerTest : public ::testing::Test {
 protected:
  void WhoIs(const std::string& audience = "") {
    reviewer.WhoIs("T", audience, [this](const auto& found) { user = found; });
  }
  void May() {
    User reader{.name = "reader", .uid = "u", .groups = {"g"}};
    reader.extra = {{"scopes", {"s"}}};
    reviewer.May(reader, "get", "/portolan/api/v1/names",
                 [this](const absl::Status& status) { access = status; });
  }

  test::ScriptedApi api;
  AccessReviewer reviewer{api};
  absl::StatusOr<User> user;
  std::optional<absl::Status> access;
};

TEST_F(AccessReviewerTest, ATokenIsSomebodys) {
  WhoIs();
  EXPECT_EQ(api.last().request().method, "POST");
  EXPECT_EQ(api.last().target(), "/apis/authentication.k8s.io/v1/tokenreviews");
  EXPECT_EQ(json::parse(api.last().request().body),
            json({{"apiVersion", "authentication.k8s.io/v1"},
                  {"kind", "TokenReview"},
                  {"spec", {{"token", "T"}}}}));
  api.last().Answer(201, kReader);
  ASSERT_TRUE(user.ok()) << user.status();
  EXPECT_EQ(user->name, "system:serviceaccount:monitoring:reader");
  EXPECT_EQ(user->groups.size(), 3u);
  EXPECT_EQ(user->extra.size(), 1u);
}

TEST_F(AccessReviewerTest, ATokenForOthersIsNobodys) {
  WhoIs("portolan-peers");
  EXPECT_EQ(json::parse(api.last().request().body)["spec"]["audiences"],
            json::array({"portolan-peers"}));
  api.last().Answer(201, kReader);
  EXPECT_TRUE(absl::IsUnauthenticated(user.status()));
  WhoIs();
  api.last().Answer(201, kUnknown);
  EXPECT_TRUE(absl::IsUnauthenticated(user.status()));
  EXPECT_THAT(Message(user.status()), HasSubstr("invalid bearer token"));
}

TEST_F(AccessReviewerTest, WhatSomebodyMayIsAskedWithAllThatIsKnownOfHim) {
  May();
  EXPECT_EQ(api.last().target(), "/apis/authorization.k8s.io/v1/subjectaccessreviews");
  EXPECT_EQ(
      json::parse(api.last().request().body),
      json({{"apiVersion", "authorization.k8s.io/v1"},
            {"kind", "SubjectAccessReview"},
            {"spec",
             {{"user", "reader"},
              {"uid", "u"},
              {"groups", {"g"}},
              {"extra", {{"scopes", {"s"}}}},
              {"nonResourceAttributes", {{"path", "/portolan/api/v1/names"}, {"verb", "get"}}}}}}));
  api.last().Answer(201, kAllowed);
  EXPECT_EQ(access, absl::OkStatus());
  May();
  api.last().Answer(201, kDenied);
  EXPECT_TRUE(absl::IsPermissionDenied(*access));
}

TEST_F(AccessReviewerTest, WhatCannotBeFoundOutIsNeitherYesNorNo) {
  const auto both = [this] {
    EXPECT_TRUE(absl::IsUnavailable(user.status())) << user.status();
    EXPECT_TRUE(absl::IsUnavailable(*access)) << *access;
  };
  WhoIs();
  api.last().End(absl::UnavailableError("https://10.96.0.1:443: Connection refused"));
  May();
  api.last().End(absl::UnavailableError("https://10.96.0.1:443: Connection refused"));
  both();
  EXPECT_THAT(Message(*access), HasSubstr("create subjectaccessreviews: https://10.96.0.1:443"));
  // That we may not ask is no word on who is asked about.
  for (const int status : {401, 403, 404, 500}) {
    WhoIs();
    api.last().Answer(status, "{}");
    May();
    api.last().Answer(status, "{}");
    both();
  }
  for (const char* body :
       {"", "{", "[]", "{}", R"({"status":1})", R"({"status":{"allowed":"yes"}})"}) {
    May();
    api.last().Answer(201, body);
    EXPECT_TRUE(absl::IsUnavailable(*access)) << body;
  }
  EXPECT_TRUE(
      absl::IsUnavailable(ParseUserReview(R"({"status":{"authenticated":true}})", "").status()));
}

TEST_F(AccessReviewerTest, AnAuthorizerThatDeniesHasTheLastWord) {
  EXPECT_TRUE(absl::IsPermissionDenied(
      ParseAccessReview(R"({"status":{"allowed":true,"denied":true,"reason":"no"}})")));
}

}  // namespace
}  // namespace portolan::xds

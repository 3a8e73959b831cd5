#include "common/kubernetes/api_call.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/status.h"
#include "tests/kubernetes/recordings.h"
#include "tests/kubernetes/scripted_api.h"

namespace portolan {
namespace {

using test::Recording;
using ::testing::HasSubstr;
using ::testing::StartsWith;

class ApiCallTest : public ::testing::Test {
 protected:
  void Ask() {
    call_.Start({.target = "/api/v1/namespaces/a/secrets/b"}, "get secrets b",
                [this](const absl::StatusOr<std::string>& body) {
                  ++answers_;
                  result_ = body;
                });
  }
  absl::StatusCode Answered(int status, std::string_view body) {
    Ask();
    api_.last().Answer(status, body);
    return result_.status().code();
  }

  test::ScriptedApi api_;
  ApiCall call_{api_};
  int answers_ = 0;
  absl::StatusOr<std::string> result_;
};

TEST_F(ApiCallTest, TheWholeBodyComesOnce) {
  Ask();
  api_.last().Head(201).Bytes("one ").Bytes("two").End();
  EXPECT_EQ(answers_, 1);
  EXPECT_EQ(*result_, "one two");
}

TEST_F(ApiCallTest, EachRefusalHasItsCodeAndSaysWhatWasAsked) {
  EXPECT_EQ(Answered(404, "404 page not found\n"), absl::StatusCode::kNotFound);
  EXPECT_EQ(Message(result_.status()), "get secrets b: 404: 404 page not found");
  EXPECT_EQ(Answered(403, Recording("refusals/082-403-service-account.json")),
            absl::StatusCode::kPermissionDenied);
  EXPECT_THAT(std::string(Message(result_.status())), StartsWith("get secrets b: 403: "));
  EXPECT_EQ(Answered(409, R"({"kind":"Status","code":409,"reason":"AlreadyExists"})"),
            absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(Answered(409, R"({"kind":"Status","code":409,"reason":"Conflict"})"),
            absl::StatusCode::kAborted);
  EXPECT_EQ(Answered(422, "{}"), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(Answered(500, ""), absl::StatusCode::kUnavailable);
}

TEST_F(ApiCallTest, AnAnswerThatIsCutOffIsNone) {
  Ask();
  api_.last().Head(200).Bytes("half").End(absl::UnavailableError("connection reset"));
  EXPECT_EQ(Message(result_.status()), "get secrets b: connection reset");
}

TEST_F(ApiCallTest, AnAnswerWithoutEndIsNotKept) {
  Ask();
  api_.last().Head(200);
  const std::string piece(1u << 20, 'x');
  for (int i = 0; i < 6; ++i) api_.last().Bytes(piece);
  api_.last().End();
  EXPECT_THAT(std::string(Message(result_.status())), HasSubstr("more than 4194304 bytes"));
}

TEST_F(ApiCallTest, AskedAgainTheFirstAnswerIsNotHeard) {
  Ask();
  Ask();
  EXPECT_FALSE(api_[0].open());
  api_.last().Answer(200, "second");
  EXPECT_EQ(*result_, "second");
  EXPECT_EQ(answers_, 1);
}

TEST_F(ApiCallTest, FromWithinAnAnswerTheNextMayBeAsked) {
  call_.Start({.target = "/one"}, "one", [this](const auto&) { Ask(); });
  api_.last().Answer(200, "first");
  EXPECT_EQ(api_.last().target(), "/api/v1/namespaces/a/secrets/b");
  api_.last().Answer(200, "second");
  EXPECT_EQ(*result_, "second");
}

}  // namespace
}  // namespace portolan

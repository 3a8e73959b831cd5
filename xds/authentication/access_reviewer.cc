#include "xds/authentication/access_reviewer.h"

#include <algorithm>
#include <utility>

#include "common/status.h"

namespace portolan::xds {
namespace {

using nlohmann::json;

constexpr char kTokenReviews[] = "/apis/authentication.k8s.io/v1/tokenreviews";
constexpr char kAccessReviews[] = "/apis/authorization.k8s.io/v1/subjectaccessreviews";

// What the member is, or null.
const json& Member(const json& object, const char* name) {
  static const json null;
  if (!object.is_object()) return null;
  const auto found = object.find(name);
  return found == object.end() ? null : *found;
}

std::string String(const json& value) {
  return value.is_string() ? value.get<std::string>() : std::string();
}

std::vector<std::string> Strings(const json& list) {
  std::vector<std::string> strings;
  if (!list.is_array()) return strings;
  for (const json& each : list) strings.push_back(String(each));
  return strings;
}

}  // namespace

absl::StatusOr<User> ParseUserReview(std::string_view body, std::string_view audience) {
  const json review = json::parse(body, nullptr, false);
  const json& status = Member(review, "status");
  if (!status.is_object()) return absl::UnavailableError("no TokenReview came back");
  if (Member(status, "authenticated") != true) {
    const std::string error = String(Member(status, "error"));
    return absl::UnauthenticatedError(error.empty() ? "the API server does not know the token"
                                                    : "the API server: " + error);
  }
  // A server that does not know of audiences leaves them out, and has then not looked.
  const std::vector<std::string> audiences = Strings(Member(status, "audiences"));
  if (!audience.empty() &&
      std::find(audiences.begin(), audiences.end(), audience) == audiences.end()) {
    return absl::UnauthenticatedError(
        fmt::format("the API server does not say that the token is for {}", audience));
  }
  const json& found = Member(status, "user");
  User user{.name = String(Member(found, "username")),
            .uid = String(Member(found, "uid")),
            .groups = Strings(Member(found, "groups"))};
  if (const json& extra = Member(found, "extra"); extra.is_object()) user.extra = extra;
  if (user.name.empty()) return absl::UnavailableError("a TokenReview without a user came back");
  return user;
}

absl::Status ParseAccessReview(std::string_view body) {
  const json review = json::parse(body, nullptr, false);
  const json& status = Member(review, "status");
  const json& allowed = Member(status, "allowed");
  if (!allowed.is_boolean()) return absl::UnavailableError("no SubjectAccessReview came back");
  // "denied" is the word of an authorizer that wants no other to be asked.
  if (allowed == true && Member(status, "denied") != true) return absl::OkStatus();
  const std::string fault = String(Member(status, "evaluationError"));
  const std::string reason = fault.empty() ? String(Member(status, "reason")) : fault;
  return absl::PermissionDeniedError(reason);
}

void AccessReviewer::Ask(std::string target, const json& review, std::string what,
                         ApiCall::Done done) {
  const uint64_t id = ++last_call_;
  ApiCall& call = *calls_.emplace(id, std::make_unique<ApiCall>(client_)).first->second;
  call.Start({.method = "POST",
              .target = std::move(target),
              .body = review.dump(-1, ' ', false, json::error_handler_t::replace),
              .timeout = kTimeout},
             std::move(what), [this, id, done = std::move(done)](const auto& body) {
               const auto ended = std::move(calls_.at(id));
               calls_.erase(id);
               // That we may not ask says nothing about who is asked about.
               done(body.ok() ? body : absl::UnavailableError(body.status().message()));
             });
}

void AccessReviewer::WhoIs(const std::string& token, const std::string& audience, FoundUser done) {
  json spec = {{"token", token}};
  if (!audience.empty()) spec["audiences"] = {audience};
  Ask(kTokenReviews,
      {{"apiVersion", "authentication.k8s.io/v1"}, {"kind", "TokenReview"}, {"spec", spec}},
      "create tokenreviews", [audience, done = std::move(done)](const auto& body) {
        if (!body.ok()) return done(body.status());
        done(ParseUserReview(*body, audience));
      });
}

void AccessReviewer::May(const User& user, const std::string& verb, const std::string& path,
                         FoundAccess done) {
  const json spec = {{"user", user.name},
                     {"uid", user.uid},
                     {"groups", user.groups},
                     {"extra", user.extra},
                     {"nonResourceAttributes", {{"path", path}, {"verb", verb}}}};
  Ask(kAccessReviews,
      {{"apiVersion", "authorization.k8s.io/v1"}, {"kind", "SubjectAccessReview"}, {"spec", spec}},
      "create subjectaccessreviews", [done = std::move(done)](const auto& body) {
        done(body.ok() ? ParseAccessReview(*body) : body.status());
      });
}

}  // namespace portolan::xds

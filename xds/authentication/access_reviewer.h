// Who somebody is by a bearer token, and what he may: asked of the API server, for those who read
// our pages. Sidecars are let in by TokenReviewer.
// https://kubernetes.io/docs/reference/kubernetes-api/authentication-resources/token-review-v1/
// https://kubernetes.io/docs/reference/kubernetes-api/authorization-resources/subject-access-review-v1/
//
// The control plane's role has to allow: create tokenreviews.authentication.k8s.io and
// subjectaccessreviews.authorization.k8s.io. Asks each time it is asked; who remembers is
// RememberedAnswers. The loop's thread only.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/kubernetes/api_call.h"
#include "common/kubernetes/api_client.h"

namespace portolan::xds {

// As the API server knows him.
struct User {
  std::string name;  // "system:serviceaccount:monitoring:grafana"
  std::string uid;
  std::vector<std::string> groups;
  nlohmann::json extra = nlohmann::json::object();  // lists of strings
};

// Any thread: the answer to a TokenReview for `audience`; empty: the API server's own.
// kUnauthenticated: the server does not vouch for the token.
absl::StatusOr<User> ParseUserReview(std::string_view body, std::string_view audience);

// Any thread: the answer to a SubjectAccessReview. kPermissionDenied: he may not.
absl::Status ParseAccessReview(std::string_view body);

class AccessReviewer {
 public:
  static constexpr absl::Duration kTimeout = absl::Seconds(5);
  using FoundUser = std::function<void(const absl::StatusOr<User>&)>;
  using FoundAccess = std::function<void(const absl::Status&)>;

  // `client` outlives it.
  explicit AccessReviewer(ApiClient& client) : client_(client) {}
  AccessReviewer(const AccessReviewer&) = delete;
  AccessReviewer& operator=(const AccessReviewer&) = delete;

  // Both call `done` once, later, unless the reviewer is destroyed. kUnavailable: it could not be
  // found out, and the message says why.
  void WhoIs(const std::string& token, const std::string& audience, FoundUser done);
  // Whether `user` may `verb` the URL path `path` (nonResourceAttributes).
  void May(const User& user, const std::string& verb, const std::string& path, FoundAccess done);

 private:
  void Ask(std::string target, const nlohmann::json& review, std::string what, ApiCall::Done done);

  ApiClient& client_;
  uint64_t last_call_ = 0;
  std::map<uint64_t, std::unique_ptr<ApiCall>> calls_;
};

}  // namespace portolan::xds

// Who may read the pages and the API: http::Server::Options::admit.
//
// Nobody is let in while the API server cannot be asked: the answer is then 503. What was found out
// about a token, and about a token and a path, counts for 10 s, a refusal for 5 s, of 1,000 each.
// Only the header Authorization speaks for somebody, never a cookie, so that no page of another
// site can make a browser do it. The loop's thread only.
#pragma once

#include <array>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "common/http/server.h"
#include "common/kubernetes/api_client.h"
#include "common/metrics.h"
#include "xds/authentication/access_reviewer.h"
#include "xds/authentication/remembered_answers.h"

namespace portolan::xds {

// What became of requests at the gate of `server`.
class Admissions {
 public:
  enum Result { kPublic, kAdmitted, kNoToken, kRefused, kForbidden, kForeign, kUnavailable };

  void Count(Result result) { counts_[result].Add(); }
  void AddMetrics(MetricFamilies& families, std::string_view server) const;

 private:
  std::array<Counter, kUnavailable + 1> counts_;
};

// --http-auth kubernetes: whoever shows a token that the API server takes (TokenReview) and may
// get, or post to, the URL path "/portolan" + the request's (SubjectAccessReview, as RBAC's
// nonResourceURLs give). `/` and `/assets/*`, which ask for the token, are everybody's.
class ReaderAccess {
 public:
  // `client` outlives it.
  explicit ReaderAccess(ApiClient& client) : reviewer_(client) {}

  void Admit(const http::Request& request, http::Admitted done);
  void AddMetrics(MetricFamilies& families) const { admissions_.AddMetrics(families, "api"); }

 private:
  struct Allowed {};

  void OnUser(const absl::StatusOr<User>& user, const std::string& hash, const std::string& verb,
              const std::string& path, const http::Admitted& done);

  AccessReviewer reviewer_;
  RememberedAnswers<User> users_;
  RememberedAnswers<Allowed> allowed_;
  Admissions admissions_;
};

// Replicas of this control plane, by a token for the audience kPeerAudience that says that the
// other runs as the service account that we run as. A peer asks for what the replica itself has,
// with scope=local, so that no question goes round.
class PeerAccess {
 public:
  static constexpr char kPeerAudience[] = "portolan-peers";

  // `token_file` has our own token. `client` outlives it.
  PeerAccess(ApiClient& client, std::string token_file)
      : token_file_(std::move(token_file)), reviewer_(client) {}

  void Admit(const http::Request& request, http::Admitted done);
  void AddMetrics(MetricFamilies& families) const { admissions_.AddMetrics(families, "peers"); }

 private:
  void OnUser(const absl::StatusOr<User>& user, const http::Admitted& done);

  const std::string token_file_;
  AccessReviewer reviewer_;
  RememberedAnswers<User> users_;
  Admissions admissions_;
};

}  // namespace portolan::xds

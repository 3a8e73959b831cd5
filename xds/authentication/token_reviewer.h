// Tokens verified by the API server that issued them, which also knows whether their pod is still
// there.
// https://kubernetes.io/docs/reference/kubernetes-api/authentication-resources/token-review-v1/
//
// The control plane's role has to allow: create tokenreviews.authentication.k8s.io.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "absl/container/flat_hash_map.h"
#include "common/kubernetes/api_client.h"
#include "xds/authentication/token_verifier.h"

namespace portolan::xds {

// Any thread: the answer to a review of a token that expires then. kUnauthenticated: the server
// does not vouch for it.
absl::StatusOr<PodIdentity> ParseTokenReview(std::string_view body, absl::Time expires);

// What CheckClaims refuses is not asked about.
class TokenReviewer : public TokenVerifier {
 public:
  static constexpr absl::Duration kTimeout = absl::Seconds(10);

  // `client` outlives it.
  explicit TokenReviewer(ApiClient& client);
  ~TokenReviewer() override;

  void Verify(const std::string& token, Done done) override;

 private:
  class Review;

  void OnDone(Review* review);

  ApiClient& client_;
  absl::flat_hash_map<Review*, std::unique_ptr<Review>> reviews_;
};

}  // namespace portolan::xds

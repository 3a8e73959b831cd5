// What a service account's token says of itself, which anybody can write: it is believed only once
// the token was verified. RFC 7519, RFC 7515; the private claims as in
// https://kubernetes.io/docs/reference/access-authn-authz/service-accounts-admin/#schema-for-service-account-private-claims
//
// Any thread. Bytes of strangers are parsed here and nowhere else.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "xds/authentication/token_verifier.h"

namespace portolan::xds {

inline constexpr size_t kMaxTokenBytes = 16u << 10;

struct TokenClaims {
  std::string algorithm;  // of the header: "RS256"
  std::string key_id;     // may be empty
  // The parts of the token that are signed, and the signature's bytes. The former lives as long as
  // the token.
  std::string_view signed_part;
  std::string signature;

  std::string issuer;
  std::string subject;  // "system:serviceaccount:NAMESPACE:NAME"
  std::vector<std::string> audiences;
  absl::Time expires = absl::InfinitePast();  // a token without: never valid
  absl::Time not_before = absl::InfinitePast();
  std::string name_space;
  std::string pod;  // empty: bound to no pod
  std::string pod_uid;
};

// kUnauthenticated for bytes that are no JWT of that kind.
absl::StatusOr<TokenClaims> ParseTokenClaims(std::string_view token);

// Whether a token that says so could be good at all, now: kUnauthenticated, with the reason, if it
// is for others than us, has expired or is bound to no pod.
absl::Status CheckClaims(const TokenClaims& claims);

PodIdentity IdentityOf(const TokenClaims& claims);

}  // namespace portolan::xds

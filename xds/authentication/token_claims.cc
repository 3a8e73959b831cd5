#include "xds/authentication/token_claims.h"

#include <algorithm>
#include <array>
#include <utility>

#include <nlohmann/json.hpp>

#include "absl/strings/escaping.h"
#include "absl/time/clock.h"
#include "common/status.h"

namespace portolan::xds {
namespace {

using nlohmann::json;

// Clocks of two machines.
constexpr absl::Duration kSkew = absl::Seconds(10);

absl::Status Refused(std::string_view why) {
  return absl::UnauthenticatedError(absl::string_view(why.data(), why.size()));
}

// RFC 4648, 5, without padding.
bool Decode(std::string_view text, std::string& out) {
  const bool plain = text.find_first_of("= \t\r\n") == std::string_view::npos;
  return plain && absl::WebSafeBase64Unescape(absl::string_view(text.data(), text.size()), &out);
}

bool DecodeObject(std::string_view text, json& out) {
  std::string decoded;
  if (!Decode(text, decoded)) return false;
  out = json::parse(decoded, nullptr, false);
  return out.is_object();
}

// Of a member that is no string, or not there: empty.
std::string String(const json& object, const char* name) {
  const auto found = object.find(name);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

const json& Object(const json& object, const char* name) {
  static const json empty = json::object();
  const auto found = object.find(name);
  return found != object.end() && found->is_object() ? *found : empty;
}

// NumericDate of RFC 7519, 2.
absl::Time Date(const json& object, const char* name) {
  const auto found = object.find(name);
  if (found == object.end() || !found->is_number()) return absl::InfinitePast();
  return absl::UnixEpoch() + absl::Seconds(found->get<double>());
}

std::vector<std::string> Audiences(const json& payload) {
  const auto found = payload.find("aud");
  if (found == payload.end()) return {};
  if (found->is_string()) return {found->get<std::string>()};
  std::vector<std::string> audiences;
  if (!found->is_array()) return audiences;
  for (const json& audience : *found) {
    if (audience.is_string()) audiences.push_back(audience.get<std::string>());
  }
  return audiences;
}

}  // namespace

absl::StatusOr<TokenClaims> ParseTokenClaims(std::string_view token) {
  absl::Status no_jwt = Refused("the token is no JWT, as service accounts have");
  if (token.size() > kMaxTokenBytes) return Refused("the token is too long");
  const size_t first = token.find('.');
  const size_t second = first == std::string_view::npos ? first : token.find('.', first + 1);
  if (second == std::string_view::npos) return no_jwt;
  json header;
  json payload;
  TokenClaims claims;
  if (!DecodeObject(token.substr(0, first), header) ||
      !DecodeObject(token.substr(first + 1, second - first - 1), payload) ||
      !Decode(token.substr(second + 1), claims.signature)) {
    return no_jwt;
  }
  claims.algorithm = String(header, "alg");
  claims.key_id = String(header, "kid");
  claims.signed_part = token.substr(0, second);
  claims.issuer = String(payload, "iss");
  claims.subject = String(payload, "sub");
  claims.audiences = Audiences(payload);
  claims.expires = Date(payload, "exp");
  claims.not_before = Date(payload, "nbf");
  const json& kubernetes = Object(payload, "kubernetes.io");
  claims.name_space = String(kubernetes, "namespace");
  const json& pod = Object(kubernetes, "pod");
  claims.pod = String(pod, "name");
  claims.pod_uid = String(pod, "uid");
  return claims;
}

absl::Status CheckClaims(const TokenClaims& claims) {
  const absl::Time now = absl::Now();
  if (std::find(claims.audiences.begin(), claims.audiences.end(), kAudience) ==
      claims.audiences.end()) {
    return Refused(fmt::format("the token is not for the audience {}", kAudience));
  }
  if (now > claims.expires + kSkew) return Refused("the token has expired");
  if (now < claims.not_before - kSkew) return Refused("the token is not valid yet");
  if (claims.name_space.empty() || claims.pod.empty()) {
    return Refused("the token is bound to no pod: it has to be a projected one");
  }
  return absl::OkStatus();
}

PodIdentity IdentityOf(const TokenClaims& claims) {
  return {claims.name_space, claims.pod, claims.pod_uid, claims.expires};
}

}  // namespace portolan::xds

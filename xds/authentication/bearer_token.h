// A bearer token as it comes in a header. Any thread; bytes of strangers.
#pragma once

#include <openssl/sha.h>

#include <optional>
#include <string>
#include <string_view>

#include "common/text.h"

namespace portolan::xds {

// RFC 6750, 2.1, of the value of "authorization". Nothing if there is no such token.
inline std::optional<std::string_view> BearerToken(std::string_view authorization) {
  constexpr std::string_view kScheme = "bearer ";
  if (Lower(authorization.substr(0, kScheme.size())) != kScheme) return std::nullopt;
  const std::string_view token = authorization.substr(kScheme.size());
  if (token.empty()) return std::nullopt;
  return token;
}

// What stands for a token where it is remembered: nobody who reads our memory finds tokens in it
// that were shown before.
inline std::string HashOf(std::string_view token) {
  std::string hash(SHA256_DIGEST_LENGTH, '\0');
  SHA256(reinterpret_cast<const unsigned char*>(token.data()), token.size(),
         reinterpret_cast<unsigned char*>(hash.data()));
  return hash;
}

}  // namespace portolan::xds

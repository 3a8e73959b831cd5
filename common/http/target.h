// Request targets: "/names?search=a%20b" into a path and parameters (RFC 3986, RFC 9112 3.2).
//
// Any thread. The one place where percent-escapes are decoded.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "common/http/message.h"

namespace portolan::http {

inline constexpr size_t kMaxQueryParameters = 64;

struct Target {
  std::string path;
  QueryParameters query;
  // Of a target in absolute form ("http://host:80/path"), which wins over the Host field; else
  // empty.
  std::string authority;
};

// Origin form and absolute form. Nothing for any other form, bytes that do not belong in a URI, a
// broken percent-escape, an encoded NUL, "." and ".." segments, and too many parameters.
std::optional<Target> ParseTarget(std::string_view text);

// True if `host` (a Host field) names an address by itself: an IPv4 or bracketed IPv6 literal or
// "localhost", each with or without a port. A page of a foreign site that points its own name at
// 127.0.0.1 (DNS rebinding) cannot send such a Host.
bool IsLiteralOrLocalhost(std::string_view host);

}  // namespace portolan::http

// Entity tags (RFC 9110 8.8.3). Any thread.
#pragma once

#include <string_view>

#include "common/http/message.h"

namespace portolan::xds {

// Whether If-None-Match has this tag, by weak comparison: then the answer is 304 (13.1.2).
inline bool NoneMatchNames(const http::Request& request, std::string_view etag) {
  std::string_view list = request.FindHeader("if-none-match").value_or("");
  while (!list.empty()) {
    const size_t comma = list.find(',');
    std::string_view one = list.substr(0, comma);
    list = comma == list.npos ? std::string_view() : list.substr(comma + 1);
    while (one.starts_with(' ')) one.remove_prefix(1);
    while (one.ends_with(' ')) one.remove_suffix(1);
    if (one.starts_with("W/")) one.remove_prefix(2);
    if (one == "*" || one == etag) return true;
  }
  return false;
}

}  // namespace portolan::xds

// What an API server says where it does not give what was asked for: a Status object
// (https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/status/), or plain text.
// Any thread; nothing is thrown.
#pragma once

#include <string>

#include "common/document/json.h"

namespace portolan {

// No Status is longer than this; what follows is not kept.
inline constexpr size_t kMaxStatusBytes = 64u << 10;

struct ApiStatus {
  int code = 0;
  std::string reason;   // "Expired"; empty where it was plain text
  std::string message;  // on one line, at most 300 characters
};

// The body of an answer with the HTTP status `code`.
ApiStatus ReadApiStatus(JsonReader& reader, int code, std::string body);
// The object of an ERROR event.
ApiStatus ReadApiStatus(const Value& status);

}  // namespace portolan

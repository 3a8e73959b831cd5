// JSON answers. Any thread.
#pragma once

#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

#include "common/http/message.h"

namespace portolan::http {

// Never throws: bytes that are no UTF-8 become U+FFFD.
inline std::string DumpJson(const nlohmann::json& value) {
  return value.dump(1, ' ', false, nlohmann::json::error_handler_t::replace);
}

inline Response JsonResponse(int status, const nlohmann::json& value) {
  Response response;
  response.status = status;
  response.content_type = "application/json";
  response.body = DumpJson(value);
  response.body.push_back('\n');
  return response;
}

// {"error": message}
inline Response JsonError(int status, std::string_view message) {
  return JsonResponse(status, {{"error", message}});
}

}  // namespace portolan::http

#include "xds/dashboard/page.h"

#include <fmt/format.h>

#include <charconv>
#include <utility>

#include "common/fnv1a.h"
#include "common/http/json.h"
#include "common/status.h"
#include "xds/dashboard/entity_tag.h"
#include "xds/history/entry.h"

namespace portolan::xds {
namespace {

// Of JSON; of anything else the parser finds out. (Its callback tells the level as well, but with
// one nlohmann::json goes through all of an array again at the end of each object in it.)
bool IsTooDeep(std::string_view text) {
  int level = 0;
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') ++i;
      in_string = c != '"';
    } else if (c == '"') {
      in_string = true;
    } else if (c == '[' || c == '{') {
      if (++level > kMostUntrustedLevels) return true;
    } else if (c == ']' || c == '}') {
      --level;
    }
  }
  return false;
}

}  // namespace

http::Response Tagged(const http::Request& request, std::string body) {
  std::string etag = fmt::format("\"{:016x}\"", Fnv1a(body));
  http::Response response;
  response.content_type = "application/json";
  if (NoneMatchNames(request, etag)) {
    response.status = 304;
  } else {
    response.body = std::move(body);
  }
  response.headers = {{"ETag", std::move(etag)}, {"Cache-Control", "no-cache"}};
  return response;
}

http::Response Fresh(const http::Request& request, const nlohmann::json& body) {
  http::Response response;
  response.content_type = "application/json";
  response.headers = {{"Cache-Control", "no-store"}};
  response.body = request.FindQuery("scope") == "local" ? Compact(body) : http::DumpJson(body);
  response.body.push_back('\n');
  return response;
}

http::Response ErrorOf(const absl::Status& status) {
  const auto number = [&] {
    switch (status.code()) {
      case absl::StatusCode::kInvalidArgument:
        return 400;
      case absl::StatusCode::kPermissionDenied:
        return 403;
      case absl::StatusCode::kNotFound:
        return 404;
      case absl::StatusCode::kResourceExhausted:
      case absl::StatusCode::kUnavailable:
        return 503;
      case absl::StatusCode::kDeadlineExceeded:
        return 504;
      default:
        return 502;
    }
  };
  return http::JsonError(number(), Message(status));
}

absl::StatusOr<size_t> ParseCount(const http::Request& request, std::string_view name, size_t most,
                                  size_t by_default) {
  const std::string text = Parameter(request, name);
  if (text.empty()) return by_default;
  size_t count = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), count);
  if (error != std::errc() || end != text.data() + text.size() || count < 1 || count > most) {
    return InvalidArgument("{}: a number from 1 to {} is needed", name, most);
  }
  return count;
}

absl::StatusOr<absl::Time> ParseMoment(const http::Request& request, std::string_view name) {
  auto time = ParseMoment(Parameter(request, name));
  if (!time.ok()) return InvalidArgument("{}: {}", name, Message(time.status()));
  return time;
}

std::optional<ObjectName> ParseObjectName(std::string_view text) {
  const size_t slash = text.find('/');
  if (slash == 0 || slash == text.npos || slash + 1 == text.size()) return std::nullopt;
  if (text.find('/', slash + 1) != text.npos) return std::nullopt;
  return ObjectName{std::string(text.substr(0, slash)), std::string(text.substr(slash + 1))};
}

std::string Parameter(const http::Request& request, std::string_view name) {
  return std::string(request.FindQuery(name).value_or(""));
}

nlohmann::json ParseUntrusted(std::string_view text) {
  if (IsTooDeep(text)) return nlohmann::json::value_t::discarded;
  return nlohmann::json::parse(text, nullptr, false);
}

std::string Compact(const nlohmann::json& value) {
  return value.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace portolan::xds

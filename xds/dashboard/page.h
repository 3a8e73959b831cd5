// What the API's pages have in common: entity tags, and the answers for parameters that are wrong.
// Any thread.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/http/message.h"
#include "directory/model.h"

namespace portolan::xds {

// 200 with a tag that is its content's, or 304 where the client has that already (RFC 9110 13.1.2).
http::Response Tagged(const http::Request& request, std::string body);
// 200 with Cache-Control: no-store; for another replica, which asks with scope=local, in one line.
http::Response Fresh(const http::Request& request, const nlohmann::json& body);

// {"error"} with the status that the code stands for: 400, 403, 404, 502, 503, 504.
http::Response ErrorOf(const absl::Status& status);

// The parameter `name`, from 1 to `most`; `by_default` where it is missing. An error says what is
// needed.
absl::StatusOr<size_t> ParseCount(const http::Request& request, std::string_view name, size_t most,
                                  size_t by_default);

// The parameter `name`, which is there, as a time (xds/history/entry.h). An error says what is
// needed.
absl::StatusOr<absl::Time> ParseMoment(const http::Request& request, std::string_view name);

// "namespace/name"
std::optional<ObjectName> ParseObjectName(std::string_view text);

// The parameter, empty where it is missing.
std::string Parameter(const http::Request& request, std::string_view name);

// What a sidecar or another replica sent, or a discarded value: it is no JSON, or deeper than
// kMostUntrustedLevels. To copy, compare or write a value takes stack for each of its levels.
inline constexpr int kMostUntrustedLevels = 64;
nlohmann::json ParseUntrusted(std::string_view text);

// One line, bytes that are no UTF-8 replaced.
std::string Compact(const nlohmann::json& value);

}  // namespace portolan::xds

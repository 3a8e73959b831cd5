// Errors as values: absl::Status with messages made by fmt.
//
// Debian's absl::string_view does not convert from or to std::string_view; this file is where the
// two meet, so that the rest of the tree uses std types only. Any thread.
#pragma once

#include <fmt/format.h>

#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace portolan {

template <typename... Args>
absl::Status InvalidArgument(fmt::format_string<Args...> format, Args&&... args) {
  return absl::InvalidArgumentError(fmt::format(format, std::forward<Args>(args)...));
}

template <typename... Args>
absl::Status FailedPrecondition(fmt::format_string<Args...> format, Args&&... args) {
  return absl::FailedPreconditionError(fmt::format(format, std::forward<Args>(args)...));
}

template <typename... Args>
absl::Status NotFound(fmt::format_string<Args...> format, Args&&... args) {
  return absl::NotFoundError(fmt::format(format, std::forward<Args>(args)...));
}

// The text of strerror(3) for `error`, behind the message: "open /x: No such file or directory".
absl::Status ErrnoError(int error, std::string_view what);

// The message of a status, for logs and for wrapping. Valid as long as the status lives.
inline std::string_view Message(const absl::Status& status) {
  return {status.message().data(), status.message().size()};
}

}  // namespace portolan

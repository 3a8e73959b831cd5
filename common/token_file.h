// A bearer token in a file, as a kubelet projects a service account's: it is replaced while it is
// still good, so it is read whenever it is used. Any thread.
// https://kubernetes.io/docs/tasks/configure-pod-container/configure-service-account/
#pragma once

#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace portolan {

// Not empty, and nothing in it that would end a header or a word of one.
bool IsToken(std::string_view text);

// Without white space around it. An error names the file: it cannot be read, is empty, is longer
// than 64 KB, or holds what no header can carry.
absl::StatusOr<std::string> ReadToken(const std::string& path);

}  // namespace portolan

#include "common/token_file.h"

#include <algorithm>

#include "common/files.h"
#include "common/status.h"

namespace portolan {
namespace {

constexpr size_t kMaxTokenBytes = 64u << 10;

}  // namespace

bool IsToken(std::string_view text) {
  return !text.empty() &&
         std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c < '\x7f'; });
}

absl::StatusOr<std::string> ReadToken(const std::string& path) {
  auto content = ReadFile(path, kMaxTokenBytes);
  if (!content.ok()) return content.status();
  constexpr std::string_view kBlanks = " \t\r\n";
  const size_t begin = content->find_first_not_of(kBlanks);
  if (begin == std::string::npos) return InvalidArgument("{}: is empty, not a token", path);
  const size_t end = content->find_last_not_of(kBlanks) + 1;
  std::string token = content->substr(begin, end - begin);
  if (!IsToken(token))
    return InvalidArgument("{}: is no token: a blank or control character", path);
  return token;
}

}  // namespace portolan

#include "proxy/pod_sockets.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <optional>

#include "common/files.h"

namespace portolan::proxy {
namespace {

// Columns of a line, which are set apart by spaces.
constexpr size_t kUid = 7;
constexpr size_t kInode = 9;
// 150 bytes a socket.
constexpr size_t kMaxTableBytes = 64 << 20;

std::string_view TakeWord(std::string_view& line) {
  line.remove_prefix(std::min(line.find_first_not_of(' '), line.size()));
  const std::string_view word = line.substr(0, line.find(' '));
  line.remove_prefix(word.size());
  return word;
}

std::optional<uint64_t> ToNumber(std::string_view word) {
  uint64_t number = 0;
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), number);
  if (error != std::errc() || end != word.data() + word.size()) return std::nullopt;
  return number;
}

// The head line has words where the others have numbers.
bool IsOfAnother(std::string_view line, uid_t own) {
  std::array<std::string_view, kInode + 1> words;
  for (std::string_view& word : words) word = TakeWord(line);
  const auto uid = ToNumber(words[kUid]);
  const auto inode = ToNumber(words[kInode]);
  return uid.has_value() && inode.value_or(0) != 0 && *uid != own;
}

}  // namespace

bool HasSocketsOfOthers(std::string_view table, uid_t own) {
  while (!table.empty()) {
    const std::string_view line = table.substr(0, table.find('\n'));
    if (IsOfAnother(line, own)) return true;
    table.remove_prefix(std::min(line.size() + 1, table.size()));
  }
  return false;
}

bool PodHasSocketsOfOthers(const std::string& folder, uid_t own) {
  for (const char* table : {"tcp", "tcp6", "udp", "udp6"}) {
    const auto text = ReadFile(folder + "/" + table, kMaxTableBytes);
    if (text.ok() && HasSocketsOfOthers(*text, own)) return true;
  }
  return false;
}

}  // namespace portolan::proxy

// Text taken apart and compared. ASCII only; any thread.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

namespace portolan {

inline std::string Lower(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
  }
  return lower;
}

// Text of somebody else, fit for a line of ours: at most so many bytes, no control characters.
inline std::string OneLine(std::string_view text, size_t most_bytes) {
  size_t end = std::min(text.size(), most_bytes);
  // Not within a character of UTF-8.
  while (end > 0 && end < text.size() && (text[end] & 0xc0) == 0x80) --end;
  std::string line(text.substr(0, end));
  while (!line.empty() && (line.back() == '\n' || line.back() == '\r')) line.pop_back();
  for (char& c : line) {
    if (static_cast<unsigned char>(c) < ' ' || c == 0x7f) c = ' ';
  }
  return line;
}

// The words between blanks, as the C library takes resolv.conf and hosts files apart.
inline std::vector<std::string_view> SplitBlanks(std::string_view line) {
  constexpr std::string_view kBlanks = " \t\r\v\f";
  std::vector<std::string_view> words;
  size_t at = 0;
  while ((at = line.find_first_not_of(kBlanks, at)) != std::string_view::npos) {
    const size_t end = std::min(line.find_first_of(kBlanks, at), line.size());
    words.push_back(line.substr(at, end - at));
    at = end;
  }
  return words;
}

}  // namespace portolan

#include "ctl/screen.h"

#include <fmt/format.h>

#include <algorithm>
#include <iostream>
#include <set>
#include <string_view>
#include <vector>

namespace portolan::ctl {
namespace {

std::vector<std::string_view> Lines(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    const size_t end = text.find('\n');
    lines.push_back(text.substr(0, end));
    text = end == text.npos ? std::string_view() : text.substr(end + 1);
  }
  return lines;
}

}  // namespace

Screen::~Screen() {
  if (look_.height > 0 && !shown_.empty()) std::cout << "\x1b[?25h" << std::flush;
}

std::string Screen::Next(const std::string& text) {
  std::string out;
  if (look_.height == 0) {
    const auto before = Lines(shown_);
    const std::set<std::string_view> known(before.begin(), before.end());
    for (const std::string_view line : Lines(text)) {
      if (known.count(line) == 0) out += fmt::format("{}\n", line);
    }
    shown_ = text;
    return out;
  }
  // Over what is there, without wiping it first, so that nothing flickers.
  out = shown_.empty() ? "\x1b[?25l\x1b[2J\x1b[H" : "\x1b[H";
  const auto lines = Lines(text);
  const bool all = lines.size() < look_.height;
  const size_t most = all ? lines.size() : look_.height - std::min<size_t>(look_.height, 2);
  for (size_t i = 0; i < most; ++i) out += fmt::format("{}\x1b[K\r\n", lines[i]);
  if (!all) out += fmt::format("\u2026 {} more lines\x1b[K\r\n", lines.size() - most);
  out += "\x1b[J";
  shown_ = text;
  return out;
}

}  // namespace portolan::ctl

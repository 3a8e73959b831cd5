#include "ctl/terminal.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>

namespace portolan::ctl {
namespace {

constexpr size_t kGap = 3;
constexpr size_t kLeastWidth = 8;  // a column is cut to

struct Character {
  uint32_t code = 0;
  size_t bytes = 0;  // 0: not UTF-8
};

// RFC 3629, with overlong forms and surrogates left out.
Character Decode(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  const uint8_t first = byte(0);
  if (first < 0x80) return {first, 1};
  const size_t bytes = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4 || text.size() < bytes) return {};
  uint32_t code = first & (0x7fu >> bytes);
  for (size_t i = 1; i < bytes; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return {};
    code = (code << 6) | (byte(i) & 0x3f);
  }
  constexpr uint32_t kLeast[] = {0, 0, 0x80, 0x800, 0x10000};
  if (code < kLeast[bytes] || code > 0x10ffff || (code >= 0xd800 && code < 0xe000)) return {};
  return {code, bytes};
}

bool IsHarmless(uint32_t code) {
  if (code < 0x20 || (code >= 0x7f && code < 0xa0)) return false;
  if (code >= 0x200b && code <= 0x200f) return false;  // zero width, direction marks
  if (code >= 0x2028 && code <= 0x202e) return false;  // separators, embeddings, overrides
  return code < 0x2060 || code > 0x206f;
}

size_t Width(std::string_view printable) {
  return static_cast<size_t>(std::count_if(printable.begin(), printable.end(), [](char c) {
    return (static_cast<uint8_t>(c) & 0xc0) != 0x80;
  }));
}

// The first `width` characters, of which the last says that there were more.
std::string Cut(const std::string& printable, size_t width) {
  if (Width(printable) <= width) return printable;
  size_t end = 0;
  for (size_t characters = 0; end < printable.size(); ++end) {
    if ((static_cast<uint8_t>(printable[end]) & 0xc0) == 0x80) continue;
    if (++characters == width) break;
  }
  return printable.substr(0, end) + "\u2026";
}

// Takes from the widest columns until they fit into a terminal of `width`; 0: of any.
void Narrow(std::vector<size_t>& widths, size_t width) {
  if (width == 0) return;
  size_t total = kGap * (widths.size() - 1);
  for (const size_t one : widths) total += one;
  while (total > width) {
    const auto widest = std::max_element(widths.begin(), widths.end());
    if (*widest <= kLeastWidth) return;
    --*widest;
    --total;
  }
}

std::string_view CodeOf(Tone tone) {
  switch (tone) {
    case Tone::kPlain:
      return "";
    case Tone::kGood:
      return "\x1b[32m";
    case Tone::kWarning:
      return "\x1b[33m";
    case Tone::kBad:
      return "\x1b[31m";
    case Tone::kFaint:
      return "\x1b[2m";
  }
  return "";
}

}  // namespace

std::string Printable(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const Character c = Decode(text);
    if (c.bytes > 0 && IsHarmless(c.code)) {
      out.append(text.substr(0, c.bytes));
    } else {
      out.push_back('?');
    }
    text.remove_prefix(std::max<size_t>(c.bytes, 1));
  }
  return out;
}

Look LookOfOutput() {
  Look look;
  if (isatty(STDOUT_FILENO) == 0) return look;
  const auto set = [](const char* name) {
    const char* value = std::getenv(name);
    return value == nullptr ? std::string_view() : std::string_view(value);
  };
  look.colours = set("NO_COLOR").empty() && !set("TERM").empty() && set("TERM") != "dumb";
  winsize size{};
  if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0) {
    look.width = size.ws_col;
    look.height = size.ws_row;
  }
  return look;
}

std::string Styled(std::string_view text, Tone tone, const Look& look) {
  std::string printable = Printable(text);
  if (!look.colours || tone == Tone::kPlain) return printable;
  return std::string(CodeOf(tone)) + printable + "\x1b[0m";
}

std::string Table::ToString(const Look& look) const {
  std::vector<std::vector<Cell>> cells{{heading_.begin(), heading_.end()}};
  cells.insert(cells.end(), rows_.begin(), rows_.end());
  std::vector<size_t> widths(heading_.size());
  for (auto& row : cells) {
    row.resize(widths.size(), "");
    for (size_t i = 0; i < row.size(); ++i) {
      row[i] = row[i].text.empty() ? Cell("-") : Cell(Printable(row[i].text), row[i].tone);
      widths[i] = std::max(widths[i], Width(row[i].text));
    }
  }
  Narrow(widths, look.width);
  std::string out;
  for (const auto& row : cells) {
    for (size_t i = 0; i < row.size(); ++i) {
      const std::string text = Cut(row[i].text, widths[i]);
      out += Styled(text, row[i].tone, look);
      if (i + 1 < row.size()) out.append(widths[i] - Width(text) + kGap, ' ');
    }
    out.push_back('\n');
  }
  return out;
}

}  // namespace portolan::ctl

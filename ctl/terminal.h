// Text for a terminal: tables, and the guard between what a server sent and the escape sequences
// that a terminal obeys. Any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace portolan::ctl {

// `text` with every byte or character that a terminal might act on replaced by "?": C0 and C1
// controls, DEL, bidirectional overrides, and what is no UTF-8.
std::string Printable(std::string_view text);

// How what is printed is to look.
struct Look {
  bool wide = false;     // -o wide: with the columns that few want
  bool colours = false;  // a terminal that may be sent them
  size_t width = 0;      // of the terminal, in columns; 0: nothing is cut
  size_t height = 0;     // in lines; 0: no terminal
  // Lines are compared with those before, in which an age would always be another: times as they
  // came instead.
  bool absolute_times = false;
};

// Of standard output: colours where it is a terminal and NO_COLOR (https://no-color.org) is not
// set.
Look LookOfOutput();

enum class Tone : uint8_t { kPlain, kGood, kWarning, kBad, kFaint };

// Printable, in its colour where there are colours.
std::string Styled(std::string_view text, Tone tone, const Look& look);

struct Cell {
  Cell(std::string what, Tone how = Tone::kPlain) : text(std::move(what)), tone(how) {}
  Cell(const char* what, Tone how = Tone::kPlain) : text(what), tone(how) {}
  std::string text;
  Tone tone;
};

// Columns are as wide as their widest cell and three spaces apart; cells are made Printable and an
// empty one is shown as "-". Where that is wider than the terminal the widest columns are cut.
class Table {
 public:
  explicit Table(std::vector<std::string> heading) : heading_(std::move(heading)) {}
  // As many cells as the heading has.
  void Add(std::vector<Cell> row) { rows_.push_back(std::move(row)); }
  bool empty() const { return rows_.empty(); }
  std::string ToString(const Look& look = {}) const;

 private:
  const std::vector<std::string> heading_;
  std::vector<std::vector<Cell>> rows_;
};

}  // namespace portolan::ctl

// Text for a terminal: tables, and the guard between what a server sent and the escape sequences
// that a terminal obeys. Any thread.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace portolan::ctl {

// `text` with every byte or character that a terminal might act on replaced by "?": C0 and C1
// controls, DEL, bidirectional overrides, and what is no UTF-8.
std::string Printable(std::string_view text);

// How a table is to look.
struct Look {
  bool wide = false;     // -o wide: with the columns that few want
  bool colours = false;  // a terminal that may be sent them
  size_t width = 0;      // of the terminal, in columns; 0: nothing is cut
};

// Columns are as wide as their widest cell and three spaces apart; cells are made Printable and an
// empty one is shown as "-".
class Table {
 public:
  explicit Table(std::vector<std::string> heading) { rows_.push_back(std::move(heading)); }
  // As many cells as the heading has.
  void Add(std::vector<std::string> row) { rows_.push_back(std::move(row)); }
  bool empty() const { return rows_.size() == 1; }
  std::string ToString() const;

 private:
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace portolan::ctl

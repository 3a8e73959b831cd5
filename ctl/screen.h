// Where --watch shows what it sees: on a terminal the newest in the place of what was there;
// elsewhere the lines that were not there before. One thread.
#pragma once

#include <string>

#include "ctl/terminal.h"

namespace portolan::ctl {

class Screen {
 public:
  explicit Screen(const Look& look) : look_(look) {}
  // The cursor is to be seen again.
  ~Screen();
  Screen(const Screen&) = delete;
  Screen& operator=(const Screen&) = delete;

  // What is to be written for `text`, given what was shown before.
  std::string Next(const std::string& text);

 private:
  const Look look_;
  std::string shown_;
};

}  // namespace portolan::ctl

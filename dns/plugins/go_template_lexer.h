// The words of one action of a Go template, of what stands between {{ and }}. At load; any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace portolan::dns::go_template {

struct Word {
  enum class Kind : uint8_t {
    kName,      // if, printf
    kField,     // .Name, without the dot; empty: the dot alone
    kVariable,  // $x, without the $
    kText,      // without its quotes
    kNumber,
    kSign,  // ( ) | , = :=
    kEnd,
  };

  Kind kind = Kind::kEnd;
  std::string text = {};
  int64_t number = 0;
  bool glued = false;  // no blank stands before it

  bool IsSign(std::string_view sign) const { return kind == Kind::kSign && text == sign; }
  bool IsName(std::string_view name) const { return kind == Kind::kName && text == name; }
};

// Ends in kEnd. An error says what is wrong with the text.
absl::StatusOr<std::vector<Word>> SplitAction(std::string_view action);

// Where the }} of an action stands that begins at `begin`, behind its {{; npos if it is not closed.
size_t EndOfAction(std::string_view text, size_t begin);

}  // namespace portolan::dns::go_template

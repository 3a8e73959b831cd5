// Splits a Corefile into words, as Caddyfile does, and keeps the place of each.
//
// Words are separated by white space. '#' starts a comment that runs to the end of the line, also
// in the middle of a word. A word that starts with '"' runs to the next '"' and may span lines; in
// it \" stands for '"', two backslashes stand for themselves both, and so does any other. A word
// that starts with '`' runs to the next '`' and has no escapes. Carriage returns and a leading byte
// order mark are dropped. Any thread.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "dns/corefile/ast.h"

namespace portolan::dns::corefile {

// The text of one Corefile and, apart from it, of all files that it imports.
inline constexpr size_t kMaxCorefileBytes = 1 << 20;

enum class Quoting : unsigned char { kNone, kDouble, kBackquote };

struct Word {
  Token token;
  Quoting quoting = Quoting::kNone;
  bool starts_line = false;

  // '{' and '}' have a meaning only without quotes.
  bool Opens() const { return quoting == Quoting::kNone && token.text == "{"; }
  bool Closes() const { return quoting == Quoting::kNone && token.text == "}"; }
};

// An error, with its place, for a quote that is never closed, for a NUL byte and for '{' that
// touches a word.
absl::StatusOr<std::vector<Word>> SplitWords(std::string_view text,
                                             const std::shared_ptr<const std::string>& file);

}  // namespace portolan::dns::corefile

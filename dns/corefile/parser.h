// Reads a Corefile into a tree of words, as CoreDNS (Caddyfile v1) reads it.
//
//   snippet   (NAME) { ... }         used by `import NAME`; must stand before its use
//   import    NAME | FILE | GLOB     at the top level or wherever a directive may stand
//   block     KEY[, KEY...] { ... }  keys separated by blanks, or by commas over several lines
//   variable  {$NAME} or {%NAME%}    anywhere in a word, replaced by the environment's value,
//                                    nothing if it is not set; the value is not split into words
//
// A file with one block may leave out its braces. '{' stands at the end of its line ('{' of a
// server block also on the next), '}' on a line of its own. Stricter than Caddyfile, which takes
// "errors { }" on one line and then loses the '}', in that this is an error.
//
// Errors begin with "file:line:column: ". Bounded: kMaxCorefileBytes for the text and as much again
// for all imports, kMaxDepth for blocks and imports inside each other, kMaxTokens after expansion.
// Any thread.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "dns/corefile/ast.h"
#include "dns/corefile/imports.h"
#include "dns/corefile/lexer.h"

namespace portolan::dns::corefile {

inline constexpr int kMaxDepth = 64;
inline constexpr size_t kMaxTokens = 100'000;

using Environment = std::function<std::optional<std::string>(std::string_view name)>;

// The process's own environment.
std::optional<std::string> ProcessEnvironment(std::string_view name);

struct ParseOptions {
  // What {$NAME} stands for; none: every variable is empty.
  Environment environment;
  // Null: `import` reaches snippets only.
  const ImportSource* imports = nullptr;
};

absl::StatusOr<Corefile> ParseCorefile(std::string_view text, std::string_view file_name,
                                       const ParseOptions& options);

}  // namespace portolan::dns::corefile

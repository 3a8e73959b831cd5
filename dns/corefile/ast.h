// A Corefile as a tree of words with their places, before any word is given a meaning.
//
// Values; any thread. Made by ParseCorefile (dns/corefile/parser.h), which has by then expanded
// snippets, imports and environment variables; each token remembers the file it came from.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "common/status.h"

namespace portolan::dns::corefile {

struct Token {
  std::string text;
  std::shared_ptr<const std::string> file;
  int line = 0;    // from 1
  int column = 0;  // from 1, in bytes

  // "Corefile:12:8: MESSAGE", the form of every error about a Corefile.
  absl::Status Error(std::string_view message) const {
    return InvalidArgument("{}:{}:{}: {}", *file, line, column, message);
  }
};

struct Directive {
  Token name;
  std::vector<Token> arguments;
  // The lines of its block, each a name and arguments; blocks nest (a rewrite rule, a log class).
  std::vector<Directive> block;
};

struct ServerBlock {
  // "cluster.local:53", ".", "dns://example.org", "10.0.0.0/8" as written.
  std::vector<Token> keys;
  std::vector<Directive> directives;
};

struct Corefile {
  std::vector<ServerBlock> blocks;
};

}  // namespace portolan::dns::corefile

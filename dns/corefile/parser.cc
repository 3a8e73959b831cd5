#include "dns/corefile/parser.h"

#include <cstdlib>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "common/string_map.h"

namespace portolan::dns::corefile {
namespace {

using Words = std::span<const Word>;

// Replaces each `open`NAME`close` of `text`. What a variable holds is not looked at again, so that
// a value with a "{$" of its own cannot loop.
std::string ReplaceVariables(std::string_view text, std::string_view open, std::string_view close,
                             const Environment& environment) {
  std::string out;
  size_t at = 0;
  while (true) {
    const size_t begin = text.find(open, at);
    if (begin == std::string_view::npos) break;
    const size_t name = begin + open.size();
    const size_t end = text.find(close, name);
    if (end == std::string_view::npos || end == name) break;
    out.append(text.substr(at, begin - at));
    if (environment) {
      out.append(environment(text.substr(name, end - name)).value_or(std::string()));
    }
    at = end + close.size();
  }
  out.append(text.substr(at));
  return out;
}

class Parser {
 public:
  explicit Parser(const ParseOptions& options) : options_(options) {}

  absl::Status ParseFile(std::string_view text, const std::string& name) {
    auto words = SplitWords(text, std::make_shared<const std::string>(name));
    if (!words.ok()) return words.status();
    return ParseTop(*words);
  }

  Corefile Finish() && { return std::move(corefile_); }

 private:
  // A place in the words of one file or one snippet.
  struct Cursor {
    Words words;
    size_t at = 0;

    bool AtEnd() const { return at == words.size(); }
    const Word& Peek() const { return words[at]; }
    // True if another word follows on the same line.
    bool OnLine() const { return !AtEnd() && !Peek().starts_line; }
  };

  // Blocks and imports that stand inside each other; leaves when destroyed.
  class Depth {
   public:
    explicit Depth(Parser& parser) : parser_(parser) { ++parser_.depth_; }
    ~Depth() { --parser_.depth_; }
    Depth(const Depth&) = delete;
    Depth& operator=(const Depth&) = delete;

   private:
    Parser& parser_;
  };

  absl::Status CheckDepth(const Token& at) const {
    if (depth_ < kMaxDepth) return absl::OkStatus();
    return at.Error(fmt::format("more than {} blocks and imports inside each other", kMaxDepth));
  }

  // The next word with its variables replaced.
  absl::StatusOr<Token> Take(Cursor& cursor) {
    const Word& word = cursor.words[cursor.at++];
    if (++tokens_ > kMaxTokens) {
      return word.token.Error(
          fmt::format("more than {} words when all imports are in place", kMaxTokens));
    }
    Token token = word.token;
    if (token.text.find('{') != std::string::npos) {
      token.text = ReplaceVariables(token.text, "{%", "%}", options_.environment);
      token.text = ReplaceVariables(token.text, "{$", "}", options_.environment);
    }
    return token;
  }

  static bool IsImport(const Cursor& cursor) {
    const Word& word = cursor.Peek();
    return word.starts_line && word.quoting == Quoting::kNone && word.token.text == "import";
  }

  absl::Status ParseTop(Words words) {
    Cursor cursor{words};
    while (!cursor.AtEnd()) {
      absl::Status status = IsImport(cursor)
                                ? Import(cursor, [this](Words inner) { return ParseTop(inner); })
                                : ParseServerBlock(cursor);
      if (!status.ok()) return status;
    }
    return absl::OkStatus();
  }

  absl::Status ParseServerBlock(Cursor& cursor) {
    ServerBlock block;
    absl::Status status = ParseKeys(cursor, block.keys);
    if (!status.ok()) return status;
    if (IsSnippet(block)) return DefineSnippet(cursor, block.keys.front());
    if (!cursor.AtEnd() && cursor.Peek().Opens()) {
      const Token brace = cursor.Peek().token;
      status = ParseBlock(cursor, block.directives);
    } else {
      status = ParseDirectives(cursor, block.directives);
      if (status.ok() && !cursor.AtEnd()) {
        status = cursor.Peek().token.Error("'}' without a '{' before it");
      }
    }
    if (!status.ok()) return status;
    corefile_.blocks.push_back(std::move(block));
    return absl::OkStatus();
  }

  absl::Status ParseKeys(Cursor& cursor, std::vector<Token>& keys) {
    const Token first = cursor.Peek().token;
    bool expects_another = false;
    bool is_first = true;
    while (!cursor.AtEnd() && (is_first || expects_another || cursor.OnLine())) {
      if (cursor.Peek().Opens()) break;
      if (cursor.Peek().Closes()) return cursor.Peek().token.Error("'}' without a '{' before it");
      auto key = Take(cursor);
      if (!key.ok()) return key.status();
      is_first = false;
      expects_another = key->text.ends_with(',');
      if (expects_another) key->text.pop_back();
      if (!key->text.empty()) keys.push_back(*std::move(key));
    }
    if (expects_another) {
      const Token& at = cursor.AtEnd() ? keys.empty() ? first : keys.back() : cursor.Peek().token;
      return at.Error("another zone must follow the comma");
    }
    if (keys.empty()) return first.Error("a server block needs a zone, such as '.:53'");
    return absl::OkStatus();
  }

  static bool IsSnippet(const ServerBlock& block) {
    if (block.keys.size() != 1) return false;
    const std::string& key = block.keys.front().text;
    return key.size() > 2 && key.front() == '(' && key.back() == ')';
  }

  // Keeps the words between the braces; they get their meaning where they are imported.
  absl::Status DefineSnippet(Cursor& cursor, const Token& key) {
    const std::string name = key.text.substr(1, key.text.size() - 2);
    if (cursor.AtEnd() || !cursor.Peek().Opens()) {
      return key.Error(fmt::format("the snippet {} needs a block in braces", key.text));
    }
    const Token open = cursor.words[cursor.at++].token;
    const size_t begin = cursor.at;
    for (int nesting = 1; nesting > 0; ++cursor.at) {
      if (cursor.AtEnd()) return open.Error("this '{' is never closed");
      if (cursor.Peek().Opens()) ++nesting;
      if (cursor.Peek().Closes()) --nesting;
    }
    const Words body = cursor.words.subspan(begin, cursor.at - 1 - begin);
    absl::Status status = CheckLineEnds(cursor);
    if (!status.ok()) return status;
    auto words = std::make_shared<const std::vector<Word>>(body.begin(), body.end());
    if (!snippets_.try_emplace(name, std::move(words)).second) {
      return key.Error(fmt::format("the snippet {} is defined twice", key.text));
    }
    return absl::OkStatus();
  }

  // `{`, directives, `}`; the cursor stands at the '{'.
  absl::Status ParseBlock(Cursor& cursor, std::vector<Directive>& out) {
    const Token open = cursor.words[cursor.at++].token;
    absl::Status status = CheckDepth(open);
    if (!status.ok()) return status;
    if (cursor.OnLine()) {
      return cursor.Peek().token.Error("what follows '{' must start on a new line");
    }
    Depth depth(*this);
    status = ParseDirectives(cursor, out);
    if (!status.ok()) return status;
    if (cursor.AtEnd()) return open.Error("this '{' is never closed");
    ++cursor.at;
    return CheckLineEnds(cursor);
  }

  static absl::Status CheckLineEnds(const Cursor& cursor) {
    if (!cursor.OnLine()) return absl::OkStatus();
    return cursor.Peek().token.Error("what follows '}' must start on a new line");
  }

  // Lines up to the end or to a '}', which is left.
  absl::Status ParseDirectives(Cursor& cursor, std::vector<Directive>& out) {
    while (!cursor.AtEnd() && !cursor.Peek().Closes()) {
      absl::Status status;
      if (IsImport(cursor)) {
        status = Import(cursor, [&](Words inner) { return ParseImported(inner, out); });
      } else {
        status = ParseDirective(cursor, out);
      }
      if (!status.ok()) return status;
    }
    return absl::OkStatus();
  }

  absl::Status ParseImported(Words words, std::vector<Directive>& out) {
    Cursor cursor{words};
    absl::Status status = ParseDirectives(cursor, out);
    if (status.ok() && !cursor.AtEnd()) {
      return cursor.Peek().token.Error("'}' without a '{' before it");
    }
    return status;
  }

  absl::Status ParseDirective(Cursor& cursor, std::vector<Directive>& out) {
    if (cursor.Peek().Opens()) {
      return cursor.Peek().token.Error("'{' must stand at the end of its directive's line");
    }
    Directive directive;
    auto name = Take(cursor);
    if (!name.ok()) return name.status();
    directive.name = *std::move(name);
    while (cursor.OnLine() && !cursor.Peek().Opens()) {
      if (cursor.Peek().Closes()) {
        return cursor.Peek().token.Error("'}' must stand on a line of its own");
      }
      auto argument = Take(cursor);
      if (!argument.ok()) return argument.status();
      directive.arguments.push_back(*std::move(argument));
    }
    if (cursor.OnLine()) {
      absl::Status status = ParseBlock(cursor, directive.block);
      if (!status.ok()) return status;
    }
    out.push_back(std::move(directive));
    return absl::OkStatus();
  }

  // `import WHAT`: hands the words that it stands for to `parse`.
  template <typename Parse>
  absl::Status Import(Cursor& cursor, const Parse& parse) {
    auto keyword = Take(cursor);
    if (!keyword.ok()) return keyword.status();
    if (!cursor.OnLine()) return keyword->Error("import needs a snippet, a file or a pattern");
    auto what = Take(cursor);
    if (!what.ok()) return what.status();
    if (what->text.empty()) return what->Error("import needs a snippet, a file or a pattern");
    if (cursor.OnLine()) return cursor.Peek().token.Error("import takes one argument");
    absl::Status status = CheckDepth(*what);
    if (!status.ok()) return status;
    Depth depth(*this);
    if (snippets_.contains(what->text)) return ImportSnippet(*what, parse);
    return ImportFiles(*what, parse);
  }

  template <typename Parse>
  absl::Status ImportSnippet(const Token& what, const Parse& parse) {
    absl::Status status = Enter(what, "(" + what.text + ")");
    if (!status.ok()) return status;
    // Held by a pointer of its own: a snippet that is defined meanwhile may move the map's entries.
    const auto body = snippets_.find(what.text)->second;
    status = parse(*body);
    importing_.pop_back();
    return status;
  }

  template <typename Parse>
  absl::Status ImportFiles(const Token& what, const Parse& parse) {
    if (options_.imports == nullptr) {
      return what.Error(fmt::format(
          "no snippet ({}) stands above, and this Corefile cannot import files", what.text));
    }
    auto paths = options_.imports->Match(what.text, *what.file);
    if (!paths.ok()) return what.Error(Message(paths.status()));
    for (const std::string& path : *paths) {
      absl::Status status = Enter(what, path);
      if (!status.ok()) return status;
      auto text = options_.imports->Read(path, kMaxCorefileBytes - imported_bytes_);
      if (!text.ok()) return what.Error(Message(text.status()));
      imported_bytes_ += text->size();
      auto words = SplitWords(*text, std::make_shared<const std::string>(path));
      if (!words.ok()) return words.status();
      status = parse(*words);
      if (!status.ok()) return status;
      importing_.pop_back();
    }
    return absl::OkStatus();
  }

  absl::Status Enter(const Token& at, std::string name) {
    for (const std::string& open : importing_) {
      if (open == name) return at.Error(fmt::format("{} imports itself", name));
    }
    importing_.push_back(std::move(name));
    return absl::OkStatus();
  }

  const ParseOptions& options_;
  Corefile corefile_;
  StringMap<std::shared_ptr<const std::vector<Word>>> snippets_;
  std::vector<std::string> importing_;  // files and (snippets) that are being read, outermost first
  size_t imported_bytes_ = 0;
  size_t tokens_ = 0;
  int depth_ = 0;
};

}  // namespace

std::optional<std::string> ProcessEnvironment(std::string_view name) {
  const char* value = std::getenv(std::string(name).c_str());
  if (value == nullptr) return std::nullopt;
  return std::string(value);
}

absl::StatusOr<Corefile> ParseCorefile(std::string_view text, std::string_view file_name,
                                       const ParseOptions& options) {
  Parser parser(options);
  absl::Status status = parser.ParseFile(text, std::string(file_name));
  if (!status.ok()) return status;
  return std::move(parser).Finish();
}

}  // namespace portolan::dns::corefile

#include "dns/corefile/lexer.h"

#include <utility>

namespace portolan::dns::corefile {
namespace {

constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

bool IsSpace(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\v'; }

class Lexer {
 public:
  Lexer(std::string_view text, std::shared_ptr<const std::string> file)
      : text_(text), file_(std::move(file)) {
    if (text_.starts_with(kByteOrderMark)) text_.remove_prefix(kByteOrderMark.size());
  }

  absl::StatusOr<std::vector<Word>> Run() {
    while (SkipToWord()) {
      absl::Status status = ReadWord();
      if (!status.ok()) return status;
    }
    return std::move(words_);
  }

 private:
  bool AtEnd() const { return at_ == text_.size(); }
  char Peek() const { return text_[at_]; }

  char Take() {
    const char c = text_[at_++];
    if (c == '\n') {
      ++line_;
      line_begin_ = at_;
      new_line_ = true;
    }
    return c;
  }

  // False at the end of the text.
  bool SkipToWord() {
    while (!AtEnd()) {
      if (Peek() == '#') {
        while (!AtEnd() && Peek() != '\n') Take();
      } else if (IsSpace(Peek())) {
        Take();
      } else {
        return true;
      }
    }
    return false;
  }

  absl::Status ReadWord() {
    Word word;
    word.token.file = file_;
    word.token.line = line_;
    word.token.column = static_cast<int>(at_ - line_begin_) + 1;
    word.starts_line = std::exchange(new_line_, false);
    absl::Status status;
    if (Peek() == '"') {
      word.quoting = Quoting::kDouble;
      status = ReadQuoted(word.token, '"');
    } else if (Peek() == '`') {
      word.quoting = Quoting::kBackquote;
      status = ReadQuoted(word.token, '`');
    } else {
      status = ReadPlain(word.token);
    }
    if (!status.ok()) return status;
    if (word.token.text.find('\0') != std::string::npos) {
      return word.token.Error("a NUL byte in a word");
    }
    words_.push_back(std::move(word));
    return absl::OkStatus();
  }

  absl::Status ReadPlain(Token& token) {
    while (!AtEnd() && !IsSpace(Peek()) && Peek() != '#') token.text += Take();
    if (token.text.size() > 1 && token.text.back() == '{') {
      return token.Error(fmt::format("'{}': a space is missing before '{{'", token.text));
    }
    return absl::OkStatus();
  }

  absl::Status ReadQuoted(Token& token, char quote) {
    Take();
    while (!AtEnd()) {
      const char c = Take();
      if (c == quote) {
        new_line_ = false;  // a quoted word may end on a later line; what follows is on its line
        return absl::OkStatus();
      }
      const bool escapes = c == '\\' && quote == '"' && !AtEnd();
      if (escapes && Peek() == '"') {
        token.text += Take();
      } else if (escapes && Peek() == '\\') {
        token.text += {c, Take()};
      } else if (c != '\r') {
        token.text += c;
      }
    }
    return token.Error(fmt::format("the quote {} is never closed", quote));
  }

  std::string_view text_;
  std::shared_ptr<const std::string> file_;
  std::vector<Word> words_;
  size_t at_ = 0;
  size_t line_begin_ = 0;
  int line_ = 1;
  bool new_line_ = true;
};

}  // namespace

absl::StatusOr<std::vector<Word>> SplitWords(std::string_view text,
                                             const std::shared_ptr<const std::string>& file) {
  if (text.size() > kMaxCorefileBytes) {
    return InvalidArgument("{}: {} bytes, more than the {} a Corefile may have", *file, text.size(),
                           kMaxCorefileBytes);
  }
  return Lexer(text, file).Run();
}

}  // namespace portolan::dns::corefile

#include "dns/plugins/go_template_lexer.h"

#include <charconv>

#include "absl/strings/ascii.h"
#include "common/status.h"

namespace portolan::dns::go_template {
namespace {

bool IsWordByte(char c) { return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '_'; }
bool IsDigit(char c) { return c >= '0' && c <= '9'; }

// Behind the quote that ends what begins at `at`; npos if there is none.
size_t EndOfQuoted(std::string_view text, size_t at) {
  const char quote = text[at];
  for (size_t i = at + 1; i < text.size(); ++i) {
    if (text[i] == '\\' && quote == '"') {
      ++i;
    } else if (text[i] == quote) {
      return i + 1;
    }
  }
  return std::string_view::npos;
}

class Lexer {
 public:
  explicit Lexer(std::string_view text) : text_(text) {}

  absl::StatusOr<std::vector<Word>> Split() {
    while (at_ < text_.size()) {
      if (absl::ascii_isspace(static_cast<unsigned char>(text_[at_]))) {
        ++at_;
        glued_ = false;
        continue;
      }
      Word word;
      word.glued = glued_ && !words_.empty();
      absl::Status status = Read(word);
      if (!status.ok()) return status;
      words_.push_back(std::move(word));
      glued_ = true;
    }
    words_.push_back({});
    return std::move(words_);
  }

 private:
  absl::Status Read(Word& word) {
    const char c = text_[at_];
    if (c == '"' || c == '`') return ReadText(word);
    if (IsDigit(c) || (c == '-' && at_ + 1 < text_.size() && IsDigit(text_[at_ + 1]))) {
      return ReadNumber(word);
    }
    if (c == '.' || c == '$') {
      ++at_;
      word.kind = c == '.' ? Word::Kind::kField : Word::Kind::kVariable;
      word.text = ReadName();
      return absl::OkStatus();
    }
    if (IsWordByte(c)) {
      word.kind = Word::Kind::kName;
      word.text = ReadName();
      return absl::OkStatus();
    }
    word.kind = Word::Kind::kSign;
    word.text = text_.substr(at_).starts_with(":=") ? ":=" : std::string(1, c);
    if (std::string_view("()|,=").find(c) == std::string_view::npos && word.text != ":=") {
      return InvalidArgument("'{}' is not expected", c);
    }
    at_ += word.text.size();
    return absl::OkStatus();
  }

  std::string ReadName() {
    const size_t begin = at_;
    while (at_ < text_.size() && IsWordByte(text_[at_])) ++at_;
    return std::string(text_.substr(begin, at_ - begin));
  }

  absl::Status ReadText(Word& word) {
    const size_t end = EndOfQuoted(text_, at_);
    if (end == std::string_view::npos) return InvalidArgument("a quote is not closed");
    const bool raw = text_[at_] == '`';
    word.kind = Word::Kind::kText;
    for (size_t i = at_ + 1; i + 1 < end; ++i) {
      if (text_[i] != '\\' || raw) {
        word.text += text_[i];
        continue;
      }
      constexpr std::string_view kEscapes = "\\\"nt", kMeaning = "\\\"\n\t";
      const size_t escape = kEscapes.find(text_[++i]);
      if (escape == std::string_view::npos) {
        return InvalidArgument("'\\{}' is not supported", text_[i]);
      }
      word.text += kMeaning[escape];
    }
    at_ = end;
    return absl::OkStatus();
  }

  absl::Status ReadNumber(Word& word) {
    const size_t begin = at_;
    const bool negative = text_[at_] == '-';
    if (negative) ++at_;
    const std::string digits = ReadName();
    const bool hexadecimal = digits.starts_with("0x");
    const char* first = digits.data() + (hexadecimal ? 2 : 0);
    const char* last = digits.data() + digits.size();
    const auto [end, error] = std::from_chars(first, last, word.number, hexadecimal ? 16 : 10);
    if (error != std::errc() || end != last) {
      return InvalidArgument("'{}' is no number", text_.substr(begin, at_ - begin));
    }
    word.kind = Word::Kind::kNumber;
    if (negative) word.number = -word.number;
    return absl::OkStatus();
  }

  const std::string_view text_;
  size_t at_ = 0;
  bool glued_ = false;
  std::vector<Word> words_;
};

}  // namespace

absl::StatusOr<std::vector<Word>> SplitAction(std::string_view action) {
  return Lexer(action).Split();
}

size_t EndOfAction(std::string_view text, size_t begin) {
  // A comment may hold anything.
  size_t at = begin;
  if (text.substr(at).starts_with("- ")) at += 2;
  if (text.substr(at).starts_with("/*")) {
    const size_t end = text.find("*/", at);
    return end == std::string_view::npos ? end : text.find("}}", end);
  }
  while (at < text.size()) {
    if (text.substr(at).starts_with("}}")) return at;
    at = text[at] == '"' || text[at] == '`' ? EndOfQuoted(text, at) : at + 1;
  }
  return std::string_view::npos;
}

}  // namespace portolan::dns::go_template

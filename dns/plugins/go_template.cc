#include "dns/plugins/go_template.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <utility>

#include "dns/corefile/nearest.h"

namespace portolan::dns {
namespace {

using corefile::Token;

constexpr std::string_view kBlanks = " \t\r\n";

std::vector<std::string> SplitAction(std::string_view action) {
  std::vector<std::string> words;
  for (size_t at = 0; at < action.size();) {
    if (kBlanks.find(action[at]) != std::string_view::npos) {
      ++at;
      continue;
    }
    size_t end = action[at] == '"' ? action.find('"', at + 1) : action.find_first_of(kBlanks, at);
    if (end == std::string_view::npos) end = action.size();
    if (action[at] == '"' && end < action.size()) ++end;
    words.emplace_back(action.substr(at, end - at));
    at = end;
  }
  return words;
}

bool IsQuoted(std::string_view word) {
  return word.size() >= 2 && word.front() == '"' && word.back() == '"';
}
std::string Unquoted(std::string_view word) { return std::string(word.substr(1, word.size() - 2)); }

std::optional<int> Number(std::string_view word) {
  int number = 0;
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), number);
  if (error != std::errc() || end != word.data() + word.size() || number < 0) return std::nullopt;
  return number;
}

}  // namespace

class GoTemplate::Parser {
 public:
  Parser(const Token& token, const std::vector<NamePattern>& patterns)
      : token_(token), patterns_(patterns) {}

  absl::StatusOr<GoTemplate> Parse() {
    const std::string_view text = token_.text;
    for (size_t at = 0; at < text.size();) {
      const size_t open = std::min(text.find("{{", at), text.size());
      std::string literal(text.substr(at, open - at));
      if (trim_) literal.erase(0, std::min(literal.find_first_not_of(kBlanks), literal.size()));
      trim_ = false;
      if (text.substr(open).starts_with("{{- ")) {
        literal.erase(literal.find_last_not_of(kBlanks) + 1);
      }
      if (!literal.empty()) out_.pieces_.push_back({.text = literal});
      if (open == text.size()) break;
      const size_t close = text.find("}}", open);
      if (close == std::string_view::npos) return token_.Error("'{{' is not closed by '}}'");
      absl::Status status = ParseAction(text.substr(open + 2, close - open - 2));
      if (!status.ok()) return status;
      at = close + 2;
    }
    return std::move(out_);
  }

 private:
  absl::Status ParseAction(std::string_view action) {
    if (action.starts_with("- ")) action.remove_prefix(2);
    if (action.ends_with(" -")) {
      action.remove_suffix(2);
      trim_ = true;
    }
    if (action.starts_with("/*") && action.ends_with("*/")) return absl::OkStatus();
    const std::vector<std::string> words = SplitAction(action);
    if (words.empty()) return token_.Error("'{{ }}' is empty");
    if (words[0] == "parseInt") return ParseInt(words);
    return ParseValue(words, 0, words.size());
  }

  absl::Status ParseInt(const std::vector<std::string>& words) {
    if (words.size() < 4) return token_.Error("parseInt needs a value, a base and a bit size");
    absl::Status status = ParseValue(words, 1, words.size() - 2);
    if (!status.ok()) return status;
    const auto base = Number(words[words.size() - 2]);
    const auto bits = Number(words.back());
    if (!base || !bits || *base < 2 || *base > 36 || *bits < 1 || *bits > 64) {
      return token_.Error(
          fmt::format("parseInt: '{} {}' is no base (2 to 36) and bit size (1 to 64)",
                      words[words.size() - 2], words.back()));
    }
    out_.pieces_.back().base = *base;
    out_.pieces_.back().bits = *bits;
    return absl::OkStatus();
  }

  // words[begin, end), perhaps in parentheses.
  absl::Status ParseValue(const std::vector<std::string>& words, size_t begin, size_t end) {
    static constexpr std::pair<std::string_view, Source> kFields[] = {
        {".Name", Source::kName}, {".Question.Name", Source::kName},
        {".Zone", Source::kZone}, {".Class", Source::kClass},
        {".Type", Source::kType}, {".Remote", Source::kRemote}};
    std::vector<std::string> value(words.begin() + static_cast<ptrdiff_t>(begin),
                                   words.begin() + static_cast<ptrdiff_t>(end));
    if (value.size() > 1 && value.front().starts_with('(') && value.back().ends_with(')')) {
      value.front().erase(0, 1);
      value.back().pop_back();
    }
    if (value.size() == 3 && value[0] == "index") return ParseIndex(value[1], value[2]);
    if (value.size() != 1) return Unsupported(value);
    if (IsQuoted(value[0])) {
      out_.pieces_.push_back({.text = Unquoted(value[0])});
      return absl::OkStatus();
    }
    if (value[0].starts_with(".Group.")) return AddGroup(value[0].substr(7));
    const auto* found = std::ranges::find(kFields, std::string_view(value[0]),
                                          &std::pair<std::string_view, Source>::first);
    if (found == std::end(kFields)) return Unsupported(value);
    out_.pieces_.push_back({.source = found->second});
    return absl::OkStatus();
  }

  absl::Status ParseIndex(const std::string& list, const std::string& at) {
    if (list == ".Group" && IsQuoted(at)) return AddGroup(Unquoted(at));
    const auto number = Number(at);
    if (list != ".Match" || !number.has_value()) return Unsupported({"index", list, at});
    return AddNumber(static_cast<size_t>(*number));
  }

  absl::Status AddNumber(size_t group) {
    const bool known = std::ranges::any_of(patterns_, [&](const NamePattern& pattern) {
      return group <= std::min(pattern.groups(), NamePattern::kMaxGroups);
    });
    if (!known && group > 0)
      return token_.Error(fmt::format("no expression has a group {}", group));
    out_.pieces_.push_back({.source = Source::kGroup, .group = group});
    return absl::OkStatus();
  }

  // Groups have their numbers as names too.
  absl::Status AddGroup(const std::string& name) {
    if (const auto number = Number(name)) return AddNumber(static_cast<size_t>(*number));
    const bool known = std::ranges::any_of(patterns_, [&](const NamePattern& pattern) {
      const size_t group = pattern.GroupNamed(name);
      return group > 0 && group <= NamePattern::kMaxGroups;
    });
    if (!known) return token_.Error(fmt::format("no expression has a group named '{}'", name));
    out_.pieces_.push_back({.source = Source::kNamedGroup, .text = name});
    return absl::OkStatus();
  }

  absl::Status Unsupported(const std::vector<std::string>& words) const {
    static constexpr std::string_view kKnown[] = {".Name",  ".Zone",   ".Class",         ".Type",
                                                  ".Match", ".Remote", ".Question.Name", ".Group",
                                                  "index",  "parseInt"};
    std::string text;
    for (const std::string& word : words) text += (text.empty() ? "" : " ") + word;
    return token_.Error(fmt::format("'{{{{ {} }}}}' is not supported in a template{}", text,
                                    corefile::DidYouMean(words[0], kKnown)));
  }

  const Token& token_;
  const std::vector<NamePattern>& patterns_;
  GoTemplate out_;
  bool trim_ = false;  // the text that follows
};

absl::StatusOr<GoTemplate> GoTemplate::Parse(const Token& token,
                                             const std::vector<NamePattern>& patterns) {
  return Parser(token, patterns).Parse();
}

bool GoTemplate::constant() const {
  return std::ranges::all_of(pieces_,
                             [](const Piece& piece) { return piece.source == Source::kText; });
}

std::string_view GoTemplate::ValueOf(const Piece& piece, const TemplateData& data) {
  switch (piece.source) {
    case Source::kText:
      return piece.text;
    case Source::kName:
      return data.name;
    case Source::kZone:
      return data.zone;
    case Source::kClass:
      return data.rclass;
    case Source::kType:
      return data.type;
    case Source::kRemote:
      return data.remote;
    case Source::kGroup:
      return data.groups[piece.group];
    case Source::kNamedGroup: {
      // 0, the whole match, is no named group: one of another expression is empty, as in Go.
      const size_t group = data.pattern == nullptr ? 0 : data.pattern->GroupNamed(piece.text);
      return group == 0 ? std::string_view() : data.groups[group];
    }
  }
  return {};
}

std::string_view GoTemplate::Render(const TemplateData& data, std::span<char> room) const {
  size_t size = 0;
  for (const Piece& piece : pieces_) {
    std::string_view value = ValueOf(piece, data);
    std::array<char, 20> digits;
    if (piece.base != 0) {
      uint64_t number = 0;
      const auto [stop, error] =
          std::from_chars(value.data(), value.data() + value.size(), number, piece.base);
      if (error != std::errc() || stop != value.data() + value.size()) return {};
      if (piece.bits < 64 && number >> piece.bits != 0) return {};
      const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), number).ptr;
      value = {digits.data(), static_cast<size_t>(end - digits.data())};
    }
    if (value.size() >= room.size() - size) return {};
    std::ranges::copy(value, room.begin() + static_cast<ptrdiff_t>(size));
    size += value.size();
  }
  room[size] = '\0';
  return {room.data(), size};
}

}  // namespace portolan::dns

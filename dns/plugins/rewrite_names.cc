#include "dns/plugins/rewrite_names.h"

#include <re2/re2.h>

#include <algorithm>
#include <charconv>
#include <optional>
#include <utility>

namespace portolan::dns {
namespace {

using corefile::Token;

re2::RE2::Options PatternOptions() {
  re2::RE2::Options options;
  options.set_log_errors(false);
  options.set_max_mem(NamePattern::kMaxBytes);
  return options;
}

// As CoreDNS normalizes names: lower case, with the final dot.
std::string Normalized(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c | 0x20);
  }
  if (!out.ends_with('.')) out += '.';
  return out;
}

// "{12}" at the front of `text`; nothing if there is something else.
std::optional<size_t> GroupAt(std::string_view text, size_t& bytes) {
  const size_t end = text.find('}');
  if (!text.starts_with('{') || end == std::string_view::npos || end == 1) return std::nullopt;
  size_t number = 0;
  const auto [stop, error] = std::from_chars(text.data() + 1, text.data() + end, number);
  if (error != std::errc() || stop != text.data() + end) return std::nullopt;
  bytes = end + 1;
  return number;
}

}  // namespace

NamePattern::NamePattern(const std::string& pattern)
    : regex_(std::make_unique<re2::RE2>(pattern, PatternOptions())) {}
NamePattern::NamePattern(const NamePattern& other) : NamePattern(other.regex_->pattern()) {}
NamePattern::NamePattern(NamePattern&&) noexcept = default;
NamePattern& NamePattern::operator=(NamePattern&&) noexcept = default;
NamePattern::~NamePattern() = default;

absl::StatusOr<NamePattern> NamePattern::Compile(const Token& token) {
  NamePattern pattern(token.text);
  if (!pattern.regex_->ok()) {
    return token.Error(
        fmt::format("'{}' is no regular expression: {}", token.text, pattern.regex_->error()));
  }
  return pattern;
}

std::string NamePattern::text() const { return regex_->pattern(); }

size_t NamePattern::groups() const {
  return static_cast<size_t>(regex_->NumberOfCapturingGroups());
}

size_t NamePattern::GroupNamed(const std::string& name) const {
  const auto& names = regex_->NamedCapturingGroups();
  const auto found = names.find(name);
  return found == names.end() ? 0 : static_cast<size_t>(found->second);
}

bool NamePattern::Matches(std::string_view text) const {
  return regex_->Match(text, 0, text.size(), re2::RE2::UNANCHORED, nullptr, 0);
}

bool NamePattern::Match(std::string_view text, size_t wanted, Groups& groups) const {
  std::array<re2::StringPiece, kMaxGroups + 1> found;
  const int count = static_cast<int>(std::min(wanted, kMaxGroups)) + 1;
  if (!regex_->Match(text, 0, text.size(), re2::RE2::UNANCHORED, found.data(), count)) {
    return false;
  }
  std::transform(found.begin(), found.begin() + count, groups.begin(),
                 [](const auto& piece) { return std::string_view(piece.data(), piece.size()); });
  return true;
}

absl::StatusOr<Replacement> Replacement::Parse(const Token& token, const NamePattern& pattern) {
  Replacement replacement;
  const std::string text = Normalized(token.text);
  std::string literal;
  for (size_t at = 0; at < text.size();) {
    size_t bytes = 0;
    const auto group = GroupAt(std::string_view(text).substr(at), bytes);
    if (!group.has_value()) {
      literal += text[at++];
      continue;
    }
    if (*group > std::min(pattern.groups(), NamePattern::kMaxGroups)) {
      return token.Error(fmt::format("'{}' uses group {}; the expression has {}", token.text,
                                     *group, pattern.groups()));
    }
    replacement.pieces_.push_back({std::exchange(literal, {}), *group});
    replacement.last_group_ = std::max(replacement.last_group_, *group);
    at += bytes;
  }
  replacement.pieces_.push_back({literal, kNone});
  return replacement;
}

bool Replacement::Write(const NamePattern::Groups& groups, wire::TextBuffer& out) const {
  out.size = 0;
  return std::ranges::all_of(pieces_, [&](const Piece& piece) {
    return out.Append(piece.text) && (piece.group == kNone || out.Append(groups[piece.group]));
  });
}

absl::StatusOr<NameMatch> NameMatch::Parse(NameMatchKind kind, const Token& from) {
  NameMatch match;
  match.kind_ = kind;
  match.from_ = Normalized(from.text);
  if (kind == NameMatchKind::kRegex) {
    auto pattern = NamePattern::Compile(from);
    if (!pattern.ok()) return pattern.status();
    match.regex_.push_back(*std::move(pattern));
  }
  return match;
}

bool NameMatch::Matches(std::string_view text) const {
  switch (kind_) {
    case NameMatchKind::kExact:
      return text == from_;
    case NameMatchKind::kPrefix:
      return text.starts_with(from_);
    case NameMatchKind::kSuffix:
      return text.ends_with(from_);
    case NameMatchKind::kSubstring:
      return text.find(from_) != std::string_view::npos;
    case NameMatchKind::kRegex:
      return regex_[0].Matches(text);
  }
  return false;
}

absl::StatusOr<NameMapping> NameMapping::Parse(NameMatchKind kind, const Token& from,
                                               const Token& to) {
  auto match = NameMatch::Parse(kind, from);
  if (!match.ok()) return match.status();
  NameMapping mapping;
  mapping.to_ = Normalized(to.text);
  if (kind == NameMatchKind::kExact) {
    const auto name = wire::NameToWire(mapping.to_);
    if (!name.ok()) return to.Error(Message(name.status()));
  }
  if (kind == NameMatchKind::kRegex) {
    auto replacement = Replacement::Parse(to, match->regex_[0]);
    if (!replacement.ok()) return replacement.status();
    mapping.replacement_.push_back(*std::move(replacement));
  }
  mapping.match_ = *std::move(match);
  return mapping;
}

NameMapping NameMapping::Reversed() const {
  NameMapping reversed = *this;
  std::swap(reversed.match_.from_, reversed.to_);
  return reversed;
}

Mapped NameMapping::Map(std::string_view text, wire::TextBuffer& out) const {
  if (match_.kind_ == NameMatchKind::kRegex) {
    NamePattern::Groups groups;
    if (!match_.regex_[0].Match(text, replacement_[0].last_group(), groups)) return Mapped::kNo;
    return replacement_[0].Write(groups, out) ? Mapped::kYes : Mapped::kTooLong;
  }
  if (!match_.Matches(text)) return Mapped::kNo;
  const std::string& from = match_.from_;
  out.size = 0;
  bool fits = true;
  if (match_.kind_ == NameMatchKind::kExact) {
    fits = out.Append(to_);
  } else if (match_.kind_ == NameMatchKind::kPrefix) {
    fits = out.Append(to_) && out.Append(text.substr(from.size()));
  } else if (match_.kind_ == NameMatchKind::kSuffix) {
    fits = out.Append(text.substr(0, text.size() - from.size())) && out.Append(to_);
  } else {
    for (size_t at = text.find(from); fits && at != std::string_view::npos; at = text.find(from)) {
      fits = out.Append(text.substr(0, at)) && out.Append(to_);
      text.remove_prefix(at + from.size());
    }
    fits = fits && out.Append(text);
  }
  return fits ? Mapped::kYes : Mapped::kTooLong;
}

}  // namespace portolan::dns

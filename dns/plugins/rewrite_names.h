// How `rewrite` matches names and makes others of them: as text in lower case with the final dot,
// like CoreDNS, since its prefixes and substrings end within labels.
//
// Matching allocates nothing but what RE2 needs: on a match with groups RE2 takes its bit state
// from the heap, unless the pattern is one-pass. Copies of a pattern compile one of their own, so
// that workers share none: RE2 locks its cache.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "dns/corefile/ast.h"
#include "dns/wire/name.h"

namespace re2 {
class RE2;
}

namespace portolan::dns {

// The syntax of RE2 is that of Go's regexp (https://github.com/google/re2/wiki/Syntax).
class NamePattern {
 public:
  // Groups that a replacement or a template may use.
  static constexpr size_t kMaxGroups = 32;
  // What one pattern may take, per worker.
  static constexpr int64_t kMaxBytes = 1 << 20;
  using Groups = std::array<std::string_view, kMaxGroups + 1>;

  static absl::StatusOr<NamePattern> Compile(const corefile::Token& pattern);
  NamePattern(const NamePattern& other);
  NamePattern(NamePattern&&) noexcept;
  NamePattern& operator=(const NamePattern& other) { return *this = NamePattern(other); }
  NamePattern& operator=(NamePattern&&) noexcept;
  ~NamePattern();

  std::string text() const;
  size_t groups() const;
  // The number of a group by its name; 0 if there is none.
  size_t GroupNamed(const std::string& name) const;
  bool Matches(std::string_view text) const;
  // Fills the first `wanted` + 1 groups; those that took no part are empty.
  bool Match(std::string_view text, size_t wanted, Groups& groups) const;

 private:
  explicit NamePattern(const std::string& pattern);
  std::unique_ptr<re2::RE2> regex_;
};

enum class NameMatchKind : uint8_t { kExact, kPrefix, kSuffix, kSubstring, kRegex };

// A replacement with {1}, {2} for groups of the pattern.
class Replacement {
 public:
  // Lower case, with a final dot. An error if it uses a group that `pattern` has not.
  static absl::StatusOr<Replacement> Parse(const corefile::Token& token,
                                           const NamePattern& pattern);
  // False if the text is too long to be a name.
  bool Write(const NamePattern::Groups& groups, wire::TextBuffer& out) const;
  size_t last_group() const { return last_group_; }

 private:
  struct Piece {
    std::string text;
    size_t group;  // behind the text; 0 to kMaxGroups, or none
  };
  static constexpr size_t kNone = NamePattern::kMaxGroups + 1;
  std::vector<Piece> pieces_;
  size_t last_group_ = 0;
};

class NameMatch {
 public:
  static absl::StatusOr<NameMatch> Parse(NameMatchKind kind, const corefile::Token& from);

  bool Matches(std::string_view text) const;

 private:
  friend class NameMapping;
  NameMatchKind kind_ = NameMatchKind::kExact;
  std::string from_;
  std::vector<NamePattern> regex_;  // one or none
};

enum class Mapped : uint8_t { kNo, kYes, kTooLong };

// What matches, and what is put in the place of that.
class NameMapping {
 public:
  static absl::StatusOr<NameMapping> Parse(NameMatchKind kind, const corefile::Token& from,
                                           const corefile::Token& to);
  // The other way round, of kSuffix.
  NameMapping Reversed() const;

  Mapped Map(std::string_view text, wire::TextBuffer& out) const;

 private:
  NameMatch match_;
  std::string to_;
  std::vector<Replacement> replacement_;  // of kRegex
};

}  // namespace portolan::dns

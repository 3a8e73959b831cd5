// Go's text/template (https://pkg.go.dev/text/template) in a line of the directive `template`.
//
//   .Name .Zone .Class .Type .Remote .Match .Group.NAME
//   .Question.Name .Question.Qtype .Question.Qclass
//   .Message.Id .Message.Opcode .Message.RecursionDesired and the other flags, .Message.Question
//   .Meta "LABEL"                       always empty: no metadata is collected
//   index .Match N, index .Group "NAME", (index .Message.Question 0).Name
//   parseInt TEXT BASE BITS, len, slice, print, printf (%s %v %q %d %x %X %t, widths)
//   and, or, not, eq, ne, lt, le, gt, ge; pipelines, parentheses, variables
//   if, else, else if, with, range over .Match, end
//   {{- and -}}, {{/* comments */}}
//
// Anything else, and what can never work (a group that no expression has, a number compared with a
// text), is an error when it is parsed, not when a question comes. Rendering is bounded in steps
// and bytes and allocates nothing.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "dns/corefile/ast.h"
#include "dns/plugins/rewrite_names.h"

namespace portolan::dns {

namespace go_template {
struct Tree;
}

// What a template is filled with. Views of the caller's.
struct TemplateData {
  std::string_view name;  // lower case, with the final dot
  std::string_view zone;
  std::string_view rclass;
  std::string_view type;
  std::string_view remote;
  // The question as it was asked.
  std::string_view question_name;
  uint16_t question_type = 0;
  uint16_t question_class = 0;
  uint16_t id = 0;
  uint16_t flags = 0;
  // Of the expression that matched.
  const NamePattern* pattern = nullptr;
  NamePattern::Groups groups;

  // How many elements .Match has.
  size_t matches() const;
};

class GoTemplate {
 public:
  // `patterns` are those that may match: a group must be in one of them.
  static absl::StatusOr<GoTemplate> Parse(const corefile::Token& token,
                                          const std::vector<NamePattern>& patterns);

  // True if it is the same for every question.
  bool constant() const;
  bool uses_metadata() const;
  // The rendered text with a NUL behind it. Nothing if it does not fit, takes too many steps or
  // cannot be evaluated: a parseInt of no number, a .Match that is not there.
  std::optional<std::string_view> Render(const TemplateData& data, std::span<char> room) const;

 private:
  explicit GoTemplate(std::shared_ptr<const go_template::Tree> tree) : tree_(std::move(tree)) {}

  std::shared_ptr<const go_template::Tree> tree_;  // shared by all workers
};

}  // namespace portolan::dns

// The part of Go's text/template (https://pkg.go.dev/text/template) that makes sense in a line of
// the directive `template`: text with
//
//   {{ .Name }} {{ .Zone }} {{ .Class }} {{ .Type }} {{ .Remote }} {{ .Question.Name }}
//   {{ .Group.NAME }} {{ index .Group "NAME" }} {{ index .Match N }}
//   {{ parseInt VALUE BASE BITS }}, VALUE one of those
//   {{ "text" }}, {{- and -}}, {{/* comments */}}
//
// Everything else (pipelines, variables, if, range, .Message, .Meta) is an error when it is parsed,
// not when a question comes. Rendering is bounded and allocates nothing.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "dns/corefile/ast.h"
#include "dns/plugins/rewrite_names.h"

namespace portolan::dns {

// What a template is filled with. Views of the caller's.
struct TemplateData {
  std::string_view name;  // lower case, with the final dot
  std::string_view zone;
  std::string_view rclass;
  std::string_view type;
  std::string_view remote;
  // Of the expression that matched.
  const NamePattern* pattern = nullptr;
  NamePattern::Groups groups;
};

class GoTemplate {
 public:
  // `patterns` are those that may match: a group must be in one of them.
  static absl::StatusOr<GoTemplate> Parse(const corefile::Token& token,
                                          const std::vector<NamePattern>& patterns);

  // True if it is the same for every question.
  bool constant() const;
  // The rendered text with a NUL behind it; empty if it does not fit or a parseInt has no number.
  std::string_view Render(const TemplateData& data, std::span<char> room) const;

 private:
  enum class Source : uint8_t { kText, kName, kZone, kClass, kType, kRemote, kGroup, kNamedGroup };
  struct Piece {
    Source source = Source::kText;
    std::string text = {};  // or the group's name
    size_t group = 0;
    int base = 0;  // of parseInt; 0 without
    int bits = 0;
  };
  class Parser;

  static std::string_view ValueOf(const Piece& piece, const TemplateData& data);

  std::vector<Piece> pieces_;
};

}  // namespace portolan::dns

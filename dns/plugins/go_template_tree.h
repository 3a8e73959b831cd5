// A Go template as it is evaluated: between the parser (go_template_parser.cc) and the rendering
// (go_template.cc). Immutable once parsed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "dns/corefile/ast.h"
#include "dns/plugins/rewrite_names.h"

namespace portolan::dns::go_template {

// What an expression is known to be when it is parsed.
enum class Type : uint8_t {
  kAny,  // one of the first three, when it is evaluated
  kString,
  kNumber,
  kBool,
  kMatches,    // .Match
  kGroups,     // .Group
  kQuestion,   // .Question
  kQuestions,  // .Message.Question
  kMessage,
  kData,  // all of it
};

enum class Op : uint8_t {
  // What stands there.
  kText,
  kNumber,
  kBool,
  // `number` is its place.
  kVariable,
  // What the question says.
  kName,
  kZone,
  kClass,
  kType,
  kRemote,
  kQuestionName,
  kQuestionType,
  kQuestionClass,
  kId,
  kFlag,        // `number` is the bit
  kNamedGroup,  // `text` is the name
  kMatches,     // and what else is whole: of use to those that take it apart
  // Functions of `arguments`.
  kAnd,
  kOr,
  kNot,
  kEq,
  kNe,
  kLt,
  kLe,
  kGt,
  kGe,
  kLen,
  kIndex,  // .Match, a number
  kSlice,
  kPrint,
  kPrintf,
  kParseInt,
};

// A part of printf's format: `text`, and behind it an argument, but for the last part.
struct Verb {
  std::string text;
  char verb = 0;  // 0: none follows
  bool zeros = false;
  bool left = false;
  size_t width = 0;
};

struct Expression {
  Op op = Op::kText;
  Type type = Type::kString;
  std::string text = {};
  int64_t number = 0;
  std::vector<Verb> format = {};  // kPrintf
  std::vector<Expression> arguments = {};
};

struct Node {
  enum class Kind : uint8_t { kText, kPrint, kAssign, kIf, kWith, kRange };
  // No variable.
  static constexpr size_t kNone = SIZE_MAX;

  Kind kind = Kind::kText;
  std::string text = {};
  Expression value = {};
  // What kAssign and kWith set, and kRange for each element; `index` for its number.
  size_t variable = kNone;
  size_t index = kNone;
  std::vector<Node> then = {};
  std::vector<Node> otherwise = {};
};

struct Tree {
  static constexpr size_t kMaxVariables = 16;
  // Of print and printf.
  static constexpr size_t kMaxArguments = 8;

  std::vector<Node> nodes;
  bool uses_metadata = false;
};

absl::StatusOr<Tree> ParseTree(const corefile::Token& token,
                               const std::vector<NamePattern>& patterns);

}  // namespace portolan::dns::go_template

#include "dns/plugins/go_template_calls.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <utility>

#include "common/status.h"
#include "dns/wire/query.h"

namespace portolan::dns::go_template {
namespace {

using Patterns = std::vector<NamePattern>;

struct Function {
  std::string_view name;
  Op op;
  size_t least;
  size_t most;
};
constexpr Function kFunctions[] = {
    {"and", Op::kAnd, 1, Tree::kMaxArguments},
    {"or", Op::kOr, 1, Tree::kMaxArguments},
    {"not", Op::kNot, 1, 1},
    {"eq", Op::kEq, 2, Tree::kMaxArguments},
    {"ne", Op::kNe, 2, 2},
    {"lt", Op::kLt, 2, 2},
    {"le", Op::kLe, 2, 2},
    {"gt", Op::kGt, 2, 2},
    {"ge", Op::kGe, 2, 2},
    {"len", Op::kLen, 1, 1},
    {"index", Op::kIndex, 2, 2},
    {"slice", Op::kSlice, 1, 3},
    {"print", Op::kPrint, 0, Tree::kMaxArguments},
    {"printf", Op::kPrintf, 1, 1 + Tree::kMaxArguments},
    {"parseInt", Op::kParseInt, 3, 3},
};

bool MayBe(Type type, Type wanted) { return type == wanted || type == Type::kAny; }

// The text of a format and the verbs in it. Empty if one is not supported.
std::optional<std::vector<Verb>> ParseFormat(std::string_view text) {
  std::vector<Verb> verbs(1);
  for (size_t at = 0; at < text.size(); ++at) {
    Verb& verb = verbs.back();
    if (text[at] != '%') {
      verb.text += text[at];
      continue;
    }
    if (text.substr(at).starts_with("%%")) {
      verb.text += text[++at];
      continue;
    }
    for (++at; at < text.size() && (text[at] == '0' || text[at] == '-'); ++at) {
      (text[at] == '0' ? verb.zeros : verb.left) = true;
    }
    for (; at < text.size() && text[at] >= '0' && text[at] <= '9'; ++at) {
      verb.width = verb.width * 10 + static_cast<size_t>(text[at] - '0');
      if (verb.width > wire::kMaxNameBytes) return std::nullopt;
    }
    constexpr std::string_view kVerbs = "svqdxXt";
    if (at == text.size() || kVerbs.find(text[at]) == std::string_view::npos) return std::nullopt;
    verb.verb = text[at];
    verbs.emplace_back();
  }
  return verbs;
}

// The element of .Match, which one of the patterns must have.
absl::StatusOr<Expression> MakeMatch(size_t group, const Patterns& patterns) {
  const bool known = std::ranges::any_of(patterns, [&](const NamePattern& pattern) {
    return group <= std::min(pattern.groups(), NamePattern::kMaxGroups);
  });
  if (!known && group > 0) {
    return InvalidArgument("no expression has a group {}", group);
  }
  Expression index{.op = Op::kIndex};
  index.arguments.push_back({.op = Op::kMatches, .type = Type::kMatches});
  index.arguments.push_back(
      {.op = Op::kNumber, .type = Type::kNumber, .number = static_cast<int64_t>(group)});
  return index;
}

absl::StatusOr<Expression> Length(std::vector<Expression> arguments) {
  if (!MayBe(arguments[0].type, Type::kString) && arguments[0].type != Type::kMatches) {
    return InvalidArgument("len takes a text or .Match");
  }
  return Expression{.op = Op::kLen, .type = Type::kNumber, .arguments = std::move(arguments)};
}

absl::StatusOr<Expression> Index(std::vector<Expression> arguments, const Patterns& patterns) {
  const Type of = arguments[0].type;
  const Expression& at = arguments[1];
  if (of == Type::kGroups && at.op == Op::kText) return MakeGroup(at.text, patterns);
  if (of == Type::kMatches && at.op == Op::kNumber && at.number >= 0) {
    return MakeMatch(static_cast<size_t>(at.number), patterns);
  }
  if (of == Type::kMatches && MayBe(at.type, Type::kNumber)) {
    return Expression{.op = Op::kIndex, .arguments = std::move(arguments)};
  }
  if (of == Type::kQuestions && at.op == Op::kNumber && at.number == 0) {
    return Expression{.op = Op::kMatches, .type = Type::kQuestion};
  }
  return InvalidArgument("index takes .Match and a number, or .Group and a name");
}

absl::StatusOr<Expression> ParseInt(std::vector<Expression> arguments) {
  const Expression& base = arguments[1];
  const Expression& bits = arguments[2];
  const bool numbers = base.op == Op::kNumber && bits.op == Op::kNumber;
  if (!numbers || base.number < 2 || base.number > 36 || bits.number < 1 || bits.number > 64) {
    return InvalidArgument("parseInt takes a text, a base (2 to 36) and a bit size (1 to 64)");
  }
  if (!MayBe(arguments[0].type, Type::kString)) return InvalidArgument("parseInt takes a text");
  return Expression{.op = Op::kParseInt, .type = Type::kNumber, .arguments = std::move(arguments)};
}

absl::StatusOr<Expression> Printf(std::vector<Expression> arguments) {
  auto format = arguments[0].op == Op::kText ? ParseFormat(arguments[0].text) : std::nullopt;
  if (!format.has_value())
    return InvalidArgument("printf needs a format of %s, %v, %q, %d, %x, %X and %t");
  arguments.erase(arguments.begin());
  if (format->size() - 1 != arguments.size()) {
    return InvalidArgument("the format of printf takes {} arguments", format->size() - 1);
  }
  return Expression{
      .op = Op::kPrintf, .format = *std::move(format), .arguments = std::move(arguments)};
}

absl::StatusOr<Expression> Slice(std::vector<Expression> arguments) {
  if (!MayBe(arguments[0].type, Type::kString)) return InvalidArgument("slice takes a text");
  for (size_t i = 1; i < arguments.size(); ++i) {
    if (!MayBe(arguments[i].type, Type::kNumber)) return InvalidArgument("slice takes numbers");
  }
  return Expression{.op = Op::kSlice, .arguments = std::move(arguments)};
}

absl::StatusOr<Expression> Compare(const Function& function, std::vector<Expression> arguments) {
  const Type type = arguments[0].type;
  for (const Expression& argument : arguments) {
    if (type != Type::kAny && !MayBe(argument.type, type)) {
      return InvalidArgument("{} compares things of different types", function.name);
    }
  }
  return Expression{.op = function.op, .type = Type::kBool, .arguments = std::move(arguments)};
}

// Its value is one of the arguments.
Expression Choose(const Function& function, std::vector<Expression> arguments) {
  const bool same = std::ranges::all_of(
      arguments, [&](const Expression& argument) { return argument.type == arguments[0].type; });
  const Type type = same ? arguments[0].type : Type::kAny;
  return {.op = function.op, .type = type, .arguments = std::move(arguments)};
}

absl::StatusOr<Expression> Apply(const Function& function, std::vector<Expression> arguments) {
  for (const Expression& argument : arguments) {
    if (!IsPlain(argument.type)) {
      return InvalidArgument("{} takes texts, numbers and bools", function.name);
    }
  }
  switch (function.op) {
    case Op::kAnd:
    case Op::kOr:
      return Choose(function, std::move(arguments));
    case Op::kNot:
      return Expression{.op = Op::kNot, .type = Type::kBool, .arguments = std::move(arguments)};
    case Op::kPrint:
      return Expression{.op = Op::kPrint, .arguments = std::move(arguments)};
    case Op::kPrintf:
      return Printf(std::move(arguments));
    case Op::kParseInt:
      return ParseInt(std::move(arguments));
    case Op::kSlice:
      return Slice(std::move(arguments));
    default:
      return Compare(function, std::move(arguments));
  }
}

}  // namespace

std::vector<std::string_view> AllFunctions() {
  std::vector<std::string_view> names;
  for (const Function& function : kFunctions) names.push_back(function.name);
  return names;
}

bool IsPlain(Type type) { return type <= Type::kBool; }

absl::StatusOr<Expression> MakeCall(std::string_view name, std::vector<Expression> arguments,
                                    const Patterns& patterns) {
  const Function& function = *std::ranges::find(kFunctions, name, &Function::name);
  if (arguments.size() < function.least || arguments.size() > function.most) {
    return InvalidArgument(
        "{} takes {}{} arguments", name, function.least,
        function.least == function.most ? "" : fmt::format(" to {}", function.most));
  }
  if (function.op == Op::kIndex) return Index(std::move(arguments), patterns);
  if (function.op == Op::kLen) return Length(std::move(arguments));
  return Apply(function, std::move(arguments));
}

absl::StatusOr<Expression> MakeGroup(const std::string& name, const Patterns& patterns) {
  size_t number = 0;
  const char* last = name.data() + name.size();
  const auto [end, error] = std::from_chars(name.data(), last, number);
  if (error == std::errc() && end == last) return MakeMatch(number, patterns);
  const bool known = std::ranges::any_of(patterns, [&](const NamePattern& pattern) {
    const size_t group = pattern.GroupNamed(name);
    return group > 0 && group <= NamePattern::kMaxGroups;
  });
  if (!known) return InvalidArgument("no expression has a group named '{}'", name);
  return Expression{.op = Op::kNamedGroup, .text = name};
}

}  // namespace portolan::dns::go_template

// Reads Go templates.
#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <utility>

#include "common/nearest.h"
#include "common/text.h"
#include "dns/plugins/go_template_calls.h"
#include "dns/plugins/go_template_lexer.h"
#include "dns/plugins/go_template_tree.h"
#include "dns/wire/reply.h"

namespace portolan::dns::go_template {
namespace {

using corefile::Token;
namespace flag = wire::flag;

constexpr std::string_view kBlanks = " \t\r\n";
// Of blocks and of parentheses.
constexpr size_t kMaxDepth = 16;

struct Field {
  Type of;
  std::string_view name;
  Op op;
  Type type;
  int64_t number = 0;
};
constexpr Field kFields[] = {
    {Type::kData, "Name", Op::kName, Type::kString},
    {Type::kData, "Zone", Op::kZone, Type::kString},
    {Type::kData, "Class", Op::kClass, Type::kString},
    {Type::kData, "Type", Op::kType, Type::kString},
    {Type::kData, "Remote", Op::kRemote, Type::kString},
    {Type::kData, "Match", Op::kMatches, Type::kMatches},
    {Type::kData, "Group", Op::kMatches, Type::kGroups},
    {Type::kData, "Question", Op::kMatches, Type::kQuestion},
    {Type::kData, "Message", Op::kMatches, Type::kMessage},
    {Type::kQuestion, "Name", Op::kQuestionName, Type::kString},
    {Type::kQuestion, "Qtype", Op::kQuestionType, Type::kNumber},
    {Type::kQuestion, "Qclass", Op::kQuestionClass, Type::kNumber},
    {Type::kMessage, "Id", Op::kId, Type::kNumber},
    {Type::kMessage, "Question", Op::kMatches, Type::kQuestions},
    // A question that gets here has these two.
    {Type::kMessage, "Opcode", Op::kNumber, Type::kNumber},
    {Type::kMessage, "Rcode", Op::kNumber, Type::kNumber},
    {Type::kMessage, "Response", Op::kFlag, Type::kBool, flag::kResponse},
    {Type::kMessage, "Authoritative", Op::kFlag, Type::kBool, flag::kAuthoritative},
    {Type::kMessage, "Truncated", Op::kFlag, Type::kBool, flag::kTruncated},
    {Type::kMessage, "RecursionDesired", Op::kFlag, Type::kBool, flag::kRecursionDesired},
    {Type::kMessage, "RecursionAvailable", Op::kFlag, Type::kBool, flag::kRecursionAvailable},
    {Type::kMessage, "AuthenticatedData", Op::kFlag, Type::kBool, flag::kAuthenticData},
    {Type::kMessage, "CheckingDisabled", Op::kFlag, Type::kBool, flag::kCheckingDisabled},
};

std::string_view Trimmed(std::string_view text) {
  const size_t begin = std::min(text.find_first_not_of(kBlanks), text.size());
  return text.substr(begin, text.find_last_not_of(kBlanks) + 1 - begin);
}

class Parser {
 public:
  Parser(const Token& token, const std::vector<NamePattern>& patterns)
      : token_(token), patterns_(patterns) {}

  absl::StatusOr<Tree> Parse() {
    absl::Status status = Split();
    if (status.ok()) status = ParseNodes(tree_.nodes);
    if (status.ok() && at_ < items_.size()) status = Error("there is no block that it belongs to");
    if (!status.ok()) return status;
    return std::move(tree_);
  }

 private:
  // Text, or an action's words.
  struct Item {
    std::string text;  // of an action, what stands between its braces
    std::vector<Word> words = {};
  };
  struct Variable {
    std::string name;
    Type type;
  };
  // What the dot is: a variable, or all of the data.
  struct Dot {
    Type type = Type::kData;
    size_t variable = Node::kNone;
  };

  absl::Status Split() {
    const std::string_view text = token_.text;
    bool trim = false;
    for (size_t at = 0; at < text.size();) {
      const size_t open = std::min(text.find("{{", at), text.size());
      std::string literal(text.substr(at, open - at));
      if (trim) literal.erase(0, std::min(literal.find_first_not_of(kBlanks), literal.size()));
      if (text.substr(open).starts_with("{{- ")) {
        literal.erase(literal.find_last_not_of(kBlanks) + 1);
      }
      if (!literal.empty()) items_.push_back({literal});
      if (open == text.size()) break;
      const size_t close = EndOfAction(text, open + 2);
      if (close == std::string_view::npos) return token_.Error("'{{' is not closed by '}}'");
      std::string_view action = text.substr(open + 2, close - open - 2);
      if (action.starts_with("- ")) action.remove_prefix(2);
      trim = action.ends_with(" -");
      if (trim) action.remove_suffix(2);
      at = close + 2;
      if (action.starts_with("/*") && action.ends_with("*/")) continue;
      Item item{std::string(Trimmed(action))};
      auto words = SplitAction(action);
      if (!words.ok()) return ErrorIn(item, Message(words.status()));
      if (words->size() == 1) return token_.Error("'{{ }}' is empty");
      item.words = *std::move(words);
      items_.push_back(std::move(item));
    }
    return absl::OkStatus();
  }

  absl::Status ErrorIn(const Item& item, std::string_view why) const {
    return token_.Error(fmt::format("'{{{{ {} }}}}': {}", item.text, why));
  }
  absl::Status Error(std::string_view why) const { return ErrorIn(items_[at_], why); }
  absl::StatusOr<Expression> Wrapped(absl::StatusOr<Expression> value) const {
    if (!value.ok()) return Error(Message(value.status()));
    return value;
  }
  absl::Status Unsupported(std::string_view word,
                           const std::vector<std::string_view>& known) const {
    return token_.Error(fmt::format("'{{{{ {} }}}}' is not supported in a template{}",
                                    items_[at_].text, DidYouMean(word, known)));
  }

  // Up to an `else` or `end`, or the template's end.
  absl::Status ParseNodes(std::vector<Node>& nodes) {
    for (; at_ < items_.size(); ++at_) {
      const Item& item = items_[at_];
      if (item.words.empty()) {
        AddText(item.text, nodes);
        continue;
      }
      if (item.words[0].IsName("else") || item.words[0].IsName("end")) return absl::OkStatus();
      word_ = 0;
      absl::Status status = ParseAction(nodes);
      if (!status.ok()) return status;
    }
    return absl::OkStatus();
  }

  static void AddText(std::string_view text, std::vector<Node>& nodes) {
    if (nodes.empty() || nodes.back().kind != Node::Kind::kText) nodes.emplace_back();
    nodes.back().text += text;
  }

  absl::Status ParseAction(std::vector<Node>& nodes) {
    const Word& first = Peek();
    if (first.IsName("if") || first.IsName("with") || first.IsName("range")) {
      Node node;
      absl::Status status = ParseBlock(node);
      nodes.push_back(std::move(node));
      return status;
    }
    if (first.kind == Word::Kind::kVariable && (Peek(1).IsSign(":=") || Peek(1).IsSign("="))) {
      return ParseAssignment(nodes);
    }
    auto value = ParsePipeline();
    if (value.ok() && !IsPlain(value->type)) return Error("it is no text, number or bool");
    absl::Status status = value.ok() ? End() : value.status();
    if (!status.ok()) return status;
    if (value->op == Op::kText) {
      AddText(value->text, nodes);
    } else {
      nodes.push_back({.kind = Node::Kind::kPrint, .value = *std::move(value)});
    }
    return absl::OkStatus();
  }

  absl::Status ParseAssignment(std::vector<Node>& nodes) {
    const std::string name = Next().text;
    const bool declares = Next().text == ":=";
    auto value = ParsePipeline();
    absl::Status status = value.ok() ? End() : value.status();
    if (!status.ok()) return status;
    const auto variable = declares ? Declare(name, value->type) : Find(name);
    if (!variable.ok()) return variable.status();
    Type& type = variables_[*variable].type;
    if (type != value->type) type = Type::kAny;
    nodes.push_back(
        {.kind = Node::Kind::kAssign, .value = *std::move(value), .variable = *variable});
    return absl::OkStatus();
  }

  // From `if`, `with` or `range` to the `end`. What it declares ends with it.
  absl::Status ParseBlock(Node& node) {
    if (++depth_ > kMaxDepth) return Error("blocks are nested too deeply");
    const size_t variables = variables_.size();
    const Dot dot = dot_;
    absl::Status status = ParseBranches(node);
    dot_ = dot;
    variables_.resize(variables);
    --depth_;
    return status;
  }

  absl::Status ParseBranches(Node& node) {
    const size_t head = at_;
    const Dot outer = dot_;
    absl::Status status = ParseHead(node);
    if (status.ok()) status = ParseBranch(head, node.then);
    if (!status.ok() || items_[at_].words[0].IsName("end")) return status;
    dot_ = outer;
    if (Peek().IsName("if") || Peek().IsName("with")) {
      Node nested;
      status = ParseBlock(nested);
      node.otherwise.push_back(std::move(nested));
      return status;
    }
    status = End();
    if (status.ok()) status = ParseBranch(head, node.otherwise);
    if (status.ok() && items_[at_].words[0].IsName("else")) {
      return Error("it follows another else");
    }
    return status;
  }

  // Stops behind the first word of what ends the branch.
  absl::Status ParseBranch(size_t head, std::vector<Node>& nodes) {
    ++at_;
    absl::Status status = ParseNodes(nodes);
    if (!status.ok()) return status;
    if (at_ == items_.size()) return ErrorIn(items_[head], "no '{{ end }}' follows");
    word_ = 1;
    return items_[at_].words[0].IsName("end") ? End() : absl::OkStatus();
  }

  absl::Status ParseHead(Node& node) {
    const std::string word = Next().text;
    const bool range = word == "range";
    node.kind = range ? Node::Kind::kRange : word == "with" ? Node::Kind::kWith : Node::Kind::kIf;
    std::vector<std::string> names;
    if (Peek().kind == Word::Kind::kVariable && (Peek(1).IsSign(":=") || Peek(1).IsSign(","))) {
      names.push_back(Next().text);
      if (Next().text == ",") names.push_back(Next().text);
      if (names.size() == 2 && !(range && Next().IsSign(":="))) {
        return Error("two variables are for range alone: $i, $m := .Match");
      }
    }
    auto value = ParsePipeline();
    absl::Status status = value.ok() ? End() : value.status();
    if (!status.ok()) return status;
    if (range && value->type != Type::kMatches) return Error("range goes over .Match alone");
    const Type type = range ? Type::kString : value->type;
    node.value = *std::move(value);
    if (names.size() == 2) {
      const auto index = Declare(names[0], Type::kNumber);
      if (!index.ok()) return index.status();
      node.index = *index;
    }
    if (node.kind == Node::Kind::kIf && names.empty()) return absl::OkStatus();
    const auto variable = Declare(names.empty() ? "" : names.back(), type);
    if (!variable.ok()) return variable.status();
    node.variable = *variable;
    if (node.kind != Node::Kind::kIf) dot_ = {type, *variable};
    return absl::OkStatus();
  }

  absl::StatusOr<size_t> Declare(const std::string& name, Type type) {
    if (variables_.size() == Tree::kMaxVariables) return Error("there are too many variables");
    variables_.push_back({name, type});
    return variables_.size() - 1;
  }

  absl::StatusOr<size_t> Find(const std::string& name) const {
    for (size_t i = variables_.size(); i > 0; --i) {
      if (variables_[i - 1].name == name) return i - 1;
    }
    return Error(fmt::format("there is no variable ${}", name));
  }

  const Word& Peek(size_t ahead = 0) const {
    const std::vector<Word>& words = items_[at_].words;
    return words[std::min(word_ + ahead, words.size() - 1)];
  }
  const Word& Next() {
    const Word& word = Peek();
    ++word_;
    return word;
  }
  absl::Status End() const {
    return Peek().kind == Word::Kind::kEnd
               ? absl::OkStatus()
               : Error(fmt::format("'{}' is not expected", Peek().text));
  }

  bool EndsCommand() const {
    return Peek().kind == Word::Kind::kEnd || Peek().IsSign(")") || Peek().IsSign("|");
  }

  // COMMAND | COMMAND...: the value of one is the last argument of the next.
  absl::StatusOr<Expression> ParsePipeline() {
    absl::StatusOr<Expression> value = ParseCommand({});
    while (value.ok() && Peek().IsSign("|")) {
      Next();
      std::vector<Expression> last;
      last.push_back(*std::move(value));
      value = ParseCommand(std::move(last));
    }
    return value;
  }

  // FUNCTION ARGUMENT... `last`..., or a value alone.
  absl::StatusOr<Expression> ParseCommand(std::vector<Expression> last) {
    if (Peek().kind == Word::Kind::kName && !IsBool(Peek())) {
      return ParseCall(std::move(last));
    }
    auto value = ParseOperand();
    if (value.ok() && !last.empty()) return Error("what stands behind '|' is no function");
    return value;
  }

  absl::StatusOr<Expression> ParseCall(std::vector<Expression> last) {
    const std::string name = Next().text;
    const std::vector<std::string_view> functions = AllFunctions();
    if (std::ranges::find(functions, name) == functions.end()) {
      return Unsupported(name, functions);
    }
    std::vector<Expression> arguments;
    while (!EndsCommand()) {
      auto argument = ParseOperand();
      if (!argument.ok()) return argument.status();
      arguments.push_back(*std::move(argument));
    }
    std::ranges::move(last, std::back_inserter(arguments));
    return Wrapped(MakeCall(name, std::move(arguments), patterns_));
  }

  static bool IsBool(const Word& word) { return word.IsName("true") || word.IsName("false"); }

  absl::StatusOr<Expression> ParseOperand() {
    const Word word = Next();
    switch (word.kind) {
      case Word::Kind::kText:
        return Expression{.op = Op::kText, .text = word.text};
      case Word::Kind::kNumber:
        return Expression{.op = Op::kNumber, .type = Type::kNumber, .number = word.number};
      case Word::Kind::kVariable:
        return ParseVariable(word.text);
      case Word::Kind::kField:
        return ParseDot(word);
      case Word::Kind::kName:
        if (IsBool(word)) {
          return Expression{.op = Op::kBool, .type = Type::kBool, .number = word.text == "true"};
        }
        return Error(fmt::format("'{}' with its arguments must stand in parentheses", word.text));
      case Word::Kind::kSign:
        if (word.text == "(") return ParseParentheses();
        break;
      case Word::Kind::kEnd:
        return Error("a value is missing");
    }
    return Error(fmt::format("'{}' is not expected", word.text));
  }

  absl::StatusOr<Expression> ParseParentheses() {
    if (++depth_ > kMaxDepth) return Error("parentheses are nested too deeply");
    auto value = ParsePipeline();
    --depth_;
    if (!value.ok()) return value;
    if (!Next().IsSign(")")) return Error("a ')' is missing");
    return ParseFields(*std::move(value));
  }

  absl::StatusOr<Expression> ParseVariable(const std::string& name) {
    if (name.empty()) return ParseFields({.op = Op::kMatches, .type = Type::kData});
    const auto variable = Find(name);
    if (!variable.ok()) return variable.status();
    return ParseFields(VariableAt(*variable, variables_[*variable].type));
  }

  static Expression VariableAt(size_t variable, Type type) {
    return {.op = Op::kVariable, .type = type, .number = static_cast<int64_t>(variable)};
  }

  // The dot, or the field of it that the word is, and the fields of that.
  absl::StatusOr<Expression> ParseDot(const Word& word) {
    Expression dot = dot_.variable == Node::kNone
                         ? Expression{.op = Op::kMatches, .type = dot_.type}
                         : VariableAt(dot_.variable, dot_.type);
    if (word.text.empty()) return dot;
    auto value = FieldOf(dot, word.text);
    return value.ok() ? ParseFields(*std::move(value)) : value;
  }

  absl::StatusOr<Expression> ParseFields(Expression value) {
    while (Peek().kind == Word::Kind::kField && Peek().glued) {
      auto field = FieldOf(value, Next().text);
      if (!field.ok()) return field;
      value = *std::move(field);
    }
    return value;
  }

  absl::StatusOr<Expression> FieldOf(const Expression& value, const std::string& name) {
    if (value.type == Type::kGroups) return Wrapped(MakeGroup(name, patterns_));
    if (value.type == Type::kData && name == "Meta") return ParseMetadata();
    const auto* field = std::ranges::find_if(
        kFields, [&](const Field& known) { return known.of == value.type && known.name == name; });
    if (field != std::end(kFields)) {
      return Expression{.op = field->op, .type = field->type, .number = field->number};
    }
    std::vector<std::string> known;
    for (const Field& other : kFields) {
      if (other.of == value.type) known.push_back(fmt::format(".{}", other.name));
    }
    if (known.empty()) return Error(fmt::format("there is no field .{} of that", name));
    return Unsupported("." + name, {known.begin(), known.end()});
  }

  absl::StatusOr<Expression> ParseMetadata() {
    if (Next().kind != Word::Kind::kText) return Error(".Meta needs a label");
    tree_.uses_metadata = true;
    return Expression{};
  }

  const Token& token_;
  const std::vector<NamePattern>& patterns_;
  Tree tree_;
  std::vector<Item> items_;
  size_t at_ = 0;    // of items_
  size_t word_ = 0;  // of its words
  size_t depth_ = 0;
  std::vector<Variable> variables_;
  Dot dot_;
};

}  // namespace

absl::StatusOr<Tree> ParseTree(const Token& token, const std::vector<NamePattern>& patterns) {
  return Parser(token, patterns).Parse();
}

}  // namespace portolan::dns::go_template

#include "dns/plugins/go_template.h"

#include <algorithm>
#include <bit>
#include <charconv>
#include <string>
#include <utility>

#include "dns/plugins/go_template_tree.h"

namespace portolan::dns {
namespace go_template {
namespace {

// More than any template that makes a record needs; ranges within ranges end here.
constexpr int kMaxSteps = 10'000;
// Of what is printed on the way to the output: a name in hexadecimal digits has room.
constexpr size_t kScratchBytes = 2048;

struct Value {
  Type type = Type::kString;
  std::string_view text = {};
  int64_t number = 0;  // or bool
};

Value Text(std::string_view text) { return {Type::kString, text}; }
Value Number(int64_t number) { return {Type::kNumber, {}, number}; }
Value Bool(bool value) { return {Type::kBool, {}, value ? 1 : 0}; }

bool IsTrue(const Value& value) {
  if (value.type == Type::kString) return !value.text.empty();
  if (value.type == Type::kNumber || value.type == Type::kBool) return value.number != 0;
  return true;
}

// Text in a buffer that does not grow.
class Output {
 public:
  explicit Output(std::span<char> room) : room_(room) {}

  void Add(std::string_view text) {
    full_ = full_ || text.size() > room_.size() - size_;
    if (full_) return;
    std::ranges::copy(text, room_.begin() + static_cast<ptrdiff_t>(size_));
    size_ += text.size();
  }
  void Add(size_t times, char c) {
    while (times-- > 0 && !full_) Add({&c, 1});
  }
  void AddNumber(int64_t number) {
    std::array<char, 24> digits;
    const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), number).ptr;
    Add({digits.data(), static_cast<size_t>(end - digits.data())});
  }

  size_t size() const { return size_; }
  bool full() const { return full_; }
  std::string_view From(size_t begin) const { return {room_.data() + begin, size_ - begin}; }
  void CutTo(size_t size) { size_ = size; }

 private:
  std::span<char> room_;
  size_t size_ = 0;
  bool full_ = false;
};

void WriteHexadecimal(const Value& value, bool upper, Output& out) {
  const std::string_view digits = upper ? "0123456789ABCDEF" : "0123456789abcdef";
  const auto add = [&](uint64_t digit) { out.Add(digits.substr(digit & 15, 1)); };
  for (const char c : value.text) {
    add(static_cast<unsigned char>(c) >> 4);
    add(static_cast<unsigned char>(c));
  }
  if (value.type != Type::kNumber) return;
  if (value.number < 0) out.Add("-");
  const uint64_t number = value.number < 0 ? uint64_t{0} - static_cast<uint64_t>(value.number)
                                           : static_cast<uint64_t>(value.number);
  for (int shift = (std::max(static_cast<int>(std::bit_width(number)), 1) - 1) / 4 * 4; shift >= 0;
       shift -= 4) {
    add(number >> shift);
  }
}

void WriteQuoted(std::string_view text, Output& out) {
  out.Add("\"");
  for (const char c : text) {
    if (c == '"' || c == '\\') out.Add("\\");
    out.Add({&c, 1});
  }
  out.Add("\"");
}

// One rendering. What fails once leaves everything failed.
class Rendering {
 public:
  Rendering(const TemplateData& data, std::span<char> room) : data_(data), out_(room) {}

  void Run(const std::vector<Node>& nodes) {
    for (const Node& node : nodes) {
      if (failed_) return;
      Run(node);
    }
  }

  bool failed() const { return failed_ || out_.full() || scratch_.full(); }
  std::string_view text() const { return out_.From(0); }

 private:
  void Run(const Node& node);
  void RunRange(const Node& node);
  Value Evaluate(const Expression& e);
  Value Call(const Expression& e);
  Value Choose(const Expression& e);
  Value Compare(const Expression& e);
  Value ParseInt(const Expression& e);
  Value Slice(const Expression& e);
  Value Match(int64_t number);
  Value Print(const Expression& e);
  Value Printf(const Expression& e);
  void Write(const Value& value, Output& out);
  void Write(const Verb& verb, const Value& value);

  Value Fail() {
    failed_ = true;
    return {};
  }

  const TemplateData& data_;
  Output out_;
  std::array<char, kScratchBytes> scratch_room_;
  Output scratch_{scratch_room_};
  std::array<Value, Tree::kMaxVariables> variables_;
  int steps_ = 0;
  bool failed_ = false;
};

void Rendering::Run(const Node& node) {
  if (++steps_ > kMaxSteps) return void(Fail());
  switch (node.kind) {
    case Node::Kind::kText:
      return out_.Add(node.text);
    case Node::Kind::kPrint:
      return Write(Evaluate(node.value), out_);
    case Node::Kind::kAssign:
      variables_[node.variable] = Evaluate(node.value);
      return;
    case Node::Kind::kIf:
    case Node::Kind::kWith: {
      const Value value = Evaluate(node.value);
      if (node.variable != Node::kNone) variables_[node.variable] = value;
      return Run(IsTrue(value) ? node.then : node.otherwise);
    }
    case Node::Kind::kRange:
      return RunRange(node);
  }
}

// .Match always has an element, so that there is no other case.
void Rendering::RunRange(const Node& node) {
  for (size_t i = 0; i < data_.matches() && !failed_; ++i) {
    variables_[node.variable] = Text(data_.groups[i]);
    if (node.index != Node::kNone) variables_[node.index] = Number(static_cast<int64_t>(i));
    Run(node.then);
  }
}

Value Rendering::Evaluate(const Expression& e) {
  if (++steps_ > kMaxSteps || failed_) return Fail();
  switch (e.op) {
    case Op::kText:
      return Text(e.text);
    case Op::kNumber:
      return Number(e.number);
    case Op::kBool:
      return Bool(e.number != 0);
    case Op::kVariable:
      return variables_[static_cast<size_t>(e.number)];
    case Op::kName:
      return Text(data_.name);
    case Op::kZone:
      return Text(data_.zone);
    case Op::kClass:
      return Text(data_.rclass);
    case Op::kType:
      return Text(data_.type);
    case Op::kRemote:
      return Text(data_.remote);
    case Op::kQuestionName:
      return Text(data_.question_name);
    case Op::kQuestionType:
      return Number(data_.question_type);
    case Op::kQuestionClass:
      return Number(data_.question_class);
    case Op::kId:
      return Number(data_.id);
    case Op::kFlag:
      return Bool((data_.flags & e.number) != 0);
    case Op::kNamedGroup: {
      // 0, the whole match, is no named group: one of another expression is empty, as in Go.
      const size_t group = data_.pattern == nullptr ? 0 : data_.pattern->GroupNamed(e.text);
      return Text(group == 0 ? std::string_view() : data_.groups[group]);
    }
    case Op::kMatches:
      return {e.type};
    default:
      return Call(e);
  }
}

Value Rendering::Call(const Expression& e) {
  const auto argument = [&](size_t i) { return Evaluate(e.arguments[i]); };
  switch (e.op) {
    case Op::kAnd:
    case Op::kOr:
      return Choose(e);
    case Op::kNot:
      return Bool(!IsTrue(argument(0)));
    case Op::kLen: {
      const Value value = argument(0);
      return Number(
          static_cast<int64_t>(value.type == Type::kMatches ? data_.matches() : value.text.size()));
    }
    case Op::kIndex: {
      const Value at = argument(1);
      return at.type == Type::kNumber ? Match(at.number) : Fail();
    }
    case Op::kSlice:
      return Slice(e);
    case Op::kPrint:
      return Print(e);
    case Op::kPrintf:
      return Printf(e);
    case Op::kParseInt:
      return ParseInt(e);
    default:
      return Compare(e);
  }
}

// `and`: the first argument that is false; `or`: that is true; or else the last.
Value Rendering::Choose(const Expression& e) {
  Value value;
  for (const Expression& argument : e.arguments) {
    value = Evaluate(argument);
    if (IsTrue(value) == (e.op == Op::kOr)) break;
  }
  return value;
}

Value Rendering::Compare(const Expression& e) {
  const Value first = Evaluate(e.arguments[0]);
  for (size_t i = 1; i < e.arguments.size(); ++i) {
    const Value other = Evaluate(e.arguments[i]);
    if (first.type != other.type) return Fail();
    const int order = first.type == Type::kString   ? first.text.compare(other.text)
                      : first.number < other.number ? -1
                                                    : first.number > other.number;
    switch (e.op) {
      case Op::kEq:
        if (order == 0) return Bool(true);
        break;  // or the next
      case Op::kNe:
        return Bool(order != 0);
      case Op::kLt:
        return Bool(order < 0);
      case Op::kLe:
        return Bool(order <= 0);
      case Op::kGt:
        return Bool(order > 0);
      default:
        return Bool(order >= 0);
    }
  }
  return Bool(false);
}

Value Rendering::ParseInt(const Expression& e) {
  const Value text = Evaluate(e.arguments[0]);
  const auto base = static_cast<int>(e.arguments[1].number);
  const auto bits = static_cast<int>(e.arguments[2].number);
  uint64_t number = 0;
  const char* end = text.text.data() + text.text.size();
  const auto [stop, error] = std::from_chars(text.text.data(), end, number, base);
  if (text.type != Type::kString || error != std::errc() || stop != end) return Fail();
  // Above 63 bits it would be another number when it is printed.
  if (number >> std::min(bits, 63) != 0) return Fail();
  return Number(static_cast<int64_t>(number));
}

Value Rendering::Slice(const Expression& e) {
  const Value text = Evaluate(e.arguments[0]);
  const auto size = static_cast<int64_t>(text.text.size());
  const Value begin = e.arguments.size() > 1 ? Evaluate(e.arguments[1]) : Number(0);
  const Value end = e.arguments.size() > 2 ? Evaluate(e.arguments[2]) : Number(size);
  const bool numbers = begin.type == Type::kNumber && end.type == Type::kNumber;
  if (text.type != Type::kString || !numbers || begin.number < 0 || begin.number > end.number ||
      end.number > size) {
    return Fail();
  }
  return Text(text.text.substr(static_cast<size_t>(begin.number),
                               static_cast<size_t>(end.number - begin.number)));
}

Value Rendering::Match(int64_t number) {
  if (number < 0 || number >= static_cast<int64_t>(data_.matches())) return Fail();
  return Text(data_.groups[static_cast<size_t>(number)]);
}

// As fmt.Sprint: blanks between operands when neither is a text.
Value Rendering::Print(const Expression& e) {
  std::array<Value, Tree::kMaxArguments> values;
  for (size_t i = 0; i < e.arguments.size(); ++i) values[i] = Evaluate(e.arguments[i]);
  const size_t begin = scratch_.size();
  for (size_t i = 0; i < e.arguments.size(); ++i) {
    const bool apart =
        i > 0 && values[i].type != Type::kString && values[i - 1].type != Type::kString;
    if (apart) scratch_.Add(" ");
    Write(values[i], scratch_);
  }
  return Text(scratch_.From(begin));
}

Value Rendering::Printf(const Expression& e) {
  // All of them before anything is written: they may print themselves.
  std::array<Value, Tree::kMaxArguments> values;
  for (size_t i = 0; i < e.arguments.size(); ++i) values[i] = Evaluate(e.arguments[i]);
  const size_t begin = scratch_.size();
  size_t next = 0;
  for (const Verb& verb : e.format) {
    scratch_.Add(verb.text);
    if (verb.verb != 0) Write(verb, values[next++]);
  }
  return Text(scratch_.From(begin));
}

void Rendering::Write(const Value& value, Output& out) {
  if (value.type == Type::kString) return out.Add(value.text);
  if (value.type == Type::kNumber) return out.AddNumber(value.number);
  if (value.type == Type::kBool) return out.Add(value.number != 0 ? "true" : "false");
  Fail();
}

void Rendering::Write(const Verb& verb, const Value& value) {
  std::array<char, kScratchBytes> room;
  Output out(room);
  const bool number = value.type == Type::kNumber, text_value = value.type == Type::kString;
  switch (verb.verb) {
    case 'd':
      if (!number) return void(Fail());
      out.AddNumber(value.number);
      break;
    case 'x':
    case 'X':
      if (!number && !text_value) return void(Fail());
      WriteHexadecimal(value, verb.verb == 'X', out);
      break;
    case 't':
      if (value.type != Type::kBool) return void(Fail());
      Write(value, out);
      break;
    case 'q':
      if (!text_value) return void(Fail());
      WriteQuoted(value.text, out);
      break;
    case 's':
      if (!text_value) return void(Fail());
      out.Add(value.text);
      break;
    default:
      Write(value, out);
  }
  if (out.full()) return void(Fail());
  const std::string_view text = out.From(0);
  const size_t missing = verb.width > text.size() ? verb.width - text.size() : 0;
  if (!verb.left) scratch_.Add(missing, verb.zeros ? '0' : ' ');
  scratch_.Add(text);
  if (verb.left) scratch_.Add(missing, ' ');
}

}  // namespace
}  // namespace go_template

size_t TemplateData::matches() const {
  return 1 + (pattern == nullptr ? 0 : std::min(pattern->groups(), NamePattern::kMaxGroups));
}

absl::StatusOr<GoTemplate> GoTemplate::Parse(const corefile::Token& token,
                                             const std::vector<NamePattern>& patterns) {
  auto tree = go_template::ParseTree(token, patterns);
  if (!tree.ok()) return tree.status();
  return GoTemplate(std::make_shared<const go_template::Tree>(*std::move(tree)));
}

bool GoTemplate::constant() const {
  return std::ranges::all_of(tree_->nodes, [](const go_template::Node& node) {
    return node.kind == go_template::Node::Kind::kText;
  });
}

bool GoTemplate::uses_metadata() const { return tree_->uses_metadata; }

std::optional<std::string_view> GoTemplate::Render(const TemplateData& data,
                                                   std::span<char> room) const {
  go_template::Rendering rendering(data, room.first(room.size() - 1));
  rendering.Run(tree_->nodes);
  if (rendering.failed()) return std::nullopt;
  room[rendering.text().size()] = '\0';
  return rendering.text();
}

}  // namespace portolan::dns

// Reads the lines of `rewrite`.
#include <algorithm>
#include <array>
#include <charconv>
#include <iterator>
#include <optional>
#include <span>
#include <string>
#include <utility>

#include "common/nearest.h"
#include "dns/plugins/arguments.h"
#include "dns/plugins/dns_words.h"
#include "dns/plugins/rewrite.h"

namespace portolan::dns {
namespace {

using corefile::Directive;
using corefile::Token;
using Field = RewriteRule::Field;

constexpr std::string_view kFields[] = {"name", "type", "class", "ttl", "rcode", "cname", "edns0"};
constexpr std::string_view kKinds[] = {"exact", "prefix", "suffix", "substring", "regex"};
// More is a generated list, better kept as `hosts` or `template`.
constexpr size_t kMaxRules = 1000;

std::string Lower(std::string text) {
  std::ranges::transform(text, text.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c;
  });
  return text;
}

template <typename Enum>
std::optional<Enum> OneOf(const Token& token, std::span<const std::string_view> words) {
  const auto found = std::ranges::find(words, Lower(token.text));
  if (found == words.end()) return std::nullopt;
  return static_cast<Enum>(found - words.begin());
}

absl::Status NoSuchWord(const Token& token, std::string_view what,
                        std::span<const std::string_view> words) {
  std::string list;
  for (const std::string_view word : words) {
    list += fmt::format("{}{}", list.empty() ? "" : ", ", word);
  }
  return token.Error(
      fmt::format("unknown {} '{}'{}: {}", what, token.text, DidYouMean(token.text, words), list));
}

// The words of a rule, read from left to right.
class Words {
 public:
  explicit Words(const Directive& directive) : last_(directive.name) {
    words_ = directive.arguments;
    // A block's lines are the rule's further words, as in CoreDNS.
    for (const Directive& line : directive.block) {
      words_.push_back(line.name);
      words_.insert(words_.end(), line.arguments.begin(), line.arguments.end());
    }
  }

  size_t left() const { return words_.size() - at_; }
  bool NextIs(std::string_view word) const { return left() > 0 && Lower(words_[at_].text) == word; }
  // REQUIRES: left() > 0.
  const Token& Peek() const { return words_[at_]; }
  const Token& Next() {
    last_ = words_[at_++];
    return last_;
  }
  // An error unless so many words are left.
  absl::Status Need(size_t count, std::string_view what) const {
    if (left() >= count) return absl::OkStatus();
    return last_.Error(fmt::format("{} must follow '{}'", what, last_.text));
  }
  absl::Status End() const {
    if (left() == 0) return absl::OkStatus();
    return Peek().Error(fmt::format("'{}': the rule ends before it", Peek().text));
  }

 private:
  std::vector<Token> words_;
  size_t at_ = 0;
  Token last_;
};

// [KIND], before `others` words or more; kExact where it is left out.
absl::StatusOr<NameMatchKind> ReadKind(Words& words, size_t others) {
  if (words.left() <= others) return NameMatchKind::kExact;
  const auto kind = OneOf<NameMatchKind>(words.Peek(), kKinds);
  if (!kind.has_value()) return NoSuchWord(words.Peek(), "match", kKinds);
  words.Next();
  return *kind;
}

// `auto`, `name` and `value`, the latter with an expression and a name. "answer name auto" stands
// in CoreDNS's examples.
absl::Status ReadAnswer(Words& words, RewriteRule& rule) {
  static constexpr std::string_view kParts[] = {"auto", "name", "value"};
  if (absl::Status status = words.Need(1, "auto, name or value"); !status.ok()) return status;
  const Token word = words.Next();
  const auto part = OneOf<size_t>(word, kParts);
  if (!part.has_value()) return NoSuchWord(word, "answer rule", kParts);
  const bool name_auto = *part == 1 && words.NextIs("auto");
  if (name_auto) words.Next();
  if (*part == 0 || name_auto) {
    rule.automatic = true;
    return absl::OkStatus();
  }
  absl::Status status = words.Need(2, "an expression and a name");
  if (!status.ok()) return status;
  const Token from = words.Next();
  const Token to = words.Next();
  auto mapping = NameMapping::Parse(NameMatchKind::kRegex, from, to);
  if (!mapping.ok()) return mapping.status();
  const auto where = *part == 1 ? RewriteRule::Part::kOwner : RewriteRule::Part::kValue;
  if (rule.automatic && *part == 1) {
    return word.Error("'answer auto' and 'answer name' do not go together");
  }
  rule.answers.push_back({where, *std::move(mapping)});
  return absl::OkStatus();
}

absl::Status ReadName(Words& words, RewriteRule& rule) {
  auto kind = ReadKind(words, 2);
  if (!kind.ok()) return kind.status();
  absl::Status status = words.Need(2, "a name and its replacement");
  if (!status.ok()) return status;
  const Token from = words.Next();
  const Token to = words.Next();
  auto mapping = NameMapping::Parse(*kind, from, to);
  if (!mapping.ok()) return mapping.status();
  for (bool first = true; words.left() > 0; first = false) {
    // All but the first may go without the word.
    const bool follows =
        !first && (words.NextIs("auto") || words.NextIs("name") || words.NextIs("value"));
    if (!words.NextIs("answer") && !follows) return words.End();
    if (words.NextIs("answer")) words.Next();
    status = ReadAnswer(words, rule);
    if (!status.ok()) return status;
  }
  if (*kind == NameMatchKind::kExact) rule.automatic = true;
  // A suffix is turned back in every name that has it.
  if (*kind == NameMatchKind::kSuffix && rule.automatic) {
    rule.automatic = false;
    rule.answers.insert(rule.answers.begin(), {{RewriteRule::Part::kOwner, mapping->Reversed()},
                                               {RewriteRule::Part::kValue, mapping->Reversed()}});
  }
  rule.mapping = *std::move(mapping);
  return absl::OkStatus();
}

absl::Status ReadCname(Words& words, RewriteRule& rule) {
  auto kind = ReadKind(words, 2);
  if (!kind.ok()) return kind.status();
  absl::Status status = words.Need(2, "a target and its replacement");
  if (!status.ok()) return status;
  const Token from = words.Next();
  const Token to = words.Next();
  auto mapping = NameMapping::Parse(*kind, from, to);
  if (!mapping.ok()) return mapping.status();
  rule.mapping = *std::move(mapping);
  return words.End();
}

// The name that ttl and rcode rules are about.
absl::Status ReadMatch(Words& words, size_t others, RewriteRule& rule) {
  auto kind = ReadKind(words, 1 + others);
  if (!kind.ok()) return kind.status();
  absl::Status status = words.Need(1 + others, "a name and a value");
  if (!status.ok()) return status;
  auto match = NameMatch::Parse(*kind, words.Next());
  if (!match.ok()) return match.status();
  rule.match = *std::move(match);
  return absl::OkStatus();
}

// "15", "15-", "-60", "15-60".
absl::Status ParseTtl(const Token& token, RewriteRule& rule) {
  constexpr uint32_t kMost = 0x7fffffff;  // RFC 2181 8
  const std::string_view text = token.text;
  const size_t dash = text.find('-');
  const auto number = [&](std::string_view digits, uint32_t absent) -> std::optional<uint32_t> {
    uint32_t value = absent;
    if (digits.empty()) return value;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    if (error != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
    return value;
  };
  const bool range = dash != std::string_view::npos;
  const auto least = number(text.substr(0, dash), 0);
  const auto most = range ? number(text.substr(dash + 1), kMost) : least;
  if (text.empty() || text == "-" || !least || !most || *least > *most) {
    return token.Error(
        fmt::format("'{}' is no TTL: seconds, or a range such as 5-, -60 or 5-60", token.text));
  }
  rule.least_ttl = *least;
  rule.most_ttl = *most;
  return absl::OkStatus();
}

absl::Status ReadTtl(Words& words, RewriteRule& rule) {
  absl::Status status = ReadMatch(words, 1, rule);
  if (status.ok()) status = ParseTtl(words.Next(), rule);
  return status.ok() ? words.End() : status;
}

absl::Status ReadRcode(Words& words, RewriteRule& rule) {
  absl::Status status = ReadMatch(words, 2, rule);
  if (!status.ok()) return status;
  for (uint16_t* rcode : {&rule.from, &rule.to}) {
    auto parsed = ParseRcode(words.Next());
    if (!parsed.ok()) return parsed.status();
    *rcode = *parsed;
  }
  return words.End();
}

absl::Status ReadType(Words& words, RewriteRule& rule) {
  absl::Status status = words.Need(2, "two types");
  if (!status.ok()) return status;
  for (uint16_t* type : {&rule.from, &rule.to}) {
    auto parsed = ParseType(words.Next());
    if (!parsed.ok()) return parsed.status();
    *type = *parsed;
  }
  return words.End();
}

absl::Status ReadClass(Words& words, RewriteRule& rule, std::vector<std::string>* notes) {
  absl::Status status = words.Need(2, "two classes");
  if (!status.ok()) return status;
  const Token from = words.Peek();
  for (uint16_t* rclass : {&rule.from, &rule.to}) {
    auto parsed = ParseClass(words.Next());
    if (!parsed.ok()) return parsed.status();
    *rclass = *parsed;
  }
  if (rule.from != wire::kClassChaos || rule.to != wire::kClassIn) {
    AddNote(notes, from, "rewrite", "has no effect: only class CH can be rewritten, to IN");
  }
  return words.End();
}

absl::StatusOr<uint8_t> ParseBits(const Token& token, uint8_t most) {
  auto bits = ParseNumber(token, most);
  if (!bits.ok()) return bits.status();
  return static_cast<uint8_t>(*bits);
}

absl::Status ParseOptionCode(const Token& token, OptionRule& option) {
  const bool hex = Lower(token.text).starts_with("0x");
  const std::string_view digits = std::string_view(token.text).substr(hex ? 2 : 0);
  const auto [end, error] =
      std::from_chars(digits.data(), digits.data() + digits.size(), option.code, hex ? 16 : 10);
  if (error == std::errc() && end == digits.data() + digits.size()) return absl::OkStatus();
  return token.Error(fmt::format("'{}' is no option code from 0 to 65535", token.text));
}

absl::Status ParseVariable(const Token& token, OptionRule& option,
                           std::vector<std::string>* notes) {
  using Data = OptionRule::Data;
  static constexpr std::string_view kVariables[] = {"{qname}",       "{qtype}",    "{client_ip}",
                                                    "{client_port}", "{protocol}", "{server_ip}",
                                                    "{server_port}"};
  static constexpr Data kData[] = {Data::kName, Data::kType, Data::kClientAddress,
                                   Data::kClientPort, Data::kTransport};
  const auto found = OneOf<size_t>(token, kVariables);
  if (found.has_value() && *found < std::size(kData)) {
    option.data = kData[*found];
    return absl::OkStatus();
  }
  const bool metadata = token.text.find('/') != std::string::npos;
  if (!found.has_value() && !metadata) return NoSuchWord(token, "variable", kVariables);
  // CoreDNS leaves out a rule whose label of `metadata` is not set.
  AddNote(notes, token, "rewrite",
          metadata ? "the rule has no effect: no metadata is collected"
                   : "the rule has no effect: the address that a pod asked is not known");
  option.action = OptionRule::Action::kReplace;
  option.code = 0;
  return absl::OkStatus();
}

absl::Status ParseData(const Token& token, OptionRule& option) {
  option.fixed = token.text;
  if (!token.text.starts_with("0x")) return absl::OkStatus();
  option.fixed.clear();
  for (size_t at = 2; at < token.text.size(); at += 2) {
    uint8_t byte = 0;
    const char* begin = token.text.data() + at;
    const auto [end, error] = std::from_chars(
        begin, std::min(begin + 2, token.text.data() + token.text.size()), byte, 16);
    if (error != std::errc() || end != begin + 2) {
      return token.Error(fmt::format("'{}' is no sequence of bytes in hexadecimal", token.text));
    }
    option.fixed += static_cast<char>(byte);
  }
  return absl::OkStatus();
}

absl::Status ReadLocalOption(Words& words, OptionRule& option, std::vector<std::string>* notes) {
  const bool unset = option.action == OptionRule::Action::kUnset;
  absl::Status status = words.Need(unset ? 1 : 2, "a code and data");
  if (status.ok()) status = ParseOptionCode(words.Next(), option);
  if (!status.ok() || unset) return status;
  const Token data = words.Next();
  if (data.text.starts_with('{') && data.text.ends_with('}')) {
    return ParseVariable(data, option, notes);
  }
  status = ParseData(data, option);
  if (status.ok() && option.fixed.size() > OtherQuestion::kMaxOptionBytes - 4) {
    return data.Error(fmt::format("{} bytes of data: at most {} fit", option.fixed.size(),
                                  OtherQuestion::kMaxOptionBytes - 4));
  }
  return status;
}

absl::Status ReadSubnetOption(Words& words, OptionRule& option) {
  constexpr uint16_t kClientSubnet = 8;
  option.code = kClientSubnet;
  option.data = OptionRule::Data::kSubnet;
  if (option.action == OptionRule::Action::kUnset) return absl::OkStatus();
  absl::Status status = words.Need(2, "bits of IPv4 and of IPv6 addresses");
  if (!status.ok()) return status;
  auto v4 = ParseBits(words.Next(), 32);
  if (!v4.ok()) return v4.status();
  auto v6 = ParseBits(words.Next(), 128);
  if (!v6.ok()) return v6.status();
  option.v4_bits = *v4;
  option.v6_bits = *v6;
  return absl::OkStatus();
}

absl::Status ReadEdns(Words& words, RewriteRule& rule, std::vector<std::string>* notes) {
  static constexpr std::string_view kOptions[] = {"local", "nsid", "subnet"};
  static constexpr std::string_view kActions[] = {"set", "append", "replace", "unset"};
  absl::Status status = words.Need(2, "an option and an action");
  if (!status.ok()) return status;
  const Token name = words.Next();
  const auto option = OneOf<size_t>(name, kOptions);
  if (!option.has_value()) return NoSuchWord(name, "EDNS option", kOptions);
  const Token& word = words.Next();
  const auto action = OneOf<OptionRule::Action>(word, kActions);
  if (!action.has_value()) return NoSuchWord(word, "action", kActions);
  rule.option.action = *action;
  if (*option == 0) {
    status = ReadLocalOption(words, rule.option, notes);
  } else if (*option == 1) {
    constexpr uint16_t kNsid = 3;
    rule.option.code = kNsid;
    AddNote(notes, name, "rewrite", "upstreams are not asked for it: NSID is between neighbours");
  } else {
    status = ReadSubnetOption(words, rule.option);
  }
  if (status.ok() && words.NextIs("revert")) {
    words.Next();
    rule.option.revert = true;
  }
  return status.ok() ? words.End() : status;
}

absl::Status ReadRule(Words& words, RewriteRule& rule, std::vector<std::string>* notes) {
  if (words.NextIs("continue") || words.NextIs("stop")) {
    rule.go_on = words.NextIs("continue");
    words.Next();
  }
  absl::Status status = words.Need(1, "what to rewrite");
  if (!status.ok()) return status;
  const Token name = words.Next();
  if (Lower(name.text) == "answer") {
    return name.Error("an answer rule stands behind the name rule that it belongs to");
  }
  const auto field = OneOf<Field>(name, kFields);
  if (!field.has_value()) return NoSuchWord(name, "field", kFields);
  rule.field = *field;
  switch (*field) {
    case Field::kName:
      return ReadName(words, rule);
    case Field::kType:
      return ReadType(words, rule);
    case Field::kClass:
      return ReadClass(words, rule, notes);
    case Field::kTtl:
      return ReadTtl(words, rule);
    case Field::kRcode:
      return ReadRcode(words, rule);
    case Field::kCname:
      return ReadCname(words, rule);
    case Field::kEdns0:
      return ReadEdns(words, rule, notes);
  }
  return absl::OkStatus();
}

// As in the Corefile, on one line.
std::string TextOf(const Directive& directive) {
  std::string text = directive.name.text;
  for (const Token& argument : directive.arguments) text += ' ' + argument.text;
  if (directive.block.empty()) return text;
  text += " {";
  for (const Directive& line : directive.block) text += ' ' + TextOf(line) + ';';
  return text + " }";
}

}  // namespace

absl::Status LoadRewrite(const Directive& directive, LoadContext& context) {
  Words words(directive);
  RewriteRule rule;
  absl::Status status = ReadRule(words, rule, context.notes());
  if (!status.ok()) return status;
  auto& rules = context.rewrite_rules();
  if (rules == nullptr) {
    rules = std::make_shared<std::vector<RewriteRule>>();
    // A copy: each worker compiles patterns of its own.
    context.AddLink([rules](const PluginContext&) { return std::make_unique<Rewrite>(*rules); });
  }
  if (rules->size() == kMaxRules) {
    return directive.name.Error(fmt::format("more than {} rewrite rules", kMaxRules));
  }
  rule.written_at = context.written_at();
  rule.text = TextOf(directive);
  rules->push_back(std::move(rule));
  return absl::OkStatus();
}

}  // namespace portolan::dns

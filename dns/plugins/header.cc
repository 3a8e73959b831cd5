#include "dns/plugins/header.h"

#include <algorithm>
#include <array>
#include <span>

#include "absl/strings/ascii.h"
#include "dns/plugins/arguments.h"
#include "dns/wire/bytes.h"
#include "dns/wire/reply.h"

namespace portolan::dns {
namespace {

using corefile::Directive;
using corefile::Token;

absl::Status AddFlags(const Token& action, std::span<const Token> flags, FlagRules& rules) {
  static constexpr std::array<std::string_view, 2> kActions = {"set", "clear"};
  static constexpr std::array<std::string_view, 3> kFlags = {"aa", "ra", "rd"};
  const bool set = absl::AsciiStrToLower(action.text) == "set";
  if (!set && absl::AsciiStrToLower(action.text) != "clear")
    return UnknownWord(action, "header", kActions);
  if (flags.empty()) return action.Error(fmt::format("header: {} needs a flag", action.text));
  for (const Token& flag : flags) {
    const std::string name = absl::AsciiStrToLower(flag.text);
    uint16_t bit = 0;
    if (name == "aa") bit = wire::flag::kAuthoritative;
    if (name == "ra") bit = wire::flag::kRecursionAvailable;
    if (name == "rd") bit = wire::flag::kRecursionDesired;
    if (bit == 0) return UnknownWord(flag, "header", kFlags);
    rules.set = static_cast<uint16_t>(set ? rules.set | bit : rules.set & ~bit);
    rules.clear = static_cast<uint16_t>(set ? rules.clear & ~bit : rules.clear | bit);
  }
  return absl::OkStatus();
}

absl::Status AddRule(const Directive& line, HeaderRules& rules) {
  static constexpr std::array<std::string_view, 4> kSelectors = {"query", "response", "set",
                                                                 "clear"};
  const std::string selector = absl::AsciiStrToLower(line.name.text);
  absl::Status status = CheckNoBlock(line);
  if (!status.ok()) return status;
  if (selector == "set" || selector == "clear") {
    return AddFlags(line.name, line.arguments, rules.response);
  }
  if (selector != "query" && selector != "response") {
    return UnknownOption(line, "header", kSelectors);
  }
  if (line.arguments.empty()) return line.name.Error("header: 'set' or 'clear' must follow");
  return AddFlags(line.arguments[0], std::span(line.arguments).subspan(1),
                  selector == "query" ? rules.query : rules.response);
}

}  // namespace

absl::Status LoadHeader(const Directive& directive, LoadContext& context) {
  absl::Status status = CheckArguments(directive, 0, 0);
  if (!status.ok()) return status;
  HeaderRules rules;
  for (const Directive& line : directive.block) {
    status = AddRule(line, rules);
    if (!status.ok()) return status;
  }
  if (rules.query.empty() && rules.response.empty()) {
    return directive.name.Error("header needs a rule, such as 'response set ra'");
  }
  context.AddLink([rules](const PluginContext&) { return std::make_unique<Header>(rules); });
  return absl::OkStatus();
}

Verdict Header::OnQuery(Exchange& exchange) {
  if (!rules_.query.empty()) exchange.AskWithFlags(rules_.query.ApplyTo(exchange.query().flags));
  return Verdict::kNext;
}

After Header::OnReply(Exchange& exchange) {
  if (exchange.asked_instead().has_value()) exchange.TakeBack();
  uint8_t* flags = exchange.reply().data() + 2;
  wire::Store16(flags, rules_.response.ApplyTo(wire::Load16(flags)));
  return After::kReply;
}

}  // namespace portolan::dns

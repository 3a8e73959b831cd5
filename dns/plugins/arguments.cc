#include "dns/plugins/arguments.h"

#include <charconv>

#include "common/nearest.h"

namespace portolan::dns {

absl::Status CheckArguments(const corefile::Directive& line, size_t least, size_t most) {
  const size_t count = line.arguments.size();
  if (count < least) {
    return line.name.Error(fmt::format("{} needs {}{} argument{}", line.name.text,
                                       least == most ? "" : "at least ", least,
                                       least == 1 ? "" : "s"));
  }
  if (count > most) {
    const corefile::Token& extra = line.arguments[most];
    return extra.Error(fmt::format("'{}': {} takes {}", extra.text, line.name.text,
                                   most == 0   ? std::string("no arguments")
                                   : most == 1 ? std::string("one argument")
                                               : fmt::format("at most {} arguments", most)));
  }
  return absl::OkStatus();
}

absl::Status CheckNoBlock(const corefile::Directive& line) {
  if (line.block.empty()) return absl::OkStatus();
  const corefile::Token& first = line.block.front().name;
  return first.Error(fmt::format("'{}': {} has no options", first.text, line.name.text));
}

absl::Status CheckBare(const corefile::Directive& line) {
  absl::Status status = CheckArguments(line, 0, 0);
  return status.ok() ? CheckNoBlock(line) : status;
}

absl::StatusOr<uint64_t> ParseNumber(const corefile::Token& token, uint64_t most) {
  const std::string& text = token.text;
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value > most) {
    return token.Error(fmt::format("'{}' is not a number from 0 to {}", text, most));
  }
  return value;
}

absl::StatusOr<absl::Duration> ParseDuration(const corefile::Token& token) {
  absl::Duration duration;
  if (!absl::ParseDuration(token.text, &duration) || duration < absl::ZeroDuration() ||
      duration == absl::InfiniteDuration()) {
    return token.Error(fmt::format("'{}' is not a duration such as 5s or 1m30s", token.text));
  }
  return duration;
}

absl::Status UnknownOption(const corefile::Directive& line, std::string_view directive,
                           std::span<const std::string_view> known) {
  const std::string& name = line.name.text;
  return line.name.Error(
      fmt::format("unknown option '{}' of {}{}", name, directive, DidYouMean(name, known)));
}

absl::Status UnknownWord(const corefile::Token& token, std::string_view directive,
                         std::span<const std::string_view> known) {
  return token.Error(fmt::format("unknown word '{}' in {}{}", token.text, directive,
                                 DidYouMean(token.text, known)));
}

void AddNote(std::vector<std::string>* notes, const corefile::Token& token,
             std::string_view directive, std::string_view consequence) {
  notes->push_back(fmt::format("{}:{}:{}: {}: '{}': {}", *token.file, token.line, token.column,
                               directive, token.text, consequence));
}

}  // namespace portolan::dns

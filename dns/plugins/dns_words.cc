#include "dns/plugins/dns_words.h"

#include <charconv>
#include <span>
#include <string_view>
#include <vector>

#include "common/nearest.h"
#include "dns/wire/mnemonics.h"

namespace portolan::dns {
namespace {

using corefile::Token;

std::string Upper(std::string text) {
  for (char& c : text) {
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c & ~0x20);
  }
  return text;
}

absl::StatusOr<uint16_t> Find(const Token& token, std::string_view what,
                              std::span<const wire::Mnemonic> words) {
  const std::string name = Upper(token.text);
  std::vector<std::string_view> names;
  for (const wire::Mnemonic& known : words) {
    if (known.word == name) return known.number;
    names.push_back(known.word);
  }
  return token.Error(fmt::format("unknown {} '{}'{}", what, token.text, DidYouMean(name, names)));
}

}  // namespace

absl::StatusOr<uint16_t> ParseType(const Token& token) {
  const std::string name = Upper(token.text);
  if (const auto type = wire::FindType(name)) return *type;
  // RFC 3597 5.
  uint16_t number = 0;
  const char* end = name.data() + name.size();
  if (name.starts_with("TYPE")) {
    const auto [stop, error] = std::from_chars(name.data() + 4, end, number);
    if (error == std::errc() && stop == end && number != 0) return number;
  }
  std::vector<std::string_view> known;
  for (const wire::Mnemonic& type : wire::AllTypes()) known.push_back(type.word);
  return token.Error(fmt::format("unknown type '{}'{}", token.text, DidYouMean(name, known)));
}

absl::StatusOr<uint16_t> ParseClass(const Token& token) {
  return Find(token, "class", wire::AllClasses());
}

absl::StatusOr<uint16_t> ParseRcode(const Token& token) {
  uint16_t number = 0;
  const char* end = token.text.data() + token.text.size();
  const auto [stop, error] = std::from_chars(token.text.data(), end, number);
  if (error == std::errc() && stop == end && number <= wire::AllRcodes().back().number) {
    return number;
  }
  return Find(token, "rcode", wire::AllRcodes());
}

std::string TypeName(uint16_t type) {
  const std::string_view word = wire::TypeWord(type);
  return word.empty() ? fmt::format("TYPE{}", type) : std::string(word);
}

}  // namespace portolan::dns

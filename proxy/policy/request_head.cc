// HTTP/1: RFC 9112 2 to 5.
#include <algorithm>
#include <optional>

#include "absl/strings/ascii.h"
#include "proxy/policy/greeting_parts.h"

namespace portolan::proxy {
namespace {

using Kind = Greeting::Kind;
using Text = std::string_view;

constexpr Text kBlanks = " \t";
// What servers take between the words of a request line (RFC 9112 3), Python's even all that is
// white space in Latin-1. The last two are part of letters in UTF-8 as well.
constexpr Text kSeparators = " \t\v\f\r\x1c\x1d\x1e\x1f\x85\xa0";
constexpr Text kOddSeparators = "\v\f\r\x1c\x1d\x1e\x1f";
constexpr Text kSchemeEnd = "://";

// RFC 9110 5.6.2.
bool IsTokenChar(char c) {
  constexpr Text kOthers = "!#$%&'*+-.^_`|~";
  return absl::ascii_isalnum(static_cast<unsigned char>(c)) || kOthers.find(c) != kOthers.npos;
}

bool IsToken(Text text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), IsTokenChar);
}

// REQUIRES: `lower` is in lower case.
bool IsAnyCase(Text text, Text lower) {
  return std::equal(text.begin(), text.end(), lower.begin(), lower.end(), [](char a, char b) {
    return absl::ascii_tolower(static_cast<unsigned char>(a)) == b;
  });
}

Text Trimmed(Text text, Text of = kBlanks) {
  const size_t begin = std::min(text.find_first_not_of(of), text.size());
  return text.substr(begin, text.find_last_not_of(of) + 1 - begin);
}

// Other protocols have bytes like these behind what could be a method: an LDAP bind is "0\f...".
bool EndsMethod(char c, Text method) {
  if (kBlanks.find(c) != kBlanks.npos) return true;
  const bool is_usual = method.size() >= 3 && std::all_of(method.begin(), method.end(), [](char m) {
                          return absl::ascii_isupper(static_cast<unsigned char>(m)) || m == '-';
                        });
  return is_usual && kSeparators.find(c) != kSeparators.npos;
}

// Some take it for the end of a line.
bool HasBareCr(Text line) { return line.find('\r') != line.npos; }

// Ended by LF with or without CR, which RFC 9112 2.2 lets servers take.
class Lines {
 public:
  Lines(Text text, bool ended) : rest_(text), ended_(ended) {}

  // False: there is none, or not all of it.
  bool Next(Text& line) {
    const size_t end = rest_.find('\n');
    if (end == rest_.npos && (!ended_ || rest_.empty())) return false;
    line = rest_.substr(0, end);
    rest_.remove_prefix(std::min(line.size() + 1, rest_.size()));
    if (line.ends_with('\r')) line.remove_suffix(1);
    return true;
  }

 private:
  Text rest_;
  const bool ended_;
};

// Where "HTTP/..." stands as a word of its own behind the method, the last one.
std::optional<size_t> VersionAt(Text rest) {
  constexpr Text kHttp = "http/";
  for (size_t at = rest.size(); at-- > 0;) {
    const bool begins_word = at == 0 || kSeparators.find(rest[at - 1]) != kSeparators.npos;
    if (begins_word && IsAnyCase(rest.substr(at, kHttp.size()), kHttp)) return at;
  }
  return std::nullopt;
}

// What the target of a request says itself (RFC 9112 3.2).
Greeting OfTarget(Text method, Text target) {
  if (method == "CONNECT") return GreetingOfAuthority(target);
  if (target.starts_with('/') || target == "*") return {Kind::kNoName, {}, {}};
  const size_t scheme_end = target.find(kSchemeEnd);
  if (scheme_end == target.npos || !IsToken(target.substr(0, scheme_end))) {
    return kMalformedGreeting;
  }
  const Text rest = target.substr(scheme_end + kSchemeEnd.size());
  return GreetingOfAuthority(rest.substr(0, rest.find_first_of("/?#")));
}

// A line without a version of HTTP: HTTP/0.9, or something else altogether. Some servers take a
// target with an authority whatever follows, and read header fields behind HTTP/0.9, so neither can
// pass for a greeting without a name. RTSP and ICAP name their servers in the same place.
Greeting WithoutVersion(Text method, Text rest) {
  const Text target = rest.substr(0, rest.find_first_of(kSeparators));
  const bool is_upper = std::none_of(method.begin(), method.end(), absl::ascii_islower);
  if (is_upper && target.find(kSchemeEnd) != target.npos) return OfTarget(method, target);
  // Other white space may be part of a target, or end it: which it is differs between servers.
  if (is_upper && target.starts_with('/') && rest.find(' ') == rest.npos) {
    return kMalformedGreeting;
  }
  return {Kind::kUnknown, {}, {}};
}

// The Host field. Folded lines (RFC 9112 5.2), blanks before a colon and a second Host are taken in
// different ways, and no client sends them.
Greeting OfFields(Lines& lines, bool ended) {
  std::optional<Text> host;
  for (Text line; lines.Next(line);) {
    if (line.empty()) ended = true;
    if (line.empty()) break;
    const size_t colon = line.find(':');
    if (colon == line.npos || !IsToken(line.substr(0, colon)) || HasBareCr(line)) {
      return kMalformedGreeting;
    }
    if (!IsAnyCase(line.substr(0, colon), "host")) continue;
    if (host.has_value()) return kMalformedGreeting;
    host = Trimmed(line.substr(colon + 1));
  }
  if (!ended) return {};
  if (!host.has_value() || host->empty()) return {Kind::kNoName, {}, {}};
  return GreetingOfAuthority(*host);
}

bool IsSame(const Greeting& a, const Greeting& b) {
  const auto name = a.name.view(), other = b.name.view();
  return a.kind == b.kind && a.address == b.address &&
         std::equal(name.begin(), name.end(), other.begin(), other.end());
}

}  // namespace

Greeting ReadRequestHead(std::span<const uint8_t> bytes, bool ended) {
  const Text text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  const Greeting none_yet{ended ? Kind::kUnknown : Kind::kUnfinished, {}, {}};
  // Empty lines may come first (RFC 9112 2.2).
  const size_t begin = text.find_first_not_of(" \t\r\n");
  if (begin == text.npos) return none_yet;
  const auto* method_end = std::find_if_not(text.begin() + begin, text.end(), IsTokenChar);
  if (method_end == text.end()) return none_yet;
  const Text method = text.substr(begin, method_end - text.begin() - begin);
  if (method.empty() || !EndsMethod(*method_end, method)) return {Kind::kUnknown, {}, {}};

  Lines lines(text.substr(begin), ended);
  Text line;
  if (!lines.Next(line)) return {};
  const Text rest = Trimmed(line.substr(method.size()), kSeparators);
  const std::optional<size_t> version = VersionAt(rest);
  if (!version.has_value()) return WithoutVersion(method, rest);
  if (method == "PRI" && rest == "* HTTP/2.0") return {Kind::kUnknown, {}, {}};  // RFC 9113 3.4
  if (line.find_first_of(kOddSeparators) != line.npos) return kMalformedGreeting;

  const Greeting target = OfTarget(method, Trimmed(rest.substr(0, *version), kSeparators));
  if (target.kind == Kind::kMalformed) return target;
  const Greeting host = OfFields(lines, ended);
  if (target.kind == Kind::kNoName || host.kind == Kind::kUnfinished) return host;
  // The target is to count alone (RFC 9112 3.2.2), but not all servers have it so.
  return host.kind == Kind::kNoName || IsSame(host, target) ? target : kMalformedGreeting;
}

}  // namespace portolan::proxy

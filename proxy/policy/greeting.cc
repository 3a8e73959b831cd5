#include "proxy/policy/greeting.h"

#include <algorithm>
#include <optional>
#include <string_view>

#include "proxy/policy/greeting_parts.h"

namespace portolan::proxy {
namespace {

constexpr std::string_view kHostLetters =
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";
constexpr std::string_view kDigits = "0123456789";

bool Consists(std::string_view text, std::string_view of) {
  return text.find_first_not_of(of) == text.npos;
}

std::optional<Greeting> OfAddress(std::string_view text) {
  const auto address = IpAddress::Parse(text);
  if (!address.ok()) return std::nullopt;
  return Greeting{Greeting::Kind::kAddress, {}, *address};
}

}  // namespace

Greeting GreetingOfHost(std::string_view host) {
  if (host.find(':') != host.npos) return OfAddress(host).value_or(kMalformedGreeting);
  if (!Consists(host, kHostLetters)) return kMalformedGreeting;
  if (Consists(host, "0123456789.")) {
    if (const auto address = OfAddress(host)) return *address;
  }
  Greeting greeting;
  if (host.empty() || !dns::wire::ReadText(host, greeting.name)) return kMalformedGreeting;
  dns::wire::LowerName(std::span(greeting.name.bytes).first(greeting.name.size));
  greeting.kind = Greeting::Kind::kName;
  return greeting;
}

Greeting GreetingOfAuthority(std::string_view authority) {
  std::string_view host;
  if (authority.starts_with('[')) {
    const size_t end = authority.find(']');
    if (end == authority.npos) return kMalformedGreeting;
    host = authority.substr(1, end - 1);
    authority.remove_prefix(end + 1);
    if (host.find(':') == host.npos) return kMalformedGreeting;
  } else {
    host = authority.substr(0, authority.find(':'));
    authority.remove_prefix(host.size());
  }
  const bool port_is_well = authority.empty() || authority.front() == ':';
  if (!port_is_well || !Consists(authority.substr(authority.empty() ? 0 : 1), kDigits)) {
    return kMalformedGreeting;
  }
  return GreetingOfHost(host);
}

Greeting ReadGreeting(std::span<const uint8_t> bytes, bool ended) {
  const bool full = bytes.size() >= Greeting::kMostBytes;
  if (full) {
    bytes = bytes.first(Greeting::kMostBytes);
    ended = false;  // of what is read
  }
  if (bytes.empty()) return {ended ? Greeting::Kind::kSilent : Greeting::Kind::kUnfinished, {}, {}};
  Greeting greeting = MayBeTls(bytes[0]) ? ReadClientHello(bytes) : ReadRequestHead(bytes, ended);
  if (greeting.kind != Greeting::Kind::kUnfinished) return greeting;
  if (full) greeting.kind = Greeting::Kind::kTooLong;
  if (ended) greeting.kind = Greeting::Kind::kMalformed;
  return greeting;
}

std::string InWords(const Greeting& greeting) {
  switch (greeting.kind) {
    case Greeting::Kind::kName:
      return "the server name " + dns::wire::NameToText(greeting.name.view());
    case Greeting::Kind::kAddress:
      return "the server name " + greeting.address.ToString();
    case Greeting::Kind::kMalformed:
      return "a malformed greeting";
    case Greeting::Kind::kTooLong:
      return "a greeting that is too long";
    case Greeting::Kind::kTooSlow:
      return "a greeting that takes too long";
    case Greeting::Kind::kUnfinished:
    case Greeting::Kind::kNoName:
    case Greeting::Kind::kUnknown:
    case Greeting::Kind::kSilent:
      break;
  }
  return "no server name";
}

}  // namespace portolan::proxy

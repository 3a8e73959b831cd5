// The words of people for the numbers of a message: record types, classes and rcodes, as the IANA
// registry and CoreDNS write them (https://www.iana.org/assignments/dns-parameters). Any thread,
// allocates nothing.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace portolan::dns::wire {

struct Mnemonic {
  uint16_t number;
  std::string_view word;
};

// "AAAA"; empty for a type without a word.
std::string_view TypeWord(uint16_t type);
// Upper case, as CoreDNS demands: "AAAA". "ANY" is 255.
std::optional<uint16_t> FindType(std::string_view word);
std::span<const Mnemonic> AllTypes();

// "IN", "CH"; empty for a class without a word.
std::string_view ClassWord(uint16_t qclass);
std::span<const Mnemonic> AllClasses();

// "NOERROR", "NXDOMAIN"; empty for one without a word.
std::string_view RcodeWord(uint16_t rcode);
std::span<const Mnemonic> AllRcodes();

}  // namespace portolan::dns::wire

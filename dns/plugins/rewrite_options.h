// EDNS options of a question on its way to an upstream, and how `rewrite edns0` changes them
// (RFC 6891 6.1.2; RFC 7871 for the client subnet). Nothing allocates.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "dns/exchange.h"

namespace portolan::dns {

class OptionList {
 public:
  // Options that do not parse, or are too many, are left out as a whole.
  explicit OptionList(std::span<const uint8_t> options);

  std::span<const uint8_t> bytes() const { return std::span(bytes_).first(size_); }
  bool Has(uint16_t code) const { return Find(code) < size_; }
  // Empty if there is no such option.
  std::span<const uint8_t> DataOf(uint16_t code) const;
  void Remove(uint16_t code);
  // False if there is no room.
  bool Append(uint16_t code, std::span<const uint8_t> data);

 private:
  size_t Find(uint16_t code) const;

  std::array<uint8_t, OtherQuestion::kMaxOptionBytes> bytes_;
  size_t size_ = 0;
};

struct OptionRule {
  enum class Action : uint8_t { kSet, kAppend, kReplace, kUnset };
  enum class Data : uint8_t {
    kFixed,
    kSubnet,
    kName,
    kType,
    kClientAddress,
    kClientPort,
    kTransport,
  };

  Action action = Action::kSet;
  uint16_t code = 0;
  Data data = Data::kFixed;
  std::string fixed;
  uint8_t v4_bits = 0;  // of the client's address, for kSubnet
  uint8_t v6_bits = 0;
  // Replies have what the client sent in the place of such an option, or none.
  bool revert = false;

  // False if it did not apply.
  bool Apply(const Exchange& exchange, const wire::Query& client, OptionList& options) const;
  void Revert(const OptionList& of_client, OptionList& of_reply) const;
};

}  // namespace portolan::dns

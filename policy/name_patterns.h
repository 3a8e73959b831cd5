// Which rules have a name: exact ones and "*." patterns of any number of rules, found by a hash of
// the name and one of each of its ends that is as long as some pattern.
//
// Immutable; any thread. Looking up allocates nothing.
#pragma once

#include <array>
#include <bitset>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "common/string_map.h"
#include "dns/wire/name.h"
#include "policy/port_table.h"

namespace portolan {

class NamePatterns {
 public:
  NamePatterns() = default;
  // A pattern that is no name, which its reader refuses, matches nothing.
  NamePatterns(std::span<const NumberedRule> rules, SharedAllowedPorts& ports);

  // The lowest rules that have a name, whatever their ports, by Side; kNoRule: none.
  using Rules = std::array<uint32_t, 2>;
  // `wire_name`: uncompressed with the root label, in any case; what is none is matched by nothing.
  Rules Find(std::span<const uint8_t> wire_name) const;
  // Of a name in lower case, which costs no copy.
  Rules FindLower(std::span<const uint8_t> lower_name) const;
  // The lowest of a side that has it with the port, or kNoRule.
  uint32_t Find(std::span<const uint8_t> wire_name, Side side, Protocol protocol,
                uint16_t port) const;

 private:
  struct Entry {
    Rules first = {kNoRule, kNoRule};
    std::shared_ptr<const AllowedPorts> ports;
  };
  using Entries = StringMap<Entry>;  // by the wire form in lower case

  template <typename F>
  void ForEach(std::span<const uint8_t> lower_name, F&& visit) const;

  Entries exact_;
  Entries below_;
  std::bitset<dns::wire::kMaxLabels + 1> below_labels_;  // numbers of labels that `below_` has
};

}  // namespace portolan

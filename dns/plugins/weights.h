// The file of `loadbalance weighted`: how likely each address of a name is to come first.
//
//   # a comment
//   www.example.com
//   100.64.1.1 3
//   100.64.1.2 1
//
// Weights are 1 to 255; an address that is not listed has 1.
// https://coredns.io/plugins/loadbalance/ Immutable once read; any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "common/ip.h"
#include "common/string_map.h"

namespace portolan::dns {

class Weights {
 public:
  using OfName = std::vector<std::pair<IpAddress, uint8_t>>;

  // Errors name the line: "FILE:3: '300' is not a weight from 1 to 255".
  static absl::StatusOr<Weights> Parse(std::string_view text, std::string_view file);

  // Null if the file does not list `name`, in wire form and lower case.
  const OfName* Find(std::string_view name) const {
    const auto found = names_.find(name);
    return found == names_.end() ? nullptr : &found->second;
  }

  static uint32_t Of(const OfName& weights, const IpAddress& address);

 private:
  StringMap<OfName> names_;
};

}  // namespace portolan::dns

// Fields that objects of many kinds have, read from a Field: addresses, labels, ports, times, words
// of which the API knows a few. What is wrong goes to the Field's FieldErrors. Any thread.
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "common/document/value.h"
#include "common/ip.h"
#include "directory/model.h"

namespace portolan::xds {

inline constexpr int64_t kMaxPort = 65535;

IpAddress ReadIp(const Field& field);
std::vector<IpAddress> ReadIps(const Field& list);
Cidr ReadCidr(const Field& field);
std::vector<Cidr> ReadCidrs(const Field& list);

// Those whose keys begin with `prefix`.
LabelMap ReadLabels(const Field& map, std::string_view prefix = {});

Protocol ReadProtocol(const Field& field);
// 1 when absent.
uint16_t ReadPort(const Field& field);
// RFC 3339; the infinite past when absent.
absl::Time ReadTime(const Field& field);

// One of the words that the API knows; the first when absent.
template <typename E>
E ReadWord(const Field& field, std::initializer_list<std::pair<std::string_view, E>> words) {
  const std::string text = field.String();
  if (text.empty()) return words.begin()->second;
  for (const auto& [word, value] : words) {
    if (text == word) return value;
  }
  std::string known;
  for (const auto& [word, value] : words) {
    known += known.empty() ? "" : ", ";
    known += word;
  }
  field.Fail(fmt::format("'{}' is none of {}", text, known));
  return words.begin()->second;
}

}  // namespace portolan::xds

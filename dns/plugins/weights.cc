#include "dns/plugins/weights.h"

#include <charconv>
#include <sstream>

#include "common/status.h"
#include "dns/wire/name.h"

namespace portolan::dns {
namespace {

absl::StatusOr<uint8_t> ParseWeight(const std::string& word) {
  unsigned weight = 0;
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), weight);
  if (error != std::errc() || end != word.data() + word.size() || weight < 1 || weight > 255) {
    return InvalidArgument("'{}' is not a weight from 1 to 255", word);
  }
  return static_cast<uint8_t>(weight);
}

absl::StatusOr<std::string> ParseName(const std::string& word) {
  if (IpAddress::Parse(word).ok()) {
    return InvalidArgument("'{}' is an address without a weight", word);
  }
  auto name = wire::NameToWire(word);
  if (name.ok()) wire::LowerName(*name);
  return name;
}

}  // namespace

absl::StatusOr<Weights> Weights::Parse(std::string_view text, std::string_view file) {
  Weights weights;
  OfName* of_name = nullptr;
  std::istringstream lines{std::string(text)};
  std::string line;
  for (int number = 1; std::getline(lines, line); ++number) {
    auto bad = [&](std::string_view why) {
      return InvalidArgument("{}:{}: {}", file, number, why);
    };
    std::istringstream words(line);
    std::string first, second, more;
    words >> first >> second >> more;
    if (first.empty() || first.starts_with('#')) continue;
    if (!more.empty()) return bad(fmt::format("'{}': a name, or an address and a weight", more));
    if (second.empty()) {
      auto name = ParseName(first);
      if (!name.ok()) return bad(Message(name.status()));
      of_name = &weights.names_[*name];
      continue;
    }
    auto address = IpAddress::Parse(first);
    if (!address.ok()) return bad(Message(address.status()));
    auto weight = ParseWeight(second);
    if (!weight.ok()) return bad(Message(weight.status()));
    if (of_name == nullptr) return bad("a name must stand before its addresses");
    of_name->emplace_back(*address, *weight);
  }
  return weights;
}

uint32_t Weights::Of(const OfName& weights, const IpAddress& address) {
  for (const auto& [listed, weight] : weights) {
    if (listed == address) return weight;
  }
  return 1;
}

}  // namespace portolan::dns

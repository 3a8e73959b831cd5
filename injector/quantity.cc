#include "injector/quantity.h"

#include <array>
#include <charconv>
#include <utility>

namespace portolan::injector {
namespace {

constexpr size_t kMaxQuantity = 24;
constexpr std::array<std::pair<std::string_view, double>, 14> kSuffixes = {{
    {"", 1},
    {"m", 1e-3},
    {"k", 1e3},
    {"M", 1e6},
    {"G", 1e9},
    {"T", 1e12},
    {"P", 1e15},
    {"E", 1e18},
    {"Ki", 0x1p10},
    {"Mi", 0x1p20},
    {"Gi", 0x1p30},
    {"Ti", 0x1p40},
    {"Pi", 0x1p50},
    {"Ei", 0x1p60},
}};

}  // namespace

std::optional<double> ParseQuantity(std::string_view text) {
  if (text.size() > kMaxQuantity) return std::nullopt;
  const size_t digits = std::min(text.find_first_not_of("0123456789."), text.size());
  double number = 0;
  const auto [stop, error] =
      std::from_chars(text.data(), text.data() + digits, number, std::chars_format::fixed);
  if (error != std::errc() || stop != text.data() + digits || text[0] == '.') return std::nullopt;
  for (const auto& [suffix, factor] : kSuffixes) {
    if (text.substr(digits) == suffix) return number * factor;
  }
  return std::nullopt;
}

}  // namespace portolan::injector

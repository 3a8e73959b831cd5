#include "xds/sources/names.h"

#include <algorithm>

namespace portolan::xds {
namespace {

bool IsAlphanumeric(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }

bool IsPart(std::string_view part) {
  return !part.empty() && IsAlphanumeric(part.front()) && IsAlphanumeric(part.back()) &&
         std::all_of(part.begin(), part.end(),
                     [](char c) { return IsAlphanumeric(c) || c == '-'; });
}

}  // namespace

bool IsLabel(std::string_view name) { return name.size() <= 63 && IsPart(name); }

bool IsSubdomain(std::string_view name) {
  if (name.size() > 253) return false;
  for (;;) {
    const size_t dot = name.find('.');
    if (!IsPart(name.substr(0, dot))) return false;
    if (dot == std::string_view::npos) return true;
    name.remove_prefix(dot + 1);
  }
}

}  // namespace portolan::xds

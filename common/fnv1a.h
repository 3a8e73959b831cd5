// FNV-1a of 64 bits (http://www.isthe.com/chongo/tech/comp/fnv/): short, and the same in every
// program and release. Tells accidents apart, not attackers.
#pragma once

#include <cstdint>
#include <string_view>

namespace portolan {

inline constexpr uint64_t kFnv1aStart = 0xcbf29ce484222325u;

// Of what `hash` is of and then `bytes`.
constexpr uint64_t Fnv1a(std::string_view bytes, uint64_t hash = kFnv1aStart) {
  for (const char c : bytes) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  return hash;
}

}  // namespace portolan

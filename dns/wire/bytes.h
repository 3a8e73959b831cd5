// Big-endian integers in a message. The caller has checked that the bytes are there.
#pragma once

#include <cstdint>

namespace portolan::dns::wire {

inline uint16_t Load16(const uint8_t* at) { return static_cast<uint16_t>(at[0] << 8 | at[1]); }
inline uint32_t Load32(const uint8_t* at) {
  return static_cast<uint32_t>(Load16(at)) << 16 | Load16(at + 2);
}
inline void Store16(uint8_t* at, uint16_t value) {
  at[0] = static_cast<uint8_t>(value >> 8);
  at[1] = static_cast<uint8_t>(value);
}
inline void Store32(uint8_t* at, uint32_t value) {
  Store16(at, static_cast<uint16_t>(value >> 16));
  Store16(at + 2, static_cast<uint16_t>(value));
}

}  // namespace portolan::dns::wire

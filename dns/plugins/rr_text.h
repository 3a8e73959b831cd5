// A resource record as text in a zone file's form (RFC 1035 5.1), and as the bytes of a reply. By
// ldns, which takes the heap: constant records are read once, others for each question.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace portolan::dns {

struct ParsedRecord {
  std::vector<uint8_t> owner;  // wire form
  uint16_t type = 0;
  uint32_t ttl = 0;
  std::vector<uint8_t> rdata;  // uncompressed
};

// `text` is one record; a name without a final dot is taken as if it had one, a missing TTL is
// 3600 s. An error says what ldns says.
absl::StatusOr<ParsedRecord> ParseRecord(const char* text);

}  // namespace portolan::dns

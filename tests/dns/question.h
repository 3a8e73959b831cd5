// Queries for tests, as bytes.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "dns/wire/bytes.h"
#include "dns/wire/name.h"
#include "dns/wire/query.h"

namespace portolan::dns::test {

using Bytes = std::vector<uint8_t>;

struct QueryShape {
  uint16_t id = 0x1234;
  uint16_t flags = 0x0100;  // RD
  uint16_t qclass = wire::kClassIn;
  int edns_version = -1;  // -1: no OPT record
  uint16_t udp_payload = 1232;
  bool dnssec_ok = false;
  std::vector<uint8_t> edns_options = {};
};

inline void Append16(Bytes& out, uint16_t value) {
  out.push_back(static_cast<uint8_t>(value >> 8));
  out.push_back(static_cast<uint8_t>(value));
}

inline void AppendOpt(Bytes& out, const QueryShape& shape) {
  out.push_back(0);
  Append16(out, wire::type::kOpt);
  Append16(out, shape.udp_payload);
  out.push_back(0);
  out.push_back(static_cast<uint8_t>(shape.edns_version));
  Append16(out, shape.dnssec_ok ? 0x8000 : 0);
  Append16(out, static_cast<uint16_t>(shape.edns_options.size()));
  out.insert(out.end(), shape.edns_options.begin(), shape.edns_options.end());
}

// `name` in presentation form.
inline Bytes MakeQuery(std::string_view name, uint16_t type, const QueryShape& shape = {}) {
  Bytes out;
  Append16(out, shape.id);
  Append16(out, shape.flags);
  Append16(out, 1);
  Append16(out, 0);
  Append16(out, 0);
  Append16(out, shape.edns_version >= 0 ? 1 : 0);
  const std::string wire = *wire::NameToWire(name);
  out.insert(out.end(), wire.begin(), wire.end());
  Append16(out, type);
  Append16(out, shape.qclass);
  if (shape.edns_version >= 0) AppendOpt(out, shape);
  return out;
}

}  // namespace portolan::dns::test

// Records of a reply as the case files write them: "owner ttl type rdata".
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "dns/wire/message.h"

namespace portolan::dns::test {

// The records of one section without OPT; SOA serials as "*".
std::vector<std::string> RecordsOf(std::span<const uint8_t> reply, wire::Section section);

uint16_t TypeNumber(std::string_view name);

}  // namespace portolan::dns::test

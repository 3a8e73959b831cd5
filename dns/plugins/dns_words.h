// The names of types, classes and rcodes as they stand in a Corefile; letter case does not count.
// Errors are Token::Error with the nearest name. At load; any thread.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "dns/corefile/ast.h"

namespace portolan::dns {

// "AAAA", "ANY", "TYPE65280".
absl::StatusOr<uint16_t> ParseType(const corefile::Token& token);
// "IN", "CH", "HS", "ANY".
absl::StatusOr<uint16_t> ParseClass(const corefile::Token& token);
// "NXDOMAIN", "3".
absl::StatusOr<uint16_t> ParseRcode(const corefile::Token& token);

// "AAAA"; "TYPE65280" for one without a name.
std::string TypeName(uint16_t type);

}  // namespace portolan::dns

// DNS questions and replies as explain shows them: made and read by ldns. Any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "absl/status/statusor.h"
#include "common/resolv_conf.h"

namespace portolan::proxy {

// The names that a resolver asks for in turn, with a final dot, until one has an answer
// (resolv.conf(5): search list and ndots).
std::vector<std::string> NamesAskedFor(std::string_view name, const ResolvConf& resolv_conf);

// "AAAA" in any case; A if it is empty. kInvalidArgument names the nearest.
absl::StatusOr<uint16_t> ParseRecordType(const std::string& word);

// What a reply may hold over UDP; more is cut and shown as truncated.
inline constexpr size_t kMostReplyBytes = 4096;

// With an OPT record, so that Extended DNS Errors are said. Empty: no name that can be asked for.
std::vector<uint8_t> MakeQuery(const std::string& name, uint16_t type, uint16_t id);

// The id of a message; 0 where it is too short to have one.
uint16_t IdOf(std::span<const uint8_t> message);

// {"rcode", "answers": ["backend.default.svc.cluster.local. 30 IN A 10.43.0.123"], "truncated"?,
// "extendedErrors"?: [{"code", "text"}]}. kInvalidArgument: not the reply to a query with that id.
absl::StatusOr<nlohmann::json> ReadReply(std::span<const uint8_t> message, uint16_t id);

// Whether a resolver stops at the lookup: it has records.
bool HasAnswer(const nlohmann::json& lookup);

}  // namespace portolan::proxy

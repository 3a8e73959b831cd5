// What the parse functions of directives share: reading numbers, durations and options, and the
// wording of their errors and notes. Any thread.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "dns/corefile/ast.h"

namespace portolan::dns {

// An error unless `line` has `least` to `most` arguments.
absl::Status CheckArguments(const corefile::Directive& line, size_t least, size_t most);
absl::Status CheckNoBlock(const corefile::Directive& line);
// Neither arguments nor a block.
absl::Status CheckBare(const corefile::Directive& line);

absl::StatusOr<uint64_t> ParseNumber(const corefile::Token& token, uint64_t most);
// As Go writes durations: "5s", "1m30s"; not negative.
absl::StatusOr<absl::Duration> ParseDuration(const corefile::Token& token);

// "Corefile:3:8: unknown option 'fallthruogh' of hosts, did you mean 'fallthrough'?"
absl::Status UnknownOption(const corefile::Directive& line, std::string_view directive,
                           std::span<const std::string_view> known);

// "Corefile:3:8: unknown word 'sett' in header, did you mean 'set'?"
absl::Status UnknownWord(const corefile::Token& token, std::string_view directive,
                         std::span<const std::string_view> known);

// Adds "Corefile:3:8: forward: 'expire': CONSEQUENCE".
void AddNote(std::vector<std::string>* notes, const corefile::Token& token,
             std::string_view directive, std::string_view consequence);

}  // namespace portolan::dns

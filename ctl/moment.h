// Moments as an operator writes them. Any thread.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace portolan::ctl {

// "2026-11-23T14:03:05Z" (RFC 3339, with a zone), "14:03:05" or "14:03" (today, in `zone`), "5m" or
// "1h30m" (that long before `now`). An error says how moments are written.
absl::StatusOr<absl::Time> ParseMoment(const std::string& text, absl::Time now,
                                       absl::TimeZone zone);

// As the API takes it: "2026-11-23T14:03:05.000Z".
std::string ApiTime(absl::Time time);

}  // namespace portolan::ctl

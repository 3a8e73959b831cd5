#include "ctl/moment.h"

#include "common/status.h"

namespace portolan::ctl {

absl::StatusOr<absl::Time> ParseMoment(const std::string& text, absl::Time now,
                                       absl::TimeZone zone) {
  absl::Time time;
  absl::Duration ago;
  if (absl::ParseTime(absl::RFC3339_full, text, zone, &time, nullptr)) return time;
  if (absl::ParseDuration(text, &ago) && ago >= absl::ZeroDuration()) return now - ago;
  const std::string today = absl::FormatTime("%Y-%m-%d ", now, zone);
  for (const char* format : {"%Y-%m-%d %H:%M:%E*S", "%Y-%m-%d %H:%M"}) {
    if (!absl::ParseTime(format, today + text, zone, &time, nullptr)) continue;
    if (time <= now) return time;
    return InvalidArgument("'{}' is still to come today; of yesterday say {}, in UTC", text,
                           ApiTime(time - absl::Hours(24)));
  }
  return InvalidArgument(
      "'{}' is no moment: 14:03:05 (today), 5m (that long ago) or 2026-11-23T14:03:05Z", text);
}

std::string ApiTime(absl::Time time) {
  return absl::FormatTime("%Y-%m-%d%ET%H:%M:%E3SZ", time, absl::UTCTimeZone());
}

}  // namespace portolan::ctl

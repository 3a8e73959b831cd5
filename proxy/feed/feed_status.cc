#include "proxy/feed/feed_status.h"

#include <algorithm>

#include "common/monotonic.h"

namespace portolan::proxy {

std::string DescribeAge(const FeedStatus& status) {
  const absl::Duration age = status.Age(Monotonic());
  return age == absl::InfiniteDuration() ? "never in sync"
                                         : absl::FormatDuration(absl::Trunc(age, absl::Seconds(1)));
}

std::string_view SourceName(FeedStatus::Source source) {
  switch (source) {
    case FeedStatus::Source::kDisk:
      return "disk";
    case FeedStatus::Source::kControlPlane:
      return "control plane";
    case FeedStatus::Source::kNone:
      break;
  }
  return "none";
}

absl::Duration FeedStatus::Age(absl::Duration now) const {
  return in_sync ? absl::ZeroDuration() : now - last_sync;
}

bool SameButCounts(const FeedStatus& a, const FeedStatus& b) {
  return a.source == b.source && a.connected == b.connected && a.in_sync == b.in_sync &&
         a.answering == b.answering && a.endpoints_full == b.endpoints_full &&
         a.control_plane == b.control_plane && a.proxy_config_missing == b.proxy_config_missing &&
         a.policy_known == b.policy_known &&
         std::equal(a.types.begin(), a.types.end(), b.types.begin(), b.types.end(),
                    [](const FeedStatus::Type& x, const FeedStatus::Type& y) {
                      return x.synced == y.synced && x.last_nack == y.last_nack;
                    });
}

}  // namespace portolan::proxy

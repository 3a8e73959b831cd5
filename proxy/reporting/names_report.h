// What the workers were asked (asked_names.h), as the report says it. The main loop's thread.
#pragma once

#include <span>
#include <string_view>

#include "absl/time/time.h"
#include "directory/directory.h"
#include "portolan/v1/sidecars.pb.h"
#include "proxy/reporting/asked_names.h"

namespace portolan::proxy {

// When something happened, by the clock on the wall. One moment has one time, lest a report differs
// from the one before in nothing else, until the clock is set.
class WallClock {
 public:
  int64_t UnixSeconds(dns::Exchange::Time moment);

 private:
  absl::Duration since_epoch_ = absl::ZeroDuration();  // at the steady clock's zero
};

// `names` may be null, where the pod is to report none.
void SetAsked(std::span<const AskedNames::View> workers, const Snapshot& snapshot,
              std::string_view cluster_domain, WallClock& clock, v1::NamesReport* names,
              v1::AmplificationReport& amplification);

}  // namespace portolan::proxy

// What a report of a sidecar may hold, and what it stands for. Any thread.
#pragma once

#include "absl/status/status.h"
#include "portolan/v1/sidecars.pb.h"

namespace portolan::xds {

// kResourceExhausted: more than sidecar_limits.h allows. kInvalidArgument: a text that is none.
absl::Status CheckReport(const v1::SidecarReport& report);

// Parts that `report` does not have are those of the one `before`.
void KeepAbsentParts(const v1::SidecarReport& before, v1::SidecarReport& report);

}  // namespace portolan::xds

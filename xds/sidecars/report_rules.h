// What a report of a sidecar or an answer may hold, and what a report stands for. Any thread.
#pragma once

#include <string_view>

#include "absl/status/status.h"
#include "portolan/v1/sidecars.pb.h"

namespace portolan::xds {

// kResourceExhausted: more than sidecar_limits.h allows. kInvalidArgument: a text that is none.
absl::Status CheckReport(const v1::SidecarReport& report);

// kResourceExhausted: larger than sidecar_limits.h allows. kInvalidArgument: deeper. Whether it is
// JSON is not judged; as far as it is, it nests no deeper.
absl::Status CheckAnswer(std::string_view json);

// Parts that `report` does not have are those of the one `before`.
void KeepAbsentParts(const v1::SidecarReport& before, v1::SidecarReport& report);

}  // namespace portolan::xds

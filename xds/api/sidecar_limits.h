// What the two ends of portolan.v1.Sidecars take from each other. Beyond, the control plane ends
// the stream with a reason; a sidecar refuses the question.
#pragma once

#include <cstddef>

#include "absl/time/time.h"

namespace portolan::api {

inline constexpr size_t kMaxAnswerBytes = 1 << 20;
inline constexpr size_t kMaxAnswerDepth = 64;  // arrays and objects within each other
inline constexpr size_t kMaxReportBytes = 64 << 10;
// An answer with what is around it.
inline constexpr size_t kMaxSidecarMessageBytes = kMaxAnswerBytes + (1 << 10);
// Questions to one sidecar that it has not answered, those included that nobody waits for any more.
inline constexpr size_t kMaxOpenQuestions = 8;

// A sidecar reports so often, where anything changed.
inline constexpr absl::Duration kReportEvery = absl::Seconds(10);

// Of a report's lists and texts.
inline constexpr int kMaxReportedTypes = 32;
inline constexpr int kMaxReportedRcodes = 32;
inline constexpr int kMaxReportedUpstreams = 64;
inline constexpr int kMaxReportedNames = 64;
inline constexpr int kMaxReportedFlows = 64;
inline constexpr int kMaxReportedPolicies = 64;
inline constexpr size_t kMaxReportedDenials = 32;
inline constexpr size_t kMaxReportTextBytes = 256;
inline constexpr size_t kMaxReportedPolicyNameBytes = 384;  // KIND/NAMESPACE/NAME
inline constexpr size_t kMaxReportedPoliciesBytes = 200;
inline constexpr size_t kMaxReportedNearestBytes = 300;

}  // namespace portolan::api

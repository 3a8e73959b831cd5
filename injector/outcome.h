// What became of a pod: the one word that stands in the metric, the log line, the audit annotation
// and docs/injection.md.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace portolan::injector {

enum class Outcome : uint8_t {
  kInjected,
  kAlreadyInjected,  // nothing of ours was missing
  // Left alone.
  kOptedOut,
  kHostNetwork,
  kKubeNamespace,
  kOwnNamespace,
  kWindows,
  kIstio,
  kLinkerd,
  kAmbient,
  kMirrorPod,         // the API's picture of a static pod, which runs as its file says
  kNoNativeSidecars,  // an API server below 1.29
  kNotAPod,           // another kind, resource or operation than CREATE of a pod
  // Refused.
  kDeniedUid,         // a container runs as the sidecar's user or group, or could
  kDeniedPort,        // a container declares a port that the sidecar listens on
  kDeniedName,        // a container or volume has one of our names
  kDeniedAnnotation,  // an annotation or label of ours has a value that cannot be
  kDeniedCapture,     // its namespace demands that all is captured, which the pod would evade
  kBadReview,         // no AdmissionReview, or no pod in it
};

inline constexpr std::array kOutcomes = {
    Outcome::kInjected,         Outcome::kAlreadyInjected,
    Outcome::kOptedOut,         Outcome::kHostNetwork,
    Outcome::kKubeNamespace,    Outcome::kOwnNamespace,
    Outcome::kWindows,          Outcome::kIstio,
    Outcome::kLinkerd,          Outcome::kAmbient,
    Outcome::kMirrorPod,        Outcome::kNoNativeSidecars,
    Outcome::kNotAPod,          Outcome::kDeniedUid,
    Outcome::kDeniedPort,       Outcome::kDeniedName,
    Outcome::kDeniedAnnotation, Outcome::kDeniedCapture,
    Outcome::kBadReview,
};

// "already-injected"
std::string_view Name(Outcome outcome);

// The pod is refused.
bool Denied(Outcome outcome);
// It is created as it came, and nothing of ours is in it.
bool Skipped(Outcome outcome);

}  // namespace portolan::injector

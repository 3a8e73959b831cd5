// Who a client is, by the token that it shows: a service account's token that a kubelet has
// projected into a pod, for the audience "portolan", and bound to that pod.
// https://kubernetes.io/docs/tasks/configure-pod-container/configure-service-account/#serviceaccount-token-volume-projection
#pragma once

#include <functional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace portolan::xds {

inline constexpr char kAudience[] = "portolan";

struct PodIdentity {
  std::string name_space;
  std::string pod;
  std::string pod_uid;
  absl::Time expires;  // the token
};

// On one loop's thread.
class TokenVerifier {
 public:
  // kUnauthenticated: the token is no good, and the message says why, to its holder. Any other
  // error: it could not be found out.
  using Done = std::function<void(const absl::StatusOr<PodIdentity>&)>;

  virtual ~TokenVerifier() = default;
  // Calls `done` once, now or later; not once the verifier is destroyed.
  virtual void Verify(const std::string& token, Done done) = 0;
};

}  // namespace portolan::xds

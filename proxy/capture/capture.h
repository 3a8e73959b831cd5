// Writes, checks and removes the capture rules of a pod's network namespace.
//
// One thread, blocking; the work of portolan-init. IPv4 must work; where IPv6 does not (no IPv6 in
// the kernel, none on any interface, no ip6tables, no IPv6 support in its modules) a log line says
// so and the rest goes on.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "proxy/capture/netfilter.h"
#include "proxy/capture/policy_routing.h"
#include "proxy/capture/settings.h"

namespace portolan::proxy {

// kAuto: the back end in which our rules stand already, else the only one installed, else legacy if
// it alone holds rules in the pod, else nft.
enum class BackendChoice { kAuto, kNft, kLegacy };

enum class Applied { kWritten, kAlreadyThere };

// Makes the rules those that `settings` ask for. Where they are already, nothing is written. Rules
// of ours in the other back end are removed, since both would act. After an error the rules may be
// partly there; applying again, or Clean, mends that.
absl::StatusOr<Applied> Apply(Netfilter& netfilter, PolicyRouting& routing, BackendChoice choice,
                              const CaptureSettings& settings);

// What differs from what `settings` ask for, a line each; empty if nothing does.
absl::StatusOr<std::vector<std::string>> Verify(Netfilter& netfilter, PolicyRouting& routing,
                                                BackendChoice choice,
                                                const CaptureSettings& settings);

// Removes all that is ours, from both families and both back ends, and nothing else.
absl::Status Clean(Netfilter& netfilter, PolicyRouting& routing);

// kApply: what Apply writes where nothing of ours is there yet; kClean: what takes that away again.
// Both families, to be read by a person or by iptables-restore --noflush, to which the commands of
// `ip` are comments.
enum class Printed { kApply, kClean };
std::string Print(const CaptureSettings& settings, Printed what);

}  // namespace portolan::proxy

// The names of what is put into a pod.
#pragma once

#include <array>
#include <string_view>

namespace portolan::injector {

inline constexpr std::string_view kInit = "portolan-init";
inline constexpr std::string_view kProxy = "portolan-proxy";
inline constexpr std::string_view kStateVolume = "portolan-state";
inline constexpr std::string_view kTokenVolume = "portolan-token";
inline constexpr std::string_view kCaVolume = "portolan-ca";
inline constexpr std::array kVolumes = {kStateVolume, kTokenVolume, kCaVolume};

// JSON: version, hash of the Template, what was injected. Only the injector writes it.
inline constexpr std::string_view kStatus = "portolan.dev/status";
inline constexpr std::string_view kInject = "portolan.dev/inject";

// Never injected, and given nothing.
inline constexpr std::array<std::string_view, 3> kKubeNamespaces = {"kube-system", "kube-public",
                                                                    "kube-node-lease"};

// Of the sidecar's token, by which the control plane knows the pod.
inline constexpr std::string_view kTokenAudience = "portolan";

inline constexpr int kUid = 1337;  // user and group of the sidecar

}  // namespace portolan::injector

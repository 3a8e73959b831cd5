// Names of the pod and of its policies, for tests.
#pragma once

namespace portolan::proxy {

inline constexpr char kOwn[] = "default/frontend-1";
inline constexpr char kA[] = "NetworkPolicy/default/a";
inline constexpr char kB[] = "NetworkPolicy/default/b";
inline constexpr char kIn[] = "NetworkPolicy/default/a/ingress";
inline constexpr char kS1[] = "0000000000000001";
inline constexpr char kS2[] = "0000000000000002";
inline constexpr char kS3[] = "0000000000000003";

}  // namespace portolan::proxy

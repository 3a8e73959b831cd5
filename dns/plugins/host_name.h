// The name of this host, which in a pod is the pod's own. Any thread.
#pragma once

#include <string>

namespace portolan::dns {

// "localhost" where the kernel has none.
std::string HostName();

}  // namespace portolan::dns

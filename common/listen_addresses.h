// Which of the addresses that a program is to listen on its machine or pod has. Any thread.
#pragma once

#include <vector>

#include "common/ip.h"

namespace portolan {

// Those of `addresses` that can be listened on, as far as the pod's families go: IPv6 addresses
// that the pod lacks are left out; IPv4 addresses stay, so that a mistake in them is an error.
std::vector<SocketAddress> Usable(const std::vector<SocketAddress>& addresses);

}  // namespace portolan

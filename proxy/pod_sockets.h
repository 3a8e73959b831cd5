// Whether anybody but this program still has sockets in the pod: an application that does may yet
// dial or ask for a name.
//
// Read off the kernel's tables of the network namespace (/proc/net/tcp, tcp6, udp, udp6; format:
// https://docs.kernel.org/networking/proc_net_tcp.html), by the uid of each socket. Main thread:
// with thousands of sockets a look takes milliseconds.
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>

namespace portolan::proxy {

// `table` is the text of one of the files. A socket that no process holds any more (TIME_WAIT, and
// others that the kernel still finishes) is nobody's.
bool HasSocketsOfOthers(std::string_view table, uid_t own);

// Of all tables in `folder`. One that cannot be read counts as empty: a pod may be without IPv6.
bool PodHasSocketsOfOthers(const std::string& folder, uid_t own);

}  // namespace portolan::proxy

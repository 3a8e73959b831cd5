// The one capability that UDP forwarding and inbound connections need, and how the program is rid
// of all others, and of it as soon as it can be, capabilities(7).
//
// Capabilities belong to threads: both are called by main, before there is a second one.
#pragma once

#include "absl/status/status.h"

namespace portolan::proxy {

// Makes CAP_NET_RAW effective where it is permitted, as the file capability cap_net_raw+p and an
// ambient one make it. PermissionDenied where it is not; the message says how to give it.
absl::Status RaiseNetRaw();

// Gives up every capability for good: none is effective, permitted, inheritable or ambient, and no
// program that is run from here gains one (no_new_privs). The bounding set is emptied where the
// process may (CAP_SETPCAP), which without new privileges is for the looks alone. kNetRaw: that one
// stays effective in this process, for a socket with a client's address at each inbound connection;
// what is run from here does not have it.
enum class Kept { kNone, kNetRaw };
absl::Status DropPrivileges(Kept kept);

}  // namespace portolan::proxy

// What gRPC and the abseil below it are told once for the whole process, by whoever uses them.
#pragma once

namespace portolan::api {

// Any thread, before gRPC is used.
//
// What gRPC logs goes to our log, at debug: the status of a stream says the same, and on the
// server's side anybody who knocks on its port could fill the log. Debian's abseil is built with
// the search for lock cycles on, at every lock that gRPC takes: a twentieth of the CPU of a busy
// control plane. And OpenSSL keeps 32 KB for each connection between two messages unless told to
// give them back, which gRPC has no option for: a control plane has thousands that are idle.
void PrepareGrpc();

// How much a stream may be sent before its reader has read it. gRPC would find out by pinging at
// every message (BDP probes), which costs both sides more system calls than the message.
inline constexpr int kStreamWindowBytes = 1 << 20;

// A stream ends at a response that is larger. One resource may be all of it: a policy of which the
// API takes 1.5 MB comes to several times that where it multiplies peers with named ports.
inline constexpr int kMaxResponseBytes = 16 << 20;

}  // namespace portolan::api

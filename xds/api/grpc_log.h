// What gRPC logs goes to our log, at debug: the status of a stream says the same, and on the
// server's side anybody who knocks on its port could fill the log.
#pragma once

namespace portolan::api {

// Process-wide; any thread, before gRPC is used.
void QuietGrpcLog();

}  // namespace portolan::api

// The control plane's JSON API: which names there are, where they lead, and how far each sidecar
// has followed.
//
//   GET /api/v1/names?namespace=&search=&limit=&continue=
//       {"generation", "names": [...], "continue"}: directory/listing.h says what a name holds. A
//       page has `limit` entries (500; 1 to 5000); "continue" is there when more follow.
//   GET /api/v1/names/NAMESPACE/NAME
//       one name with its endpoints in full
//   GET /api/v1/sidecars?limit=&continue=
//       {"sidecars": [{"node", "version", "peer", "connected", "types": [{"type", "status",
//       ...}]}], "continue"}
//
// Answers about names carry an ETag, and If-None-Match is answered 304 until the directory changes.
// Errors are {"error": "..."} with status 400 or 404. The loop's thread only.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "common/http/server.h"
#include "directory/directory.h"
#include "xds/serving/client_status.h"

namespace portolan::xds {

// SYNCED: the client has acknowledged what was sent. STALE: it has not yet. NOT SENT: there was
// nothing to send so far. NACKED: it refused the last thing sent. The words of `istioctl
// proxy-status`.
std::string_view SyncWord(const TypeStatus& status);

class Api {
 public:
  using SnapshotSource = std::function<std::shared_ptr<const Snapshot>()>;
  using ClientSource = std::function<std::vector<ClientStatus>()>;

  // Adds its routes to `server`. Must live as long as the server answers. The sources are called on
  // the server's loop and must not block; a snapshot is never null.
  Api(http::Server& server, SnapshotSource snapshot, ClientSource clients,
      std::string cluster_domain = "cluster.local");
  Api(const Api&) = delete;
  Api& operator=(const Api&) = delete;

 private:
  http::Response Names(const http::Request& request) const;
  http::Response Name(const http::Request& request) const;
  http::Response Sidecars(const http::Request& request) const;
  std::string Etag(const Snapshot& snapshot) const;

  const SnapshotSource snapshot_;
  const ClientSource clients_;
  const std::string cluster_domain_;
  // Generations begin anew with each start of the program; entity tags must not.
  const std::string instance_;
};

}  // namespace portolan::xds

// The control plane's JSON API: which names there are, where they lead, and how far each sidecar
// has followed.
//
//   GET /api/v1/names?namespace=&search=&limit=&continue=
//       {"generation", "names": [...], "continue"}: directory/listing.h says what a name holds. A
//       page has `limit` entries (500; 1 to 5000); "continue" is there when more follow.
//   GET /api/v1/names/NAMESPACE/NAME
//       one name with its endpoints in full
//   GET /api/v1/sidecars?node=&limit=&continue=
//       {"sidecars": [{"node", "version", "peer", "connected", "types": [{"type", "status",
//       ...}], "report"}], "continue"}; "report" where the sidecar sent one (sidecar_pages.h)
//   GET /debug/clients?node=&limit=&continue=
//       the same as {"clients": ...}, with up to 100 "names" of what each asked for of each type
//
// Answers about names carry an ETag, and If-None-Match is answered 304 until the directory changes.
// Errors are {"error": "..."} with status 400 or 404. The loop's thread only.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "common/http/server.h"
#include "directory/directory.h"
#include "xds/serving/client_status.h"
#include "xds/sidecars/reported_sidecar.h"

namespace portolan::xds {

// StateOf in the words of `istioctl proxy-status`: SYNCED, STALE, NOT SENT, NACKED.
std::string_view SyncWord(const TypeStatus& status);

class Api {
 public:
  using SnapshotSource = std::function<std::shared_ptr<const Snapshot>()>;
  // With so many of the names that each client asked for of each type.
  using ClientSource = std::function<std::vector<ClientStatus>(size_t most_names)>;
  static constexpr size_t kMostDebugNames = 100;

  // Adds its routes to `server`. Must live as long as the server answers. The sources are called on
  // the server's loop and must not block; a snapshot is never null. `sidecars` outlives it; null:
  // none reports.
  Api(http::Server& server, SnapshotSource snapshot, ClientSource clients,
      std::string cluster_domain = "cluster.local", AskedSidecars* sidecars = nullptr);
  Api(const Api&) = delete;
  Api& operator=(const Api&) = delete;

 private:
  http::Response Names(const http::Request& request) const;
  http::Response Name(const http::Request& request) const;
  http::Response Sidecars(const http::Request& request) const;
  http::Response Clients(const http::Request& request) const;
  http::Response ClientPage(const http::Request& request, const char* list,
                            size_t most_names) const;
  nlohmann::json ClientJson(const ClientStatus& client) const;
  std::string Etag(const Snapshot& snapshot) const;

  const SnapshotSource snapshot_;
  const ClientSource clients_;
  const std::string cluster_domain_;
  AskedSidecars* const sidecars_;
  // Generations begin anew with each start of the program; entity tags must not.
  const std::string instance_;
};

}  // namespace portolan::xds

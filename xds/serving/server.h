// Discovery over gRPC: serves the newest ResourceSet to every stream, as discovery_methods.h lists
// them, what is known of its clients (ClientStatusService), and the stream of reports and questions
// (Sidecars). Every other method answers UNIMPLEMENTED.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/ip.h"
#include "common/metrics.h"
#include "common/tls_files.h"
#include "xds/authentication/token_gate.h"
#include "xds/serving/client_status.h"
#include "xds/serving/resource_cache.h"
#include "xds/sidecars/sidecars.h"

namespace portolan::xds {

class Server {
 public:
  struct Options {
    std::vector<SocketAddress> listen = {};  // port 0: the kernel chooses
    // Sent to clients as ControlPlane.identifier: which replica this is.
    std::string identifier;
    // Shown to clients over TLS. Nothing: plaintext.
    std::optional<TlsIdentity> identity = std::nullopt;
    // Outlives the server. Null: whoever connects is let in, as whom it says it is.
    TokenGate* gate = nullptr;
    // Paths of unix sockets, in plaintext: who may write to one may connect.
    std::vector<std::string> sockets = {};
    // Served beside discovery; outlives the server. Null: sidecars are told UNIMPLEMENTED.
    Sidecars* sidecars = nullptr;
  };

  // Serves from now on. `first` should be complete: a client takes what it does not hold for what
  // does not exist. An error names the address that cannot be listened on.
  static absl::StatusOr<std::unique_ptr<Server>> Start(const Options& options,
                                                       std::shared_ptr<const ResourceSet> first);
  // Ends all streams (UNAVAILABLE, so clients go elsewhere), within about a second.
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // With the ports that were chosen.
  const std::vector<SocketAddress>& listening() const;

  // One thread. Returns when every stream that is not busy has been handed what changed.
  void Publish(const ResourceCache::Published& published);

  // Ends `count` streams (UNAVAILABLE, so clients go elsewhere) and tells how many are left. New
  // ones are ended at once from now on. One thread.
  size_t EndStreams(size_t count);

  // Any thread. Connections from now on see this certificate; those that are up stay.
  // REQUIRES: the server was started with one.
  void SetIdentity(TlsIdentity identity);

  // Any thread.
  std::vector<ClientStatus> Clients(size_t most_names = 0) const;
  size_t client_count() const;
  void AddMetrics(MetricFamilies& families) const;

 private:
  class Implementation;
  explicit Server(std::unique_ptr<Implementation> implementation);

  std::unique_ptr<Implementation> implementation_;
};

}  // namespace portolan::xds

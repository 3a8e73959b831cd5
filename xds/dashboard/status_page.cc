#include "xds/dashboard/status_page.h"

#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "directory/listing.h"
#include "xds/dashboard/page.h"

namespace portolan::xds {
namespace {

using nlohmann::json;

json StatusJson(const StatusSources& sources) {
  const Snapshot& snapshot = *sources.index.snapshot();
  return {{"program", "portolan-control"},
          {"version", sources.version},
          {"replica", sources.replicas.self()},
          {"source", sources.source},
          {"ready", sources.ready()},
          {"generation", snapshot.generation()},
          {"clusterDomain", sources.index.cluster_domain()},
          {"services", snapshot.service_count()},
          {"endpoints", sources.index.endpoints()},
          {"namespaces", snapshot.namespace_count()},
          {"sidecars", sources.clients()},
          {"historySince",
           sources.history_since == nullptr ? json() : TimeJson(sources.history_since())},
          {"now", TimeJson(absl::Now())}};
}

}  // namespace

void AddStatusPage(http::Server& server, StatusSources sources) {
  server.Get("/api/v1/status", [sources = std::move(sources)](const http::Request& request,
                                                              http::Responder responder) {
    json status = StatusJson(sources);
    const AllReplicas& replicas = sources.replicas;
    replicas.Ask(request, [&replicas, request, status = std::move(status),
                           responder](const auto& others) mutable {
      uint64_t sidecars = NumberIn(status, "sidecars");
      for (const ReplicaAnswer& other : others) {
        if (other.answer.ok() && other.answer->is_object()) {
          sidecars += NumberIn(*other.answer, "sidecars");
        }
      }
      status["sidecars"] = sidecars;
      status["replicas"] = replicas.List(others);
      responder.Send(Fresh(request, status));
    });
  });
}

}  // namespace portolan::xds

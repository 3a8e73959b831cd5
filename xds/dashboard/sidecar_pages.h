// The pages of sidecars: which are connected and how far they follow, and the part of the API that
// speaks with one of them: the control plane asks it over its stream of reports and questions, and
// passes on what it answers.
//
//   GET  /api/v1/sidecars?node=&search=&sort=node|lag&limit=&continue=
//        {"sidecars": [{"node", "version", "peer", "connected", "types": [...], "report", "rates",
//        "lag": {"p50Ms", "p99Ms", "worstType"}, "health", "healthWhy", "replica"}], "continue",
//        "replicas"}: sidecar_report.h. "report" where it sent one, "rates" from the second on,
//        "lag" once a change was acknowledged, else null. `search`: part of the node. sort=lag:
//        laggards first. A page has 1,000 at most, whatever `limit` says. What each asked for and
//        where its connections went ("names" and "flows" of the report) is there with `node` alone.
//   GET  /api/v1/sidecars/NAMESPACE/POD/explain?name=&type=&clusterDns=
//   GET  /api/v1/sidecars/NAMESPACE/POD/config_dump?type=&continue=
//   GET  /api/v1/sidecars/NAMESPACE/POD/policy_test?to=&port=&protocol=
//   POST /api/v1/sidecars/NAMESPACE/POD/logging?level=
//   GET  /debug/clients?node=&limit=&continue=
//        the clients of this replica as {"clients": ...}, with up to 100 "names" of what each asked
//        for of each type
//
// The answers of a sidecar are those of its own admin interface (proxy/admin/admin.h); to that of
// policy_test is added what those it leads to say of who may connect (ingress.h). One that is
// connected to another replica is asked through that. Errors are {"error": "..."}: 404 it is not
// connected, 502 it refused or what it says is no JSON, 503 it has not answered earlier questions,
// 504 it did not answer in time. The loop's thread only.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "absl/status/statusor.h"
#include "common/http/server.h"
#include "xds/dashboard/all_replicas.h"
#include "xds/dashboard/ingress_judge.h"
#include "xds/dashboard/sidecar_report.h"
#include "xds/serving/client_status.h"
#include "xds/sidecars/reported_sidecar.h"

namespace portolan::xds {

class SidecarPages {
 public:
  // With so many of the names that each client asked for of each type.
  using ClientSource = std::function<std::vector<ClientStatus>(size_t most_names)>;
  static constexpr size_t kMostDebugNames = 100;

  // Adds its routes to `server`. All outlives it, and it the server's answers. `sidecars` may be
  // null: none reports.
  SidecarPages(http::Server& server, ClientSource clients, AskedSidecars* sidecars,
               const IngressJudge& ingress, const AllReplicas& replicas);
  SidecarPages(const SidecarPages&) = delete;
  SidecarPages& operator=(const SidecarPages&) = delete;

 private:
  void AnswerSidecars(const http::Request& request, http::Responder responder) const;
  void AnswerClients(const http::Request& request, http::Responder responder) const;
  void AnswerQuestion(const http::Request& request, http::Responder responder) const;
  http::Response AnswerOfTest(const ObjectName& client, Protocol protocol,
                              const absl::StatusOr<std::string>& answer) const;
  nlohmann::json ClientJson(const ClientStatus& client) const;
  nlohmann::json SidecarJson(const ClientStatus& client, ReportPart part) const;

  const ClientSource clients_;
  AskedSidecars* const sidecars_;
  const IngressJudge& ingress_;
  const AllReplicas& replicas_;
};

}  // namespace portolan::xds

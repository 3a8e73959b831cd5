// The page that explains a name for a pod: what its sidecar says, what the control plane has, and
// where they differ (compare.h).
//
//   GET /api/v1/explain?pod=NAMESPACE/POD&name=&type=&clusterDns=true|false
//       {"pod", "name", "type", "sidecar": what the sidecar's /explain says, or {"error"},
//       "controlPlane": {"generation", "name", "rcode", "records", "lookups", "objects"},
//       "ingress", "clusterDns", "differences", "replicas"}
//
// "controlPlane" answers the names that the sidecar's resolver asked in turn ("lookups": those that
// are the cluster's), with the sidecar's own DNS code over the directory as it is here; "rcode" and
// "records" are those of the last one, "name" the Service that it is of, or null, "objects" what
// that comes from. "ingress" is what ingress policies say of the client where the sidecar would
// lead it: [{"at": ADDRESS:PORT, "protocol", ...}] as ingress_judge.h has it, of those that a
// policy isolates. A sidecar that cannot be asked is no error of the page: then the search list is
// taken for the usual one. The loop's thread only.
#pragma once

#include "common/http/server.h"
#include "xds/dashboard/all_replicas.h"
#include "xds/dashboard/ingress_judge.h"
#include "xds/dashboard/names_index.h"
#include "xds/dashboard/sidecar_dns.h"
#include "xds/sidecars/reported_sidecar.h"

namespace portolan::xds {

struct ExplainSources {
  NamesIndex& index;
  SidecarDns& dns;
  AskedSidecars* sidecars;  // null: none reports
  const IngressJudge& ingress;
  const AllReplicas& replicas;
};

// Adds the route to `server`. What `sources` names outlives the server's answers.
void AddExplainPage(http::Server& server, ExplainSources sources);

}  // namespace portolan::xds

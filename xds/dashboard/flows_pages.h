// The page of who talks to whom, by workload (xds/workload.h), out of what sidecars reported:
//
//   GET /api/v1/flows?namespace=&search=&limit=
//       {"nodes": [{"id", "kind": "workload"|"service"|"pod"|"external", "namespace", "name",
//       "sidecars"}], "edges": [{"from", "to", "connections", "failures", "bytesUp", "bytesDown",
//       "udpFlows", "lastSeen"}], "more": N, "replicas"}
//
// Edges lead from the workload of a sidecar's pod to a Service, to the workload of a pod that was
// dialled by its address, or to an address. There are the `limit` busiest ones (500; 1 to 2000) of
// those at whose one end `namespace` is and of whose ends one has `search` in its id; "more" counts
// the others. Counters are totals since each sidecar, or the flow in it, began; a sidecar reports
// its 64 busiest flows. A pod that the directory does not know is of kind "pod". The loop's thread
// only.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>

#include <nlohmann/json.hpp>

#include "common/http/server.h"
#include "common/string_map.h"
#include "xds/dashboard/all_replicas.h"
#include "xds/dashboard/names_index.h"
#include "xds/dashboard/report_walk.h"

namespace portolan::xds {

class FlowGraph {
 public:
  struct Counts {
    uint64_t connections = 0;
    uint64_t failures = 0;
    uint64_t bytes_up = 0;
    uint64_t bytes_down = 0;
    uint64_t udp_flows = 0;
    int64_t last_seen_unix_ms = 0;
  };

  // Whose pod and flows are looked up in `index`, which outlives it.
  explicit FlowGraph(const NamesIndex& index) : index_(index) {}

  void Add(const ReportedSidecar& sidecar);
  // What another replica answered.
  void Add(const nlohmann::json& answer);

  struct Filter {
    std::string ns;
    std::string search;
    size_t limit = 500;
  };
  // {"nodes", "edges", "more"}
  nlohmann::json ToJson(const Filter& filter) const;

 private:
  struct Node {
    std::string kind;
    std::string ns;
    std::string name;
    uint64_t sidecars = 0;
  };
  using Ends = std::pair<std::string, std::string>;  // ids: from, to

  std::string AddNode(std::string_view kind, const std::string& ns, const std::string& name);
  std::string PodNode(const std::string& ns, const std::string& name);
  std::string AddressNode(const std::string& address);
  bool Shows(const Ends& ends, const Filter& filter) const;

  const NamesIndex& index_;
  StringMap<Node> nodes_;
  std::map<Ends, Counts> edges_;
  uint64_t more_ = 0;  // that other replicas left out
};

// Adds the route to `server`. All outlives the server's answers.
void AddFlowsPage(http::Server& server, ReportWalks& walks, const NamesIndex& index,
                  const AllReplicas& replicas);

}  // namespace portolan::xds

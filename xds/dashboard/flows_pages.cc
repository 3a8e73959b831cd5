#include "xds/dashboard/flows_pages.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <set>
#include <vector>

#include "common/http/json.h"
#include "common/json_fields.h"
#include "directory/listing.h"
#include "xds/dashboard/page.h"
#include "xds/history/entry.h"
#include "xds/workload.h"

namespace portolan::xds {
namespace {

using nlohmann::json;

constexpr size_t kMostEdges = 2000;
constexpr size_t kDefaultEdges = 500;
// Of another replica's texts.
constexpr size_t kMostTextBytes = 512;

void AddCounts(const FlowGraph::Counts& from, FlowGraph::Counts& to) {
  to.connections += from.connections;
  to.failures += from.failures;
  to.bytes_up += from.bytes_up;
  to.bytes_down += from.bytes_down;
  to.udp_flows += from.udp_flows;
  to.last_seen_unix_ms = std::max(to.last_seen_unix_ms, from.last_seen_unix_ms);
}

FlowGraph::Counts CountsOf(const v1::Flow& flow) {
  return {.connections = flow.connections(),
          .failures = flow.failures(),
          .bytes_up = flow.bytes_up(),
          .bytes_down = flow.bytes_down(),
          .udp_flows = flow.udp_flows(),
          .last_seen_unix_ms = absl::ToUnixMillis(absl::FromUnixSeconds(flow.last_seen_unix_s()))};
}

FlowGraph::Counts CountsOf(const json& edge) {
  const auto seen = ParseMoment(TextOf(edge, "lastSeen"));
  return {.connections = NumberIn(edge, "connections"),
          .failures = NumberIn(edge, "failures"),
          .bytes_up = NumberIn(edge, "bytesUp"),
          .bytes_down = NumberIn(edge, "bytesDown"),
          .udp_flows = NumberIn(edge, "udpFlows"),
          .last_seen_unix_ms = seen.ok() ? absl::ToUnixMillis(*seen) : 0};
}

json EdgeJson(const std::string& from, const std::string& to, const FlowGraph::Counts& counts) {
  return {{"from", from},
          {"to", to},
          {"connections", counts.connections},
          {"failures", counts.failures},
          {"bytesUp", counts.bytes_up},
          {"bytesDown", counts.bytes_down},
          {"udpFlows", counts.udp_flows},
          {"lastSeen", counts.last_seen_unix_ms == 0
                           ? json()
                           : TimeJson(absl::FromUnixMillis(counts.last_seen_unix_ms))}};
}

uint64_t Business(const FlowGraph::Counts& counts) {
  return counts.connections + counts.udp_flows + counts.failures;
}

std::string IdOf(std::string_view kind, const std::string& ns, const std::string& name) {
  return ns.empty() ? fmt::format("{}/{}", kind, name) : fmt::format("{}/{}/{}", kind, ns, name);
}

}  // namespace

std::string FlowGraph::AddNode(std::string_view kind, const std::string& ns,
                               const std::string& name) {
  std::string id = IdOf(kind, ns, name);
  nodes_.try_emplace(id, Node{std::string(kind), ns, name});
  return id;
}

std::string FlowGraph::PodNode(const std::string& ns, const std::string& name) {
  const Pod* pod = index_.snapshot()->FindPod(ns + "/" + name);
  return pod == nullptr ? AddNode("pod", ns, name) : AddNode("workload", ns, WorkloadOf(*pod));
}

std::string FlowGraph::AddressNode(const std::string& address) {
  const auto ip = IpAddress::Parse(address);
  const Pod* pod = ip.ok() ? index_.addresses().FindOwner(*ip) : nullptr;
  if (pod == nullptr) return AddNode("external", "", address);
  return AddNode("workload", pod->name.ns, WorkloadOf(*pod));
}

void FlowGraph::Add(const ReportedSidecar& sidecar) {
  const auto name = ParseObjectName(sidecar.node_id);
  if (!name) return;
  const std::string from = PodNode(name->ns, name->name);
  ++nodes_.find(from)->second.sidecars;
  for (const v1::Flow& flow : sidecar.report->flows().flows()) {
    const auto service = ParseObjectName(flow.service());
    const std::string to =
        service ? AddNode("service", service->ns, service->name) : AddressNode(flow.address());
    AddCounts(CountsOf(flow), edges_[{from, to}]);
  }
}

void FlowGraph::Add(const json& answer) {
  const std::vector<ReplicaAnswer> one = {{"", answer}};
  for (const json& node : ListsOf(one, "nodes")) {
    const std::string kind = TextOf(node, "kind");
    const std::string ns = TextOf(node, "namespace");
    const std::string name = TextOf(node, "name");
    if (kind.size() + ns.size() + name.size() > kMostTextBytes) continue;
    nodes_.find(AddNode(kind, ns, name))->second.sidecars += NumberIn(node, "sidecars");
  }
  for (const json& edge : ListsOf(one, "edges")) {
    const std::string from = TextOf(edge, "from");
    const std::string to = TextOf(edge, "to");
    // What it names it has told of.
    if (nodes_.contains(from) && nodes_.contains(to)) AddCounts(CountsOf(edge), edges_[{from, to}]);
  }
  if (answer.is_object()) more_ += NumberIn(answer, "more");
}

bool FlowGraph::Shows(const Ends& ends, const Filter& filter) const {
  const auto in_namespace = [&](const std::string& id) {
    return filter.ns.empty() || nodes_.find(id)->second.ns == filter.ns;
  };
  const auto is_searched = [&](const std::string& id) {
    return id.find(filter.search) != std::string::npos;
  };
  return (in_namespace(ends.first) || in_namespace(ends.second)) &&
         (is_searched(ends.first) || is_searched(ends.second));
}

json FlowGraph::ToJson(const Filter& filter) const {
  std::vector<decltype(edges_)::const_pointer> shown;
  for (const auto& edge : edges_) {
    if (Shows(edge.first, filter)) shown.push_back(&edge);
  }
  const size_t size = std::min(filter.limit, shown.size());
  std::partial_sort(shown.begin(), shown.begin() + static_cast<ptrdiff_t>(size), shown.end(),
                    [](const auto* a, const auto* b) {
                      const uint64_t left = Business(a->second);
                      const uint64_t right = Business(b->second);
                      return left != right ? left > right : a->first < b->first;
                    });
  json edges = json::array();
  std::set<std::string> ids;
  for (size_t i = 0; i < size; ++i) {
    const auto& [ends, counts] = *shown[i];
    edges.push_back(EdgeJson(ends.first, ends.second, counts));
    ids.insert({ends.first, ends.second});
  }
  json nodes = json::array();
  for (const std::string& id : ids) {
    const Node& node = nodes_.find(id)->second;
    nodes.push_back({{"id", id},
                     {"kind", node.kind},
                     {"namespace", node.ns},
                     {"name", node.name},
                     {"sidecars", node.sidecars}});
  }
  return {{"nodes", std::move(nodes)},
          {"edges", std::move(edges)},
          {"more", more_ + (shown.size() - size)}};
}

void AddFlowsPage(http::Server& server, ReportWalks& walks, const NamesIndex& index,
                  const AllReplicas& replicas) {
  server.Get("/api/v1/flows", [&](const http::Request& request, http::Responder responder) {
    const auto limit = ParseCount(request, "limit", kMostEdges, kDefaultEdges);
    if (!limit.ok()) return responder.Send(ErrorOf(limit.status()));
    const FlowGraph::Filter filter{Parameter(request, "namespace"), Parameter(request, "search"),
                                   *limit};
    const auto graph = std::make_shared<FlowGraph>(index);
    const bool started = walks.Start(
        [graph](const ReportedSidecar& sidecar) { graph->Add(sidecar); },
        [graph, filter, request, responder, &replicas] {
          replicas.Ask(request,
                       [graph, filter, request, responder, &replicas](const auto& others) mutable {
                         for (const ReplicaAnswer& other : others) {
                           if (other.answer.ok()) graph->Add(*other.answer);
                         }
                         json body = graph->ToJson(filter);
                         body["replicas"] = replicas.List(others);
                         responder.Send(Fresh(request, body));
                       });
        });
    if (!started) responder.Send(http::JsonError(503, "too many ask at once; ask again"));
  });
}

}  // namespace portolan::xds

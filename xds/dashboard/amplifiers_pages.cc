#include "xds/dashboard/amplifiers_pages.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "common/http/json.h"
#include "common/status.h"
#include "directory/listing.h"
#include "xds/dashboard/page.h"
#include "xds/dashboard/sidecar_report.h"
#include "xds/workload.h"

namespace portolan::xds {
namespace {

using nlohmann::json;

constexpr size_t kDefaultAmplifiers = 50;
constexpr size_t kMostNames = 10;

enum class Sort : uint8_t { kWasted, kNxdomain };

// What comes first is greatest.
using Rank = std::tuple<double, uint64_t>;

Rank RankOf(double wasted_per_second, uint64_t wasted, uint64_t nxdomain, Sort sort) {
  if (sort == Sort::kNxdomain) return {0, nxdomain};
  return {wasted_per_second, wasted};
}

double WastedPerSecond(const ReportedSidecar& sidecar, absl::Time now) {
  if (sidecar.previous == nullptr) return 0;
  return RateOf(sidecar, now, sidecar.previous->amplification().search_list_queries(),
                sidecar.report->amplification().search_list_queries());
}

Rank RankOf(const ReportedSidecar& sidecar, absl::Time now, Sort sort) {
  const v1::SidecarReport& report = *sidecar.report;
  return RankOf(WastedPerSecond(sidecar, now), report.amplification().search_list_queries(),
                CountOf(report.dns(), "NXDOMAIN"), sort);
}

Rank RankOf(const json& amplifier, Sort sort) {
  const auto rate = amplifier.find("wastedPerSecond");
  const bool has_rate = rate != amplifier.end() && rate->is_number();
  return RankOf(has_rate ? rate->get<double>() : 0, NumberIn(amplifier, "searchListQueries"),
                NumberIn(amplifier, "nxdomain"), sort);
}

// What to write instead, in a sentence; empty where nothing is wasted.
std::string AdviceOn(const v1::AskedName& name) {
  if (name.search_list() > 0 && name.service()) {
    return "write the Service's name in full with a final dot, or NAME.NAMESPACE with a lower "
           "ndots";
  }
  if (name.search_list() > 0) {
    return fmt::format(
        "write {}. with its final dot, lower ndots, or turn on autopath in the Corefile",
        name.name());
  }
  if (name.nxdomain() > 0 && name.nxdomain() == name.queries()) {
    return "it does not exist: whoever asks for it asks in vain";
  }
  return {};
}

json CostliestNames(const v1::NamesReport& report) {
  std::vector<const v1::AskedName*> names;
  for (const v1::AskedName& name : report.names()) {
    if (name.nxdomain() + name.search_list() > 0) names.push_back(&name);
  }
  const auto cost = [](const v1::AskedName* name) {
    return std::max(name->nxdomain(), name->search_list());
  };
  std::stable_sort(names.begin(), names.end(),
                   [&](const auto* a, const auto* b) { return cost(a) > cost(b); });
  if (names.size() > kMostNames) names.resize(kMostNames);
  json list = json::array();
  for (const v1::AskedName* name : names) {
    list.push_back({{"name", name->name()},
                    {"queries", name->queries()},
                    {"nxdomain", name->nxdomain()},
                    {"advice", AdviceOn(*name)}});
  }
  return list;
}

// The sidecars of this replica that may be on the page.
struct Found {
  struct One {
    Rank rank;
    ReportedSidecar sidecar;
  };
  std::vector<One> all;
};

json Ours(Found& found, const Snapshot& snapshot, size_t limit, absl::Time now) {
  const size_t size = std::min(limit, found.all.size());
  std::partial_sort(found.all.begin(), found.all.begin() + static_cast<ptrdiff_t>(size),
                    found.all.end(), [](const auto& a, const auto& b) {
                      return a.rank != b.rank ? a.rank > b.rank
                                              : a.sidecar.node_id < b.sidecar.node_id;
                    });
  json list = json::array();
  for (size_t i = 0; i < size; ++i) {
    list.push_back(AmplifierJson(found.all[i].sidecar, snapshot, now));
  }
  return list;
}

json Merged(json list, const std::vector<ReplicaAnswer>& others, Sort sort, size_t limit) {
  for (json& theirs : ListsOf(others, "amplifiers")) list.push_back(std::move(theirs));
  std::stable_sort(list.begin(), list.end(),
                   [&](const json& a, const json& b) { return RankOf(a, sort) > RankOf(b, sort); });
  if (list.size() > limit) {
    list.erase(list.begin() + static_cast<json::difference_type>(limit), list.end());
  }
  return list;
}

}  // namespace

json AmplifierJson(const ReportedSidecar& sidecar, const Snapshot& snapshot, absl::Time now) {
  const v1::SidecarReport& report = *sidecar.report;
  const v1::AmplificationReport& waste = report.amplification();
  const uint64_t queries = report.dns().queries();
  const Pod* pod = snapshot.FindPod(sidecar.node_id);
  const double ratio = queries == 0 ? 0
                                    : static_cast<double>(waste.search_list_queries()) /
                                          static_cast<double>(queries);
  return {{"node", sidecar.node_id},
          {"workload", pod == nullptr ? json() : json(WorkloadOf(*pod))},
          {"queries", queries},
          {"searchListQueries", waste.search_list_queries()},
          {"nxdomain", CountOf(report.dns(), "NXDOMAIN")},
          {"upstreamQueries", waste.upstream_queries()},
          {"wastedPerSecond",
           sidecar.previous == nullptr ? json() : json(WastedPerSecond(sidecar, now))},
          {"wastedRatio", ratio},
          {"savedByAutopath", waste.saved_by_autopath()},
          {"savedByTrailingDot", waste.saved_by_trailing_dot()},
          {"names", CostliestNames(report.names())}};
}

void AddAmplifiersPage(http::Server& server, ReportWalks& walks, const NamesIndex& index,
                       const AllReplicas& replicas) {
  server.Get("/api/v1/amplifiers", [&](const http::Request& request, http::Responder responder) {
    const auto limit = ParseCount(request, "limit", kMaxPageSize, kDefaultAmplifiers);
    if (!limit.ok()) return responder.Send(ErrorOf(limit.status()));
    const std::string word = Parameter(request, "sort");
    if (!word.empty() && word != "wasted" && word != "nxdomain") {
      return responder.Send(http::JsonError(400, "sort: wasted or nxdomain is needed"));
    }
    const Sort sort = word == "nxdomain" ? Sort::kNxdomain : Sort::kWasted;
    const auto found = std::make_shared<Found>();
    const absl::Time now = absl::Now();
    const bool started = walks.Start(
        [found, sort, now](const ReportedSidecar& sidecar) {
          const Rank rank = RankOf(sidecar, now, sort);
          if (rank > Rank()) found->all.push_back({rank, sidecar});
        },
        [found, sort, now, limit = *limit, request, responder, &index, &replicas] {
          const auto ours = std::make_shared<json>(Ours(*found, *index.snapshot(), limit, now));
          replicas.Ask(request, [ours, sort, limit, request, responder,
                                 &replicas](const auto& others) mutable {
            json body = {{"amplifiers", Merged(std::move(*ours), others, sort, limit)},
                         {"replicas", replicas.List(others)}};
            responder.Send(Fresh(request, body));
          });
        });
    if (!started) responder.Send(http::JsonError(503, "too many ask at once; ask again"));
  });
}

}  // namespace portolan::xds

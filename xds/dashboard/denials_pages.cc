#include "xds/dashboard/denials_pages.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <compare>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "common/http/json.h"
#include "common/json_fields.h"
#include "common/status.h"
#include "xds/dashboard/page.h"
#include "xds/dashboard/report_json.h"
#include "xds/history/entry.h"
#include "xds/workload.h"

namespace portolan::xds {
namespace {

using nlohmann::json;

constexpr size_t kDefaultDenials = 500;
constexpr size_t kMostDenials = 1000;

// Where a denial stands in the order of the page.
struct Place {
  int64_t before = 0;  // Unix time in s, negative: the newest first
  std::string key;     // all that tells it apart; no part has a blank

  friend auto operator<=>(const Place&, const Place&) = default;
};

Place PlaceOf(const json& row) {
  const auto last = ParseMoment(TextOf(row, "last"));
  return {last.ok() ? -absl::ToUnixSeconds(*last) : 0,
          fmt::format("{} {} {} {} {} {}", TextOf(row, "node"), TextOf(row, "what"),
                      TextOf(row, "mode"), TextOf(row, "name"), TextOf(row, "address"),
                      NumberIn(row, "port"))};
}

std::string TextOf(const Place& place) { return fmt::format("{} {}", -place.before, place.key); }

std::optional<Place> ParsePlace(std::string_view text) {
  int64_t last = 0;
  const char* const text_end = text.data() + text.size();
  const auto [end, error] = std::from_chars(text.data(), text_end, last);
  if (error != std::errc() || end == text_end || *end != ' ') return std::nullopt;
  return Place{last == std::numeric_limits<int64_t>::min() ? 0 : -last,
               std::string(end + 1, text_end)};
}

struct Query {
  std::string ns;
  std::string pod;
  std::string policy;
  std::string name;
  std::string search;
  size_t limit = kDefaultDenials;
  std::optional<Place> after = {};
};

absl::StatusOr<Query> ParseQuery(const http::Request& request) {
  Query query{.ns = Parameter(request, "namespace"),
              .pod = Parameter(request, "pod"),
              .policy = Parameter(request, "policy"),
              .name = Parameter(request, "name"),
              .search = Parameter(request, "search")};
  const auto limit = ParseCount(request, "limit", kMostDenials, kDefaultDenials);
  if (!limit.ok()) return limit.status();
  query.limit = *limit;
  if (const std::string from = Parameter(request, "continue"); !from.empty()) {
    query.after = ParsePlace(from);
    if (!query.after) return InvalidArgument("continue: not what an earlier page gave");
  }
  return query;
}

bool Has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

// The first rows of this replica's sidecars.
class Found {
 public:
  Found(Query query, const NamesIndex& index) : query_(std::move(query)), index_(index) {}

  void Add(const ReportedSidecar& sidecar) {
    const auto node = ParseObjectName(sidecar.node_id);
    if (!node || (!query_.ns.empty() && node->ns != query_.ns) ||
        (!query_.pod.empty() && node->name != query_.pod)) {
      return;
    }
    for (const v1::DenialReport& denial : sidecar.report->policy().denials()) {
      if (Shows(sidecar.node_id, denial)) Add(sidecar.node_id, denial);
    }
    // Those beyond are not kept for long, however many sidecars there are.
    if (rows_.size() > 2 * query_.limit + kMostDenials) Cut();
  }

  // {"denials", "continue"}, with those of other replicas.
  json Page(const std::vector<ReplicaAnswer>& others) {
    for (json& theirs : ListsOf(others, "denials")) {
      Place place = PlaceOf(theirs);
      rows_.emplace_back(std::move(place), std::move(theirs));
    }
    for (const ReplicaAnswer& other : others) {
      more_ = more_ || (other.answer.ok() && other.answer->is_object() &&
                        other.answer->contains("continue"));
    }
    Cut();
    json page = {{"denials", json::array()}};
    if (more_ && !rows_.empty()) page["continue"] = TextOf(rows_.back().first);
    for (auto& [place, row] : rows_) page["denials"].push_back(std::move(row));
    return page;
  }

 private:
  bool Shows(const std::string& node, const v1::DenialReport& denial) const {
    return Has(denial.policies(), query_.policy) &&
           (Has(denial.name(), query_.name) || Has(denial.address(), query_.name)) &&
           (Has(node, query_.search) || Has(denial.name(), query_.search) ||
            Has(denial.address(), query_.search) || Has(denial.policies(), query_.search));
  }
  void Add(const std::string& node, const v1::DenialReport& denial) {
    json row = DenialJson(denial);
    row["node"] = node;
    Place place = PlaceOf(row);
    if (query_.after && place <= *query_.after) return;
    const Pod* pod = index_.snapshot()->FindPod(node);
    row["workload"] = pod == nullptr ? json() : json(WorkloadOf(*pod));
    rows_.emplace_back(std::move(place), std::move(row));
  }
  void Cut() {
    std::stable_sort(rows_.begin(), rows_.end(),
                     [](const auto& a, const auto& b) { return a.first < b.first; });
    if (rows_.size() <= query_.limit) return;
    more_ = true;
    rows_.resize(query_.limit);
  }

  const Query query_;
  const NamesIndex& index_;
  std::vector<std::pair<Place, json>> rows_;
  bool more_ = false;
};

}  // namespace

void AddDenialsPage(http::Server& server, ReportWalks& walks, const NamesIndex& index,
                    const AllReplicas& replicas) {
  server.Get("/api/v1/denials", [&](const http::Request& request, http::Responder responder) {
    auto query = ParseQuery(request);
    if (!query.ok()) return responder.Send(ErrorOf(query.status()));
    const auto found = std::make_shared<Found>(*std::move(query), index);
    const bool started = walks.Start(
        [found](const ReportedSidecar& sidecar) { found->Add(sidecar); },
        [found, request, responder, &replicas] {
          replicas.Ask(request, [found, request, responder, &replicas](const auto& others) mutable {
            json body = found->Page(others);
            body["replicas"] = replicas.List(others);
            responder.Send(Fresh(request, body));
          });
        });
    if (!started) responder.Send(http::JsonError(503, "too many ask at once; ask again"));
  });
}

}  // namespace portolan::xds

#include "xds/dashboard/sidecar_pages.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <memory>
#include <tuple>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/time/clock.h"
#include "common/http/json.h"
#include "common/json_fields.h"
#include "common/status.h"
#include "common/text.h"
#include "directory/listing.h"
#include "xds/dashboard/ingress.h"
#include "xds/dashboard/page.h"
#include "xds/dashboard/sidecar_report.h"

namespace portolan::xds {
namespace {

using nlohmann::json;

constexpr std::string_view kPath = "/api/v1/sidecars/";
// On one page: some 4 KB each, so that Peers::kMaxAnswerBytes has room for it.
constexpr size_t kMostSidecars = 1000;

// "NAMESPACE/POD/WHAT", taken apart at the last slash.
struct Target {
  std::string node_id;
  std::string what;
};

std::optional<Target> ParseTarget(std::string_view path) {
  const size_t last = path.rfind('/');
  if (last == path.npos) return std::nullopt;
  Target target{std::string(path.substr(0, last)), std::string(path.substr(last + 1))};
  const size_t slash = target.node_id.find('/');
  if (slash == std::string::npos || slash == 0 || slash + 1 == target.node_id.size()) {
    return std::nullopt;
  }
  return target;
}

http::Response NoSuchPage() {
  return http::JsonError(
      404,
      "a sidecar's pages are /api/v1/sidecars/NAMESPACE/POD/explain?name=&type=&clusterDns= "
      ".../config_dump and .../policy_test?to=&port=&protocol=, and with POST "
      ".../logging?level=");
}

http::Response Answer(const absl::StatusOr<std::string>& answer) {
  if (!answer.ok()) return ErrorOf(answer.status());
  if (ParseUntrusted(*answer).is_discarded()) {
    return http::JsonError(502, "what the sidecar answered is no JSON, or is nested too deeply");
  }
  http::Response response;
  response.content_type = "application/json";
  response.headers = {{"Cache-Control", "no-store"}};
  response.body = *answer + "\n";
  return response;
}

// 0, which is no port, of what is no number; the sidecar says what is wrong with it.
uint32_t PortIn(const std::string& text) {
  uint32_t port = 0;
  return absl::SimpleAtoi(text, &port) ? port : 0;
}

// Nothing: there is no such page.
std::optional<v1::Question> QuestionOf(const http::Request& request, std::string_view what) {
  const auto parameter = [&](std::string_view name) {
    return std::string(request.FindQuery(name).value_or(""));
  };
  v1::Question question;
  // A HEAD comes to the handlers of GET, and like that it changes nothing.
  const bool reads = request.method == "GET" || request.method == "HEAD";
  if (reads && what == "explain") {
    question.mutable_explain()->set_name(parameter("name"));
    question.mutable_explain()->set_type(parameter("type"));
    question.mutable_explain()->set_with_cluster_dns(parameter("clusterDns") == "true");
  } else if (reads && what == "config_dump") {
    question.mutable_config_dump()->set_type(parameter("type"));
    question.mutable_config_dump()->set_after(parameter("continue"));
  } else if (reads && what == "policy_test") {
    question.mutable_policy_test()->set_to(parameter("to"));
    question.mutable_policy_test()->set_port(PortIn(parameter("port")));
    question.mutable_policy_test()->set_protocol(parameter("protocol"));
  } else if (!reads && what == "logging") {
    question.mutable_set_log_level()->set_level(parameter("level"));
  } else {
    return std::nullopt;
  }
  return question;
}

// What the replica says that has it; else why one gave no answer, or that none has it.
http::Response TheirAnswer(const http::Request& request, const std::string& node,
                           const std::vector<ReplicaAnswer>& others) {
  absl::Status fault = NotFound("the sidecar of {} is not connected", node);
  for (const ReplicaAnswer& other : others) {
    if (other.answer.ok()) return Fresh(request, *other.answer);
    const absl::Status& status = other.answer.status();
    if (status.code() == absl::StatusCode::kNotFound) continue;
    fault = absl::Status(status.code(), fmt::format("{}: {}", other.name, Message(status)));
  }
  return ErrorOf(fault);
}

// Where a sidecar stands in the order of its page; a node that has just reconnected may be there
// twice.
struct Place {
  int64_t lag_us = 0;  // sort=lag: negative, so that laggards come first; else 0
  std::string key;     // "NODE PEER"

  friend auto operator<=>(const Place&, const Place&) = default;
};

enum class Sort : uint8_t { kNode, kLag };

struct ListQuery {
  std::string node;    // empty: all
  std::string search;  // part of the node
  Sort sort = Sort::kNode;
  size_t limit = kDefaultPageSize;
  std::optional<Place> after;
};

std::string PlaceText(const Place& place, Sort sort) {
  return sort == Sort::kNode ? place.key : fmt::format("{} {}", -place.lag_us, place.key);
}

std::optional<Place> ParsePlace(std::string_view text, Sort sort) {
  Place place;
  if (sort == Sort::kLag) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), place.lag_us);
    if (error != std::errc() || end == text.data() + text.size() || *end != ' ') {
      return std::nullopt;
    }
    place.lag_us = -place.lag_us;
    text.remove_prefix(static_cast<size_t>(end + 1 - text.data()));
  }
  place.key = std::string(text);
  return place;
}

absl::StatusOr<ListQuery> ParseListQuery(const http::Request& request) {
  ListQuery query;
  query.node = Parameter(request, "node");
  query.search = Parameter(request, "search");
  const std::string sort = Parameter(request, "sort");
  if (!sort.empty() && sort != "node" && sort != "lag") {
    return InvalidArgument("sort: node or lag is needed");
  }
  if (sort == "lag") query.sort = Sort::kLag;
  const auto limit = ParseCount(request, "limit", kMaxPageSize, kDefaultPageSize);
  if (!limit.ok()) return limit.status();
  query.limit = std::min(*limit, kMostSidecars);
  if (const std::string from = Parameter(request, "continue"); !from.empty()) {
    query.after = ParsePlace(from, query.sort);
    if (!query.after) return InvalidArgument("continue: not what an earlier page gave");
  }
  return query;
}

Place PlaceOf(const ClientStatus& client, Sort sort) {
  const int64_t lag = sort == Sort::kLag ? absl::ToInt64Microseconds(LagOf(client).p99) : 0;
  return {-lag, client.node_id + " " + client.peer};
}

// Of a sidecar as JSON, which may be another replica's.
Place PlaceOf(const json& sidecar, Sort sort) {
  Place place{0, TextOf(sidecar, "node") + " " + TextOf(sidecar, "peer")};
  const auto lag = sidecar.find("lag");
  if (sort == Sort::kNode || lag == sidecar.end() || !lag->is_object()) return place;
  const auto p99 = lag->find("p99Ms");
  if (p99 == lag->end() || !p99->is_number()) return place;
  place.lag_us = -std::llround(std::clamp(p99->get<double>(), 0.0, 1e9) * 1000);
  return place;
}

struct ListPage {
  std::vector<ClientStatus> clients;
  bool more = false;
};

ListPage PageOf(std::vector<ClientStatus> clients, const ListQuery& query) {
  std::vector<std::pair<Place, ClientStatus*>> found;
  for (ClientStatus& client : clients) {
    if (!query.node.empty() && client.node_id != query.node) continue;
    if (client.node_id.find(query.search) == std::string::npos) continue;
    Place place = PlaceOf(client, query.sort);
    if (query.after && place <= *query.after) continue;
    found.emplace_back(std::move(place), &client);
  }
  std::sort(found.begin(), found.end());
  ListPage page;
  page.more = found.size() > query.limit;
  for (size_t i = 0; i < std::min(found.size(), query.limit); ++i) {
    page.clients.push_back(std::move(*found[i].second));
  }
  return page;
}

// Of this replica's page and those of others, which are the first `limit` of each.
json Merged(json ours, const std::vector<ReplicaAnswer>& others, const ListQuery& query) {
  std::vector<std::pair<Place, json>> all;
  for (json& one : ours["sidecars"]) {
    Place place = PlaceOf(one, query.sort);
    all.emplace_back(std::move(place), std::move(one));
  }
  bool more = ours.contains("continue");
  for (json& theirs : ListsOf(others, "sidecars")) {
    Place place = PlaceOf(theirs, query.sort);
    all.emplace_back(std::move(place), std::move(theirs));
  }
  for (const ReplicaAnswer& other : others) {
    more = more ||
           (other.answer.ok() && other.answer->is_object() && other.answer->contains("continue"));
  }
  std::stable_sort(all.begin(), all.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  more = more || all.size() > query.limit;
  json body = {{"sidecars", json::array()}};
  for (size_t i = 0; i < std::min(all.size(), query.limit); ++i) {
    body["sidecars"].push_back(std::move(all[i].second));
    if (more) body["continue"] = PlaceText(all[i].first, query.sort);
  }
  return body;
}

}  // namespace

SidecarPages::SidecarPages(http::Server& server, ClientSource clients, AskedSidecars* sidecars,
                           const IngressJudge& ingress, const AllReplicas& replicas)
    : clients_(std::move(clients)), sidecars_(sidecars), ingress_(ingress), replicas_(replicas) {
  server.Get("/api/v1/sidecars", [this](const http::Request& request, http::Responder responder) {
    AnswerSidecars(request, std::move(responder));
  });
  server.Get("/debug/clients", [this](const http::Request& request, http::Responder responder) {
    AnswerClients(request, std::move(responder));
  });
  if (sidecars_ == nullptr) return;
  for (const char* method : {"GET", "POST"}) {
    server.Route(method, std::string(kPath) + "*",
                 [this](const http::Request& request, http::Responder responder) {
                   AnswerQuestion(request, std::move(responder));
                 });
  }
}

json SidecarPages::ClientJson(const ClientStatus& client) const {
  json types = json::array();
  for (const TypeStatus& type : client.types) types.push_back(TypeJson(type));
  return {{"node", client.node_id},
          {"version", client.version},
          {"peer", client.peer},
          {"connected", TimeJson(client.connected)},
          {"types", std::move(types)}};
}

json SidecarPages::SidecarJson(const ClientStatus& client, ReportPart part) const {
  const absl::Time now = absl::Now();
  const auto reported = sidecars_ == nullptr ? std::nullopt : sidecars_->Find(client.node_id);
  json out = ClientJson(client);
  if (reported && reported->report != nullptr) out["report"] = ReportJson(*reported, part, now);
  out["rates"] = reported ? RatesJson(*reported, now) : json();
  const Lag lag = LagOf(client);
  out["lag"] = nullptr;
  if (!lag.worst_type.empty()) {
    const auto ms = [](absl::Duration time) {
      return static_cast<double>(absl::ToInt64Microseconds(time)) / 1000;
    };
    out["lag"] = {{"p50Ms", ms(lag.p50)}, {"p99Ms", ms(lag.p99)}, {"worstType", lag.worst_type}};
  }
  const Health health = HealthOf(client, reported ? &*reported : nullptr, now);
  out["health"] = health.word;
  if (!health.why.empty()) out["healthWhy"] = health.why;
  out["replica"] = replicas_.self();
  return out;
}

void SidecarPages::AnswerSidecars(const http::Request& request, http::Responder responder) const {
  const auto query = ParseListQuery(request);
  if (!query.ok()) return responder.Send(ErrorOf(query.status()));
  const ListPage page = PageOf(clients_(0), *query);
  json ours = {{"sidecars", json::array()}};
  const ReportPart part = query->node.empty() ? ReportPart::kCounters : ReportPart::kAll;
  for (const ClientStatus& client : page.clients) {
    ours["sidecars"].push_back(SidecarJson(client, part));
  }
  if (page.more) ours["continue"] = true;  // Merged says from where
  replicas_.Ask(request, [this, request, query = *query, ours = std::move(ours),
                          responder](const auto& others) mutable {
    json body = Merged(std::move(ours), others, query);
    body["replicas"] = replicas_.List(others);
    responder.Send(Fresh(request, body));
  });
}

void SidecarPages::AnswerClients(const http::Request& request, http::Responder responder) const {
  const auto query = ParseListQuery(request);
  if (!query.ok()) return responder.Send(ErrorOf(query.status()));
  const ListPage page = PageOf(clients_(kMostDebugNames), *query);
  json body = {{"clients", json::array()}};
  for (const ClientStatus& client : page.clients) body["clients"].push_back(ClientJson(client));
  if (page.more) {
    body["continue"] = PlaceText(PlaceOf(page.clients.back(), query->sort), query->sort);
  }
  responder.Send(Fresh(request, body));
}

http::Response SidecarPages::AnswerOfTest(const ObjectName& client, Protocol protocol,
                                          const absl::StatusOr<std::string>& answer) const {
  if (!answer.ok()) return ErrorOf(answer.status());
  json said = ParseUntrusted(*answer);
  if (!said.is_object()) {
    return http::JsonError(502,
                           "what the sidecar answered is no JSON object, or is nested too deeply");
  }
  AddIngress(said, [&](const SocketAddress& to) { return ingress_.Judge(client, to, protocol); });
  http::Response response = http::JsonResponse(200, said);
  response.headers = {{"Cache-Control", "no-store"}};
  return response;
}

void SidecarPages::AnswerQuestion(const http::Request& request, http::Responder responder) const {
  const auto target = ParseTarget(std::string_view(request.path).substr(kPath.size()));
  if (!target) return responder.Send(NoSuchPage());
  auto question = QuestionOf(request, target->what);
  if (!question) return responder.Send(NoSuchPage());
  if (sidecars_->Find(target->node_id)) {
    const bool is_test = question->has_policy_test();
    const Protocol protocol =
        Lower(question->policy_test().protocol()) == "udp" ? Protocol::kUdp : Protocol::kTcp;
    return sidecars_->Ask(
        target->node_id, *std::move(question),
        [this, client = *ParseObjectName(target->node_id), is_test, protocol,
         responder](const absl::StatusOr<std::string>& answer) mutable {
          responder.Send(is_test ? AnswerOfTest(client, protocol, answer) : Answer(answer));
        });
  }
  replicas_.Ask(request, Replicas::kSidecarPatience,
                [request, node = target->node_id, responder](const auto& others) mutable {
                  responder.Send(TheirAnswer(request, node, others));
                });
}

}  // namespace portolan::xds

#include "xds/dashboard/api.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <optional>
#include <utility>

#include "absl/time/clock.h"
#include "common/http/json.h"
#include "directory/listing.h"
#include "xds/dashboard/sidecar_pages.h"

namespace portolan::xds {
namespace {

using nlohmann::json;

constexpr std::string_view kNamesPath = "/api/v1/names/";

http::Response BadLimit() {
  return http::JsonError(400, fmt::format("limit: a number from 1 to {} is needed", kMaxPageSize));
}

// "namespace/name"
std::optional<ObjectName> ParseObjectName(std::string_view text) {
  const size_t slash = text.find('/');
  if (slash == 0 || slash == text.npos || slash + 1 == text.size()) return std::nullopt;
  if (text.find('/', slash + 1) != text.npos) return std::nullopt;
  return ObjectName{std::string(text.substr(0, slash)), std::string(text.substr(slash + 1))};
}

// RFC 9110 13.1.2, by weak comparison.
bool NoneMatchNames(const http::Request& request, std::string_view etag) {
  std::string_view list = request.FindHeader("if-none-match").value_or("");
  while (!list.empty()) {
    const size_t comma = list.find(',');
    std::string_view one = list.substr(0, comma);
    list = comma == list.npos ? std::string_view() : list.substr(comma + 1);
    while (one.starts_with(' ')) one.remove_prefix(1);
    while (one.ends_with(' ')) one.remove_suffix(1);
    if (one.starts_with("W/")) one.remove_prefix(2);
    if (one == "*" || one == etag) return true;
  }
  return false;
}

http::Response NotModified(std::string etag) {
  http::Response response;
  response.status = 304;
  response.headers = {{"ETag", std::move(etag)}, {"Cache-Control", "no-cache"}};
  return response;
}

http::Response Tagged(const json& body, std::string etag) {
  http::Response response = http::JsonResponse(200, body);
  response.headers = {{"ETag", std::move(etag)}, {"Cache-Control", "no-cache"}};
  return response;
}

json TypeJson(const TypeStatus& status) {
  const size_t dot = status.type_url.rfind('.');
  json out = {
      {"type", dot == std::string::npos ? status.type_url : status.type_url.substr(dot + 1)},
      {"typeUrl", status.type_url},
      {"status", SyncWord(status)},
      {"wildcard", status.wildcard},
      {"subscribedNames", status.subscribed_names},
      {"sentGeneration", status.sent_generation},
      {"acknowledgedGeneration", status.acknowledged_generation},
      {"lastSent", TimeJson(status.last_sent)},
      {"lastAcknowledged", TimeJson(status.last_acknowledged)},
      {"lagMs", absl::ToInt64Milliseconds(status.lag)},
      {"lastPropagationMs", absl::ToDoubleMilliseconds(status.last_propagation)},
      {"nacks", status.nacks}};
  if (!status.last_nack.empty()) out["lastNack"] = status.last_nack;
  if (!status.names.empty()) out["names"] = status.names;
  return out;
}

// Orders sidecars; a node that has just reconnected may be there twice.
std::string PageKey(const ClientStatus& client) { return client.node_id + " " + client.peer; }

}  // namespace

std::string_view SyncWord(const TypeStatus& status) {
  switch (StateOf(status)) {
    case SyncState::kNotSent:
      return "NOT SENT";
    case SyncState::kSynced:
      return "SYNCED";
    case SyncState::kStale:
      return "STALE";
    case SyncState::kRefused:
      return "NACKED";
  }
  return "";
}

Api::Api(http::Server& server, SnapshotSource snapshot, ClientSource clients,
         std::string cluster_domain, AskedSidecars* sidecars)
    : snapshot_(std::move(snapshot)),
      clients_(std::move(clients)),
      cluster_domain_(std::move(cluster_domain)),
      sidecars_(sidecars),
      instance_(fmt::format("{:x}", absl::ToUnixNanos(absl::Now()))) {
  const auto serve = [&](std::string path,
                         http::Response (Api::*answer)(const http::Request&) const) {
    server.Get(std::move(path),
               [this, answer](const http::Request& request, http::Responder responder) {
                 responder.Send((this->*answer)(request));
               });
  };
  serve("/api/v1/names", &Api::Names);
  serve("/api/v1/names/*", &Api::Name);
  serve("/api/v1/sidecars", &Api::Sidecars);
  serve("/debug/clients", &Api::Clients);
  if (sidecars_ != nullptr) AddSidecarPages(server, *sidecars_);
  server.Get("/api/*", [](const http::Request&, http::Responder responder) {
    responder.Send(
        http::JsonError(404, "no such resource; there are /api/v1/names and /api/v1/sidecars"));
  });
}

json Api::ClientJson(const ClientStatus& client) const {
  json types = json::array();
  for (const TypeStatus& type : client.types) types.push_back(TypeJson(type));
  json out = {{"node", client.node_id},
              {"version", client.version},
              {"peer", client.peer},
              {"connected", TimeJson(client.connected)},
              {"types", std::move(types)}};
  const auto reported = sidecars_ == nullptr ? std::nullopt : sidecars_->Find(client.node_id);
  if (reported && reported->report != nullptr) out["report"] = ReportJson(*reported);
  return out;
}

std::string Api::Etag(const Snapshot& snapshot) const {
  return fmt::format("\"{}-{}\"", instance_, snapshot.generation());
}

http::Response Api::Names(const http::Request& request) const {
  const auto snapshot = snapshot_();
  const auto limit = ParsePageSize(request.FindQuery("limit").value_or(""));
  if (!limit) return BadLimit();
  ServiceQuery query;
  query.limit = *limit;
  query.ns = request.FindQuery("namespace").value_or("");
  query.search = request.FindQuery("search").value_or("");
  if (const auto from = request.FindQuery("continue"); from && !from->empty()) {
    auto after = ParseObjectName(*from);
    if (!after) return http::JsonError(400, "continue: not what an earlier page gave");
    query.after = std::move(*after);
  }
  std::string etag = Etag(*snapshot);
  if (NoneMatchNames(request, etag)) return NotModified(std::move(etag));

  const ServicePage page = ListServices(*snapshot, query, cluster_domain_);
  json names = json::array();
  for (const Service* service : page.services) {
    names.push_back(ServiceJson(*snapshot, *service, cluster_domain_));
  }
  json body = {{"generation", snapshot->generation()}, {"names", std::move(names)}};
  if (page.more) body["continue"] = page.services.back()->name.ToString();
  return Tagged(body, std::move(etag));
}

http::Response Api::Name(const http::Request& request) const {
  const auto name = ParseObjectName(std::string_view(request.path).substr(kNamesPath.size()));
  if (!name) return http::JsonError(404, "a name is /api/v1/names/NAMESPACE/NAME");
  const auto snapshot = snapshot_();
  const Service* service = snapshot->FindService(name->ToString());
  if (service == nullptr) {
    return http::JsonError(404, fmt::format("no Service {} in namespace {}", name->name, name->ns));
  }
  std::string etag = Etag(*snapshot);
  if (NoneMatchNames(request, etag)) return NotModified(std::move(etag));
  return Tagged(ServiceDetailJson(*snapshot, *service, cluster_domain_), std::move(etag));
}

http::Response Api::Sidecars(const http::Request& request) const {
  return ClientPage(request, "sidecars", 0);
}

http::Response Api::Clients(const http::Request& request) const {
  return ClientPage(request, "clients", kMostDebugNames);
}

http::Response Api::ClientPage(const http::Request& request, const char* list,
                               size_t most_names) const {
  const auto limit = ParsePageSize(request.FindQuery("limit").value_or(""));
  if (!limit) return BadLimit();
  const std::string after(request.FindQuery("continue").value_or(""));
  const std::string node(request.FindQuery("node").value_or(""));
  std::vector<ClientStatus> clients = clients_(most_names);
  std::sort(clients.begin(), clients.end(),
            [](const ClientStatus& a, const ClientStatus& b) { return PageKey(a) < PageKey(b); });
  json page = json::array();
  json body = json::object();
  std::string last;
  for (const ClientStatus& client : clients) {
    if (!node.empty() && client.node_id != node) continue;
    if (!after.empty() && PageKey(client) <= after) continue;
    if (page.size() == *limit) {
      body["continue"] = last;
      break;
    }
    last = PageKey(client);
    page.push_back(ClientJson(client));
  }
  body[list] = std::move(page);
  http::Response response = http::JsonResponse(200, body);
  response.headers = {{"Cache-Control", "no-store"}};
  return response;
}

}  // namespace portolan::xds

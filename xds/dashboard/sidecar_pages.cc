#include "xds/dashboard/sidecar_pages.h"

#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "common/http/json.h"
#include "common/status.h"
#include "directory/listing.h"
#include "xds/dashboard/report_json.h"

namespace portolan::xds {
namespace {

using nlohmann::json;

constexpr std::string_view kPath = "/api/v1/sidecars/";

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
      "and .../config_dump, and with POST .../logging?level=");
}

int StatusOf(absl::StatusCode code) {
  switch (code) {
    case absl::StatusCode::kNotFound:
      return 404;
    case absl::StatusCode::kResourceExhausted:
      return 503;
    case absl::StatusCode::kDeadlineExceeded:
      return 504;
    default:
      return 502;
  }
}

http::Response Answer(const absl::StatusOr<std::string>& answer) {
  if (!answer.ok()) {
    return http::JsonError(StatusOf(answer.status().code()), Message(answer.status()));
  }
  if (!json::accept(*answer)) return http::JsonError(502, "what the sidecar answered is no JSON");
  http::Response response;
  response.content_type = "application/json";
  response.headers = {{"Cache-Control", "no-store"}};
  response.body = *answer + "\n";
  return response;
}

// Nothing: there is no such page.
std::optional<v1::Question> QuestionOf(const http::Request& request, std::string_view what) {
  const auto parameter = [&](std::string_view name) {
    return std::string(request.FindQuery(name).value_or(""));
  };
  v1::Question question;
  const bool is_get = request.method == "GET";
  if (is_get && what == "explain") {
    question.mutable_explain()->set_name(parameter("name"));
    question.mutable_explain()->set_type(parameter("type"));
    question.mutable_explain()->set_with_cluster_dns(parameter("clusterDns") == "true");
  } else if (is_get && what == "config_dump") {
    question.mutable_config_dump()->set_type(parameter("type"));
    question.mutable_config_dump()->set_after(parameter("continue"));
  } else if (!is_get && what == "logging") {
    question.mutable_set_log_level()->set_level(parameter("level"));
  } else {
    return std::nullopt;
  }
  return question;
}

json FeedJson(const v1::FeedReport& feed) {
  json types = json::array();
  for (const v1::FeedTypeReport& type : feed.types()) {
    json one = {{"typeUrl", type.type_url()},
                {"synced", type.synced()},
                {"held", type.held()},
                {"nacks", type.nacks()}};
    if (!type.last_nack().empty()) one["lastNack"] = type.last_nack();
    types.push_back(std::move(one));
  }
  json out = {{"inSync", feed.in_sync()}, {"source", feed.source()}, {"types", std::move(types)}};
  if (feed.last_sync_unix_ms() != 0) {
    out["lastSync"] = TimeJson(absl::FromUnixMillis(feed.last_sync_unix_ms()));
  }
  return out;
}

json DnsJson(const v1::DnsReport& dns) {
  json responses = json::object();
  for (const v1::RcodeReport& rcode : dns.responses()) responses[rcode.rcode()] = rcode.count();
  json upstreams = json::array();
  for (const v1::UpstreamReport& upstream : dns.upstreams()) {
    upstreams.push_back({{"address", upstream.address()},
                         {"answers", upstream.answers()},
                         {"failures", upstream.failures()},
                         {"failedProbes", upstream.failed_probes()}});
  }
  return {{"queries", dns.queries()},
          {"responses", std::move(responses)},
          {"cacheHits", dns.cache_hits()},
          {"cacheMisses", dns.cache_misses()},
          {"upstreams", std::move(upstreams)}};
}

json ForwarderJson(const v1::ForwarderReport& forwarder) {
  return {{"connections", forwarder.connections()}, {"failures", forwarder.failures()},
          {"active", forwarder.active()},           {"bytesUp", forwarder.bytes_up()},
          {"bytesDown", forwarder.bytes_down()},    {"udpFlows", forwarder.udp_flows()},
          {"udpBytesUp", forwarder.udp_bytes_up()}, {"udpBytesDown", forwarder.udp_bytes_down()}};
}

}  // namespace

json ReportJson(const ReportedSidecar& sidecar) {
  if (sidecar.report == nullptr) return nullptr;
  const v1::SidecarReport& report = *sidecar.report;
  json out = {{"received", TimeJson(sidecar.reported)},
              {"started", TimeJson(sidecar.started)},
              {"feed", FeedJson(report.feed())},
              {"dns", DnsJson(report.dns())},
              {"forwarder", ForwarderJson(report.forwarder())},
              {"endpoints",
               {{"held", report.endpoints().held()}, {"wanted", report.endpoints().wanted()}}}};
  // A sidecar that is to report no names has no such part, an older one none of these.
  if (report.has_names()) out["names"] = NamesJson(report.names());
  if (report.has_flows()) out["flows"] = FlowsJson(report.flows());
  if (report.has_amplification()) {
    out["amplification"] = AmplificationJson(report.amplification());
  }
  return out;
}

void AddSidecarPages(http::Server& server, AskedSidecars& sidecars) {
  for (const char* method : {"GET", "POST", "PUT"}) {
    server.Route(method, std::string(kPath) + "*",
                 [&sidecars](const http::Request& request, http::Responder responder) {
                   const auto target =
                       ParseTarget(std::string_view(request.path).substr(kPath.size()));
                   if (!target) return responder.Send(NoSuchPage());
                   auto question = QuestionOf(request, target->what);
                   if (!question) return responder.Send(NoSuchPage());
                   sidecars.Ask(target->node_id, *std::move(question),
                                [responder](const absl::StatusOr<std::string>& answer) mutable {
                                  responder.Send(Answer(answer));
                                });
                 });
  }
}

}  // namespace portolan::xds

#include "proxy/admin/admin.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <optional>
#include <utility>

#include "common/http/json.h"
#include "common/status.h"
#include "directory/listing.h"

namespace portolan::proxy {
namespace {

using nlohmann::json;

// The index, and with it the answer to a mistyped path.
constexpr std::string_view kIndex =
    "/ready /healthz /health /stats /stats/prometheus /config_dump /names /endpoints /connections "
    "/explain?name=&type=&port=&clusterDns= /policy /policy_test?to=&port=&protocol=\n"
    "POST: /logging?level=debug|info|warn|error /drain /quitquitquit\n";

std::optional<uint16_t> ReadPort(std::string_view text) {
  uint16_t port = 0;
  const auto read = std::from_chars(text.data(), text.data() + text.size(), port);
  if (read.ec != std::errc() || read.ptr != text.data() + text.size()) return std::nullopt;
  return port;
}

http::Handler Page(std::function<http::Response(const http::Request&)> make) {
  return [make = std::move(make)](const http::Request& request, http::Responder responder) {
    responder.Send(make(request));
  };
}

// Answers with what a source says, be it later.
std::function<void(absl::StatusOr<json>)> SendTo(http::Responder responder) {
  return [responder](absl::StatusOr<json> said) mutable {
    if (said.ok()) return responder.Send(http::JsonResponse(200, *said));
    const int status = absl::IsInvalidArgument(said.status()) ? 400 : 503;
    responder.Send(http::JsonError(status, Message(said.status())));
  };
}

}  // namespace

http::Response HealthPage(AdminSource& source) {
  return source.Healthy() ? http::TextResponse(200, "OK") : http::TextResponse(503, "stopping");
}

http::Response ReadyPage(AdminSource& source) {
  Readiness readiness = source.Ready();
  if (!readiness.body.ends_with('\n')) readiness.body.push_back('\n');
  http::Response response;
  response.status = readiness.ready ? 200 : 503;
  response.headers = {{"Cache-Control", "no-store"}};
  response.body = std::move(readiness.body);
  return response;
}

http::Response MetricsResponse(const MetricsPage& metrics) {
  http::Response response;
  response.content_type = "text/plain; version=0.0.4; charset=utf-8";
  response.body = metrics.Render();
  return response;
}

std::string_view EndpointsState(AdminSource& source, const Service& service) {
  const auto snapshot = source.snapshot();
  const std::string key = service.name.ToString();
  if (snapshot->holds_all_slices() || snapshot->KnowsSlices(key)) return "held";
  return source.WantsEndpoints(key) ? "asked for" : "not held";
}

std::string PlainStats(std::string_view prometheus_text) {
  std::string out;
  while (!prometheus_text.empty()) {
    const size_t end = std::min(prometheus_text.find('\n'), prometheus_text.size());
    const std::string_view line = prometheus_text.substr(0, end);
    prometheus_text.remove_prefix(std::min(end + 1, prometheus_text.size()));
    // The value is behind the last space: samples here carry no timestamps.
    const size_t space = line.rfind(' ');
    if (line.empty() || line.front() == '#' || space == line.npos) continue;
    out += fmt::format("{}: {}\n", line.substr(0, space), line.substr(space + 1));
  }
  return out;
}

absl::StatusOr<std::unique_ptr<Admin>> Admin::Listen(EventLoop& loop, const Options& options,
                                                     AdminSource& source,
                                                     const MetricsPage& metrics) {
  http::Server::Options admin_options;
  admin_options.name = "admin";
  admin_options.listen = options.admin_listen;
  admin_options.audience = http::Audience::kThisMachine;
  admin_options.limits.body_bytes = 4096;
  admin_options.max_connections = 64;
  auto admin = http::Server::Listen(loop, admin_options);
  if (!admin.ok()) return admin.status();

  http::Server::Options pod_options;
  pod_options.name = "pod";
  pod_options.listen = options.pod_listen;
  pod_options.limits.body_bytes = 4096;
  pod_options.max_connections = 64;
  auto pod = http::Server::Listen(loop, pod_options);
  if (!pod.ok()) return pod.status();

  std::unique_ptr<Admin> made(new Admin(loop, source, metrics, options.cluster_domain));
  made->admin_ = std::move(*admin);
  made->pod_ = std::move(*pod);
  made->AddProbes(*made->admin_);
  made->AddProbes(*made->pod_);
  made->AddAdminPages(*made->admin_);
  made->AddActions(*made->admin_);
  made->pod_->Get("/metrics",
                  Page([raw = made.get()](const auto&) { return MetricsResponse(raw->metrics_); }));
  return made;
}

Admin::Admin(EventLoop& loop, AdminSource& source, const MetricsPage& metrics,
             std::string cluster_domain)
    : loop_(loop), source_(source), metrics_(metrics), cluster_domain_(std::move(cluster_domain)) {}

void Admin::AddMetrics(MetricFamilies& families) const {
  admin_->AddMetrics(families);
  pod_->AddMetrics(families);
}

void Admin::AddProbes(http::Server& server) {
  server.Get("/ready", Page([this](const auto&) { return ReadyPage(source_); }));
  server.Get("/healthz", Page([](const auto&) { return http::TextResponse(200, "ok"); }));
  server.Get("/health", Page([this](const auto&) { return HealthPage(source_); }));
}

http::Response Admin::ConfigDump(const http::Request& request) {
  const std::string type(request.FindQuery("type").value_or(""));
  if (type.empty()) return http::JsonResponse(200, source_.ConfigDump());
  const auto held =
      source_.HeldResources(type, std::string(request.FindQuery("continue").value_or("")));
  return held.ok() ? http::JsonResponse(200, *held) : http::JsonError(400, Message(held.status()));
}

void Admin::AddAdminPages(http::Server& server) {
  server.Get("/", Page([](const auto&) {
               http::Response index;
               index.body = kIndex;
               return index;
             }));
  server.Get("/stats", Page([this](const auto&) {
               http::Response stats;
               stats.body = PlainStats(metrics_.Render());
               return stats;
             }));
  server.Get("/stats/prometheus", Page([this](const auto&) { return MetricsResponse(metrics_); }));
  server.Get("/config_dump",
             Page([this](const http::Request& request) { return ConfigDump(request); }));
  server.Get("/policy", [this](const http::Request&, http::Responder responder) {
    source_.Policy(
        [responder](const json& page) mutable { responder.Send(http::JsonResponse(200, page)); });
  });
  server.Get("/names", Page([this](const http::Request& request) {
               return ListNames(request, Listing::kNames);
             }));
  server.Get("/endpoints", Page([this](const http::Request& request) {
               return ListNames(request, Listing::kEndpoints);
             }));
  server.Get("/connections", [this](const http::Request&, http::Responder responder) {
    source_.Connections([responder](const json& connections) mutable {
      responder.Send(http::JsonResponse(200, connections));
    });
  });
  server.Get("/explain", [this](const http::Request& request, http::Responder responder) {
    Explain(request, std::move(responder));
  });
  server.Get("/policy_test", [this](const http::Request& request, http::Responder responder) {
    TestPolicy(request, std::move(responder));
  });
}

void Admin::Explain(const http::Request& request, http::Responder responder) {
  const auto port = ReadPort(request.FindQuery("port").value_or("0"));
  if (!port.has_value()) {
    return responder.Send(http::JsonError(400, "port: a number from 0 to 65535 is needed"));
  }
  source_.Explain({.name = std::string(request.FindQuery("name").value_or("")),
                   .type = std::string(request.FindQuery("type").value_or("")),
                   .port = *port,
                   .with_cluster_dns = request.FindQuery("clusterDns") == "true"},
                  SendTo(std::move(responder)));
}

void Admin::TestPolicy(const http::Request& request, http::Responder responder) {
  const auto port = ReadPort(request.FindQuery("port").value_or(""));
  if (!port.has_value()) {
    return responder.Send(http::JsonError(400, "port: a number from 1 to 65535 is needed"));
  }
  source_.TestPolicy({.to = std::string(request.FindQuery("to").value_or("")),
                      .port = *port,
                      .protocol = std::string(request.FindQuery("protocol").value_or(""))},
                     SendTo(std::move(responder)));
}

void Admin::AddActions(http::Server& server) {
  server.Post("/logging", Page([this](const http::Request& request) {
                const auto level = request.FindQuery("level");
                if (!level) return http::TextResponse(400, "/logging?level=debug|info|warn|error");
                const absl::Status status = source_.SetLogLevel(std::string(*level));
                if (!status.ok()) return http::TextResponse(400, Message(status));
                return http::TextResponse(200, fmt::format("log level {}", *level));
              }));
  server.Post("/drain", Page([this](const auto&) {
                source_.Drain();
                return http::TextResponse(200, "draining");
              }));
  server.Post("/quitquitquit", Page([this](const auto&) {
                // After this event, so that the answer is on its way.
                loop_.Post([&source = source_] { source.Quit(); });
                return http::TextResponse(200, "quitting");
              }));
}

http::Response Admin::ListNames(const http::Request& request, Listing listing) {
  const auto limit = ParsePageSize(request.FindQuery("limit").value_or(""));
  if (!limit) {
    return http::JsonError(400,
                           fmt::format("limit: a number from 1 to {} is needed", kMaxPageSize));
  }
  ServiceQuery query;
  query.limit = *limit;
  query.ns = request.FindQuery("namespace").value_or("");
  query.search = request.FindQuery("search").value_or("");
  const auto snapshot = source_.snapshot();
  const ServicePage page = ListServices(*snapshot, query, cluster_domain_);
  json names = json::array();
  for (const Service* service : page.services) {
    names.push_back(listing == Listing::kNames
                        ? ServiceJson(*snapshot, *service, cluster_domain_)
                        : ServiceDetailJson(*snapshot, *service, cluster_domain_));
    if (snapshot->holds_all_slices()) continue;
    names.back()["endpointsState"] = EndpointsState(source_, *service);
  }
  return http::JsonResponse(200,
                            {{"generation", snapshot->generation()},
                             {listing == Listing::kNames ? "names" : "endpoints", std::move(names)},
                             {"more", page.more}});
}

}  // namespace portolan::proxy

#include "xds/dashboard/api.h"

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/http/json.h"
#include "common/log.h"
#include "common/status.h"
#include "xds/dashboard/amplifiers_pages.h"
#include "xds/dashboard/denials_pages.h"
#include "xds/dashboard/explain_pages.h"
#include "xds/dashboard/flows_pages.h"
#include "xds/dashboard/page.h"

namespace portolan::embedded {
extern const std::string_view openapi_json;
}  // namespace portolan::embedded

namespace portolan::xds {
namespace {

Api::Options WithDefaults(Api::Options options) {
  if (options.ready == nullptr) options.ready = [] { return true; };
  if (options.clients == nullptr) {
    options.clients = [](size_t) { return std::vector<ClientStatus>(); };
  }
  if (options.client_count == nullptr) {
    options.client_count = [clients = options.clients] { return clients(0).size(); };
  }
  return options;
}

}  // namespace

Api::Api(EventLoop& loop, http::Server& server, Options options)
    : options_(WithDefaults(std::move(options))),
      replicas_(options_.replicas, options_.replica),
      ingress_(options_.resources, options_.sidecars),
      dns_(loop),
      index_(loop, options_.cluster_domain, dns_),
      names_(server, {.index = index_,
                      .dns = dns_,
                      .replicas = replicas_,
                      .sidecars = options_.sidecars,
                      .at = options_.at}),
      sidecars_(server, options_.clients, options_.sidecars, ingress_, replicas_),
      walks_(loop, options_.sidecars) {
  AddFlowsPage(server, walks_, index_, replicas_);
  AddAmplifiersPage(server, walks_, index_, replicas_);
  AddDenialsPage(server, walks_, index_, replicas_);
  AddExplainPage(server, {.index = index_,
                          .dns = dns_,
                          .sidecars = options_.sidecars,
                          .ingress = ingress_,
                          .replicas = replicas_});
  AddStatusPage(server, {.index = index_,
                         .replicas = replicas_,
                         .version = options_.version,
                         .source = options_.source,
                         .ready = options_.ready,
                         .clients = options_.client_count,
                         .history_since = options_.history_since});
  server.Get("/api/v1/openapi.json", [](const http::Request& request, http::Responder responder) {
    responder.Send(Tagged(request, std::string(embedded::openapi_json)));
  });
  server.Get("/api/*", [](const http::Request&, http::Responder responder) {
    responder.Send(http::JsonError(404, "no such resource; /api/v1/openapi.json lists them"));
  });
}

void Api::OnCommit(const Directory::Committed& committed, const AddressIndex& addresses) {
  index_.OnCommit(committed, addresses, options_.ready());
}

void Api::SetCorefile(const std::optional<std::string>& text) {
  const absl::Status status = text ? dns_.SetCorefile(*text) : dns_.SetBuiltInCorefile();
  if (!status.ok()) return log::error("records are shown as before: {}", Message(status));
  index_.OnCorefile();
}

}  // namespace portolan::xds

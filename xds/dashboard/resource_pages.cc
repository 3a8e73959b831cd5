#include "xds/dashboard/resource_pages.h"

#include <fmt/format.h>

#include <string>
#include <utility>

#include "common/http/json.h"
#include "xds/api/resource_page.h"

namespace portolan::xds {
namespace {

constexpr std::string_view kOurs = "type.googleapis.com/portolan.v1.";

http::Response Page(const http::Request& request, const ResourceSet& set) {
  const std::string word(request.FindQuery("type").value_or(""));
  const auto type = ResourceTypeOf(fmt::format("{}{}", kOurs, word));
  // There is no list of what is asked for by name: addresses, what policies are made of.
  if (!type || !InWildcard(*type, "")) {
    return http::JsonError(
        400, "type: one of ProxyConfig, Namespace, Service, Endpoints and ServiceImport");
  }
  api::ResourcePage page(std::string(request.FindQuery("continue").value_or("")));
  const Viewer viewer{std::string(request.FindQuery("namespace").value_or(""))};
  set.ForEach(*type, viewer, [&](const std::string& name, const ResourcePtr& resource) {
    page.Add(name, resource->version);
  });
  http::Response response = http::JsonResponse(200, page.ToJson());
  response.headers = {{"Cache-Control", "no-store"}};
  return response;
}

}  // namespace

void AddResourcePages(http::Server& server,
                      std::function<std::shared_ptr<const ResourceSet>()> current) {
  server.Get("/debug/resources", [current = std::move(current)](const http::Request& request,
                                                                http::Responder responder) {
    responder.Send(Page(request, *current()));
  });
}

}  // namespace portolan::xds

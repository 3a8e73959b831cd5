// What the control plane serves, resource by resource: what a sidecar ought to hold, for those who
// look into why it does not (portolanctl diff).
//
//   GET /debug/resources?type=&namespace=&continue=
//       xds/api/resource_page.h: names and versions of a type (Service, Endpoints, Namespace,
//       ServiceImport, ProxyConfig) as a sidecar of that namespace is served them; without one:
//       what is exported to all
//
// Errors are {"error": "..."} with status 400. The loop's thread only.
#pragma once

#include <functional>
#include <memory>

#include "common/http/server.h"
#include "xds/serving/resource_cache.h"

namespace portolan::xds {

// Adds the route. `current` is called on the server's loop and never gives null.
void AddResourcePages(http::Server& server,
                      std::function<std::shared_ptr<const ResourceSet>()> current);

}  // namespace portolan::xds

// The Service that an operator means: what stands on a command line after `endpoints`, `records`
// and `history`. One thread.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "ctl/session.h"

namespace portolan::ctl {

struct ServiceName {
  std::string ns;
  std::string name;
  // Of one endpoint of a headless Service: "web-0" of web-0.web.default.svc.cluster.local.
  std::string hostname = {};
  // What stands behind "svc.": the cluster's domain, as FetchService checks.
  std::string domain = {};

  // Its page of the API.
  std::string Path() const;
};

// "backend" is in `ns`, as is what else names no namespace: "default/backend", "backend.default",
// "backend.default.svc", with the cluster domain, and behind a hostname or "_http._tcp". An error
// says what is missing.
absl::StatusOr<ServiceName> ParseServiceName(const std::string& text, const std::string& ns);

// The same, or the one Service that has or lists the address that `text` is.
absl::StatusOr<ServiceName> ResolveService(Session& session, const std::string& text,
                                           const std::string& ns);

// "There are: default/backend", of Services that are called alike; empty where there are none, or
// it is there itself.
std::string Alike(Session& session, const ServiceName& named);

// The detail of the Service that `text` names, or that has that address, of which there has to be
// one. An error names Services that are called alike. `query`: "?at=..." or nothing.
absl::StatusOr<nlohmann::json> FetchService(Session& session, const std::string& text,
                                            const std::string& ns, const std::string& query = "");

}  // namespace portolan::ctl

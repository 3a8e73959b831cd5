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

  // Its page of the API.
  std::string Path() const;
};

// "backend" is in `ns`, as is what else names no namespace: "default/backend", "backend.default",
// "backend.default.svc", with the cluster domain, and behind a hostname. An error says what is
// missing.
absl::StatusOr<ServiceName> ParseServiceName(const std::string& text, const std::string& ns);

// The detail of the Service that `text` names, or that has that address, of which there has to be
// one. An error names Services that are called alike. `query`: "?at=..." or nothing.
absl::StatusOr<nlohmann::json> FetchService(Session& session, const std::string& text,
                                            const std::string& ns, const std::string& query = "");

}  // namespace portolan::ctl

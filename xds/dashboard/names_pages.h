// The pages of names: which there are, and all about one.
//
//   GET /api/v1/names?search=&namespace=&label=&warning=&sort=name|changed&offset=&limit=&continue=
//       {"generation", "total", "names": [...], "continue", "replicas"}: a name has what
//       directory/listing.h says of it and "labels", "hostnames", "lastChange", "warnings" (whose
//       codes name_warnings.h lists) and "askedBy" (asked_by.h). `search` is that of
//       names_search.h; `warning` is a code or "any". "total" counts all that match; `offset` skips
//       as many, or `continue` goes on where a page ended.
//   GET /api/v1/names/NAMESPACE/NAME
//       the name with its endpoints in full, "records", "recordsTruncated", "noRecords"
//       (name_records.h) and the "objects" it comes from
//   GET /api/v1/names/NAMESPACE/NAME?at=TIME
//       what the history has of it: {"at", "entry", ...}
//
// Answers have an ETag of what they say. The loop's thread only.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/http/server.h"
#include "directory/model.h"
#include "xds/dashboard/all_replicas.h"
#include "xds/dashboard/names_index.h"
#include "xds/dashboard/sidecar_dns.h"
#include "xds/sidecars/reported_sidecar.h"

namespace portolan::xds {

// [{"kind", "namespace", "name", "resourceVersion", "arrived"}]: the Service and its slices.
nlohmann::json ObjectsJson(const Snapshot& snapshot, const Service& service);

class NamesPages {
 public:
  // What a name led to then; kNotFound says since when the history is kept.
  using At = std::function<void(const ObjectName& name, absl::Time time,
                                std::function<void(const absl::StatusOr<nlohmann::json>&)> done)>;
  struct Sources {
    NamesIndex& index;
    SidecarDns& dns;
    const AllReplicas& replicas;
    const AskedSidecars* sidecars;  // null: none reports
    At at;                          // null: no history is kept
  };

  // Adds its routes to `server`. What `sources` names outlives it, and it the server's answers.
  NamesPages(http::Server& server, Sources sources);
  NamesPages(const NamesPages&) = delete;
  NamesPages& operator=(const NamesPages&) = delete;

 private:
  void AnswerPage(const http::Request& request, http::Responder responder) const;
  void AnswerName(const http::Request& request, http::Responder responder) const;
  void AnswerAt(const http::Request& request, const ObjectName& name,
                http::Responder responder) const;
  nlohmann::json NameJson(const ObjectName& name, const Service& service) const;
  // Without pods where there may be none.
  nlohmann::json AskedByOf(std::string_view key, size_t most_pods) const;

  const Sources sources_;
};

}  // namespace portolan::xds

// What each name led to, and when, in the API.
//
//   GET /api/v1/history?namespace=&name=&since=&until=&cause=&limit=&continue=
//       {"entries": [...], "continue", "since", "gaps", "replicas"}, newest first, of all replicas
//       (history_merge.h). "since" is when the kept history begins; "gaps" are times of which not
//       every change is there: {"from", "to", "changes", "reason", "replica"}, the last 100 of each
//       replica. xds/history/entry.h says what an entry holds.
//
// And what a name was at a moment, for the page of the name. The loop's thread only.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include <nlohmann/json.hpp>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/http/server.h"
#include "directory/model.h"
#include "xds/dashboard/all_replicas.h"
#include "xds/history/history.h"

namespace portolan::xds {

class HistoryPages {
 public:
  // Adds its route to `server`. `history` and `replicas` outlive it, and it the server's answers.
  HistoryPages(http::Server& server, History& history, const AllReplicas& replicas,
               std::string cluster_domain);
  HistoryPages(const HistoryPages&) = delete;
  HistoryPages& operator=(const HistoryPages&) = delete;

  // {"at", "entry", ...what directory/listing.h says of a Service, as it was then}, and "gap" where
  // not every change of that time is known. kNotFound: there was none, or the history begins later.
  void At(const ObjectName& name, absl::Time time,
          std::function<void(const absl::StatusOr<nlohmann::json>&)> done) const;

 private:
  struct Question;
  void Answer(const http::Request& request, http::Responder responder) const;
  void Merge(const std::shared_ptr<Question>& question) const;

  History& history_;
  const AllReplicas& replicas_;
  const std::string cluster_domain_;
};

}  // namespace portolan::xds

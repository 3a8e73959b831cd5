// The control plane's JSON API under /api/v1: which names there are and where they lead, how far
// each sidecar has followed, who talks to whom. Each page has a header that says what it holds:
// names_pages.h, sidecar_pages.h, flows_pages.h, amplifiers_pages.h, denials_pages.h,
// explain_pages.h, status_page.h. docs/api.md is the manual, /api/v1/openapi.json the contract.
//
// Answers about names carry an ETag, the rest is not to be stored. What each replica has alone is
// asked of all of them. Errors are {"error": "..."}. The loop's thread only.
#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <string>

#include "absl/time/time.h"
#include "common/event_loop.h"
#include "common/http/server.h"
#include "directory/directory.h"
#include "xds/dashboard/all_replicas.h"
#include "xds/dashboard/ingress_judge.h"
#include "xds/dashboard/names_index.h"
#include "xds/dashboard/names_pages.h"
#include "xds/dashboard/report_walk.h"
#include "xds/dashboard/sidecar_dns.h"
#include "xds/dashboard/sidecar_pages.h"
#include "xds/dashboard/status_page.h"
#include "xds/serving/address_index.h"
#include "xds/sidecars/reported_sidecar.h"

namespace portolan::xds {

class Api {
 public:
  struct Options {
    std::string cluster_domain = "cluster.local";
    std::string version = {};
    std::string replica = {};  // what this one is called where `replicas` is null
    std::string source = {};
    std::function<bool()> ready = {};           // null: always
    SidecarPages::ClientSource clients = {};    // null: none are served
    std::function<size_t()> client_count = {};  // null: those of `clients`, counted
    AskedSidecars* sidecars = nullptr;          // null: none reports
    IngressJudge::Resources resources = {};     // what is served now; null: no policy is known
    Replicas* replicas = nullptr;               // null: this one is alone
    NamesPages::At at = {};                     // null: no history is kept
    std::function<absl::Time()> history_since = {};
  };

  // Adds its routes to `server`. Must live as long as the server answers; what `options` names
  // outlives it. Functions must not block.
  Api(EventLoop& loop, http::Server& server, Options options);
  Api(const Api&) = delete;
  Api& operator=(const Api&) = delete;

  // Each commit, in order, with the index that follows it.
  void OnCommit(const Directory::Committed& committed, const AddressIndex& addresses);
  // What sidecars are sent that ask for no other; nothing: they have the built-in one. One that is
  // in error is logged, and records are shown as before: sidecars refuse it too.
  void SetCorefile(const std::optional<std::string>& text);

  // For pages that other rooms add.
  const AllReplicas& replicas() const { return replicas_; }

 private:
  const Options options_;
  const AllReplicas replicas_;
  const IngressJudge ingress_;
  SidecarDns dns_;
  NamesIndex index_;
  NamesPages names_;
  SidecarPages sidecars_;
  ReportWalks walks_;
};

}  // namespace portolan::xds

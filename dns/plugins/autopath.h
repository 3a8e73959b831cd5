// The directive `autopath`: completes names with the search list in the client's place.
//
//   autopath [ZONE...] RESOLV-CONF | @kubernetes
//
// https://coredns.io/plugins/autopath/: where NAME.SEARCH, SEARCH being the first name of the
// search list, does not exist, NAME is asked with the rest of the list and at last alone; the first
// name that is there is the answer, behind a CNAME from the name asked. Where none is, the answer
// is what the first question found, which is asked once more for it. A client that would ask eight
// questions for an external name with the search list of a pod asks two.
//
// CoreDNS learns a client's namespace from its address and so needs `pods verified`. A sidecar
// knows its pod: @kubernetes is the search list of the pod's own resolv.conf; where that has none,
// the three names that kubelet writes, of the namespace in --node and the zone of the block's
// `kubernetes`. An answer with SERVFAIL ends the search, as in CoreDNS: what a name is must not
// depend on whether a server was reachable. A name that no link answers (REFUSED) is passed over.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "common/metrics.h"
#include "dns/corefile/ast.h"
#include "dns/plugin.h"
#include "dns/plugins/load_context.h"
#include "dns/wire/name.h"

namespace portolan::dns {

absl::Status LoadAutopath(const corefile::Directive& directive, LoadContext& context);

// The search list that @kubernetes stands for. Names in it that are none are left out.
std::vector<wire::Zone> PodSearchList(const PluginContext& pod,
                                      const std::optional<wire::Zone>& cluster_zone);

class Autopath : public Plugin {
 public:
  // `server`: CoreDNS's label of its metrics.
  Autopath(std::string server, std::vector<wire::Zone> zones, std::vector<wire::Zone> search);

  std::string_view name() const override { return "autopath"; }
  Verdict OnQuery(Exchange&) override { return Verdict::kNext; }
  After OnReply(Exchange& exchange) override;
  // coredns_autopath_success_total{server} and portolan_autopath_failed_total.
  void CollectMetrics(MetricFamilies& families) const override;

 private:
  bool Completes(const Exchange& exchange) const;
  After AskNext(Exchange& exchange, size_t next);
  void AnswerWithFound(Exchange& exchange);

  const std::string server_;
  const std::vector<wire::Zone> zones_;
  // Ends with the root: the name alone. Empty: nothing is completed.
  std::vector<wire::Zone> search_;
  Counter completed_;
  Counter not_found_;
  Counter malformed_;
};

}  // namespace portolan::dns

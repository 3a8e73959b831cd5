// The directive `transfer`: hands a whole zone of the cluster to those who may have it.
//
//   transfer [ZONES...] {
//       to ADDRESS...       * is everybody
//   }
//
// AXFR over TCP of the zones in which `kubernetes` has Services, and IXFR, which gets the zone
// again or, where the client's serial is the current one, the SOA alone (RFC 5936, RFC 1995;
// CoreDNS's transfer plugin). Over UDP and for others REFUSED. A zone is listed whole or not at
// all: REFUSED where endpoints are fetched on demand, SERVFAIL while the feed is not in sync; both
// with an Extended DNS Error. What is no such zone goes on to the next link.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "common/ip.h"
#include "common/metrics.h"
#include "dns/cluster_data.h"
#include "dns/corefile/ast.h"
#include "dns/plugin.h"
#include "dns/plugins/kubernetes_config.h"
#include "dns/plugins/kubernetes_names.h"
#include "dns/wire/name.h"

namespace portolan::dns {

class LoadContext;

struct TransferConfig {
  std::vector<wire::Zone> zones;
  bool to_everybody = false;
  std::vector<IpAddress> to;
};

// `block_zones` are used when the directive names none. Errors are Token::Error.
absl::StatusOr<TransferConfig> ParseTransfer(const corefile::Directive& directive,
                                             const std::vector<wire::Zone>& block_zones);
absl::Status LoadTransfer(const corefile::Directive& directive, LoadContext& context);

class Transfer : public Plugin {
 public:
  // `kubernetes` is what the server block's directive says; nothing if it has none.
  Transfer(TransferConfig config, std::optional<KubernetesConfig> kubernetes,
           const ClusterDataHolder& cluster, std::vector<IpAddress> name_servers);

  std::string_view name() const override { return "transfer"; }
  Verdict OnQuery(Exchange& exchange) override;
  void CollectMetrics(MetricFamilies& families) const override;

 private:
  bool Allows(const IpAddress& client) const;
  const ServedZone* ZoneOf(const wire::Query& query) const;
  Verdict Refuse(Exchange& exchange, Counter& reason);

  const TransferConfig config_;
  const std::optional<KubernetesConfig> kubernetes_;
  const ClusterDataHolder& cluster_;
  const std::vector<IpAddress> name_servers_;
  std::vector<ServedZone> zones_;

  struct Counters {
    Counter zones, unchanged, refused_udp, refused_client, refused_incomplete, not_in_sync;
    Counter no_serial;
  };
  Counters counters_;
};

}  // namespace portolan::dns

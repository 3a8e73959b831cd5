// The directive `kubernetes`: answers the names of Services, endpoints and pods out of the
// directory.
//
//   kubernetes [ZONES...] {
//       ttl SECONDS                        0 to 3600, default 5
//       pods disabled|insecure|verified
//       fallthrough [ZONES...]
//   }
//
// Kubernetes DNS specification 1.1.0; where it is silent, CoreDNS's kubernetes plugin
// (https://coredns.io/plugins/kubernetes/). What is unknown is NXDOMAIN only while the feed is in
// sync (cluster_data.h); otherwise it goes on to the next link. So does every question that this
// plugin has no answer of its own to: SRV of a known Service, NS and the addresses of the zone's
// server, PTR of anything but a cluster IP, verified pods. Nothing is denied that may exist.
//
// The addresses of an ExternalName Service whose target is in another zone are Verdict::kAlias:
// stub resolvers do not follow a CNAME, so the server adds what it leads to (dns/server/alias.h).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "common/metrics.h"
#include "dns/cluster_data.h"
#include "dns/corefile/ast.h"
#include "dns/plugin.h"
#include "dns/plugins/cluster_ip_table.h"
#include "dns/plugins/load_context.h"
#include "dns/wire/name.h"
#include "dns/wire/reply.h"

namespace portolan::dns {

struct KubernetesConfig {
  enum class Pods : uint8_t { kDisabled, kInsecure, kVerified };

  std::vector<wire::Zone> zones;  // most labels first
  // The first forward zone as written: PTR targets are in it. Empty if there are reverse zones
  // only.
  std::optional<wire::Zone> primary;
  uint32_t ttl = 5;  // seconds
  Pods pods = Pods::kDisabled;
  // Unknown names in these go on to the next link.
  std::vector<wire::Zone> fallthrough;
  // The RA flag of answers. CoreDNS has it set only where `cache` stands in front; without it
  // nslookup warns, so the builder of a chain clears it at its own risk.
  bool recursion_available = true;
};

// `block_zones` are used when the directive names none. What is accepted but has no effect yet is
// added to `notes`, one sentence each, with its place. Errors are Token::Error.
// (kubernetes_config.cc)
absl::StatusOr<KubernetesConfig> ParseKubernetes(const corefile::Directive& directive,
                                                 const std::vector<wire::Zone>& block_zones,
                                                 std::vector<std::string>* notes);

absl::Status LoadKubernetes(const corefile::Directive& directive, LoadContext& context);

class ExternalTarget;

class Kubernetes : public Plugin {
 public:
  // `data` outlives the plugin.
  Kubernetes(KubernetesConfig config, const ClusterDataHolder& data);

  std::string_view name() const override { return "kubernetes"; }
  Verdict OnQuery(Exchange& exchange) override;
  void CollectMetrics(MetricFamilies& families) const override;

 private:
  const wire::Zone* ZoneOf(const wire::Query& query) const;
  const wire::Zone* ForwardZoneOf(const ExternalTarget& target) const;
  bool FallsThrough(const wire::Query& query) const;

  Verdict AnswerForward(Exchange& exchange, const wire::Zone& zone, const ClusterData& data);
  // The Service's entry if the name is one that the table of cluster IPs has.
  static const ClusterIpTable::Entry* FindClusterIp(const wire::Query& query,
                                                    const wire::Zone& zone,
                                                    const ClusterData& data);
  Verdict AnswerClusterIp(Exchange& exchange, const wire::Zone& zone, const ClusterData& data,
                          const ClusterIpTable::Entry& entry);
  Verdict AnswerReverse(Exchange& exchange, const ClusterData& data);
  Verdict AnswerApex(Exchange& exchange, const wire::Zone& zone, const ClusterData& data);
  Verdict AnswerVersion(Exchange& exchange, const wire::Zone& zone, const ClusterData& data);
  Verdict AnswerExternalName(Exchange& exchange, const wire::Zone& zone, const ClusterData& data,
                             const Service& service);
  // CoreDNS answers a chain of aliases that leads to no record, or round in a circle, as if the
  // name that was asked had none.
  enum class Aliases : uint8_t { kAnswered, kOutside, kNowhere, kUnknown, kElsewhere };
  Aliases Follow(wire::ReplyWriter& reply, uint16_t qtype, const ClusterData& data,
                 const Service& service) const;

  Verdict Nxdomain(Exchange& exchange, const wire::Zone& zone, const ClusterData& data);
  Verdict Nodata(Exchange& exchange, const wire::Zone& zone, const ClusterData& data);
  Verdict Negative(Exchange& exchange, const wire::Zone& zone, const ClusterData& data,
                   wire::Rcode rcode);
  Verdict Finish(Exchange& exchange, wire::ReplyWriter& reply, wire::Rcode rcode);
  Verdict PassOn(Counter& reason);

  const KubernetesConfig config_;
  const ClusterDataHolder& data_;
  const uint16_t flags_;

  struct Counters {
    Counter records, outside, nodata, nxdomain, refused;
    Counter passed_no_feed, passed_stale, passed_fallthrough, passed_not_ours;
  };
  Counters counters_;
};

}  // namespace portolan::dns

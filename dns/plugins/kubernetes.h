// The directive `kubernetes`: answers the names of Services, endpoints and pods out of the
// directory.
//
//   kubernetes [ZONES...] {
//       ttl SECONDS                        0 to 3600, default 5
//       pods disabled|insecure|verified
//       fallthrough [ZONES...]
//       namespaces NAMESPACE...            the rest is hidden
//       labels EXPRESSION                  of Services (label_selector.h)
//       namespace_labels EXPRESSION
//       ignore empty_service               a Service without endpoints does not exist
//       noendpoints                        nor do endpoints
//       endpoint_pod_names
//       zonal                              ZONE.pin._zone.SERVICE, ZONE.prefer._zone.SERVICE
//       multicluster ZONES...              zones of ServiceImports
//   }
//
// Kubernetes DNS specification 1.1.0; where it is silent, CoreDNS's kubernetes plugin
// (https://coredns.io/plugins/kubernetes/). What is unknown is denied only while the feed is in
// sync (cluster_data.h); otherwise it goes on to the next link. Before the first sync all does, but
// for names that need no directory. What needs endpoints or the owner of an address that are not
// held waits for them (dns/on_demand.h), and goes on if they do not come.
//
// The addresses of an ExternalName Service whose target is in another zone are Verdict::kAlias:
// stub resolvers do not follow a CNAME, so the server adds what it leads to (dns/server/alias.h).
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "common/ip.h"
#include "common/metrics.h"
#include "directory/service_key.h"
#include "dns/cluster_data.h"
#include "dns/plugin.h"
#include "dns/plugin_context.h"
#include "dns/plugins/kubernetes_config.h"
#include "dns/plugins/kubernetes_names.h"
#include "dns/plugins/service_table.h"
#include "dns/wire/reply.h"

namespace portolan::dns {

class ExternalTarget;

class Kubernetes : public Plugin {
 public:
  // What the plugin is given by its worker: all but the cluster may be missing.
  struct Surroundings {
    const ClusterDataHolder& cluster;
    // The zone's name servers: an address that is a Service's, or an endpoint's of one, stands for
    // that Service.
    std::vector<IpAddress> name_servers = {};
    OnDemand* on_demand = nullptr;
    // Null: the endpoints of all Services are held.
    UseFilter* used_services = nullptr;
  };
  static Surroundings Of(const PluginContext& context);

  Kubernetes(KubernetesConfig config, Surroundings surroundings);

  std::string_view name() const override { return "kubernetes"; }
  Verdict OnQuery(Exchange& exchange) override;
  // (kubernetes_explain.cc) What the name is, and whose; why it is denied or passed on.
  nlohmann::json Explain(const Exchange& exchange) const override;
  void Expect(const wire::Query& query) const override;
  bool LooksAhead() const override { return true; }
  void CollectMetrics(MetricFamilies& families) const override;

 private:
  const ServedZone* ZoneOf(const wire::Query& query) const;
  bool FallsThrough(const wire::Query& query) const;
  // What becomes of a name that is not there.
  std::string_view WhyUnknown(const wire::Query& query) const;
  const ClusterData& data() const { return around_.cluster.current(); }

  Verdict Refuse(Exchange& exchange);
  // SERVICE.NAMESPACE of a name below svc.ZONE, as the table has them; empty if it is no such name
  // or there is no table.
  std::span<const uint8_t> ServiceLabels(const wire::Query& query, const ServedZone& zone) const;
  Verdict AnswerBelowSvc(Exchange& exchange, const ServedZone& zone,
                         std::span<const uint8_t> service);
  Verdict AnswerClusterIps(Exchange& exchange, const ServedZone& zone,
                           const ServiceTable::Entry& entry, const PortMatch& ports);
  Verdict AnswerHeadless(Exchange& exchange, const ServedZone& zone,
                         const ServiceTable::Entry& entry);
  Verdict AnswerName(Exchange& exchange, const ServedZone& zone, const ClusterName& found);
  Verdict AnswerContainer(Exchange& exchange, const ServedZone& zone);
  Verdict AnswerService(Exchange& exchange, const ServedZone& zone, const ClusterName& found);
  Verdict AnswerSoa(Exchange& exchange, const ServedZone& zone);
  Verdict AnswerVersion(Exchange& exchange, const ServedZone& zone);
  Verdict AnswerUnverified(Exchange& exchange, const ServedZone& zone, const IpAddress& address);
  Verdict AnswerUnheld(Exchange& exchange, const ObjectName& service);
  // What OnDemand said.
  Verdict Waits(Verdict verdict, Counter& waited);
  void PrefetchEndpoints(const ServiceKey& service);

  // kubernetes_servers.cc: where addresses lead back to, and the zone's own servers.
  Verdict AnswerPtr(Exchange& exchange, const ServedZone& zone);
  Verdict AnswerNs(Exchange& exchange, const ServedZone& zone);
  Verdict AnswerNameServer(Exchange& exchange, const ServedZone& zone);
  std::optional<Verdict> FetchServicesAt(Exchange& exchange, const IpAddress& address);
  std::optional<Verdict> FetchServers(Exchange& exchange);
  void AddServicePtr(wire::ReplyWriter& reply, const IpAddress& address) const;
  void AddEndpointPtrs(wire::ReplyWriter& reply, const IpAddress& address) const;
  bool HidesPtr(const Service& service) const;
  template <typename F>
  void ForEachServer(std::span<const uint8_t> zone, F&& visit) const;

  // kubernetes_alias.cc
  // CoreDNS answers a chain of aliases that leads to no record, or round in a circle, as if the
  // name that was asked had none.
  enum class Aliases : uint8_t { kAnswered, kOutside, kNowhere, kUnknown, kElsewhere, kNotHeld };
  Verdict AnswerExternalName(Exchange& exchange, const ServedZone& zone, const Service& service);
  // `unheld` is the Service of kNotHeld.
  Aliases Follow(wire::ReplyWriter& reply, uint16_t qtype, const Service& service,
                 const ObjectName** unheld) const;
  const ServedZone* ForwardZoneOf(const ExternalTarget& target) const;

  Verdict Nxdomain(Exchange& exchange, const ServedZone& zone);
  Verdict Nodata(Exchange& exchange, const ServedZone& zone);
  Verdict Negative(Exchange& exchange, const ServedZone& zone, wire::Rcode rcode);
  // NODATA if the reply has no record yet.
  Verdict Finish(Exchange& exchange, const ServedZone& zone, wire::ReplyWriter& reply);
  Verdict PassOn(Counter& reason);

  const KubernetesConfig config_;
  const Surroundings around_;
  std::vector<ServedZone> zones_;  // most labels first
  const bool hides_services_;

  struct Counters {
    Counter records, outside, nodata, nxdomain, refused;
    Counter waited_for_address, waited_for_endpoints;
    Counter passed_no_feed, passed_stale, passed_fallthrough, passed_not_held;
  };
  Counters counters_;
};

}  // namespace portolan::dns

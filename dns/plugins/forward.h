// The directive `forward`: passes questions on to other DNS servers.
//
//   forward FROM TO... {
//       except ZONES...
//       policy random|round_robin|sequential    default random
//       force_tcp
//       prefer_udp                               what happens anyway
//       tls [CERT KEY] [CA]
//       tls_servername NAME
//       expire DURATION                          kept connections; default 10s
//       max_idle_conns N                         0: all are kept
//       health_check DURATION [no_rec] [domain NAME]   default 500ms
//       max_fails N                              0: servers are always up; default 2
//       failfast_all_unhealthy_upstreams
//       max_concurrent N                         for each worker; more are SERVFAIL
//       max_connect_attempts N                   0: until the deadline
//       failover RCODE...
//       next RCODE...
//       next_on_nodata
//       randomize_case                           ours: 0x20
//   }
//
// TO is an address with or without a port, `tls://ADDRESS[:PORT][%NAME]`, or a file of the form of
// resolv.conf; /etc/resolv.conf is the pod's own (--resolv-conf), whose servers are asked in order.
// https:// is an error: an answer that was to be private must not travel in the clear. Options of
// CoreDNS that have no effect here are noted. https://coredns.io/plugins/forward/
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "common/ip.h"
#include "common/metrics.h"
#include "dns/corefile/ast.h"
#include "dns/dialled_instead.h"
#include "dns/plugin.h"
#include "dns/plugins/load_context.h"
#include "dns/upstream/upstream.h"
#include "dns/wire/name.h"

namespace portolan::dns {

struct ForwardConfig {
  std::vector<wire::Zone> from;
  std::vector<wire::Zone> except;
  // Its servers are the TOs without the pod's resolvers.
  upstream::ServerSetConfig servers;
  // /etc/resolv.conf stands among the TOs, in front of servers[pod_resolvers_at].
  bool pod_resolvers = false;
  size_t pod_resolvers_at = 0;

  // What a block without `forward`, and what only the cluster DNS knows, is passed on by: the pod's
  // resolvers in their order.
  static ForwardConfig ToPodResolvers(std::vector<wire::Zone> zones);
};

// Reads the files among the TOs and those of `tls`, so: at load, not on a worker. Errors are
// Token::Error.
absl::StatusOr<ForwardConfig> ParseForward(const corefile::Directive& directive,
                                           std::vector<std::string>* notes);

absl::Status LoadForward(const corefile::Directive& directive, LoadContext& context);
// The directives whose zones the cluster DNS has: `auto`, `secondary`, `etcd` and `k8s_external`
// name the zones, or the block does; `file DBFILE [ZONES...]`; `view`, all of its block.
absl::Status LoadForwardedZones(const corefile::Directive& directive, LoadContext& context);
absl::Status LoadFile(const corefile::Directive& directive, LoadContext& context);
absl::Status LoadView(const corefile::Directive& directive, LoadContext& context);

// A link that passes questions in `zones` on to the pod's resolvers.
MakeLink ForwardToPodResolvers(std::vector<wire::Zone> zones);
// The same, looked after by the block's `loop` if it has one.
MakeLink ForwardToPodResolvers(std::vector<wire::Zone> zones, LoadContext& context);

// What the `forward`s of one server block have in common with each other and with its `loop`.
// Filled while the block is read, whatever the order of the directives, and immutable after that.
struct ForwardGroup {
  size_t count = 0;
  bool loop = false;  // the block has the directive
  // All that is said of the `forward`s, with the servers of the files they name: what other words
  // were answered by is not for a cache to keep.
  std::string words;
  std::vector<std::shared_ptr<upstream::LoopWatch>> watches;
  // Those that may be dialled by another address. One over TLS that is known by its address is not
  // among them: its endpoints' certificates are not for that.
  std::vector<UpstreamAddress> upstreams;
};

class Forward : public Plugin {
 public:
  // What `context` refers to outlives the plugin.
  Forward(const ForwardConfig& config, const PluginContext& context);
  ~Forward() override;

  std::string_view name() const override { return "forward"; }
  Verdict OnQuery(Exchange& exchange) override;
  // The servers; then the one that answered, and how long it took.
  nlohmann::json Explain(const Exchange& exchange) const override;
  nlohmann::json ExplainReply(const Exchange& exchange) const override;
  bool TakesChaos() const override { return true; }
  void CollectMetrics(MetricFamilies& families) const override;

 private:
  std::vector<wire::Zone> from_;
  std::vector<wire::Zone> except_;
  upstream::ServerSet servers_;
  upstream::Upstream& upstream_;
};

}  // namespace portolan::dns

// The directive `dns64`: AAAA records made of A records, for pods without IPv4 behind a NAT64.
//
//   dns64 [PREFIX] {
//       prefix PREFIX       default 64:ff9b::/96
//       translate_all       also where there are AAAA records
//       allow_ipv4          also for questions that came over IPv4
//   }
//
// RFC 6147, RFC 6052 2.2 (addresses); https://coredns.io/plugins/dns64/. An AAAA question whose
// reply has no AAAA record and is not NXDOMAIN is asked as A, and each address becomes one of the
// prefix with the lower TTL of its record and of the first reply's SOA (600 s without). As in
// CoreDNS only for questions that came over IPv6, which in a pod are those to the sidecar's ::1. A
// client that validates by itself (DO and CD, RFC 6147 5.5) gets what there is.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "absl/status/status.h"
#include "common/metrics.h"
#include "dns/corefile/ast.h"
#include "dns/plugin.h"
#include "dns/plugins/load_context.h"

namespace portolan::dns {

struct Dns64Config {
  std::array<uint8_t, 16> prefix = {0, 0x64, 0xff, 0x9b};
  size_t prefix_bytes = 12;  // 4 to 12
  bool translate_all = false;
  bool allow_ipv4 = false;
  std::string server = {};  // CoreDNS's label of its metrics
};

absl::Status LoadDns64(const corefile::Directive& directive, LoadContext& context);

class Dns64 : public Plugin {
 public:
  explicit Dns64(Dns64Config config) : config_(std::move(config)) {}

  std::string_view name() const override { return "dns64"; }
  Verdict OnQuery(Exchange&) override { return Verdict::kNext; }
  After OnReply(Exchange& exchange) override;
  // coredns_dns64_requests_translated_total{server} and portolan_dns64_malformed_total.
  void CollectMetrics(MetricFamilies& families) const override;

 private:
  bool Concerns(const Exchange& exchange) const;
  void Translate(Exchange& exchange, uint32_t most_ttl);
  std::array<uint8_t, 16> Mapped(std::span<const uint8_t> v4) const;

  const Dns64Config config_;
  Counter translated_;
  Counter malformed_;
};

}  // namespace portolan::dns

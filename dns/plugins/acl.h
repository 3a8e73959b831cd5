// The directive `acl`: who may ask what. May stand several times; the rules of one block are tried
// in the file's order.
//
//   acl [ZONES...] {
//       ACTION [type QTYPE...] [net SOURCE...]
//   }
//
// ACTION is allow, block (REFUSED), filter (NOERROR without records) or drop (no reply). QTYPE is a
// record type or "*", SOURCE an address, a block of addresses or "*"; what is left out matches
// everything. In an acl the first line that matches holds; where it is `allow` no later acl is
// tried. Questions that match nothing are allowed. The client's address is what the sidecar sees:
// that of the pod, or loopback. https://coredns.io/plugins/acl/
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "common/ip.h"
#include "dns/plugin.h"
#include "dns/plugins/load_context.h"
#include "dns/wire/name.h"

namespace portolan::dns {

enum class AclAction : uint8_t { kAllow, kBlock, kFilter, kDrop };

struct AclPolicy {
  std::string written_at = {};  // "Corefile:12"
  AclAction action = AclAction::kAllow;
  std::vector<uint16_t> types;  // empty: all
  std::vector<Cidr> sources;    // empty: all

  bool Matches(uint16_t type, const IpAddress& client) const;
};

// One `acl` with its block.
struct AclRule {
  std::vector<wire::Zone> zones;
  std::vector<AclPolicy> policies;
};

// Those of a server block.
struct AclRules {
  std::string server;  // CoreDNS's label of its metrics
  std::vector<AclRule> rules;
};

absl::Status LoadAcl(const corefile::Directive& directive, LoadContext& context);

class Acl : public Plugin {
 public:
  explicit Acl(std::shared_ptr<const AclRules> rules);

  std::string_view name() const override { return "acl"; }
  // Replies say by an Extended DNS Error that they are a policy's.
  Verdict OnQuery(Exchange& exchange) override;
  nlohmann::json Explain(const Exchange& exchange) const override;
  bool TakesChaos() const override { return true; }
  // coredns_acl_allowed_requests_total{server,view};
  // coredns_acl_{blocked,filtered,dropped}_requests_total{server,zone,view}.
  void CollectMetrics(MetricFamilies& families) const override;

 private:
  // Of one zone of one rule.
  struct Counters {
    Counter blocked, filtered, dropped;
  };

  struct Decision {
    const AclPolicy* policy = nullptr;  // null: none matches, which allows
    size_t rule = 0;
    size_t zone = 0;
  };
  Decision Decide(const Exchange& exchange) const;

  const std::shared_ptr<const AclRules> rules_;
  Counter allowed_;
  std::vector<std::unique_ptr<Counters[]>> counters_;  // as rules_, by zone
};

}  // namespace portolan::dns

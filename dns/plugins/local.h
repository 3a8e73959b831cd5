// The directive `local`: names that mean this very host are answered here and never leave the pod.
//
//   local {
//       localhost_prefix on|off      default on
//   }
//
// localhost. and the names below it are 127.0.0.1 and ::1 (RFC 6761 6.3), and so is localhost.NAME,
// which resolvers with a search list ask for, unless the option says off. Of 0.in-addr.arpa,
// 127.in-addr.arpa and 255.in-addr.arpa only 1.0.0.127.in-addr.arpa. exists.
// https://coredns.io/plugins/local/
#pragma once

#include <string_view>

#include "absl/status/status.h"
#include "dns/plugin.h"
#include "dns/plugins/load_context.h"

namespace portolan::dns {

absl::Status LoadLocal(const corefile::Directive& directive, LoadContext& context);

class Local : public Plugin {
 public:
  enum class LocalhostPrefix : uint8_t { kAnswered, kPassed };

  explicit Local(LocalhostPrefix prefix) : prefix_(prefix) {}

  std::string_view name() const override { return "local"; }
  Verdict OnQuery(Exchange& exchange) override;
  // coredns_local_localhost_requests_total: those for names longer than localhost.
  void CollectMetrics(MetricFamilies& families) const override;

 private:
  const LocalhostPrefix prefix_;
  Counter localhost_;
};

}  // namespace portolan::dns

#include "proxy/policy/ingress_gate.h"

#include <algorithm>

namespace portolan::proxy {

bool IngressGate::Allows(const IpAddress& client, uint16_t own_port) const {
  if (rules_ == nullptr) {
    const auto& own = options_.own;
    return options_.on_no_policy == OnNoPolicy::kOpen ||
           std::find(own.begin(), own.end(), client) != own.end();
  }
  return rules_->Judge({client, own_port}, Protocol::kTcp).allowed;
}

void IngressGate::OnDenied(const SocketAddress& client, const SocketAddress& own,
                           absl::Duration now) {
  if (rules_ == nullptr) no_policy_.denied.Add();
  Note(PolicyMode::kEnforced, client, own, now);
}

void IngressGate::OnTaken(const SocketAddress& client, const SocketAddress& own,
                          absl::Duration now) {
  if (rules_ == nullptr) return no_policy_.allowed.Add();
  if (rules_->Judge({client.ip, own.port}, Protocol::kTcp).audited) {
    Note(PolicyMode::kAudit, client, own, now);
  }
}

void IngressGate::Note(PolicyMode mode, const SocketAddress& client, const SocketAddress& own,
                       absl::Duration now) {
  denials_.Add({.what = Denied::kInbound, .mode = mode, .client = client, .dialled = own}, now);
}

}  // namespace portolan::proxy

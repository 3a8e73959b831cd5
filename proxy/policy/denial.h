// One denial, as the gate that denies sees it, and what people are told of it. A value without
// anything on the heap but the rules, which it shares: made for each denial on the data path.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/ip.h"
#include "directory/service_key.h"
#include "dns/wire/name.h"
#include "policy/egress_rules.h"
#include "proxy/policy/denial_counters.h"
#include "proxy/policy/greeting.h"

namespace portolan::proxy {

struct Denial {
  Denied what = Denied::kConnection;
  PolicyMode mode = PolicyMode::kEnforced;
  SocketAddress client = {};
  SocketAddress dialled = {};                  // of connections, inbound ones too, and flows
  std::optional<SocketAddress> endpoint = {};  // of a Service: one that was not allowed
  ServiceKey service = {};                     // empty: none, or not known
  bool unheld = false;                         // its endpoints are not known
  // Of names, and of DNS the name that was asked while the pod may not ask its resolvers; of server
  // names what the client greeted with, if that is a name. Lower case.
  dns::wire::NameBuffer name = {};
  std::optional<Greeting> greeting = {};          // of server names
  std::shared_ptr<const EgressRules> rules = {};  // null: no policy is known

  // Where it would have gone.
  const SocketAddress& to() const { return endpoint.has_value() ? *endpoint : dialled; }
  // What rules judge: that, or of inbound connections who connects, at the pod's own port.
  SocketAddress judged() const {
    return what == Denied::kInbound ? SocketAddress{client.ip, dialled.port} : to();
  }
};

// What is counted as one: what was denied, in which mode, and the name, or the address and port; of
// a Service all endpoints at a port are one.
bool IsSameKind(const Denial& a, const Denial& b);

// For people, off the data path. REQUIRES: rules. Those that isolate, or would if they were
// enforced: all of them, and as text of EgressRules::kTextBytes. The rule that came nearest; empty:
// none did; of a Service whose endpoints are not known, that they are not.
const std::vector<std::string>& PoliciesOf(const Denial& denial);
std::string_view PoliciesText(const Denial& denial);
std::string NearestRule(const Denial& denial);

}  // namespace portolan::proxy

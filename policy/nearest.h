// Which rule came nearest to what none allows, in words for people who wonder. Walks over all
// rules: for log lines and questions, not for each connection. Any thread.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "common/ip.h"
#include "directory/model.h"
#include "policy/policy_table.h"
#include "policy/port_table.h"

namespace portolan {

// `as_peer`: what rules allow at the address for the sets it is in; null: it is in none. Empty: no
// rule comes near. First a rule that has the address at other ports, then one that excepts it, then
// one that has the port: at the block most like the address, else for other pods.
std::string NearestRule(const PolicyTable& policies, const AllowedPorts* as_peer,
                        const SocketAddress& to, Protocol protocol);

// "rule 0 of DNSEgressPolicy/default/apis has *.example.com, which example.com itself is not", or
// the name with the fewest typing errors.
std::string NearestNamedRule(const PolicyTable& policies, std::span<const uint8_t> wire_name);

}  // namespace portolan

// From settings to iptables rules: pure text, the same for the nft and legacy back ends.
//
// The rules stand in chains of our own, reached by one jump from each built-in chain that is
// concerned, and are written the way iptables-save prints them, so that what is wanted and what is
// there compare as text. Any thread.
//
//   raw  OUTPUT  -> PORTOLAN_ZONE     the application's captured UDP queries get a conntrack zone
//   nat  OUTPUT  -> PORTOLAN_OUTPUT   exemptions, then:
//                   PORTOLAN_DNS      port 53 -> --dns-port
//                   PORTOLAN_FORWARD  new TCP connections -> --forward-port
//
// Why a zone: an entry of the connection tracker outlives the application's socket by 30 s and
// more. Should the sidecar's own upstream query take the same source port meanwhile, it would
// match that entry and be redirected to the sidecar itself; the other way round the application's
// query would follow the sidecar's entry and escape. The zone is given by --zone-orig, to the
// packets of the original direction only: what the listener answers, and what comes from the real
// nameserver, is found in the default zone without any further rule.
//
// Why not for TCP: packets that the kernel sends for a socket already closed (what is left in its
// buffer, the last acknowledgements) have no owner any more, so a zone chosen by user would move
// them to another zone in mid-connection and corrupt its end. TCP does not need it: a source port
// is not given out while a connection holds it, and the tracker forgets a finished connection when
// a SYN comes for it.
//
// Only a connection's first packet (SYN) is matched for redirection: the tracker may pick up a
// connection midway, be it one that stood before the rules or one the pod serves, and that must
// not be redirected.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/ip.h"
#include "proxy/capture/settings.h"

namespace portolan::proxy {

// Every chain of ours begins so, and no other chain of a pod does.
inline constexpr std::string_view kChainPrefix = "PORTOLAN_";

// The zone of captured queries. Zones are numbered per network namespace.
inline constexpr uint16_t kCaptureZone = 15053;

// A rule in a chain that is not ours, whose target is a chain of ours.
struct Jump {
  std::string from;  // "OUTPUT"
  std::string rule;  // "-j PORTOLAN_OUTPUT"
  friend bool operator==(const Jump&, const Jump&) = default;
};

struct Chain {
  std::string name;
  std::vector<std::string> rules;  // without "-A NAME"
  friend bool operator==(const Chain&, const Chain&) = default;
};

// What is ours in one table.
struct Table {
  std::string name;  // "nat"
  std::vector<Jump> jumps;
  std::vector<Chain> chains;
  friend bool operator==(const Table&, const Table&) = default;
};

// The tables that `settings` (which must be valid) ask for in one family, in the order in which
// they are to be written. The order of values within a setting makes no difference.
std::vector<Table> WantedTables(const CaptureSettings& settings, IpFamily family);

}  // namespace portolan::proxy

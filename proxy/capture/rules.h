// From settings to iptables rules: pure text, the same for the nft and legacy back ends.
//
// The rules stand in chains of our own, reached by one jump from each built-in chain that is
// concerned, and are written the way iptables-save prints them, so that what is wanted and what is
// there compare as text. Any thread.
//
//   raw     OUTPUT     -> PORTOLAN_ZONE      the application's captured queries get a zone
//   nat     OUTPUT     -> PORTOLAN_OUTPUT    exemptions, then:
//                         PORTOLAN_DNS       port 53 -> --dns-port
//                         PORTOLAN_FORWARD   new TCP connections -> --forward-port
//   filter  OUTPUT     -> PORTOLAN_REUSED    what nat was not asked about: dropped
//   mangle  OUTPUT     -> PORTOLAN_UDP_MARK  exemptions, then a mark on UDP to capture
//           PREROUTING -> PORTOLAN_UDP       what comes back by lo, marked -> --forward-port
//           PREROUTING -> PORTOLAN_INBOUND   TCP to the pod -> --inbound-port
//           OUTPUT     -> PORTOLAN_REPLIES   a mark on what answers the sidecar's inbound side
//
// The mangle table is used with --udp tproxy and --inbound tproxy alone.
//
// UDP takes the way of TPROXY (https://docs.kernel.org/networking/tproxy.html): a redirect would
// lose the address that was dialled. The mark has the packet routed to lo (policy_routing.h), and
// TPROXY gives it, as it is, to the sidecar's transparent socket. No address is translated, so the
// tracker has nothing to mix up when the sidecar takes a source port that the application had, and
// no zone is needed. The tracker only says what is an answer: UDP that the pod serves, sent back to
// a client, is never captured. Multicast and broadcast need no exemption: the kernel routes them
// before it looks at the mark.
//
// Why a zone for DNS: an entry of the connection tracker outlives the application's socket by 30 s
// and more. Should the sidecar's own upstream query take the same source port meanwhile, it would
// match that entry and be redirected to the sidecar itself; the other way round the application's
// query would follow the sidecar's entry and escape. The zone is given by --zone-orig, to the
// packets of the original direction only: what the listener answers, and what comes from the real
// nameserver, is found in the default zone without any further rule.
//
// Why not for TCP: packets that the kernel sends for a socket already closed (what is left in its
// buffer, the last acknowledgements) have no owner any more, so a zone chosen by user would move
// them to another zone in mid-connection and corrupt its end. A source port is not given out while
// a connection holds it, and the tracker forgets a finished connection when a SYN comes for it, but
// not one that the other side reset: for 10 s such a SYN is no first packet to it, and nat does not
// see it. Nor does nat see one to a peer that dialled the pod from that very port, or to one that
// has not answered the sidecar, which has given up, for 120 s. The filter table drops those; the
// application's kernel sends them again, and once the tracker has forgotten they are captured. The
// last are remembered anew with each: such a connection times out, and the next has another port.
//
// TCP that comes to the pod takes the way of TPROXY too, and stays what it was: the sidecar's
// transparent socket has the pod's address and port, and the client's as its peer. The first packet
// takes it whatever the tracker knows, and so do all of the original direction: with SYN cookies
// the last of a handshake finds no connection yet, and would find the application's listener.
// Answers to what the pod itself dialled are of the reply direction; TPROXY would drop them, as
// their sockets are not transparent. Without a sidecar what is captured is dropped.
//
// The sidecar then dials the application by lo, from the client's address. What the application
// answers would leave by eth0: such a connection is remembered by a mark of the tracker, and its
// replies get the mark that has them routed to lo, where the sidecar's socket is. No redirection
// touches them: OUTPUT of nat sees first packets alone, and those leave by lo.
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

// On packets to be delivered through lo; one bit, so that the other bits stay whose they are. Bits
// 0 to 23 are taken by others in pods: Istio (0x539, 0x111), WireGuard (0xca6c), Tailscale
// (0xff0000).
inline constexpr std::string_view kToLoMark = "0x1000000/0x1000000";

// The tracker's mark on connections from the sidecar to the application, in place of a client.
// Another bit than kToLoMark, which a rule that restores marks would put on both directions.
inline constexpr std::string_view kInboundConnectionMark = "0x2000000/0x2000000";

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

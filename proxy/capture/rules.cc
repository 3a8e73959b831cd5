#include "proxy/capture/rules.h"

#include <fmt/format.h>

#include <algorithm>
#include <initializer_list>
#include <utility>

namespace portolan::proxy {
namespace {

using Rules = std::vector<std::string>;

// The first packet of a TCP connection, as iptables-save prints `--syn`.
constexpr std::string_view kTcpSyn = "-p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN";
constexpr std::string_view kOriginalTcp = "-p tcp -m conntrack --ctdir ORIGINAL";

template <typename T>
std::vector<T> SortedOnce(std::initializer_list<const std::vector<T>*> lists) {
  std::vector<T> all;
  for (const auto* list : lists) all.insert(all.end(), list->begin(), list->end());
  std::sort(all.begin(), all.end());
  all.erase(std::unique(all.begin(), all.end()), all.end());
  return all;
}

// "-d 10.43.0.0/16 ", or nothing for a whole family, as iptables-save has it.
std::string To(const Cidr& cidr) {
  return cidr.prefix_bits == 0 ? "" : fmt::format("-d {} ", cidr.ToString());
}

Cidr BlockOf(const IpAddress& address) {
  return {address, static_cast<uint8_t>(address.is_v4() ? 32 : 128)};
}

// Loopback and the pod's own addresses, whichever they are at the time: both leave by lo.
constexpr std::string_view kByLo = "-o lo -j RETURN";
// Where the first packet of a connection decides for all: a socket that is bound to lo sends it to
// any address, and the tracker would let a second socket have what was decided there.
constexpr std::string_view kToOwnByLo = "-o lo -m addrtype --dst-type LOCAL -j RETURN";

// What is let through before anything else is looked at.
Rules Exemptions(std::string_view own, const CaptureSettings& settings, IpFamily family) {
  Rules rules = {std::string(own)};
  // A redirect to ::1 cannot carry link-local addresses: the answer has no interface to leave by.
  if (family == IpFamily::kIpv6) rules.push_back("-d fe80::/10 -j RETURN");
  for (uint32_t uid : SortedOnce({&settings.exempt_uids, &settings.exclude_uids})) {
    rules.push_back(fmt::format("-m owner --uid-owner {} -j RETURN", uid));
  }
  for (uint32_t gid : SortedOnce({&settings.exempt_gids})) {
    rules.push_back(fmt::format("-m owner --gid-owner {} -j RETURN", gid));
  }
  for (const Cidr& cidr : SortedOnce({&settings.exclude_cidrs})) {
    if (cidr.base.family() == family) rules.push_back(To(cidr) + "-j RETURN");
  }
  for (uint16_t port : SortedOnce({&settings.exclude_ports})) {
    rules.push_back(fmt::format("-p tcp -m tcp --dport {} -j RETURN", port));
    rules.push_back(fmt::format("-p udp -m udp --dport {} -j RETURN", port));
  }
  return rules;
}

// "-d NAMESERVER " for each address whose port 53 is captured; one empty text for any address.
Rules DnsDestinations(const CaptureSettings& settings, IpFamily family) {
  if (settings.dns == DnsCapture::kAll) return {""};
  Rules destinations;
  for (const IpAddress& nameserver : SortedOnce({&settings.nameservers})) {
    if (nameserver.family() == family) destinations.push_back(To(BlockOf(nameserver)));
  }
  return destinations;
}

Rules ForwardRules(const CaptureSettings& settings, IpFamily family, const std::string& target) {
  if (settings.forward == ForwardCapture::kAll) return {"-p tcp " + target};
  Rules rules;
  for (const Cidr& cidr :
       SortedOnce({&settings.service_cidrs, &settings.pod_cidrs, &settings.include_cidrs})) {
    if (cidr.base.family() == family) rules.push_back(To(cidr) + "-p tcp " + target);
  }
  for (uint16_t port : SortedOnce({&settings.include_ports})) {
    rules.push_back(fmt::format("-p tcp -m tcp --dport {} {}", port, target));
  }
  return rules;
}

Rules UdpExemptions(const CaptureSettings& settings, IpFamily family) {
  Rules rules = Exemptions(kByLo, settings, family);
  // Link-local addresses mean a machine, never a Service.
  if (family == IpFamily::kIpv4 && settings.forward != ForwardCapture::kAll) {
    rules.push_back("-d 169.254.0.0/16 -j RETURN");
  }
  rules.push_back("-m conntrack --ctdir REPLY -j RETURN");
  // Those the nat table leads to the DNS server.
  for (const std::string& destination : DnsDestinations(settings, family)) {
    rules.push_back(destination + "-p udp -m udp --dport 53 -j RETURN");
  }
  return rules;
}

Rules UdpMarkRules(const CaptureSettings& settings, IpFamily family) {
  const std::string mark = fmt::format("-j MARK --set-xmark {}", kToLoMark);
  Rules rules = UdpExemptions(settings, family);
  if (settings.forward == ForwardCapture::kAll) {
    rules.push_back("-p udp " + mark);
    return rules;
  }
  // Not the pod ranges: for a pod's own address there is no endpoint to choose.
  for (const Cidr& cidr : SortedOnce({&settings.service_cidrs, &settings.include_cidrs})) {
    if (cidr.base.family() == family) rules.push_back(To(cidr) + "-p udp " + mark);
  }
  for (uint16_t port : SortedOnce({&settings.include_ports})) {
    rules.push_back(fmt::format("-p udp -m udp --dport {} {}", port, mark));
  }
  return rules;
}

std::string TproxyTo(uint16_t port, IpFamily family) {
  return fmt::format("-j TPROXY --on-port {} --on-ip {} --tproxy-mark 0x0/0x0", port,
                     family == IpFamily::kIpv4 ? "127.0.0.1" : "::1");
}

void AddUdp(const CaptureSettings& settings, IpFamily family, Table& mangle) {
  mangle.jumps.push_back({"OUTPUT", "-p udp -j PORTOLAN_UDP_MARK"});
  mangle.jumps.push_back(
      {"PREROUTING", fmt::format("-i lo -p udp -m mark --mark {} -j PORTOLAN_UDP", kToLoMark)});
  mangle.chains.push_back({"PORTOLAN_UDP", {"-p udp " + TproxyTo(settings.forward_port, family)}});
  mangle.chains.push_back({"PORTOLAN_UDP_MARK", UdpMarkRules(settings, family)});
}

Rules InboundRules(const CaptureSettings& settings, IpFamily family) {
  Rules rules;
  for (uint16_t port : SortedOnce({&settings.exclude_inbound_ports})) {
    rules.push_back(fmt::format("-p tcp -m tcp --dport {} -j RETURN", port));
  }
  // The first packet whatever the tracker makes of it, so that none comes in unseen.
  for (std::string_view packets : {kTcpSyn, kOriginalTcp}) {
    rules.push_back(fmt::format("{} {}", packets, TproxyTo(settings.inbound_port, family)));
  }
  return rules;
}

// Nobody but the sidecar gets so far with a source by lo that is not the pod's
// (ForeignSourceRules). The rules name it all the same. NEW: should the client have a connection
// from the port that the sidecar took, the tracker takes the dial for a part of it, and its answers
// are the client's.
Rules RepliesRules(const CaptureSettings& settings) {
  Rules rules;
  const auto remember = [&](std::string_view owner, uint32_t id) {
    rules.push_back(fmt::format(
        "-o lo {} -m owner --{}-owner {} -m addrtype ! --src-type LOCAL -m conntrack --ctstate NEW "
        "-j CONNMARK --set-xmark {}",
        kTcpSyn, owner, id, kInboundConnectionMark));
  };
  for (uint32_t uid : SortedOnce({&settings.exempt_uids})) remember("uid", uid);
  for (uint32_t gid : SortedOnce({&settings.exempt_gids})) remember("gid", gid);
  rules.push_back(
      fmt::format("-m connmark --mark {} -m conntrack --ctdir REPLY -j MARK --set-xmark {}",
                  kInboundConnectionMark, kToLoMark));
  return rules;
}

void AddInbound(const CaptureSettings& settings, IpFamily family, Table& mangle) {
  mangle.jumps.push_back({"OUTPUT", "-p tcp -j PORTOLAN_REPLIES"});
  mangle.jumps.push_back(
      {"PREROUTING", "! -i lo -p tcp -m addrtype --dst-type LOCAL -j PORTOLAN_INBOUND"});
  mangle.chains.push_back({"PORTOLAN_INBOUND", InboundRules(settings, family)});
  mangle.chains.push_back({"PORTOLAN_REPLIES", RepliesRules(settings)});
}

Table MangleTable(const CaptureSettings& settings, IpFamily family) {
  Table mangle{.name = "mangle", .jumps = {}, .chains = {}};
  if (settings.inbound == InboundCapture::kTproxy) AddInbound(settings, family, mangle);
  if (settings.udp == UdpCapture::kTproxy) AddUdp(settings, family, mangle);
  return mangle;
}

// A source by lo that is not the pod's own: the sidecar's, in whose name it answers and dials the
// application, or that of a program of the pod (IPV6_FREEBIND takes no privilege). The tracker
// would take what the pod then sends there for an answer, which is never captured. So it sees no
// such datagram, and no such connection but the sidecar's.
Rules ForeignSourceRules(const CaptureSettings& settings) {
  Rules rules = {"-p udp -j CT --notrack"};
  for (uint32_t uid : SortedOnce({&settings.exempt_uids})) {
    rules.push_back(fmt::format("-m owner --uid-owner {} -j RETURN", uid));
  }
  for (uint32_t gid : SortedOnce({&settings.exempt_gids})) {
    rules.push_back(fmt::format("-m owner --gid-owner {} -j RETURN", gid));
  }
  rules.push_back(fmt::format("{} -j DROP", kTcpSyn));
  return rules;
}

Table RawTable(const CaptureSettings& settings, IpFamily family) {
  Rules rules = Exemptions(kByLo, settings, family);
  for (const std::string& destination : DnsDestinations(settings, family)) {
    rules.push_back(fmt::format("{}-j CT --zone-orig {}", destination, kCaptureZone));
  }
  return {.name = "raw",
          .jumps = {{"OUTPUT", "-o lo -m addrtype ! --src-type LOCAL -j PORTOLAN_FOREIGN"},
                    {"OUTPUT", "-p udp -m udp --dport 53 -j PORTOLAN_ZONE"}},
          .chains = {{"PORTOLAN_FOREIGN", ForeignSourceRules(settings)},
                     {"PORTOLAN_ZONE", std::move(rules)}}};
}

Table NatTable(const CaptureSettings& settings, IpFamily family) {
  // DNS before forwarding: the nameserver is usually a Service address itself.
  Rules output = Exemptions(kToOwnByLo, settings, family);
  output.push_back("-p udp -m udp --dport 53 -j PORTOLAN_DNS");
  output.push_back("-p tcp -m tcp --dport 53 --tcp-flags FIN,SYN,RST,ACK SYN -j PORTOLAN_DNS");
  output.push_back(fmt::format("{} -j PORTOLAN_FORWARD", kTcpSyn));

  Rules dns;
  for (const std::string& destination : DnsDestinations(settings, family)) {
    for (std::string_view protocol : {"udp", "tcp"}) {
      dns.push_back(fmt::format("{}-p {} -j REDIRECT --to-ports {}", destination, protocol,
                                settings.dns_port));
    }
  }
  const std::string redirect = fmt::format("-j REDIRECT --to-ports {}", settings.forward_port);
  return {.name = "nat",
          .jumps = {{"OUTPUT", "-j PORTOLAN_OUTPUT"}},
          .chains = {{"PORTOLAN_DNS", std::move(dns)},
                     {"PORTOLAN_FORWARD", ForwardRules(settings, family, redirect)},
                     {"PORTOLAN_OUTPUT", std::move(output)}}};
}

// A first packet that nat is not asked about, as the tracker takes it for a part of what it knows:
// a connection of the sidecar's that was reset or that nobody has answered, or one that somebody
// else began. What would be captured waits until that is forgotten. DNAT: what is captured goes to
// the sidecar. Not NEW: that is also what nobody has answered.
Table FilterTable(const CaptureSettings& settings, IpFamily family) {
  Rules rules = Exemptions(kToOwnByLo, settings, family);
  for (const std::string& destination : DnsDestinations(settings, family)) {
    rules.push_back(destination + "-p tcp -m tcp --dport 53 -j DROP");
  }
  for (std::string& rule : ForwardRules(settings, family, "-j DROP")) {
    rules.push_back(std::move(rule));
  }
  return {.name = "filter",
          .jumps = {{"OUTPUT",
                     fmt::format("{} -m conntrack ! --ctstate DNAT -j PORTOLAN_REUSED", kTcpSyn)}},
          .chains = {{"PORTOLAN_REUSED", std::move(rules)}}};
}

}  // namespace

std::vector<Table> WantedTables(const CaptureSettings& settings, IpFamily family) {
  std::vector<Table> tables = {RawTable(settings, family), NatTable(settings, family),
                               FilterTable(settings, family)};
  Table mangle = MangleTable(settings, family);
  if (!mangle.chains.empty()) tables.push_back(std::move(mangle));
  return tables;
}

}  // namespace portolan::proxy

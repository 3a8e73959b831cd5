#include "proxy/capture/rules.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "proxy/capture/capture.h"

namespace portolan::proxy {
namespace {

CaptureSettings DualStack() {
  CaptureSettings settings;
  settings.nameservers = {*IpAddress::Parse("10.43.0.10"), *IpAddress::Parse("fd00:43::a")};
  settings.service_cidrs = {*Cidr::Parse("10.43.0.0/16"), *Cidr::Parse("fd00:43::/112")};
  settings.pod_cidrs = {*Cidr::Parse("10.42.0.0/16"), *Cidr::Parse("fd00:42::/56")};
  return settings;
}

std::vector<std::string> RulesOf(const CaptureSettings& settings, IpFamily family,
                                 std::string_view chain) {
  for (const Table& table : WantedTables(settings, family)) {
    for (const Chain& own : table.chains) {
      if (own.name == chain) return own.rules;
    }
  }
  return {"no such chain"};
}

bool Has(const std::vector<std::string>& rules, std::string_view rule) {
  return std::find(rules.begin(), rules.end(), rule) != rules.end();
}

// The whole text, as an operator sees it: a change here changes what users run.
TEST(CaptureRules, PrintShowsTheRestoreInputOfBothFamilies) {
  EXPECT_EQ(Print(DualStack(), Printed::kApply),
            R"(# IPv4: iptables-restore --noflush
*raw
:PORTOLAN_FOREIGN - [0:0]
:PORTOLAN_ZONE - [0:0]
-I OUTPUT 1 -p udp -m udp --dport 53 -j PORTOLAN_ZONE
-I OUTPUT 1 -o lo -m addrtype ! --src-type LOCAL -j PORTOLAN_FOREIGN
-A PORTOLAN_FOREIGN -p udp -j CT --notrack
-A PORTOLAN_FOREIGN -m owner --uid-owner 1337 -j RETURN
-A PORTOLAN_FOREIGN -m owner --gid-owner 1337 -j RETURN
-A PORTOLAN_FOREIGN -p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN -j DROP
-A PORTOLAN_ZONE -o lo -j RETURN
-A PORTOLAN_ZONE -m owner --uid-owner 1337 -j RETURN
-A PORTOLAN_ZONE -m owner --gid-owner 1337 -j RETURN
-A PORTOLAN_ZONE -d 10.43.0.10/32 -j CT --zone-orig 15053
COMMIT
*nat
:PORTOLAN_DNS - [0:0]
:PORTOLAN_FORWARD - [0:0]
:PORTOLAN_OUTPUT - [0:0]
-I OUTPUT 1 -j PORTOLAN_OUTPUT
-A PORTOLAN_DNS -d 10.43.0.10/32 -p udp -j REDIRECT --to-ports 15053
-A PORTOLAN_DNS -d 10.43.0.10/32 -p tcp -j REDIRECT --to-ports 15053
-A PORTOLAN_FORWARD -d 10.42.0.0/16 -p tcp -j REDIRECT --to-ports 15001
-A PORTOLAN_FORWARD -d 10.43.0.0/16 -p tcp -j REDIRECT --to-ports 15001
-A PORTOLAN_OUTPUT -o lo -m addrtype --dst-type LOCAL -j RETURN
-A PORTOLAN_OUTPUT -m owner --uid-owner 1337 -j RETURN
-A PORTOLAN_OUTPUT -m owner --gid-owner 1337 -j RETURN
-A PORTOLAN_OUTPUT -p udp -m udp --dport 53 -j PORTOLAN_DNS
-A PORTOLAN_OUTPUT -p tcp -m tcp --dport 53 --tcp-flags FIN,SYN,RST,ACK SYN -j PORTOLAN_DNS
-A PORTOLAN_OUTPUT -p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN -j PORTOLAN_FORWARD
COMMIT
*filter
:PORTOLAN_REUSED - [0:0]
-I OUTPUT 1 -p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN -m conntrack ! --ctstate DNAT -j PORTOLAN_REUSED
-A PORTOLAN_REUSED -o lo -m addrtype --dst-type LOCAL -j RETURN
-A PORTOLAN_REUSED -m owner --uid-owner 1337 -j RETURN
-A PORTOLAN_REUSED -m owner --gid-owner 1337 -j RETURN
-A PORTOLAN_REUSED -d 10.43.0.10/32 -p tcp -m tcp --dport 53 -j DROP
-A PORTOLAN_REUSED -d 10.42.0.0/16 -p tcp -j DROP
-A PORTOLAN_REUSED -d 10.43.0.0/16 -p tcp -j DROP
COMMIT
# IPv6: ip6tables-restore --noflush
*raw
:PORTOLAN_FOREIGN - [0:0]
:PORTOLAN_ZONE - [0:0]
-I OUTPUT 1 -p udp -m udp --dport 53 -j PORTOLAN_ZONE
-I OUTPUT 1 -o lo -m addrtype ! --src-type LOCAL -j PORTOLAN_FOREIGN
-A PORTOLAN_FOREIGN -p udp -j CT --notrack
-A PORTOLAN_FOREIGN -m owner --uid-owner 1337 -j RETURN
-A PORTOLAN_FOREIGN -m owner --gid-owner 1337 -j RETURN
-A PORTOLAN_FOREIGN -p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN -j DROP
-A PORTOLAN_ZONE -o lo -j RETURN
-A PORTOLAN_ZONE -d fe80::/10 -j RETURN
-A PORTOLAN_ZONE -m owner --uid-owner 1337 -j RETURN
-A PORTOLAN_ZONE -m owner --gid-owner 1337 -j RETURN
-A PORTOLAN_ZONE -d fd00:43::a/128 -j CT --zone-orig 15053
COMMIT
*nat
:PORTOLAN_DNS - [0:0]
:PORTOLAN_FORWARD - [0:0]
:PORTOLAN_OUTPUT - [0:0]
-I OUTPUT 1 -j PORTOLAN_OUTPUT
-A PORTOLAN_DNS -d fd00:43::a/128 -p udp -j REDIRECT --to-ports 15053
-A PORTOLAN_DNS -d fd00:43::a/128 -p tcp -j REDIRECT --to-ports 15053
-A PORTOLAN_FORWARD -d fd00:42::/56 -p tcp -j REDIRECT --to-ports 15001
-A PORTOLAN_FORWARD -d fd00:43::/112 -p tcp -j REDIRECT --to-ports 15001
-A PORTOLAN_OUTPUT -o lo -m addrtype --dst-type LOCAL -j RETURN
-A PORTOLAN_OUTPUT -d fe80::/10 -j RETURN
-A PORTOLAN_OUTPUT -m owner --uid-owner 1337 -j RETURN
-A PORTOLAN_OUTPUT -m owner --gid-owner 1337 -j RETURN
-A PORTOLAN_OUTPUT -p udp -m udp --dport 53 -j PORTOLAN_DNS
-A PORTOLAN_OUTPUT -p tcp -m tcp --dport 53 --tcp-flags FIN,SYN,RST,ACK SYN -j PORTOLAN_DNS
-A PORTOLAN_OUTPUT -p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN -j PORTOLAN_FORWARD
COMMIT
*filter
:PORTOLAN_REUSED - [0:0]
-I OUTPUT 1 -p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN -m conntrack ! --ctstate DNAT -j PORTOLAN_REUSED
-A PORTOLAN_REUSED -o lo -m addrtype --dst-type LOCAL -j RETURN
-A PORTOLAN_REUSED -d fe80::/10 -j RETURN
-A PORTOLAN_REUSED -m owner --uid-owner 1337 -j RETURN
-A PORTOLAN_REUSED -m owner --gid-owner 1337 -j RETURN
-A PORTOLAN_REUSED -d fd00:43::a/128 -p tcp -m tcp --dport 53 -j DROP
-A PORTOLAN_REUSED -d fd00:42::/56 -p tcp -j DROP
-A PORTOLAN_REUSED -d fd00:43::/112 -p tcp -j DROP
COMMIT
)");
}

TEST(CaptureRules, UdpIsMarkedAndComesBackByLo) {
  CaptureSettings settings = DualStack();
  settings.udp = UdpCapture::kTproxy;
  const std::string printed = Print(settings, Printed::kApply);
  EXPECT_NE(printed.find(R"(*mangle
:PORTOLAN_UDP - [0:0]
:PORTOLAN_UDP_MARK - [0:0]
-I PREROUTING 1 -i lo -p udp -m mark --mark 0x1000000/0x1000000 -j PORTOLAN_UDP
-I OUTPUT 1 -p udp -j PORTOLAN_UDP_MARK
-A PORTOLAN_UDP -p udp -j TPROXY --on-port 15001 --on-ip 127.0.0.1 --tproxy-mark 0x0/0x0
-A PORTOLAN_UDP_MARK -o lo -j RETURN
-A PORTOLAN_UDP_MARK -m owner --uid-owner 1337 -j RETURN
-A PORTOLAN_UDP_MARK -m owner --gid-owner 1337 -j RETURN
-A PORTOLAN_UDP_MARK -d 169.254.0.0/16 -j RETURN
-A PORTOLAN_UDP_MARK -m conntrack --ctdir REPLY -j RETURN
-A PORTOLAN_UDP_MARK -d 10.43.0.10/32 -p udp -m udp --dport 53 -j RETURN
-A PORTOLAN_UDP_MARK -d 10.43.0.0/16 -p udp -j MARK --set-xmark 0x1000000/0x1000000
COMMIT
# ip -4 route add local default dev lo table 15001
# ip -4 rule add pref 15001 from all fwmark 0x1000000/0x1000000 lookup 15001
)"),
            std::string::npos)
      << printed;
  EXPECT_TRUE(Print(settings, Printed::kClean).ends_with(R"(-X PORTOLAN_UDP
-X PORTOLAN_UDP_MARK
COMMIT
# ip -6 rule del pref 15001
# ip -6 route flush table 15001
)"));
}

TEST(CaptureRules, InboundTcpIsTakenAndWhatAnswersItComesBackByLo) {
  CaptureSettings settings = DualStack();
  settings.inbound = InboundCapture::kTproxy;
  settings.exclude_inbound_ports = {15020, 22};
  const std::string printed = Print(settings, Printed::kApply);
  EXPECT_NE(printed.find(R"(*mangle
:PORTOLAN_INBOUND - [0:0]
:PORTOLAN_REPLIES - [0:0]
-I PREROUTING 1 ! -i lo -p tcp -m addrtype --dst-type LOCAL -j PORTOLAN_INBOUND
-I OUTPUT 1 -p tcp -j PORTOLAN_REPLIES
-A PORTOLAN_INBOUND -p tcp -m tcp --dport 22 -j RETURN
-A PORTOLAN_INBOUND -p tcp -m tcp --dport 15020 -j RETURN
-A PORTOLAN_INBOUND -p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN -j TPROXY --on-port 15006 --on-ip ::1 --tproxy-mark 0x0/0x0
-A PORTOLAN_INBOUND -p tcp -m conntrack --ctdir ORIGINAL -j TPROXY --on-port 15006 --on-ip ::1 --tproxy-mark 0x0/0x0
-A PORTOLAN_REPLIES -o lo -p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN -m owner --uid-owner 1337 -m addrtype ! --src-type LOCAL -m conntrack --ctstate NEW -j CONNMARK --set-xmark 0x2000000/0x2000000
-A PORTOLAN_REPLIES -o lo -p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN -m owner --gid-owner 1337 -m addrtype ! --src-type LOCAL -m conntrack --ctstate NEW -j CONNMARK --set-xmark 0x2000000/0x2000000
-A PORTOLAN_REPLIES -m connmark --mark 0x2000000/0x2000000 -m conntrack --ctdir REPLY -j MARK --set-xmark 0x1000000/0x1000000
COMMIT
# ip -6 route add local default dev lo table 15001
# ip -6 rule add pref 15001 from all fwmark 0x1000000/0x1000000 lookup 15001
)"),
            std::string::npos)
      << printed;
}

// Verify compares chain by chain, in the order of their names.
TEST(CaptureRules, UdpAndInboundShareTheMangleTable) {
  CaptureSettings settings = DualStack();
  settings.udp = UdpCapture::kTproxy;
  settings.inbound = InboundCapture::kTproxy;
  const std::vector<Table> tables = WantedTables(settings, IpFamily::kIpv4);
  ASSERT_EQ(tables.size(), 4u);
  std::vector<std::string> names;
  for (const Chain& chain : tables.back().chains) names.push_back(chain.name);
  EXPECT_EQ(names, (std::vector<std::string>{"PORTOLAN_INBOUND", "PORTOLAN_REPLIES", "PORTOLAN_UDP",
                                             "PORTOLAN_UDP_MARK"}));
  EXPECT_EQ(tables.back().jumps.size(), 4u);
}

TEST(CaptureRules, UdpOfEveryAddressIsMarkedInAllMode) {
  CaptureSettings settings = DualStack();
  settings.udp = UdpCapture::kTproxy;
  settings.dns = DnsCapture::kAll;
  settings.forward = ForwardCapture::kAll;
  for (IpFamily family : {IpFamily::kIpv4, IpFamily::kIpv6}) {
    const auto rules = RulesOf(settings, family, "PORTOLAN_UDP_MARK");
    ASSERT_GE(rules.size(), 2u);
    EXPECT_EQ(rules[rules.size() - 2], "-p udp -m udp --dport 53 -j RETURN");
    EXPECT_EQ(rules.back(), "-p udp -j MARK --set-xmark 0x1000000/0x1000000");
  }
}

TEST(CaptureRules, PrintOfCleanTakesAwayWhatPrintOfApplyWrites) {
  CaptureSettings settings;
  EXPECT_TRUE(Print(settings, Printed::kClean).starts_with(R"(# IPv4: iptables-restore --noflush
*raw
:PORTOLAN_FOREIGN - [0:0]
:PORTOLAN_ZONE - [0:0]
-D OUTPUT -o lo -m addrtype ! --src-type LOCAL -j PORTOLAN_FOREIGN
-D OUTPUT -p udp -m udp --dport 53 -j PORTOLAN_ZONE
-X PORTOLAN_FOREIGN
-X PORTOLAN_ZONE
COMMIT
*nat
:PORTOLAN_DNS - [0:0]
:PORTOLAN_FORWARD - [0:0]
:PORTOLAN_OUTPUT - [0:0]
-D OUTPUT -j PORTOLAN_OUTPUT
-X PORTOLAN_DNS
-X PORTOLAN_FORWARD
-X PORTOLAN_OUTPUT
COMMIT
*filter
:PORTOLAN_REUSED - [0:0]
-D OUTPUT -p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN -m conntrack ! --ctstate DNAT -j PORTOLAN_REUSED
-X PORTOLAN_REUSED
COMMIT
)"));
}

TEST(CaptureRules, AllModesCaptureEveryAddress) {
  CaptureSettings settings;
  settings.dns = DnsCapture::kAll;
  settings.forward = ForwardCapture::kAll;
  settings.dns_port = 1053;
  settings.forward_port = 1001;
  for (IpFamily family : {IpFamily::kIpv4, IpFamily::kIpv6}) {
    EXPECT_EQ(RulesOf(settings, family, "PORTOLAN_DNS"),
              (std::vector<std::string>{"-p udp -j REDIRECT --to-ports 1053",
                                        "-p tcp -j REDIRECT --to-ports 1053"}));
    EXPECT_EQ(RulesOf(settings, family, "PORTOLAN_FORWARD"),
              (std::vector<std::string>{"-p tcp -j REDIRECT --to-ports 1001"}));
    EXPECT_EQ(RulesOf(settings, family, "PORTOLAN_REUSED").back(), "-p tcp -j DROP");
    EXPECT_EQ(RulesOf(settings, family, "PORTOLAN_ZONE").back(), "-j CT --zone-orig 15053");
  }
}

TEST(CaptureRules, ExcludedUsersAddressesAndPortsReturnBeforeAnyRedirect) {
  CaptureSettings settings = DualStack();
  settings.exclude_uids = {70, 1337};
  settings.exclude_cidrs = {*Cidr::Parse("10.43.9.0/24"), *Cidr::Parse("::/0")};
  settings.exclude_ports = {9000};
  const auto v4 = RulesOf(settings, IpFamily::kIpv4, "PORTOLAN_OUTPUT");
  EXPECT_EQ(v4, (std::vector<std::string>{
                    "-o lo -m addrtype --dst-type LOCAL -j RETURN",
                    "-m owner --uid-owner 70 -j RETURN",
                    "-m owner --uid-owner 1337 -j RETURN",
                    "-m owner --gid-owner 1337 -j RETURN",
                    "-d 10.43.9.0/24 -j RETURN",
                    "-p tcp -m tcp --dport 9000 -j RETURN",
                    "-p udp -m udp --dport 9000 -j RETURN",
                    "-p udp -m udp --dport 53 -j PORTOLAN_DNS",
                    "-p tcp -m tcp --dport 53 --tcp-flags FIN,SYN,RST,ACK SYN -j PORTOLAN_DNS",
                    "-p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN -j PORTOLAN_FORWARD",
                }));
  // What is not captured may use a port again.
  const auto reused = RulesOf(settings, IpFamily::kIpv4, "PORTOLAN_REUSED");
  ASSERT_GT(reused.size(), 7u);
  EXPECT_TRUE(std::equal(v4.begin(), v4.begin() + 7, reused.begin()));
  // A whole family has no -d in the notation of iptables-save.
  EXPECT_TRUE(Has(RulesOf(settings, IpFamily::kIpv6, "PORTOLAN_OUTPUT"), "-j RETURN"));
  // The zone follows the same exemptions: a query that is not redirected is in no zone.
  EXPECT_TRUE(
      Has(RulesOf(settings, IpFamily::kIpv4, "PORTOLAN_ZONE"), "-d 10.43.9.0/24 -j RETURN"));
}

TEST(CaptureRules, IncludedAddressesAndPortsAreForwardedToo) {
  CaptureSettings settings;
  settings.include_cidrs = {*Cidr::Parse("192.0.2.0/24")};
  settings.include_ports = {443};
  EXPECT_EQ(RulesOf(settings, IpFamily::kIpv4, "PORTOLAN_FORWARD"),
            (std::vector<std::string>{
                "-d 192.0.2.0/24 -p tcp -j REDIRECT --to-ports 15001",
                "-p tcp -m tcp --dport 443 -j REDIRECT --to-ports 15001",
            }));
  EXPECT_EQ(RulesOf(settings, IpFamily::kIpv6, "PORTOLAN_FORWARD"),
            (std::vector<std::string>{"-p tcp -m tcp --dport 443 -j REDIRECT --to-ports 15001"}));
}

TEST(CaptureRules, OrderAndRepetitionOfSettingsMakeNoDifference) {
  CaptureSettings one = DualStack();
  CaptureSettings other = DualStack();
  std::reverse(other.nameservers.begin(), other.nameservers.end());
  other.service_cidrs.insert(other.service_cidrs.end(), other.pod_cidrs.begin(),
                             other.pod_cidrs.end());
  std::reverse(other.service_cidrs.begin(), other.service_cidrs.end());
  for (IpFamily family : {IpFamily::kIpv4, IpFamily::kIpv6}) {
    EXPECT_EQ(WantedTables(one, family), WantedTables(other, family));
  }
}

}  // namespace
}  // namespace portolan::proxy

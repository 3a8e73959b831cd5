// The rules in a real kernel, through the real tools, in a namespace of the test's own.

#include <gmock/gmock.h>
#include <unistd.h>

#include <sstream>

#include "proxy/capture/capture.h"
#include "proxy/capture/ip_tool.h"
#include "proxy/capture/iptables_tools.h"
#include "proxy/capture/ruleset.h"
#include "tests/proxy/capture/pod_network.h"

namespace portolan::proxy {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

CaptureSettings EverySetting() {
  CaptureSettings settings;
  settings.udp = UdpCapture::kTproxy;
  settings.inbound = InboundCapture::kTproxy;
  settings.exclude_inbound_ports = {15020, 9090};
  for (IpFamily family : {IpFamily::kIpv4, IpFamily::kIpv6}) {
    const Addresses& a = AddressesOf(family);
    settings.nameservers.push_back(a.nameserver);
    settings.nameservers.push_back(a.second_nameserver);
    settings.service_cidrs.push_back(a.service_cidr);
    settings.pod_cidrs.push_back(a.pod_cidr);
    settings.include_cidrs.push_back(
        {a.outside, static_cast<uint8_t>(a.outside.is_v4() ? 32 : 128)});
    settings.exclude_cidrs.push_back(
        {a.service, static_cast<uint8_t>(a.outside.is_v4() ? 32 : 128)});
  }
  settings.include_ports = {443, 8443};
  settings.exclude_ports = {22};
  settings.exclude_uids = {70};
  return settings;
}

class KernelRules : public testing::TestWithParam<Backend> {
 protected:
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "needs root: network namespaces and iptables";
    if (auto status = network_.Begin(); !status.ok())
      GTEST_SKIP() << "needs namespaces: " << status;
  }

  BackendChoice Choice() const {
    return GetParam() == Backend::kNft ? BackendChoice::kNft : BackendChoice::kLegacy;
  }

  std::string Tool(IpFamily family, const std::string& action) const {
    return std::string(family == IpFamily::kIpv4 ? "ip" : "ip6") + "tables-" +
           std::string(Name(GetParam())) + "-" + action;
  }

  // Both families, without what moves by itself: the time of day and the counters of built-in
  // chains.
  std::string Saved() {
    std::string kept;
    for (IpFamily family : {IpFamily::kIpv4, IpFamily::kIpv6}) {
      std::istringstream all(Call({Tool(family, "save")}));
      for (std::string line; std::getline(all, line);) {
        if (line.starts_with("#")) continue;
        if (line.starts_with(":")) line.resize(line.find(" ["));
        kept += line + "\n";
      }
    }
    for (const char* family : {"-4", "-6"}) kept += Call({"ip", family, "rule", "show"});
    return kept;
  }

  PodNetwork network_;
  IptablesTools tools_;
  IpTool routing_;
};

TEST_P(KernelRules, ApplyTwiceLeavesEveryByteAsItWas) {
  ASSERT_EQ(*Apply(tools_, routing_, Choice(), EverySetting()), Applied::kWritten);
  const std::string once = Saved();
  EXPECT_THAT(once, HasSubstr("PORTOLAN_FORWARD"));
  EXPECT_EQ(*Apply(tools_, routing_, Choice(), EverySetting()), Applied::kAlreadyThere);
  EXPECT_EQ(Saved(), once);
}

TEST_P(KernelRules, VerifyKnowsRightFromMissingAndWrong) {
  EXPECT_THAT(*Verify(tools_, routing_, Choice(), EverySetting()), Not(IsEmpty()));
  ASSERT_TRUE(Apply(tools_, routing_, Choice(), EverySetting()).ok());
  EXPECT_THAT(*Verify(tools_, routing_, Choice(), EverySetting()), IsEmpty());
  Call({Tool(IpFamily::kIpv6, "restore"), "--noflush"},
       "*nat\n-D OUTPUT -j PORTOLAN_OUTPUT\nCOMMIT\n");
  EXPECT_THAT(*Verify(tools_, routing_, Choice(), EverySetting()),
              testing::ElementsAre(std::string(Name(GetParam())) +
                                   " IPv6 nat: jump missing: -A OUTPUT -j PORTOLAN_OUTPUT"));
  ASSERT_EQ(*Apply(tools_, routing_, Choice(), EverySetting()), Applied::kWritten);
  EXPECT_THAT(*Verify(tools_, routing_, Choice(), EverySetting()), IsEmpty());
}

TEST_P(KernelRules, ApplyReplacesRulesAndLeftoversOfOtherSettings) {
  ASSERT_TRUE(Apply(tools_, routing_, Choice(), EverySetting()).ok());
  Call({Tool(IpFamily::kIpv4, "restore"), "--noflush"},
       "*nat\n:PORTOLAN_OLD - [0:0]\n-A PORTOLAN_OLD -j RETURN\n-A OUTPUT -p tcp -j PORTOLAN_OLD\n"
       "-A OUTPUT -j PORTOLAN_OUTPUT\nCOMMIT\n");
  CaptureSettings other;
  other.dns = DnsCapture::kAll;
  other.forward = ForwardCapture::kAll;
  ASSERT_EQ(*Apply(tools_, routing_, Choice(), other), Applied::kWritten);
  EXPECT_THAT(*Verify(tools_, routing_, Choice(), other), IsEmpty());
  EXPECT_THAT(Saved(), Not(HasSubstr("PORTOLAN_OLD")));
}

TEST_P(KernelRules, ForeignRulesSurviveApplyAndClean) {
  const std::string foreign =
      "*filter\n:FOREIGN - [0:0]\n-A OUTPUT -p tcp -m comment --comment "
      "\"not -j PORTOLAN_OUTPUT\" -j FOREIGN\n-A FOREIGN -j RETURN\nCOMMIT\n"
      "*nat\n:FOREIGN - [0:0]\n-A OUTPUT -p tcp -m tcp --dport 9 -j FOREIGN\n"
      "-A FOREIGN -j RETURN\nCOMMIT\n"
      "*raw\n-A PREROUTING -p udp -m udp --dport 9 -j ACCEPT\nCOMMIT\n"
      "*mangle\n-A PREROUTING -p udp -m udp --dport 9 -j MARK --set-xmark 0x1/0x1\nCOMMIT\n";
  for (IpFamily family : {IpFamily::kIpv4, IpFamily::kIpv6}) {
    Call({Tool(family, "restore"), "--noflush"}, foreign);
  }
  const std::string before = Saved();
  ASSERT_TRUE(Apply(tools_, routing_, Choice(), EverySetting()).ok());
  EXPECT_NE(Saved(), before);
  ASSERT_TRUE(Clean(tools_, routing_).ok());
  EXPECT_EQ(Saved(), before);
}

TEST_P(KernelRules, CleanSucceedsOnACleanPodAndLeavesNoRule) {
  EXPECT_TRUE(Clean(tools_, routing_).ok());
  const std::string clean = Saved();
  ASSERT_TRUE(Apply(tools_, routing_, Choice(), EverySetting()).ok());
  ASSERT_TRUE(Clean(tools_, routing_).ok());
  for (IpFamily family : {IpFamily::kIpv4, IpFamily::kIpv6}) {
    EXPECT_FALSE(HoldsRules(Call({Tool(family, "save")})));
    EXPECT_EQ(*routing_.Routes(family), "");
  }
  EXPECT_THAT(clean, Not(HasSubstr("PORTOLAN")));
  EXPECT_THAT(Saved(), Not(HasSubstr("15001")));
  EXPECT_TRUE(Clean(tools_, routing_).ok());
}

TEST_P(KernelRules, AutoTakesTheBackendThatHoldsRules) {
  Call({Tool(IpFamily::kIpv6, "restore"), "--noflush"},
       "*filter\n-A OUTPUT -p tcp -m tcp --dport 9 -j ACCEPT\nCOMMIT\n");
  ASSERT_TRUE(Apply(tools_, routing_, BackendChoice::kAuto, EverySetting()).ok());
  EXPECT_THAT(Saved(), HasSubstr("PORTOLAN_OUTPUT"));
  EXPECT_THAT(*Verify(tools_, routing_, BackendChoice::kAuto, EverySetting()), IsEmpty());
}

TEST_P(KernelRules, ApplyMovesTheRulesFromTheOtherBackend) {
  const auto other = Choice() == BackendChoice::kNft ? BackendChoice::kLegacy : BackendChoice::kNft;
  ASSERT_TRUE(Apply(tools_, routing_, other, EverySetting()).ok());
  EXPECT_THAT(*Verify(tools_, routing_, Choice(), EverySetting()),
              Contains(HasSubstr("chain not wanted")));
  ASSERT_TRUE(Apply(tools_, routing_, Choice(), EverySetting()).ok());
  EXPECT_THAT(*Verify(tools_, routing_, Choice(), EverySetting()), IsEmpty());
}

TEST_P(KernelRules, PrintedRulesAreAcceptedByTheToolAsTheyAre) {
  for (IpFamily family : {IpFamily::kIpv4, IpFamily::kIpv6}) {
    const std::string printed = Print(EverySetting(), Printed::kApply);
    const size_t v6 = printed.find("# IPv6");
    Call({Tool(family, "restore"), "--noflush"},
         family == IpFamily::kIpv4 ? printed.substr(0, v6) : printed.substr(v6));
  }
  std::istringstream lines(Print(EverySetting(), Printed::kApply));
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("# ip ")) Call({"sh", "-c", line.substr(2)});
  }
  EXPECT_THAT(*Verify(tools_, routing_, Choice(), EverySetting()), IsEmpty());
}

TEST_P(KernelRules, Ipv6SwitchedOffIsNoErrorAndHasNoRules) {
  Call({"sh", "-c", "for f in /proc/sys/net/ipv6/conf/*/disable_ipv6; do echo 1 > $f; done"});
  ASSERT_TRUE(Apply(tools_, routing_, Choice(), EverySetting()).ok());
  EXPECT_EQ(Call({Tool(IpFamily::kIpv6, "save")}), "");
  EXPECT_THAT(*Verify(tools_, routing_, Choice(), EverySetting()), IsEmpty());
}

INSTANTIATE_TEST_SUITE_P(Backends, KernelRules, testing::Values(Backend::kNft, Backend::kLegacy),
                         [](const auto& param) { return std::string(Name(param.param)); });

}  // namespace
}  // namespace portolan::proxy

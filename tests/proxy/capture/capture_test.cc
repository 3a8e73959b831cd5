#include "proxy/capture/capture.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <map>
#include <sstream>

#include "common/status.h"
#include "proxy/capture/rules.h"
#include "proxy/capture/ruleset.h"

namespace portolan::proxy {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::IsEmpty;
using ::testing::StartsWith;

// Policy routing in memory, which prints as the tool does.
class FakeRouting : public PolicyRouting {
 public:
  absl::StatusOr<std::string> Rules(IpFamily family) override {
    if (!error.ok()) return error;
    return rules[family];
  }
  absl::StatusOr<std::string> Routes(IpFamily family) override { return routes[family]; }

  absl::Status Change(IpFamily family, const std::string& command) override {
    commands.push_back(std::string(Name(family)) + " " + command);
    if (command.starts_with("rule add pref 15001 ")) {
      rules[family] += "15001:\t" + command.substr(20) + " \n";
    } else if (command == "rule del pref 15001") {
      rules[family].erase(0, rules[family].find('\n') + 1);
    } else if (command == "route add local default dev lo table 15001") {
      routes[family] += "local default dev lo scope host \n";
    } else if (command == "route flush table 15001") {
      routes[family].clear();
    } else {
      ADD_FAILURE() << command;
    }
    return absl::OkStatus();
  }

  std::map<IpFamily, std::string> rules;
  std::map<IpFamily, std::string> routes;
  std::vector<std::string> commands;
  absl::Status error;
};

// A packet filter in memory that understands the iptables-restore input of ours.
class FakeNetfilter : public Netfilter {
 public:
  using Key = std::pair<Backend, IpFamily>;
  using Chains = std::map<std::string, std::vector<std::string>>;

  absl::StatusOr<std::string> Save(Backend backend, IpFamily family) override {
    if (auto error = save_errors.find({backend, family}); error != save_errors.end()) {
      return error->second;
    }
    std::string text;
    for (const auto& [table, chains] : kernel[{backend, family}]) {
      text += "*" + table + "\n";
      for (const auto& [name, rules] : chains) {
        text +=
            ":" + name + (name == "OUTPUT" || name == "PREROUTING" ? " ACCEPT" : " -") + " [0:0]\n";
      }
      for (const auto& [name, rules] : chains) {
        for (const auto& rule : rules) text += "-A " + name + " " + rule + "\n";
      }
      text += "COMMIT\n";
    }
    return text;
  }

  absl::Status Restore(Backend backend, IpFamily family, const std::string& input) override {
    if (auto error = restore_errors.find({backend, family}); error != restore_errors.end()) {
      return error->second;
    }
    ++restores;
    std::istringstream lines(input);
    std::string table;
    Chains chains;
    for (std::string line; std::getline(lines, line);) {
      if (line[0] == '*') {
        table = line.substr(1);
        chains = kernel[{backend, family}][table];
        chains["OUTPUT"];
        chains["PREROUTING"];
      } else if (line == "COMMIT") {
        kernel[{backend, family}][table] = chains;
      } else {
        Execute(line, chains);
      }
    }
    return absl::OkStatus();
  }

  bool HasIpv6() override { return ipv6; }
  bool HasGlobalIpv6() override { return global_ipv6; }

  FakeRouting routing;
  std::map<Key, std::map<std::string, Chains>> kernel;
  std::map<Key, absl::Status> save_errors;
  std::map<Key, absl::Status> restore_errors;
  bool ipv6 = true;
  bool global_ipv6 = true;
  int restores = 0;

 private:
  static void Execute(const std::string& line, Chains& chains) {
    std::istringstream words(line);
    std::string verb, chain, rule;
    words >> verb;
    if (verb[0] == ':') {
      chains[verb.substr(1)].clear();
      return;
    }
    words >> chain >> std::ws;
    std::getline(words, rule);
    ASSERT_TRUE(chains.contains(chain)) << line;
    auto& rules = chains[chain];
    if (verb == "-A") {
      rules.push_back(rule);
    } else if (verb == "-I") {
      ASSERT_TRUE(rule.starts_with("1 ")) << line;
      rules.insert(rules.begin(), rule.substr(2));
    } else if (verb == "-D") {
      auto at = std::find(rules.begin(), rules.end(), rule);
      ASSERT_NE(at, rules.end()) << line;
      rules.erase(at);
    } else if (verb == "-X") {
      ASSERT_TRUE(rules.empty()) << line;
      chains.erase(chain);
    } else {
      FAIL() << line;
    }
  }
};

constexpr FakeNetfilter::Key kNft4 = {Backend::kNft, IpFamily::kIpv4};
constexpr FakeNetfilter::Key kNft6 = {Backend::kNft, IpFamily::kIpv6};
constexpr FakeNetfilter::Key kLegacy4 = {Backend::kLegacy, IpFamily::kIpv4};
constexpr FakeNetfilter::Key kLegacy6 = {Backend::kLegacy, IpFamily::kIpv6};

CaptureSettings Usual() {
  CaptureSettings settings;
  settings.nameservers = {*IpAddress::Parse("10.43.0.10"), *IpAddress::Parse("fd00:43::a")};
  settings.service_cidrs = {*Cidr::Parse("10.43.0.0/16")};
  return settings;
}

TEST(Capture, ApplyTwiceWritesOnce) {
  FakeNetfilter netfilter;
  EXPECT_EQ(*Apply(netfilter, netfilter.routing, BackendChoice::kAuto, Usual()), Applied::kWritten);
  EXPECT_EQ(netfilter.restores, 2);
  const auto before = netfilter.kernel;
  EXPECT_EQ(*Apply(netfilter, netfilter.routing, BackendChoice::kAuto, Usual()),
            Applied::kAlreadyThere);
  EXPECT_EQ(netfilter.restores, 2);
  EXPECT_EQ(netfilter.kernel, before);
  EXPECT_THAT(*Verify(netfilter, netfilter.routing, BackendChoice::kAuto, Usual()), IsEmpty());
}

TEST(Capture, ChangedSettingsReplaceTheRulesOfTheFamilyConcerned) {
  FakeNetfilter netfilter;
  ASSERT_TRUE(Apply(netfilter, netfilter.routing, BackendChoice::kAuto, Usual()).ok());
  CaptureSettings changed = Usual();
  changed.service_cidrs = {*Cidr::Parse("10.96.0.0/12")};
  EXPECT_THAT(*Verify(netfilter, netfilter.routing, BackendChoice::kAuto, changed),
              testing::ElementsAre(
                  "nft IPv4 nat: rule missing: -A PORTOLAN_FORWARD -d 10.96.0.0/12 -p tcp -j "
                  "REDIRECT --to-ports 15001",
                  "nft IPv4 nat: rule not wanted: -A PORTOLAN_FORWARD -d 10.43.0.0/16 -p tcp -j "
                  "REDIRECT --to-ports 15001",
                  "nft IPv4 filter: rule missing: -A PORTOLAN_REUSED -d 10.96.0.0/12 -p tcp -j "
                  "DROP",
                  "nft IPv4 filter: rule not wanted: -A PORTOLAN_REUSED -d 10.43.0.0/16 -p tcp -j "
                  "DROP"));
  EXPECT_EQ(*Apply(netfilter, netfilter.routing, BackendChoice::kAuto, changed), Applied::kWritten);
  EXPECT_EQ(netfilter.restores, 3);
  EXPECT_THAT(*Verify(netfilter, netfilter.routing, BackendChoice::kAuto, changed), IsEmpty());
  EXPECT_THAT(netfilter.kernel[kNft4]["nat"]["OUTPUT"], testing::ElementsAre("-j PORTOLAN_OUTPUT"));
}

TEST(Capture, TamperedRulesAreFoundAndMended) {
  FakeNetfilter netfilter;
  ASSERT_TRUE(Apply(netfilter, netfilter.routing, BackendChoice::kAuto, Usual()).ok());
  netfilter.kernel[kNft6]["nat"]["OUTPUT"].push_back("-j PORTOLAN_OUTPUT");
  netfilter.kernel[kNft4]["nat"]["PORTOLAN_OLD"] = {"-j RETURN"};
  netfilter.kernel[kNft4]["raw"]["OUTPUT"].clear();
  netfilter.kernel[kNft4]["mangle"]["OUTPUT"] = {"-p udp -j PORTOLAN_MARK"};
  netfilter.kernel[kNft4]["mangle"]["PORTOLAN_MARK"] = {"-j RETURN"};
  EXPECT_EQ(Verify(netfilter, netfilter.routing, BackendChoice::kAuto, Usual())->size(), 6u);
  EXPECT_EQ(*Apply(netfilter, netfilter.routing, BackendChoice::kAuto, Usual()), Applied::kWritten);
  EXPECT_THAT(*Verify(netfilter, netfilter.routing, BackendChoice::kAuto, Usual()), IsEmpty());
}

TEST(Capture, CleanRemovesOursFromBothBackendsAndNothingElse) {
  FakeNetfilter netfilter;
  netfilter.kernel[kNft4]["nat"]["OUTPUT"] = {"-j ACCEPT"};
  netfilter.kernel[kNft4]["nat"]["FOREIGN"] = {"-j RETURN"};
  netfilter.kernel[kLegacy6]["raw"]["OUTPUT"] = {"-j PORTOLAN_X"};
  netfilter.kernel[kLegacy6]["raw"]["PORTOLAN_X"] = {};
  ASSERT_TRUE(Apply(netfilter, netfilter.routing, BackendChoice::kNft, Usual()).ok());
  ASSERT_TRUE(Clean(netfilter, netfilter.routing).ok());
  EXPECT_EQ(netfilter.kernel[kNft4]["nat"],
            (FakeNetfilter::Chains{
                {"FOREIGN", {"-j RETURN"}}, {"OUTPUT", {"-j ACCEPT"}}, {"PREROUTING", {}}}));
  EXPECT_EQ(netfilter.kernel[kLegacy6]["raw"],
            (FakeNetfilter::Chains{{"OUTPUT", {}}, {"PREROUTING", {}}}));
  const int restores = netfilter.restores;
  EXPECT_TRUE(Clean(netfilter, netfilter.routing).ok());
  EXPECT_EQ(netfilter.restores, restores) << "a clean pod is not written to";
}

TEST(Capture, AutoTakesTheBackendThatHoldsRules) {
  FakeNetfilter netfilter;
  netfilter.kernel[kNft4]["nat"]["OUTPUT"] = {};
  netfilter.kernel[kLegacy4]["filter"]["OUTPUT"] = {"-j ACCEPT"};
  ASSERT_TRUE(Apply(netfilter, netfilter.routing, BackendChoice::kAuto, Usual()).ok());
  EXPECT_TRUE(netfilter.kernel[kLegacy4]["nat"].contains("PORTOLAN_OUTPUT"));
  EXPECT_FALSE(netfilter.kernel[kNft4]["nat"].contains("PORTOLAN_OUTPUT"));
  // Foreign nft rules that come later do not part the pod from the rules it has.
  netfilter.kernel[kNft4]["filter"]["OUTPUT"] = {"-j ACCEPT"};
  EXPECT_EQ(*Apply(netfilter, netfilter.routing, BackendChoice::kAuto, Usual()),
            Applied::kAlreadyThere);
}

TEST(Capture, AutoTakesNftWhereBothOrNeitherHoldRules) {
  for (const char* rule : {"", "-j ACCEPT"}) {
    FakeNetfilter netfilter;
    for (auto key : {kNft4, kLegacy4}) {
      if (*rule != '\0') netfilter.kernel[key]["filter"]["OUTPUT"] = {rule};
    }
    ASSERT_TRUE(Apply(netfilter, netfilter.routing, BackendChoice::kAuto, Usual()).ok());
    EXPECT_TRUE(netfilter.kernel[kNft4]["nat"].contains("PORTOLAN_OUTPUT"));
  }
}

TEST(Capture, AutoTakesTheOnlyBackendInstalled) {
  FakeNetfilter netfilter;
  netfilter.save_errors[kNft4] = NotFound("iptables-nft-save: not installed");
  netfilter.save_errors[kNft6] = NotFound("ip6tables-nft-save: not installed");
  ASSERT_TRUE(Apply(netfilter, netfilter.routing, BackendChoice::kAuto, Usual()).ok());
  EXPECT_TRUE(netfilter.kernel[kLegacy6]["nat"].contains("PORTOLAN_OUTPUT"));
  EXPECT_TRUE(Clean(netfilter, netfilter.routing).ok());
  EXPECT_FALSE(netfilter.kernel[kLegacy6]["nat"].contains("PORTOLAN_OUTPUT"));
}

TEST(Capture, ApplyMovesTheRulesToTheBackendAskedFor) {
  FakeNetfilter netfilter;
  ASSERT_TRUE(Apply(netfilter, netfilter.routing, BackendChoice::kLegacy, Usual()).ok());
  EXPECT_THAT(*Verify(netfilter, netfilter.routing, BackendChoice::kNft, Usual()),
              AllOf(Contains(StartsWith("nft IPv4 nat: chain missing")),
                    Contains("legacy IPv6 raw: chain not wanted: PORTOLAN_ZONE")));
  EXPECT_EQ(*Apply(netfilter, netfilter.routing, BackendChoice::kNft, Usual()), Applied::kWritten);
  EXPECT_THAT(*Verify(netfilter, netfilter.routing, BackendChoice::kNft, Usual()), IsEmpty());
  EXPECT_TRUE(OwnTables(*netfilter.Save(Backend::kLegacy, IpFamily::kIpv4)).empty());
}

TEST(Capture, PodWithoutIpv6IsNoError) {
  FakeNetfilter netfilter;
  netfilter.ipv6 = false;
  ASSERT_TRUE(Apply(netfilter, netfilter.routing, BackendChoice::kAuto, Usual()).ok());
  EXPECT_FALSE(netfilter.kernel.contains(kNft6));
  EXPECT_THAT(*Verify(netfilter, netfilter.routing, BackendChoice::kAuto, Usual()), IsEmpty());
}

TEST(Capture, Ip6tablesThatDoesNotWorkIsNoError) {
  for (auto errors : {&FakeNetfilter::save_errors, &FakeNetfilter::restore_errors}) {
    FakeNetfilter netfilter;
    (netfilter.*errors)[kNft6] = absl::UnavailableError("ip6table_nat");
    EXPECT_EQ(*Apply(netfilter, netfilter.routing, BackendChoice::kAuto, Usual()),
              Applied::kWritten);
    EXPECT_FALSE(netfilter.kernel[kNft6]["nat"].contains("PORTOLAN_OUTPUT"));
    EXPECT_TRUE(Clean(netfilter, netfilter.routing).ok());
  }
}

// Else its policies would be believed to be in force.
TEST(Capture, Ip6tablesThatDoesNotWorkIsAnErrorWhereNothingMayPassByTheSidecar) {
  CaptureSettings all = Usual();
  all.forward = ForwardCapture::kAll;
  CaptureSettings inbound = Usual();
  inbound.inbound = InboundCapture::kTproxy;
  for (const CaptureSettings& wall : {all, inbound}) {
    for (auto errors : {&FakeNetfilter::save_errors, &FakeNetfilter::restore_errors}) {
      FakeNetfilter netfilter;
      (netfilter.*errors)[kNft6] = absl::UnavailableError("ip6table_nat");
      const auto applied = Apply(netfilter, netfilter.routing, BackendChoice::kAuto, wall);
      EXPECT_EQ(applied.status(),
                absl::UnavailableError("IPv6, of which the pod has an address, would pass by the "
                                       "sidecar: ip6table_nat"));
      if (errors == &FakeNetfilter::save_errors) {
        EXPECT_EQ(Verify(netfilter, netfilter.routing, BackendChoice::kAuto, wall).status(),
                  applied.status());
      }
      netfilter.global_ipv6 = false;
      EXPECT_TRUE(Apply(netfilter, netfilter.routing, BackendChoice::kAuto, wall).ok());
    }
  }
}

TEST(Capture, KernelThatLacksAModuleForIpv4IsAnError) {
  FakeNetfilter netfilter;
  netfilter.restore_errors[kNft4] = absl::UnavailableError("xt_owner");
  EXPECT_TRUE(absl::IsUnavailable(
      Apply(netfilter, netfilter.routing, BackendChoice::kAuto, Usual()).status()));
}

TEST(Capture, MissingPermissionIsAnErrorOfEveryAction) {
  FakeNetfilter netfilter;
  for (auto key : {kNft4, kNft6}) netfilter.save_errors[key] = absl::PermissionDeniedError("root");
  EXPECT_TRUE(absl::IsPermissionDenied(
      Apply(netfilter, netfilter.routing, BackendChoice::kAuto, Usual()).status()));
  EXPECT_TRUE(absl::IsPermissionDenied(
      Verify(netfilter, netfilter.routing, BackendChoice::kAuto, Usual()).status()));
  EXPECT_TRUE(absl::IsPermissionDenied(Clean(netfilter, netfilter.routing)));
}

CaptureSettings WithUdp() {
  CaptureSettings settings = Usual();
  settings.udp = UdpCapture::kTproxy;
  return settings;
}

TEST(Capture, PolicyRouteOfBothFamiliesComesWithUdpAndIsWrittenOnce) {
  FakeNetfilter netfilter;
  EXPECT_EQ(*Apply(netfilter, netfilter.routing, BackendChoice::kAuto, WithUdp()),
            Applied::kWritten);
  EXPECT_THAT(netfilter.routing.commands,
              testing::ElementsAre(
                  "IPv4 route add local default dev lo table 15001",
                  "IPv4 rule add pref 15001 from all fwmark 0x1000000/0x1000000 lookup 15001",
                  "IPv6 route add local default dev lo table 15001",
                  "IPv6 rule add pref 15001 from all fwmark 0x1000000/0x1000000 lookup 15001"));
  EXPECT_EQ(*Apply(netfilter, netfilter.routing, BackendChoice::kAuto, WithUdp()),
            Applied::kAlreadyThere);
  EXPECT_EQ(netfilter.routing.commands.size(), 4u);
  EXPECT_THAT(*Verify(netfilter, netfilter.routing, BackendChoice::kAuto, WithUdp()), IsEmpty());
}

TEST(Capture, UdpSwitchedOffTakesItsRulesAndItsPolicyRouteAway) {
  for (bool by_clean : {false, true}) {
    FakeNetfilter netfilter;
    ASSERT_TRUE(Apply(netfilter, netfilter.routing, BackendChoice::kAuto, WithUdp()).ok());
    EXPECT_THAT(*Verify(netfilter, netfilter.routing, BackendChoice::kAuto, Usual()),
                AllOf(Contains("nft IPv4 mangle: chain not wanted: PORTOLAN_UDP"),
                      Contains("IPv6 routing: route not wanted: local default dev lo")));
    if (by_clean) {
      ASSERT_TRUE(Clean(netfilter, netfilter.routing).ok());
    } else {
      ASSERT_EQ(*Apply(netfilter, netfilter.routing, BackendChoice::kAuto, Usual()),
                Applied::kWritten);
    }
    for (IpFamily family : {IpFamily::kIpv4, IpFamily::kIpv6}) {
      EXPECT_EQ(netfilter.routing.rules[family], "");
      EXPECT_EQ(netfilter.routing.routes[family], "");
    }
    EXPECT_EQ(netfilter.kernel[kNft4]["mangle"],
              (FakeNetfilter::Chains{{"OUTPUT", {}}, {"PREROUTING", {}}}));
  }
}

TEST(Capture, TamperedPolicyRouteIsFoundAndMended) {
  FakeNetfilter netfilter;
  ASSERT_TRUE(Apply(netfilter, netfilter.routing, BackendChoice::kAuto, WithUdp()).ok());
  const std::string rule = netfilter.routing.rules[IpFamily::kIpv4];
  netfilter.routing.rules[IpFamily::kIpv4] =
      "15001:\tfrom all fwmark 0x1 lookup 100\n" + rule + rule;
  netfilter.routing.routes[IpFamily::kIpv6] = "blackhole default\n";
  EXPECT_THAT(*Verify(netfilter, netfilter.routing, BackendChoice::kAuto, WithUdp()),
              testing::ElementsAre("IPv4 routing: rule there 2 times: from all fwmark "
                                   "0x1000000/0x1000000 lookup 15001",
                                   "IPv4 routing: rule not wanted: from all fwmark 0x1 lookup 100",
                                   "IPv6 routing: route missing: local default dev lo",
                                   "IPv6 routing: route not wanted: blackhole default"));
  EXPECT_EQ(*Apply(netfilter, netfilter.routing, BackendChoice::kAuto, WithUdp()),
            Applied::kWritten);
  EXPECT_THAT(*Verify(netfilter, netfilter.routing, BackendChoice::kAuto, WithUdp()), IsEmpty());
}

TEST(Capture, PolicyRoutingThatDoesNotWorkIsAnErrorOfUdpAlone) {
  FakeNetfilter netfilter;
  for (const absl::Status& error : {NotFound("ip: not installed"), absl::InternalError("old ip")}) {
    netfilter.routing.error = error;
    EXPECT_EQ(Apply(netfilter, netfilter.routing, BackendChoice::kAuto, WithUdp()).status(), error);
    EXPECT_EQ(Verify(netfilter, netfilter.routing, BackendChoice::kAuto, WithUdp()).status(),
              error);
    EXPECT_TRUE(Apply(netfilter, netfilter.routing, BackendChoice::kAuto, Usual()).ok());
    EXPECT_TRUE(Clean(netfilter, netfilter.routing).ok());
  }
}

TEST(Capture, CleanWithoutAnyToolIsAnError) {
  FakeNetfilter netfilter;
  for (auto key : {kNft4, kNft6, kLegacy4, kLegacy6}) {
    netfilter.save_errors[key] = NotFound("not installed");
  }
  EXPECT_TRUE(absl::IsNotFound(Clean(netfilter, netfilter.routing)));
}

}  // namespace
}  // namespace portolan::proxy

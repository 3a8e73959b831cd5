// What a worker's forwarders are told: by address, by name, in audit, and while nothing is known.
#include "proxy/policy/egress_gate.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <spdlog/sinks/ostream_sink.h>

#include <sstream>

#include "common/log.h"
#include "tests/proxy/policy/test_policy.h"

namespace portolan::proxy {
namespace {

using testing::HasSubstr;

constexpr char kOne[] = "NetworkPolicy/default/one";

class EgressGateTest : public testing::Test {
 protected:
  explicit EgressGateTest(EgressGate::Options options = {}) : policy_(std::move(options)) {}
  bool Allows(const EgressPass& pass, std::string_view to, Protocol protocol = Protocol::kTcp) {
    return policy_.gate.Allows(pass, At(to), protocol);
  }
  // Of what is passed through.
  bool Judge(std::string_view dialled, Protocol protocol = Protocol::kTcp) {
    EgressPass pass = Begin(dialled, protocol);
    const bool allowed = Allows(pass, dialled, protocol);
    policy_.gate.End(pass, now_);
    return allowed;
  }
  EgressPass Begin(std::string_view dialled, Protocol protocol = Protocol::kTcp) {
    EgressPass pass;
    policy_.gate.Begin(pass, At(dialled), protocol, now_);
    return pass;
  }
  void Take(EgressPass& pass, const char* dialled, Denied what = Denied::kConnection) {
    const SocketAddress to = At(dialled);
    policy_.gate.OnTaken(pass, {what, client_, to}, now_);
  }
  void Deny(const char* dialled, Denied what = Denied::kConnection) {
    const SocketAddress to = At(dialled);
    policy_.gate.OnDenied({}, {what, client_, to}, now_);
  }
  double NoState(std::string_view verdict) {
    MetricFamilies families;
    policy_.gate.Collect(families);
    return families[0].metric[verdict == "allowed" ? 0 : 1].counter.value;
  }

  const SocketAddress client_ = At("10.42.0.7:40000");
  absl::Duration now_ = absl::Seconds(1000);
  TestPolicy policy_;
};

TEST_F(EgressGateTest, WithoutIsolationAllIsAllowedAndNothingCounted) {
  policy_.SetRules({});
  EXPECT_TRUE(Judge("192.0.2.1:80"));
  EXPECT_EQ(NoState("allowed"), 0);
}

TEST_F(EgressGateTest, UntilAPolicyIsKnownAllIsAllowedAndCounted) {
  EXPECT_TRUE(Judge("192.0.2.1:80"));
  EXPECT_TRUE(Judge("192.0.2.1:53", Protocol::kUdp));
  EXPECT_EQ(NoState("allowed"), 2);
  policy_.SetRules({});
  EXPECT_TRUE(Judge("192.0.2.1:80"));
  EXPECT_EQ(NoState("allowed"), 2);
}

TEST(EgressGateClosed, UntilAPolicyIsKnownTheOwnAddressesAloneAreAllowed) {
  TestPolicy policy({.on_no_policy = OnNoPolicy::kClosed, .own = {At("10.42.0.7:0").ip}});
  const auto allows = [&](const char* to) {
    EgressPass pass;
    policy.gate.Begin(pass, At(to), Protocol::kTcp, absl::ZeroDuration());
    return policy.gate.Allows(pass, At(to), Protocol::kTcp);
  };
  EXPECT_FALSE(allows("192.0.2.1:80"));
  EXPECT_TRUE(allows("10.42.0.7:80"));
  EXPECT_TRUE(allows("127.0.0.1:80"));
  const SocketAddress client = At("10.42.0.7:1"), to = At("192.0.2.1:80");
  policy.gate.OnDenied({}, {Denied::kConnection, client, to}, absl::ZeroDuration());
  MetricFamilies families;
  policy.gate.Collect(families);
  EXPECT_EQ(families[0].metric[1].label[0].value, "denied");
  EXPECT_EQ(families[0].metric[1].counter.value, 1);
  policy.SetRules({});
  EXPECT_TRUE(allows("192.0.2.1:80"));
}

TEST_F(EgressGateTest, RulesByAddressJudgeWhereItGoes) {
  policy_.SetRules({NetworkPolicyOf("one", {ToBlock("10.42.0.0/16", {}, {Tcp(8080)})})});
  const EgressPass pass = Begin("10.43.0.1:80");
  EXPECT_TRUE(Allows(pass, "10.42.1.1:8080"));
  EXPECT_FALSE(Allows(pass, "10.42.1.1:80"));
  EXPECT_FALSE(Allows(pass, "10.42.1.1:8080", Protocol::kUdp));
  EXPECT_FALSE(Allows(pass, "10.43.0.1:8080"));
}

TEST_F(EgressGateTest, ANameThatLedToTheDialledAddressLetsAllEndpointsAtItsPortAlone) {
  policy_.SetRules({NetworkPolicyOf("one", {ToNames({"api.example.com"}, {Tcp(443)})})});
  EXPECT_FALSE(Judge("192.0.2.1:443")) << "never asked";
  policy_.Learn("API.example.com", At("192.0.2.1:0").ip, absl::Seconds(30), now_);
  policy_.Learn("other.example.com", At("192.0.2.2:0").ip, absl::Seconds(30), now_);
  EgressPass pass = Begin("192.0.2.1:443");
  EXPECT_TRUE(Allows(pass, "192.0.2.1:443"));
  EXPECT_TRUE(Allows(pass, "10.42.9.9:8443")) << "an endpoint";
  EXPECT_EQ(policy_.live(), 1u);
  policy_.gate.End(pass, now_);
  EXPECT_EQ(policy_.live(), 0u);
  EXPECT_FALSE(Judge("192.0.2.1:80"));
  EXPECT_FALSE(Judge("192.0.2.1:443", Protocol::kUdp));
  EXPECT_FALSE(Judge("192.0.2.2:443"));
  EXPECT_EQ(policy_.live(), 0u);
}

TEST_F(EgressGateTest, AnAddressThatIsHeldOutlivesItsTimeAlsoWhereItIsJudgedAnew) {
  policy_.SetRules({NetworkPolicyOf("one", {ToNames({"api.example.com"}, {})})});
  policy_.Learn("api.example.com", At("192.0.2.1:0").ip, absl::Seconds(30), now_);
  EgressPass pass = Begin("192.0.2.1:443");
  now_ += absl::Hours(1);
  policy_.gate.Begin(pass, At("192.0.2.1:443"), Protocol::kTcp, now_);
  EXPECT_TRUE(Allows(pass, "192.0.2.1:443"));
  EXPECT_EQ(policy_.live(), 1u);
  policy_.SetRules({NetworkPolicyOf("one", {ToNames({"other.example.com"}, {})})});
  policy_.gate.Begin(pass, At("192.0.2.1:443"), Protocol::kTcp, now_);
  EXPECT_FALSE(Allows(pass, "192.0.2.1:443"));
  EXPECT_EQ(policy_.live(), 0u);
}

TEST_F(EgressGateTest, AnAddressIsHeldBeforeThePodIsIsolatedAndLetsGoOnWhenItIs) {
  for (const bool in_audit : {false, true}) {
    PolicyInput names = NetworkPolicyOf("one", {ToNames({"api.example.com"}, {})});
    names.audit = in_audit;
    PolicyInput before = names;
    before.isolates = false;
    policy_.SetRules({before});
    policy_.Learn("api.example.com", At("192.0.2.1:0").ip, absl::Seconds(30), now_);
    EgressPass pass = Begin("192.0.2.1:443"), other = Begin("192.0.2.2:443");
    EXPECT_TRUE(Allows(pass, "192.0.2.1:443"));
    EXPECT_TRUE(Allows(other, "192.0.2.2:443"));
    EXPECT_EQ(policy_.live(), 1u);
    now_ += absl::Hours(1);
    policy_.learned.Expire(now_);
    policy_.SetRules({names});
    for (EgressPass* one : {&pass, &other}) {
      const SocketAddress dialled = At(one == &pass ? "192.0.2.1:443" : "192.0.2.2:443");
      policy_.gate.Begin(*one, dialled, Protocol::kTcp, now_);
      EXPECT_EQ(policy_.gate.Allows(*one, dialled, Protocol::kTcp), in_audit || one == &pass);
    }
    Take(pass, "192.0.2.1:443");
    EXPECT_FALSE(pass.audited);
    policy_.gate.End(pass, now_);
    EXPECT_EQ(policy_.live(), 0u);
  }
}

// --- A Service whose endpoints are not known ---

TEST_F(EgressGateTest, AServiceOfUnknownEndpointsIsNotJudgedByItsOwnAddress) {
  const auto allows = [&] {
    EgressPass pass{.unheld = true};
    policy_.gate.Begin(pass, At("10.43.0.9:80"), Protocol::kTcp, now_);
    const bool allowed = Allows(pass, "10.43.0.9:80");
    policy_.gate.End(pass, now_);
    return allowed;
  };
  EXPECT_TRUE(allows()) << "nothing is known";
  const RuleInput blocks = ToBlock("0.0.0.0/0", {"10.42.0.0/16"}, {});
  policy_.SetRules({NetworkPolicyOf("one", {blocks, ToAnybody({Tcp(80)})})});
  EXPECT_FALSE(allows()) << "the endpoints have another port, and an address that is excepted";
  PolicyInput adds = NetworkPolicyOf("one", {blocks});
  adds.isolates = false;
  policy_.SetRules({adds});
  EXPECT_TRUE(allows());
  policy_.SetRules({NetworkPolicyOf("one", {blocks}), NetworkPolicyOf("two", {ToAnybody({})})});
  EXPECT_TRUE(allows()) << "whatever they are";
  policy_.SetRules({NetworkPolicyOf("one", {ToBlock("::/0", {}, {}), ToAnybody({Udp(0)})})});
  EXPECT_FALSE(allows()) << "they are of its family, and reached by its protocol";
  policy_.SetRules({NetworkPolicyOf("one", {ToBlock("0.0.0.0/0", {}, {Tcp(0)})})});
  EXPECT_TRUE(allows()) << "whatever they are";
  policy_.SetRules({NetworkPolicyOf("one", {ToNames({"db.example.com"}, {Tcp(80)})})});
  EXPECT_FALSE(allows());
  policy_.Learn("db.example.com", At("10.43.0.9:0").ip, absl::Seconds(30), now_);
  EXPECT_TRUE(allows());
}

TEST_F(EgressGateTest, AServiceOfUnknownEndpointsIsDeniedAlsoAtTheNodesAddress) {
  PolicyCompiler compiler;
  compiler.SetPolicies({NetworkPolicyOf("one", {})}, {At("192.0.2.9:0").ip});
  policy_.gate.SetRules(compiler.Commit());
  EXPECT_TRUE(Judge("192.0.2.9:80"));
  const EgressPass pass{.unheld = true};
  EXPECT_FALSE(Allows(pass, "192.0.2.9:80")) << "held, it is judged by its endpoints too";
}

TEST_F(EgressGateTest, AuditCountsAServiceOfUnknownEndpointsAsEnforcementWouldDenyIt) {
  const auto take = [&](EgressPass pass) {
    policy_.gate.Begin(pass, At("10.43.0.9:80"), Protocol::kTcp, now_);
    EXPECT_TRUE(Allows(pass, "10.43.0.9:80"));
    Take(pass, "10.43.0.9:80");
    return pass.audited;
  };
  policy_.SetRules({InAudit(NetworkPolicyOf("one", {ToBlock("10.43.0.0/16", {}, {})}))});
  EXPECT_FALSE(take({}));
  EXPECT_TRUE(take({.unheld = true}));
  policy_.SetRules({InAudit(NetworkPolicyOf("one", {ToAnybody({})}))});
  EXPECT_FALSE(take({.unheld = true}));
}

TEST(EgressGateRanges, WhatLiesInTheServicesRangesIsAServices) {
  const TestPolicy without;
  EXPECT_FALSE(without.gate.IsOfServices(At("10.43.0.9:0").ip));
  const TestPolicy policy(
      {.service_ranges = {*Cidr::Parse("10.43.0.0/16"), *Cidr::Parse("fd00:43::/112")}});
  EXPECT_TRUE(policy.gate.IsOfServices(At("10.43.0.9:0").ip));
  EXPECT_TRUE(policy.gate.IsOfServices(At("[fd00:43::9]:0").ip));
  EXPECT_FALSE(policy.gate.IsOfServices(At("10.42.0.9:0").ip));
  EXPECT_FALSE(policy.gate.IsOfServices(At("[fd00:42::9]:0").ip));
}

// --- Audit ---

TEST_F(EgressGateTest, WhatAuditWouldDenyIsAllowedAndCountedOnceForEachPass) {
  policy_.SetRules({InAudit(NetworkPolicyOf("one", {ToBlock("10.42.0.0/16", {}, {})}))});
  EgressPass pass = Begin("192.0.2.1:80");
  EXPECT_TRUE(Allows(pass, "192.0.2.1:80"));
  Take(pass, "192.0.2.1:80");
  Take(pass, "192.0.2.1:80");
  EXPECT_EQ(policy_.Denials(kOne, Denied::kConnection, PolicyMode::kAudit), 1);
  EXPECT_EQ(policy_.Denials(kOne, Denied::kConnection), 0);
  EgressPass inside = Begin("10.42.3.4:80");
  Take(inside, "10.42.3.4:80");
  EXPECT_EQ(policy_.Denials(kOne, Denied::kConnection, PolicyMode::kAudit), 1);
}

TEST_F(EgressGateTest, AuditLooksAtAFewEndpointsFromTheOneTakenOn) {
  constexpr size_t kMost = EgressGate::kMostAudited;
  std::vector<PortEndpoint> among(2 * kMost);
  for (size_t i = 0; i < among.size(); ++i) {
    among[i].address = At(fmt::format("10.42.0.{}:80", i));
  }
  const auto counted = [&](size_t taken) {
    EgressPass pass = Begin("10.43.0.9:80");
    const SocketAddress dialled = At("10.43.0.9:80");
    EgressGate::Attempt attempt{Denied::kConnection, client_, dialled, &among[taken].address};
    attempt.among = among;
    policy_.gate.OnTaken(pass, attempt, now_);
    return pass.audited;
  };
  policy_.SetRules({InAudit(NetworkPolicyOf("one", {ToBlock("10.42.0.5/32", {}, {})}))});
  EXPECT_TRUE(counted(6)) << "what is allowed comes after all that are looked at";
  EXPECT_FALSE(counted(5)) << "it is the one taken";
  EXPECT_FALSE(counted(4));
  EXPECT_FALSE(counted(5 + kMost + 1)) << "the last that is looked at, past the end";
  EXPECT_TRUE(counted(5 + kMost));
}

TEST_F(EgressGateTest, ANameOfAPolicyInAuditLetsNothingButIsNotCounted) {
  policy_.SetRules({InAudit(NetworkPolicyOf("one", {ToNames({"api.example.com"}, {})})),
                    NetworkPolicyOf("two", {})});
  policy_.Learn("api.example.com", At("192.0.2.1:0").ip, absl::Seconds(30), now_);
  EXPECT_FALSE(Judge("192.0.2.1:80"));
  policy_.SetRules({InAudit(NetworkPolicyOf("one", {ToNames({"api.example.com"}, {})}))});
  EgressPass named = Begin("192.0.2.1:80"), other = Begin("192.0.2.2:80");
  Take(named, "192.0.2.1:80");
  EXPECT_EQ(policy_.live(), 1u) << "as if it were let through by it";
  EXPECT_EQ(policy_.Denials(kOne, Denied::kConnection, PolicyMode::kAudit), 0);
  Take(other, "192.0.2.2:80", Denied::kFlow);
  EXPECT_EQ(policy_.Denials(kOne, Denied::kFlow, PolicyMode::kAudit), 1);
}

// --- Counting ---

TEST_F(EgressGateTest, ADenialCountsForEachPolicyThatIsolatesAndBeyondEightForOthers) {
  std::vector<PolicyInput> policies;
  for (int i = 0; i < 11; ++i) policies.push_back(NetworkPolicyOf("p" + std::to_string(i), {}));
  policy_.SetRules(policies);
  Deny("192.0.2.1:80");
  for (int i = 0; i < 11; ++i) {
    const std::string name = "NetworkPolicy/default/p" + std::to_string(i);
    EXPECT_EQ(policy_.Denials(name, Denied::kConnection), i < 8 ? 1 : 0) << name;
  }
  EXPECT_EQ(policy_.Denials("others", Denied::kConnection), 1);
}

TEST_F(EgressGateTest, ANameCountsForThePoliciesThatIsolateNames) {
  PolicyInput names = NetworkPolicyOf("names", {});
  names.isolates_names = true;
  policy_.SetRules({NetworkPolicyOf("one", {}), names});
  policy_.denials.Add({.what = Denied::kName}, now_);
  policy_.denials.Add({.what = Denied::kDns}, now_);
  EXPECT_EQ(policy_.Denials(kOne, Denied::kName), 0);
  EXPECT_EQ(policy_.Denials(kOne, Denied::kDns), 1);
  EXPECT_EQ(policy_.Denials("NetworkPolicy/default/names", Denied::kName), 1);
}

TEST_F(EgressGateTest, TotalsStayWhenThePolicyGoesAndGoOnWhenItComesBack) {
  policy_.SetRules({NetworkPolicyOf("one", {})});
  Deny("192.0.2.1:80");
  policy_.SetRules({NetworkPolicyOf("two", {})});
  Deny("192.0.2.1:80", Denied::kFlow);
  EXPECT_EQ(policy_.Denials(kOne, Denied::kConnection), 1);
  EXPECT_EQ(policy_.Denials(kOne, Denied::kFlow), 0);
  policy_.SetRules({NetworkPolicyOf("one", {})});
  Deny("192.0.2.1:80");
  EXPECT_EQ(policy_.Denials(kOne, Denied::kConnection), 2);
}

TEST_F(EgressGateTest, NamesOfPoliciesAreBounded) {
  for (int i = 0; i < 200; ++i) {
    policy_.SetRules({NetworkPolicyOf("p" + std::to_string(i), {})});
    Deny("192.0.2.1:80");
  }
  MetricFamilies families;
  policy_.denials.counters().Collect(families);
  EXPECT_EQ(families[0].metric.size(), DenialCounters::kMostNames + 1);
  EXPECT_EQ(policy_.Denials("others", Denied::kConnection), 200 - DenialCounters::kMostNames);
}

// --- The log ---

TEST(DenialLog, OneInSoManyIsToldAndAtMostTenASecond) {
  EventLoop loop;
  DenialLog log(loop, 3);
  int told = 0;
  for (int i = 0; i < 12; ++i) told += log.Takes(absl::Seconds(5)) ? 1 : 0;
  EXPECT_EQ(told, 4);
  for (int i = 0; i < 300; ++i) told += log.Takes(absl::Seconds(5)) ? 1 : 0;
  EXPECT_EQ(told, 10);
  for (int i = 0; i < 300; ++i) told += log.Takes(absl::Milliseconds(6001)) ? 1 : 0;
  EXPECT_EQ(told, 20);
  DenialLog none(loop, 0);
  EXPECT_FALSE(none.Takes(absl::Seconds(5)));
}

TEST(DenialLog, ALineSaysWhoDialledWhatWhoIsolatesAndWhichRuleIsNearest) {
  Denial denial;
  denial.client = At("10.42.0.7:40312");
  denial.dialled = At("10.43.0.9:5432");
  denial.endpoint = At("10.42.3.4:5432");
  denial.service = ServiceKey("default", "db");
  denial.rules = Compile({NetworkPolicyOf("one", {ToBlock("10.42.3.4/32", {}, {Tcp(5433)})}),
                          NetworkPolicyOf("two", {})});
  const std::string line = DenialLine(denial);
  EXPECT_THAT(line, HasSubstr("policy denied TCP 10.42.0.7:40312 -> 10.43.0.9:5432 (default/db, "
                              "endpoint 10.42.3.4:5432): isolated by NetworkPolicy/default/one, "
                              "NetworkPolicy/default/two"));
  EXPECT_THAT(line, HasSubstr(denial.rules->Nearest(*denial.endpoint, Protocol::kTcp)));
  denial.what = Denied::kName;
  denial.mode = PolicyMode::kAudit;
  denial.name = NameOf("api.example.com");
  EXPECT_THAT(DenialLine(denial),
              HasSubstr("policy would have denied the name api.example.com. to 10.42.0.7"));
  denial.rules = nullptr;
  denial.what = Denied::kFlow;
  denial.mode = PolicyMode::kEnforced;
  EXPECT_THAT(DenialLine(denial), HasSubstr("no policy is known yet"));
}

TEST(DenialLog, ALineSaysThatTheEndpointsOfTheServiceAreNotKnown) {
  Denial denial;
  denial.client = At("10.42.0.7:40312");
  denial.dialled = At("10.43.0.9:5432");
  denial.service = ServiceKey("default", "db");
  denial.rules = Compile({NetworkPolicyOf("one", {ToBlock("10.43.0.9/32", {}, {Tcp(5433)})})});
  Denial unheld = denial;
  unheld.unheld = true;
  EXPECT_THAT(DenialLine(unheld),
              HasSubstr("(default/db): isolated by NetworkPolicy/default/one; the endpoints of the "
                        "Service are not known, and no rule by name has what was dialled"));
  EXPECT_FALSE(IsSameKind(denial, unheld));
}

TEST_F(EgressGateTest, ADenialIsLoggedByTheMainLoop) {
  EventLoop loop;
  DenialLog log(loop, 1);
  TestPolicy policy({}, &log);
  policy.SetRules({NetworkPolicyOf("one", {})});
  const SocketAddress to = At("192.0.2.1:80");
  std::ostringstream out;
  const auto before = spdlog::default_logger();
  spdlog::set_default_logger(std::make_shared<spdlog::logger>(
      "test", std::make_shared<spdlog::sinks::ostream_sink_st>(out)));
  policy.gate.OnDenied({}, {Denied::kConnection, client_, to}, now_);
  EXPECT_EQ(out.str(), "") << "not on the worker's thread";
  loop.Stop();
  loop.Run();
  spdlog::set_default_logger(before);
  EXPECT_THAT(out.str(), HasSubstr("policy denied TCP 10.42.0.7:40000 -> 192.0.2.1:80"));
}

// With api.example.com and backend.default.svc.cluster.local on one address, of which the rules
// have the port 80.
class ServerNameTest : public EgressGateTest {
 protected:
  ServerNameTest()
      : EgressGateTest(
            {.service_ranges = {*Cidr::Parse("10.43.0.0/16")}, .check_server_name = true}) {
    Isolate(DnsPolicyOf("apis", {Named()}));
    policy_.gate.SetSearch({"default.svc.cluster.local", "cluster.local", "not..one"});
    for (const char* name : {"api.example.com", "backend.default.svc.cluster.local"}) {
      policy_.Learn(name, At(kDialled).ip, absl::Minutes(5), now_);
    }
  }
  static RuleInput Named() {
    return ToNames({"api.example.com", "*.cluster.local", "other.example.com"}, {Tcp(80)});
  }
  void Isolate(PolicyInput policy) { policy_.SetRules({std::move(policy)}); }

  static Greeting Read(std::string_view first) {
    return ReadGreeting({reinterpret_cast<const uint8_t*>(first.data()), first.size()}, true);
  }
  bool Goes(std::string_view first, const char* dialled = kDialled) {
    return Goes(Read(first), dialled);
  }
  bool Goes(const Greeting& greeting, const char* dialled = kDialled) {
    EgressPass pass = Begin(dialled);
    const SocketAddress to = At(dialled);
    EXPECT_TRUE(policy_.gate.ChecksGreeting(pass, to));
    const bool goes = policy_.gate.JudgeGreeting(
        pass, {Denied::kServerName, client_, to, nullptr, nullptr, &greeting}, now_);
    policy_.gate.End(pass, now_);
    return goes;
  }
  static std::string Host(std::string_view name) {
    return fmt::format("GET / HTTP/1.1\r\nHost: {}\r\n\r\n", name);
  }
  double Outcome(std::string_view outcome) {
    MetricFamilies families;
    policy_.gate.Collect(families);
    for (const auto& sample : families[1].metric) {
      if (sample.label[0].value == outcome) return sample.counter.value;
    }
    return -1;
  }

  static constexpr char kDialled[] = "192.0.2.1:80";
  static constexpr char kApis[] = "DNSEgressPolicy/default/apis";
};

TEST_F(ServerNameTest, ANameThatARuleHasMayBeGreetedAndNoOther) {
  EXPECT_TRUE(Goes(Host("API.example.com")));
  EXPECT_TRUE(Goes(Host("other.example.com"))) << "whatever it leads to";
  EXPECT_EQ(Outcome("allowed"), 2);
  EXPECT_FALSE(Goes(Host("evil.example.com")));
  EXPECT_EQ(Outcome("denied"), 1);
  EXPECT_EQ(policy_.Denials(kApis, Denied::kServerName), 1);
}

TEST_F(ServerNameTest, AtThePortOfItsRuleAlone) {
  Isolate(DnsPolicyOf("apis", {Named(), ToNames({"backend.default.svc.cluster.local"}, {})}));
  EXPECT_FALSE(Goes(Host("api.example.com"), "192.0.2.1:81"));
}

TEST_F(ServerNameTest, AShortNameIsAllowedForTheNameThatLedThere) {
  EXPECT_TRUE(Goes(Host("backend")));
  EXPECT_TRUE(Goes(Host("backend.default.svc")));
  EXPECT_FALSE(Goes(Host("evil.com"))) << "evil.com.cluster.local would match the pattern";
  EXPECT_FALSE(Goes(Host("back")));
  EXPECT_FALSE(Goes(Host("api"))) << "example.com is not in the search list";
  EXPECT_FALSE(Goes(Host("backend.default"))) << "svc.cluster.local is not";
  EXPECT_EQ(policy_.live(), 0u);
}

TEST_F(ServerNameTest, TheAddressDialledMayBeGreetedAndNoOther) {
  EXPECT_TRUE(Goes(Host("192.0.2.1")));
  EXPECT_FALSE(Goes(Host("192.0.2.2")));
}

TEST_F(ServerNameTest, AnotherAddressIsJudgedAsIfItHadBeenDialled) {
  Isolate(DnsPolicyOf("apis", {Named(), ToBlock("10.0.0.0/8", {}, {Tcp(80)})}));
  EXPECT_TRUE(Goes(Host("10.1.2.3")));
  EXPECT_FALSE(Goes(Host("10.43.0.9"))) << "a Service, and who is behind it is not known";
}

TEST_F(ServerNameTest, WhereNothingIsClaimedNothingIsDenied) {
  EXPECT_TRUE(Goes("GET / HTTP/1.0\r\n\r\n"));
  EXPECT_TRUE(Goes("EHLO evil.com\r\n"));
  EXPECT_TRUE(Goes(""));
  EXPECT_EQ(Outcome("none"), 1);
  EXPECT_EQ(Outcome("unknown"), 1);
  EXPECT_EQ(Outcome("ended"), 1);
}

TEST_F(ServerNameTest, WhatCannotBeJudgedIsDenied) {
  EXPECT_FALSE(Goes(Host("a..b")));
  EXPECT_FALSE(Goes({Greeting::Kind::kTooLong, {}, {}}));
  EXPECT_FALSE(Goes({Greeting::Kind::kTooSlow, {}, {}}));
  for (const char* outcome : {"malformed", "oversized", "slow"}) EXPECT_EQ(Outcome(outcome), 1);
  EXPECT_EQ(policy_.Denials(kApis, Denied::kServerName), 3);
}

TEST_F(ServerNameTest, ItIsNotAskedWhereARuleByAddressAllowsOrNothingIsIsolated) {
  const auto asks = [&] {
    EgressPass pass = Begin(kDialled);
    const bool checks = policy_.gate.ChecksGreeting(pass, At(kDialled));
    policy_.gate.End(pass, now_);
    return checks;
  };
  EXPECT_TRUE(asks());
  Isolate(DnsPolicyOf("apis", {Named(), ToBlock("192.0.2.0/24", {}, {Tcp(80)})}));
  EXPECT_FALSE(asks());
  PolicyInput adds = DnsPolicyOf("apis", {Named()});
  adds.isolates = adds.isolates_names = false;
  Isolate(adds);
  EXPECT_FALSE(asks());
}

TEST_F(ServerNameTest, ItIsAskedWhereABlockHasAServiceOfUnknownEndpoints) {
  Isolate(DnsPolicyOf("apis", {Named(), ToBlock("192.0.2.0/24", {}, {Tcp(80)})}));
  EgressPass pass{.unheld = true};
  policy_.gate.Begin(pass, At(kDialled), Protocol::kTcp, now_);
  EXPECT_TRUE(policy_.gate.ChecksGreeting(pass, At(kDialled)));
  policy_.gate.End(pass, now_);
}

TEST_F(ServerNameTest, InAuditItIsCounted) {
  Isolate(InAudit(DnsPolicyOf("apis", {Named()})));
  EXPECT_TRUE(Goes(Host("api.example.com")));
  EXPECT_TRUE(Goes(Host("evil.example.com")));
  EXPECT_TRUE(Goes({Greeting::Kind::kTooLong, {}, {}}));
  EXPECT_EQ(Outcome("allowed"), 1);
  EXPECT_EQ(Outcome("audited"), 2);
  EXPECT_EQ(policy_.Denials(kApis, Denied::kServerName, PolicyMode::kAudit), 2);
  EXPECT_EQ(policy_.Denials(kApis, Denied::kServerName), 0);
}

TEST(ServerName, IsNotAskedUnlessSaid) {
  TestPolicy policy;
  policy.SetRules({DnsPolicyOf("apis", {ToNames({"a.example"}, {})})});
  policy.Learn("a.example", At("192.0.2.1:0").ip, absl::Minutes(5), absl::ZeroDuration());
  EgressPass pass;
  policy.gate.Begin(pass, At("192.0.2.1:80"), Protocol::kTcp, absl::ZeroDuration());
  EXPECT_EQ(pass.named, EgressPass::Named::kEnforced);
  EXPECT_FALSE(policy.gate.ChecksGreeting(pass, At("192.0.2.1:80")));
  policy.gate.End(pass, absl::ZeroDuration());
}

TEST_F(ServerNameTest, ALineOfTheLogSaysTheNameAndTheAddress) {
  Denial denial;
  denial.what = Denied::kServerName;
  denial.client = client_;
  denial.dialled = At(kDialled);
  denial.greeting = Read(Host("evil.example"));
  denial.name = denial.greeting->name;
  denial.rules = Compile({DnsPolicyOf("apis", {Named()})});
  EXPECT_THAT(DenialLine(denial),
              HasSubstr("policy denied TCP 10.42.0.7:40000 -> 192.0.2.1:80 with the server name "
                        "evil.example.: isolated by DNSEgressPolicy/default/apis"));
}

}  // namespace
}  // namespace portolan::proxy

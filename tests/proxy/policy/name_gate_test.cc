// Which names a pod may ask for under its policies, and what is learned from the answers.
#include "proxy/policy/name_gate.h"

#include <fmt/format.h>
#include <gmock/gmock.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <string>
#include <vector>

#include "common/monotonic.h"
#include "dns/wire/reply.h"
#include "policy/policy_compiler.h"
#include "tests/policy/policies.h"
#include "tests/proxy/policy/asked.h"

namespace portolan::proxy {
namespace {

using dns::QueryGate;
using dns::Transport;
using dns::wire::Section;
using testing::IsEmpty;
using testing::UnorderedElementsAre;
namespace rr = dns::wire::type;

constexpr uint16_t kHttps = 65;

std::vector<uint8_t> NameBytes(std::string_view text) {
  const std::string wire = *dns::wire::NameToWire(text);
  return {wire.begin(), wire.end()};
}

class NameGateTest : public testing::Test {
 protected:
  NameGateTest() { Make({}); }

  void Make(NameGate::Options options) {
    gate_ = std::make_unique<NameGate>(options, learned_, denials_);
    gate_->SetSearch({"default.svc.cluster.local", "svc.cluster.local", "cluster.local",
                      "corp.example", "not..a.name"});
    gate_->SetClusterZones({*dns::wire::Zone::Parse("cluster.local")});
  }
  static std::shared_ptr<const EgressRules> Compile(std::vector<PolicyInput> policies) {
    PolicyCompiler compiler;
    compiler.SetPolicies(std::move(policies), {});
    return compiler.Commit();
  }
  void Use(std::vector<PolicyInput> policies) {
    const auto rules = Compile(std::move(policies));
    denials_.SetRules(rules);
    gate_->SetRules(rules);
  }
  void UseApis() {
    Use({DnsPolicyOf("apis", {ToNames({"api.example.com", "*.cdn.example"}, {Tcp(443)})})});
  }

  // "pass", "REFUSED why", "NXDOMAIN why".
  std::string Ask(std::string_view name, QueryGate::Asker asker = QueryGate::Asker::kClient,
                  Transport transport = Transport::kUdp) {
    const Asked asked(name, rr::kA, transport);
    const QueryGate::Decision decision = gate_->OnQuery(*asked.exchange, asker);
    const std::string why(decision.why);
    switch (decision.ruling) {
      case QueryGate::Ruling::kPass:
        return decision.as_asked ? "pass as asked" : "pass";
      case QueryGate::Ruling::kRefused:
        return "REFUSED " + why;
      case QueryGate::Ruling::kNxDomain:
        return "NXDOMAIN " + why;
    }
    return "";
  }

  double Metric(std::string_view family, std::string_view label) {
    MetricFamilies families;
    gate_->Collect(families);
    denials_.counters().Collect(families);
    double sum = 0;
    for (const auto& f : families) {
      if (f.name != family) continue;
      for (const auto& metric : f.metric) {
        for (const auto& l : metric.label) sum += l.value == label ? metric.counter.value : 0;
      }
    }
    return sum;
  }
  double Names(std::string_view ruling) { return Metric("portolan_policy_names_total", ruling); }
  double Learned(std::string_view outcome) {
    return Metric("portolan_policy_learned_total", outcome);
  }
  double Denials(std::string_view what) { return Metric("portolan_policy_denials_total", what); }

  std::vector<std::string> Learned() {
    std::vector<std::string> all;
    for (const auto& entry : learned_.List(Monotonic())) {
      all.push_back(entry.name + " " + entry.ip.ToString());
    }
    return all;
  }

  LearnedAddresses learned_{LearnedAddresses::Limits{}};
  portolan::proxy::Denials denials_;
  std::unique_ptr<NameGate> gate_;
};

TEST_F(NameGateTest, WithoutAPolicyThatIsolatesNamesEveryNamePasses) {
  Use({});
  EXPECT_EQ(Ask("www.example.com"), "pass");
  Use({NetworkPolicyOf("db", {ToBlock("10.0.0.0/8", {}, {})})});
  EXPECT_EQ(Ask("www.example.com"), "pass");
  EXPECT_EQ(Names("allowed"), 0) << "no name was judged";
}

TEST_F(NameGateTest, ANameWithARulePassesAndIsAskedAsItIs) {
  UseApis();
  EXPECT_EQ(Ask("API.example.com"), "pass as asked");
  EXPECT_EQ(Ask("a.b.cdn.example"), "pass as asked");
  EXPECT_EQ(Names("allowed"), 2);
}

TEST_F(NameGateTest, AnotherIsRefusedAndToldByWhichPolicies) {
  UseApis();
  EXPECT_EQ(Ask("cdn.example"), "REFUSED DNSEgressPolicy/default/apis") << "not the apex";
  EXPECT_EQ(Ask("www.example.com"), "REFUSED DNSEgressPolicy/default/apis");
  EXPECT_EQ(Ask("7.0.42.10.in-addr.arpa"), "REFUSED DNSEgressPolicy/default/apis");
  EXPECT_EQ(Names("denied"), 3);
  EXPECT_EQ(Denials("name"), 3);
}

TEST_F(NameGateTest, ARefusalMayBeNxdomain) {
  Make({.denied_names = NameGate::DeniedNames::kNxDomain});
  UseApis();
  EXPECT_EQ(Ask("www.example.com"), "NXDOMAIN DNSEgressPolicy/default/apis");
}

TEST_F(NameGateTest, NamesOfTheClusterPass) {
  UseApis();
  EXPECT_EQ(Ask("backend.default.svc.cluster.local"), "pass as asked");
  EXPECT_EQ(Ask("www.example.com.default.svc.cluster.local"), "pass as asked");
  EXPECT_EQ(Names("cluster"), 2);
}

TEST_F(NameGateTest, AStepOfTheSearchListToANameThatPassesIsNxdomain) {
  UseApis();
  EXPECT_EQ(Ask("api.example.com.corp.example"), "NXDOMAIN ");
  // Or the resolver would stop before it asks for the Service.
  EXPECT_EQ(Ask("backend.default.svc.cluster.local.corp.example"), "NXDOMAIN ");
  EXPECT_EQ(Names("search"), 2);
  EXPECT_EQ(Denials("name"), 0);
  EXPECT_EQ(Ask("www.example.com.corp.example"), "REFUSED DNSEgressPolicy/default/apis");
  EXPECT_EQ(Ask("corp.example"), "REFUSED DNSEgressPolicy/default/apis");
}

TEST_F(NameGateTest, AQuestionThatIsExplainedCountsForNothing) {
  UseApis();
  EXPECT_EQ(Ask("www.example.com", QueryGate::Asker::kExplained),
            "REFUSED DNSEgressPolicy/default/apis");
  EXPECT_EQ(Names("denied"), 0);
  EXPECT_EQ(Denials("name"), 0);
}

TEST_F(NameGateTest, APolicyInAuditDeniesNothingAndCountsWhatItWould) {
  Use({InAudit(DnsPolicyOf("apis", {ToNames({"api.example.com"}, {})}))});
  EXPECT_EQ(Ask("www.example.com"), "pass");
  EXPECT_EQ(Ask("api.example.com"), "pass");
  EXPECT_EQ(Ask("api.example.com.corp.example"), "pass") << "it would be NXDOMAIN, no denial";
  EXPECT_EQ(Ask("backend.default.svc.cluster.local"), "pass");
  EXPECT_EQ(Names("denied"), 0);
  EXPECT_EQ(Denials("name"), 1);
  EXPECT_EQ(Denials("audit"), 1);
}

TEST_F(NameGateTest, APodThatMayReachNoResolverMayAskNothing) {
  Use({NetworkPolicyOf("db", {ToBlock("10.0.0.0/8", {}, {})})});
  gate_->SetResolvers({.udp = {.allowed = false}, .tcp = {}});
  EXPECT_EQ(Ask("backend.default.svc.cluster.local"), "REFUSED NetworkPolicy/default/db");
  EXPECT_EQ(Ask("a.test", QueryGate::Asker::kClient, Transport::kTcp), "pass");
  EXPECT_EQ(Names("dns_denied"), 1);
  EXPECT_EQ(Denials("dns"), 1);
}

TEST_F(NameGateTest, RulesByNameImplyDns) {
  Use({NetworkPolicyOf("db", {}), DnsPolicyOf("apis", {ToNames({"api.example.com"}, {})})});
  gate_->SetResolvers({.udp = {.allowed = false}, .tcp = {.allowed = false}});
  EXPECT_EQ(Ask("api.example.com"), "pass as asked");
}

TEST_F(NameGateTest, DnsThatAPolicyInAuditWouldForbidIsCounted) {
  Use({InAudit(NetworkPolicyOf("db", {}))});
  gate_->SetResolvers({.udp = {.allowed = true, .audited = true}, .tcp = {}});
  EXPECT_EQ(Ask("www.example.com"), "pass");
  EXPECT_EQ(Denials("dns"), 1);
  EXPECT_EQ(Denials("audit"), 1);
}

TEST_F(NameGateTest, BeforeAnyPolicyIsKnownASettingDecides) {
  EXPECT_EQ(Ask("www.example.com"), "pass");
  EXPECT_EQ(Metric("portolan_policy_no_state_total", "allowed"), 1);
  Make({.on_no_policy = OnNoPolicy::kClosed});
  EXPECT_EQ(Ask("www.example.com"), "REFUSED no policy is known yet");
  EXPECT_EQ(Metric("portolan_policy_no_state_total", "denied"), 1);
}

TEST_F(NameGateTest, WhatTheAnswerLeadsToIsLearnedForTheNameThatWasAsked) {
  UseApis();
  Asked asked("API.example.com");
  asked.Reply({{"api.example.com", rr::kCname, 60, NameBytes("lb.elsewhere.test")},
               {"lb.elsewhere.test", rr::kA, 30, IpBytes("192.0.2.1")},
               {"lb.elsewhere.test", rr::kAaaa, 30, IpBytes("2001:db8::1")}});
  gate_->OnReply(*asked.exchange);
  EXPECT_THAT(Learned(),
              UnorderedElementsAre("api.example.com. 192.0.2.1", "api.example.com. 2001:db8::1"));
  for (const auto& entry : learned_.List(Monotonic())) {
    const absl::Duration left = entry.expires - Monotonic();
    EXPECT_GE(left, absl::Seconds(90) - absl::Milliseconds(500)) << "TTL and grace";
    EXPECT_LE(left, absl::Seconds(92));
  }
}

TEST_F(NameGateTest, WhoWaitedForTheAnswerCountsFromWhenItIsThere) {
  UseApis();
  Asked asked("api.example.com");
  asked.exchange->set_received(std::chrono::steady_clock::now() - std::chrono::seconds(20));
  asked.exchange->Suspend();
  asked.Reply({{"api.example.com", rr::kA, 30, IpBytes("192.0.2.1")}});
  gate_->OnReply(*asked.exchange);
  ASSERT_EQ(learned_.size(), 1u);
  EXPECT_GE(learned_.List(Monotonic())[0].expires - Monotonic(),
            absl::Seconds(90) - absl::Milliseconds(500));
}

// One reply, given at some time.
class Given {
 public:
  explicit Given(NameGate& gate, std::string_view name = "api.example.com")
      : gate_(gate), asked_(name) {
    Hold({{std::string(name), rr::kA, 30, IpBytes("192.0.2.1")},
          {std::string(name), rr::kA, 30, IpBytes("192.0.2.2")}});
  }
  void Hold(const std::vector<Asked::Record>& records) { asked_.Reply(records); }
  void Give(std::chrono::steady_clock::duration after = {}) {
    asked_.exchange->set_received(kBegin + after);
    gate_.OnReply(*asked_.exchange);
  }

 private:
  static constexpr std::chrono::steady_clock::time_point kBegin{std::chrono::milliseconds(1000100)};
  NameGate& gate_;
  Asked asked_;
};

TEST_F(NameGateTest, WhatAReplyLeadsToIsLearnedOncePerSecond) {
  UseApis();
  Given reply(*gate_);
  for (int i = 0; i < 3; ++i) reply.Give(std::chrono::milliseconds(i));
  EXPECT_EQ(Learned("new"), 2);
  EXPECT_EQ(Learned("fresh"), 4);
  const auto expires = [&] { return learned_.List(absl::Seconds(1000))[0].expires; };
  EXPECT_EQ(expires(), absl::Seconds(1001 + 1 + 30 + 60));
  reply.Give(std::chrono::milliseconds(899));
  EXPECT_EQ(Learned("fresh"), 6);
  EXPECT_EQ(expires(), absl::Seconds(1001 + 1 + 30 + 60));
  reply.Give(std::chrono::milliseconds(901));
  EXPECT_EQ(Learned("renewed"), 2);
  EXPECT_EQ(expires(), absl::Seconds(1002 + 1 + 30 + 60));
}

TEST_F(NameGateTest, WhatWasRemovedIsLearnedAgainWithinTheSecond) {
  UseApis();
  Given reply(*gate_);
  reply.Give();
  learned_.Expire(absl::Hours(1));
  EXPECT_EQ(learned_.size(), 0u);
  reply.Give();
  EXPECT_EQ(learned_.size(), 2u);
  EXPECT_EQ(Learned("new"), 4);
}

// Another worker has decided that an entry is to go, and this one comes by before it does.
class GoingAddresses : public LearnedAddresses {
 public:
  GoingAddresses() : LearnedAddresses({}) {}
  void Begin() {
    candidate_ = LongestUnused(kAnyName, 0);
    BeginRemoval();
  }
  void End() {
    EXPECT_TRUE(Remove(candidate_));
    EndRemoval();
  }

 private:
  Candidate candidate_;
};

TEST_F(NameGateTest, WhatGoesJustAsItIsFoundFreshIsLearnedAgainWithinTheSecond) {
  GoingAddresses going;
  NameGate gate({}, going, denials_);
  gate.SetRules(Compile({DnsPolicyOf("apis", {ToNames({"api.example.com"}, {})})}));
  Given reply(gate);
  reply.Give();
  going.Begin();
  reply.Give();
  going.End();
  EXPECT_EQ(going.size(), 1u);
  reply.Give();
  EXPECT_EQ(going.size(), 2u);
}

TEST_F(NameGateTest, AnotherNameOrAddressIsLearnedWithinTheSecondToo) {
  UseApis();
  Given reply(*gate_), of_another(*gate_, "www.cdn.example");
  reply.Give();
  of_another.Give();
  EXPECT_EQ(learned_.size(), 4u);
  reply.Hold({{"api.example.com", rr::kA, 30, IpBytes("192.0.2.3")}});
  reply.Give();
  EXPECT_EQ(learned_.size(), 5u);
}

TEST_F(NameGateTest, WhatWasNotLearnedIsTriedAgainWithinTheSecond) {
  UseApis();
  Given reply(*gate_);
  std::vector<Asked::Record> many;
  for (size_t i = 0; i < NameGate::kMostAddresses + 1; ++i) {
    many.push_back(
        {"api.example.com", rr::kA, 30, IpBytes(fmt::format("198.18.{}.{}", i / 256, i % 256))});
  }
  reply.Hold(many);
  reply.Give();
  reply.Give();
  EXPECT_EQ(Learned("name_full"), 2);
  EXPECT_EQ(Learned("fresh"), NameGate::kMostAddresses);
}

TEST_F(NameGateTest, NamesWithoutARuleTeachNothingNorDoOtherSections) {
  UseApis();
  Asked other("backend.default.svc.cluster.local");
  other.Reply({{"backend.default.svc.cluster.local", rr::kA, 30, IpBytes("10.43.0.9")}});
  gate_->OnReply(*other.exchange);
  Asked glue("api.example.com");
  glue.Reply({{"ns.example.com", rr::kA, 30, IpBytes("192.0.2.53")}}, Section::kAdditional);
  gate_->OnReply(*glue.exchange);
  gate_->SetRules(nullptr);
  Asked unknown("api.example.com");
  unknown.Reply({{"api.example.com", rr::kA, 30, IpBytes("192.0.2.1")}});
  gate_->OnReply(*unknown.exchange);
  EXPECT_THAT(Learned(), IsEmpty());
}

TEST_F(NameGateTest, ItIsLearnedWithoutIsolationAndForPoliciesInAuditToo) {
  PolicyInput allows = DnsPolicyOf("apis", {ToNames({"api.example.com"}, {})});
  allows.isolates = allows.isolates_names = false;
  for (const PolicyInput& policy : {allows, InAudit(allows)}) {
    Use({policy});
    Asked asked("api.example.com");
    asked.Reply({{"api.example.com", rr::kA, 30, IpBytes("192.0.2.1")}});
    gate_->OnReply(*asked.exchange);
    EXPECT_THAT(Learned(), UnorderedElementsAre("api.example.com. 192.0.2.1"));
    learned_.Expire(Monotonic() + absl::Hours(1));
  }
}

TEST_F(NameGateTest, RulesThatChangeBetweenQuestionAndReplyAreThoseThatItIsLearnedBy) {
  const auto other = DnsPolicyOf("other", {ToNames({"*.example.net"}, {})});
  const auto ask = [&](Asked& asked) {
    asked.Reply({{"api.example.com", rr::kA, 30, IpBytes("192.0.2.1")}});
    asked.exchange->set_gate_mark(gate_->OnQuery(*asked.exchange, QueryGate::Asker::kClient).mark);
  };
  Use({InAudit(other)});
  Asked begun_before("api.example.com"), begun_after("api.example.com");
  ask(begun_before);
  gate_->OnReply(*begun_before.exchange);
  EXPECT_THAT(Learned(), IsEmpty());
  UseApis();
  gate_->OnReply(*begun_before.exchange);
  EXPECT_THAT(Learned(), UnorderedElementsAre("api.example.com. 192.0.2.1"));
  learned_.Expire(Monotonic() + absl::Hours(1));
  ask(begun_after);
  gate_->OnReply(*begun_after.exchange);
  EXPECT_THAT(Learned(), UnorderedElementsAre("api.example.com. 192.0.2.1"));
  learned_.Expire(Monotonic() + absl::Hours(1));
  Use({InAudit(other)});
  gate_->OnReply(*begun_after.exchange);
  EXPECT_THAT(Learned(), IsEmpty());
}

TEST_F(NameGateTest, WhatTheNextRulesHaveIsLearnedBeforeNamesAreJudgedByThem) {
  const auto rules_of = [](const std::string& name) {
    return Compile({DnsPolicyOf("apis", {ToNames({name}, {})})});
  };
  const auto learned_for = [&](std::string_view name) {
    Asked asked(name);
    asked.exchange->set_gate_mark(gate_->OnQuery(*asked.exchange, QueryGate::Asker::kClient).mark);
    asked.Reply({{std::string(name), rr::kA, 30, IpBytes("192.0.2.1")}});
    gate_->OnReply(*asked.exchange);
    const bool learned = learned_.size() > 0;
    learned_.Expire(Monotonic() + absl::Hours(1));
    return learned;
  };
  const auto next = rules_of("api.example.com"), after = rules_of("www.example.com");
  gate_->SetNextRules(next);
  EXPECT_TRUE(learned_for("api.example.com")) << "no policy was known";
  Use({InAudit(DnsPolicyOf("old", {ToNames({"old.example.com"}, {})}))});
  EXPECT_EQ(Ask("other.example.com"), "pass") << "names are judged by those in force";
  EXPECT_TRUE(learned_for("api.example.com"));
  EXPECT_TRUE(learned_for("old.example.com"));
  EXPECT_FALSE(learned_for("other.example.com"));
  gate_->SetNextRules(after);
  gate_->SetRules(next);
  EXPECT_TRUE(learned_for("www.example.com")) << "still newer ones are under way";
  gate_->SetRules(after);
  EXPECT_FALSE(learned_for("api.example.com"));
}

TEST_F(NameGateTest, ACompletedNameIsLearnedAsTheNameThatWasFound) {
  PolicyInput allows = DnsPolicyOf("apis", {ToNames({"api.example.com"}, {})});
  allows.isolates = allows.isolates_names = false;
  Use({allows});
  const std::string asked_name = "api.example.com.default.svc.cluster.local";
  Asked asked(asked_name);
  asked.Reply({{asked_name, rr::kCname, 30, NameBytes("API.example.com")},
               {"api.example.com", rr::kA, 30, IpBytes("192.0.2.1")}});
  gate_->OnReply(*asked.exchange);
  EXPECT_THAT(Learned(), IsEmpty());
  asked.exchange->set_completed(true);
  gate_->OnReply(*asked.exchange);
  EXPECT_THAT(Learned(), UnorderedElementsAre("api.example.com. 192.0.2.1"));
  learned_.Expire(Monotonic() + absl::Hours(1));
  Use({});
  gate_->SetNextRules(Compile({allows}));
  gate_->OnReply(*asked.exchange);
  EXPECT_THAT(Learned(), UnorderedElementsAre("api.example.com. 192.0.2.1"));
}

TEST_F(NameGateTest, HintsOfHttpsRecordsAreLearned) {
  UseApis();
  Asked asked("api.example.com", kHttps);
  // Priority 1, target ".", alpn=h2, ipv4hint with two, ipv6hint with one.
  std::vector<uint8_t> rdata = {0, 1, 0, 0, 1, 0, 3, 2, 'h', '2', 0, 4, 0, 8};
  for (const char* ip : {"192.0.2.1", "192.0.2.2"}) {
    const auto bytes = IpBytes(ip);
    rdata.insert(rdata.end(), bytes.begin(), bytes.end());
  }
  rdata.insert(rdata.end(), {0, 6, 0, 16});
  const auto v6 = IpBytes("2001:db8::1");
  rdata.insert(rdata.end(), v6.begin(), v6.end());
  asked.Reply({{"api.example.com", kHttps, 300, rdata}});
  gate_->OnReply(*asked.exchange);
  EXPECT_THAT(Learned(),
              UnorderedElementsAre("api.example.com. 192.0.2.1", "api.example.com. 192.0.2.2",
                                   "api.example.com. 2001:db8::1"));
}

TEST_F(NameGateTest, OneReplyTeachesSoManyAndNoMore) {
  UseApis();
  Asked asked("api.example.com");
  std::vector<Asked::Record> records;
  for (uint32_t i = 0; i < NameGate::kMostAddresses + 5; ++i) {
    records.push_back({"api.example.com",
                       rr::kA,
                       30,
                       {198, 18, static_cast<uint8_t>(i >> 8), static_cast<uint8_t>(i)}});
  }
  asked.Reply(records);
  gate_->OnReply(*asked.exchange);
  EXPECT_EQ(learned_.size(), NameGate::kMostAddresses);
  EXPECT_EQ(Learned("name_full"), 5);
}

TEST_F(NameGateTest, ATtlWithTheTopmostBitIsNone) {
  UseApis();
  Asked asked("api.example.com");
  asked.Reply({{"api.example.com", rr::kA, 0x80000000, IpBytes("192.0.2.1")}});
  gate_->OnReply(*asked.exchange);
  ASSERT_EQ(learned_.size(), 1u);
  // A second for whole seconds, one for an answer that did not wait.
  EXPECT_LE(learned_.List(Monotonic())[0].expires - Monotonic(), absl::Seconds(62));
}

}  // namespace
}  // namespace portolan::proxy

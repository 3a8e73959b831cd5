// In which order the workers are given new rules.
#include "proxy/sidecar_policy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>

#include <future>
#include <string>
#include <string_view>

#include "absl/time/clock.h"
#include "common/fd.h"
#include "dns/config.h"
#include "dns/corefile/parser.h"
#include "dns/wire/mnemonics.h"
#include "tests/dns/question.h"
#include "tests/proxy/policy/test_policy.h"

namespace portolan::proxy {
namespace {

using nlohmann::json;
using testing::ElementsAre;

constexpr char kCorefile[] =
    ".:53 {\n template IN A {\n  answer \"{{ .Name }} 60 IN A 192.0.2.1\"\n }\n errors\n}\n";

class SidecarPolicyTest : public testing::Test {
 protected:
  explicit SidecarPolicyTest(const std::string& on_no_policy = "open") {
    settings_.on_no_policy = on_no_policy;
    WorkerOptions options;
    policy_.AddTo(options);
    options.dns_listen = {At("127.0.0.1:0")};
    options.workers = 2;
    for (; options.worker < options.workers; ++options.worker) {
      auto worker = Worker::Open(options, {});
      EXPECT_TRUE(worker.ok()) << worker.status();
      workers_.push_back(*std::move(worker));
      workers_.back()->SetConfig(config_);
    }
  }
  // They are gone before the policy is.
  ~SidecarPolicyTest() override { workers_.clear(); }

  void Allow(std::string name) {
    policy_.OnRules(Compile({DnsPolicyOf("apis", {ToNames({std::move(name)}, {})})}));
  }
  void Run() {
    for (const auto& worker : workers_) worker->Run();
  }
  // What was posted to the main loop.
  void Turn() {
    loop_.Stop();
    loop_.Run();
  }
  // As it is explained to who asks.
  bool IsDenied(Worker& worker, std::string_view name) {
    std::promise<bool> denied;
    worker.Explain(dns::test::MakeQuery(name, dns::wire::type::kA, {.edns_version = 0}),
                   At("10.42.0.7:40000"), [&](std::span<const uint8_t>, const dns::Trace& trace) {
                     denied.set_value(!trace.gate.empty());
                   });
    return denied.get_future().get();
  }
  // As a client. It has its answer when this returns.
  static void Ask(Worker& worker, std::string_view name) {
    const Fd client(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    sockaddr_storage raw;
    const socklen_t length = worker.dns_addresses().front().ToSockaddr(&raw);
    ASSERT_EQ(connect(client.get(), reinterpret_cast<sockaddr*>(&raw), length), 0);
    const auto query = dns::test::MakeQuery(name, dns::wire::type::kA);
    ASSERT_EQ(send(client.get(), query.data(), query.size(), 0), std::ssize(query));
    pollfd readable{.fd = client.get(), .events = POLLIN, .revents = 0};
    ASSERT_EQ(poll(&readable, 1, 10'000), 1) << "no answer";
  }
  std::vector<std::string> Learned() {
    json page;
    policy_.Page([&](json now) { page = std::move(now); });
    const absl::Time end = absl::Now() + absl::Seconds(10);
    while (page.is_null() && absl::Now() < end) Turn();
    std::vector<std::string> names;
    for (const json& entry : page["learned"]) names.push_back(entry["name"]);
    return names;
  }
  // Worker 1 does nothing until then.
  std::promise<void> Hold() {
    std::promise<void> go_on;
    workers_[1]->CountWaiting([told = go_on.get_future().share()](size_t) { told.wait(); });
    return go_on;
  }

  const std::shared_ptr<const dns::Config> config_ =
      *dns::LoadConfig(*dns::corefile::ParseCorefile(kCorefile, "Corefile", {}), {});
  EventLoop loop_;
  Settings settings_;
  DnsConfig dns_config_{loop_, "", [] {}};
  PodResolvers resolvers_{loop_, "/dev/null", [] {}};
  OwnDialling dialling_{{}};
  RouteTableBuilder routes_;
  std::vector<std::unique_ptr<Worker>> workers_;
  SidecarPolicy policy_{{loop_, settings_, dns_config_, resolvers_, dialling_, routes_, workers_}};
};

TEST_F(SidecarPolicyTest, TheServicesRangesAreThoseOfTheGateAndOfWhatIsExplained) {
  settings_.service_cidrs = {*Cidr::Parse("10.43.0.0/16")};
  WorkerOptions options;
  policy_.AddTo(options);
  EXPECT_EQ(options.egress_gate.service_ranges, settings_.service_cidrs);
  ASSERT_TRUE(dns_config_.UseOwn().ok());
  EXPECT_EQ(policy_.Explained().service_ranges, settings_.service_cidrs);
}

TEST_F(SidecarPolicyTest, TheFirstRulesAreInForceBeforeTheFirstQuestion) {
  Allow("api.example.com");
  Run();
  EXPECT_TRUE(IsDenied(*workers_[0], "other.example.com"));
  EXPECT_FALSE(IsDenied(*workers_[0], "api.example.com"));
}

TEST_F(SidecarPolicyTest, ANameIsAnsweredOnceEveryWorkerLetsBeReachedWhereItLeads) {
  Allow("api.example.com");
  Run();
  std::promise<void> go_on = Hold();
  Allow("new.example.com");
  // That worker has the rules for connections when it answers.
  EXPECT_TRUE(IsDenied(*workers_[0], "new.example.com"));
  Turn();
  EXPECT_TRUE(IsDenied(*workers_[0], "new.example.com")) << "the other worker has them not yet";
  go_on.set_value();
  const absl::Time end = absl::Now() + absl::Seconds(10);
  while (IsDenied(*workers_[0], "new.example.com") && absl::Now() < end) Turn();
  EXPECT_FALSE(IsDenied(*workers_[0], "new.example.com"));
  EXPECT_TRUE(IsDenied(*workers_[0], "api.example.com"));
}

TEST_F(SidecarPolicyTest, WhatIsAnsweredOnceConnectionsAreJudgedByNewRulesIsLearnedByThem) {
  policy_.OnRules(Compile({}));
  Run();
  Allow("api.example.com");
  // The main thread has not seen yet that the workers have the rules for connections.
  EXPECT_FALSE(IsDenied(*workers_[0], "other.example.com"));
  Ask(*workers_[0], "other.example.com");
  Ask(*workers_[0], "api.example.com");
  EXPECT_THAT(Learned(), ElementsAre("api.example.com"));
}

TEST_F(SidecarPolicyTest, TheFirstRulesAreInForceAtOnceWhereAllWasAllowed) {
  Run();
  std::promise<void> go_on = Hold();
  Allow("api.example.com");
  EXPECT_TRUE(policy_.is_known());
  EXPECT_TRUE(IsDenied(*workers_[0], "other.example.com"));
  go_on.set_value();
}

class ClosedSidecarPolicyTest : public SidecarPolicyTest {
 protected:
  ClosedSidecarPolicyTest() : SidecarPolicyTest("closed") {}
};

TEST_F(ClosedSidecarPolicyTest, TheFirstRulesAreInForceBeforeTheFirstQuestion) {
  Allow("api.example.com");
  EXPECT_TRUE(policy_.is_known());
  Run();
  EXPECT_FALSE(IsDenied(*workers_[0], "api.example.com"));
}

TEST_F(ClosedSidecarPolicyTest, NoNameIsAnsweredWhileAnyWorkerDeniesAll) {
  Run();
  std::promise<void> go_on = Hold();
  Allow("api.example.com");
  EXPECT_TRUE(IsDenied(*workers_[0], "api.example.com"));
  Turn();
  EXPECT_TRUE(IsDenied(*workers_[0], "api.example.com")) << "the other worker has no rules yet";
  EXPECT_FALSE(policy_.is_known());
  go_on.set_value();
  const absl::Time end = absl::Now() + absl::Seconds(10);
  while (!policy_.is_known() && absl::Now() < end) Turn();
  EXPECT_FALSE(IsDenied(*workers_[0], "api.example.com"));
}

}  // namespace
}  // namespace portolan::proxy

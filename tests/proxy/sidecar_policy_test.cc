// In which order the workers are given new rules.
#include "proxy/sidecar_policy.h"

#include <gtest/gtest.h>

#include <future>
#include <string>
#include <string_view>

#include "absl/time/clock.h"
#include "dns/config.h"
#include "dns/corefile/parser.h"
#include "dns/wire/mnemonics.h"
#include "tests/dns/question.h"
#include "tests/proxy/policy/test_policy.h"

namespace portolan::proxy {
namespace {

class SidecarPolicyTest : public testing::Test {
 protected:
  SidecarPolicyTest() {
    WorkerOptions options;
    policy_.AddTo(options);
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

  const std::shared_ptr<const dns::Config> config_ =
      *dns::LoadConfig(*dns::corefile::ParseCorefile(".:53 {\n errors\n}\n", "Corefile", {}), {});
  EventLoop loop_;
  Settings settings_;
  DnsConfig dns_config_{loop_, "", [] {}};
  PodResolvers resolvers_{loop_, "/dev/null", [] {}};
  OwnDialling dialling_{{}};
  RouteTableBuilder routes_;
  std::vector<std::unique_ptr<Worker>> workers_;
  SidecarPolicy policy_{{loop_, settings_, dns_config_, resolvers_, dialling_, routes_, workers_}};
};

TEST_F(SidecarPolicyTest, TheFirstRulesAreInForceBeforeTheFirstQuestion) {
  Allow("api.example.com");
  Run();
  EXPECT_TRUE(IsDenied(*workers_[0], "other.example.com"));
  EXPECT_FALSE(IsDenied(*workers_[0], "api.example.com"));
}

TEST_F(SidecarPolicyTest, ANameIsAnsweredOnceEveryWorkerLetsBeReachedWhereItLeads) {
  Allow("api.example.com");
  Run();
  std::promise<void> go_on;
  workers_[1]->CountWaiting([told = go_on.get_future().share()](size_t) { told.wait(); });
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

}  // namespace
}  // namespace portolan::proxy

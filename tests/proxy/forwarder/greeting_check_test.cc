// What becomes of connections whose client's greeting policy wants to know. In a network namespace
// with an address of its own, as in denied_test.cc.
#include <fcntl.h>
#include <sched.h>

#include "common/monotonic.h"
#include "proxy/capture/tool.h"
#include "tests/proxy/forwarder/loopback.h"
#include "tests/proxy/policy/test_policy.h"

namespace portolan::proxy {
namespace {

constexpr char kShared[] = "10.66.0.1";
constexpr char kPolicy[] = "NetworkPolicy/default/web";
constexpr char kAllowed[] = "GET / HTTP/1.1\r\nHost: api.example.com\r\n\r\n";
constexpr char kOther[] = "GET / HTTP/1.1\r\nHost: evil.example.com\r\n\r\n";

class GreetingCheckTest : public ForwarderTest {
 protected:
  void SetUp() override {
    if (unshare(CLONE_NEWNET) != 0) GTEST_SKIP() << "needs root: network namespaces";
    Ip({"link", "set", "lo", "up"});
    Ip({"address", "add", kShared, "dev", "lo"});
    server_.emplace(kShared);
    Start(patience_);
    SetRules({NetworkPolicyOf("web", {ToNames({"api.example.com"}, {})})});
    OnLoop([&] {
      policy_.Learn("api.example.com", server_->address().ip, absl::Minutes(5), Monotonic());
    });
  }
  static void Ip(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), "ip");
    const auto result = RunTool(arguments, "", absl::Seconds(20));
    ASSERT_TRUE(result.ok() && result->exit_status == 0) << result->err;
  }
  ~GreetingCheckTest() override {
    StopForwarder();
    setns(machine_.get(), CLONE_NEWNET);
  }

  void Start(absl::Duration patience) {
    ForwarderOptions options;
    options.greeting_timeout = patience;
    options.gate = &policy_.gate;
    StartForwarder(std::move(options));
  }
  void SetRules(std::vector<PolicyInput> policies) {
    OnLoop([&] {
      policy_.SetRules(std::move(policies));
      forwarder_->ReviewDenied();
    });
  }
  double Denials(PolicyMode mode = PolicyMode::kEnforced) {
    return OnLoop([&] { return policy_.Denials(kPolicy, Denied::kServerName, mode); });
  }
  double Outcome(std::string_view outcome) {
    MetricFamilies families;
    policy_.gate.Collect(families);
    for (const auto& sample : families[1].metric) {
      if (sample.label[0].value == outcome) return sample.counter.value;
    }
    return -1;
  }

  struct Pair {
    Fd client, server;
  };
  Pair Join() {
    Pair pair;
    pair.client = Redirected(server_->address());
    pair.server = server_->Accept();
    return pair;
  }
  // That nothing has come to the server when the forwarder has had its turn.
  void ExpectHeld(const Pair& pair) {
    // The forwarder has had a turn when what the server says is there.
    EXPECT_TRUE(SendAll(pair.server, "."));
    EXPECT_EQ(Receive(pair.client, 1), ".");
    char byte;
    EXPECT_EQ(recv(pair.server.get(), &byte, 1, MSG_DONTWAIT), -1);
    EXPECT_EQ(errno, EAGAIN);
  }
  void ExpectDenied(const Pair& pair) {
    EXPECT_EQ(ReceiveAll(pair.client).error, ECONNRESET);
    const Received received = ReceiveAll(pair.server);
    EXPECT_EQ(received.error, ECONNRESET);
    EXPECT_EQ(received.bytes, "");
    EXPECT_TRUE(AllGone());
    EXPECT_EQ(counters_->denied_server_name.value(), 1u);
  }

  const Fd machine_{open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC)};
  std::optional<Endpoint> server_;
  absl::Duration patience_ = absl::Minutes(1);
  TestPolicy policy_{{.check_server_name = true}};
};

TEST_F(GreetingCheckTest, AnAllowedNameGoesOnAndWhatFollowsIsCarriedUnseen) {
  const Pair pair = Join();
  EXPECT_TRUE(SendAll(pair.client, kAllowed));
  EXPECT_EQ(Receive(pair.server, strlen(kAllowed)), kAllowed);
  EXPECT_TRUE(SendAll(pair.client, kOther));
  EXPECT_EQ(Receive(pair.server, strlen(kOther)), kOther);
  EXPECT_EQ(Outcome("allowed"), 1);
}

TEST_F(GreetingCheckTest, AnotherNameIsResetAndTheServerHearsNothing) {
  const Pair pair = Join();
  EXPECT_TRUE(SendAll(pair.client, kOther));
  ExpectDenied(pair);
  EXPECT_EQ(Denials(), 1);
  EXPECT_EQ(counters_->passed_through.value(), 1u);
  EXPECT_EQ(OnLoop([&] { return policy_.live(); }), 0u);
}

TEST_F(GreetingCheckTest, AlsoWhereItWasSentBeforeTheConnectionStood) {
  const Fd client = Redirected(server_->address());
  EXPECT_TRUE(SendAll(client, kOther));
  EXPECT_EQ(ReceiveAll(client).error, ECONNRESET);
}

TEST_F(GreetingCheckTest, AGreetingInPiecesIsHeldUntilItIsThere) {
  const Pair pair = Join();
  const std::string_view greeting = kAllowed;
  for (size_t i = 0; i + 1 < greeting.size(); ++i) {
    EXPECT_TRUE(SendAll(pair.client, greeting.substr(i, 1)));
    if (i % 10 == 0) ExpectHeld(pair);
  }
  ExpectHeld(pair);
  EXPECT_TRUE(SendAll(pair.client, greeting.substr(greeting.size() - 1)));
  EXPECT_EQ(Receive(pair.server, greeting.size()), greeting);
}

TEST_F(GreetingCheckTest, TheServerMaySpeakFirst) {
  const Pair pair = Join();
  EXPECT_TRUE(SendAll(pair.server, "220 ready\r\n"));
  EXPECT_EQ(Receive(pair.client, 11), "220 ready\r\n");
  EXPECT_TRUE(SendAll(pair.client, "EHLO me\r\n"));
  EXPECT_EQ(Receive(pair.server, 9), "EHLO me\r\n");
  EXPECT_EQ(Outcome("unknown"), 1);
}

TEST_F(GreetingCheckTest, AClientThatIsSilentMayListen) {
  Pair pair = Join();
  EXPECT_TRUE(SendAll(pair.server, "all there is"));
  pair.server.Reset();
  EXPECT_EQ(ReceiveAll(pair.client).bytes, "all there is");
  pair.client.Reset();
  EXPECT_TRUE(AllGone());
  EXPECT_EQ(Outcome("ended"), 1);
  EXPECT_EQ(counters_->closed.value(), 1u);
}

TEST_F(GreetingCheckTest, AHalfClosedGreetingIsAnsweredAll) {
  const Pair pair = Join();
  EXPECT_TRUE(SendAll(pair.client, kAllowed));
  shutdown(pair.client.get(), SHUT_WR);
  const Received received = ReceiveAll(pair.server);
  EXPECT_EQ(received.bytes, kAllowed);
  EXPECT_EQ(received.error, 0);
  EXPECT_TRUE(SendAll(pair.server, "answer"));
  EXPECT_EQ(Receive(pair.client, 6), "answer");
}

TEST_F(GreetingCheckTest, AHalfCloseEndsAGreetingThatIsNotFinished) {
  const Pair pair = Join();
  EXPECT_TRUE(SendAll(pair.client, "GET / HTTP/1.1\r\nHost: evil.example.com"));
  ExpectHeld(pair);
  shutdown(pair.client.get(), SHUT_WR);
  ExpectDenied(pair);
}

TEST_F(GreetingCheckTest, AClientThatGivesUpMeanwhileTakesItsConnectionAlong) {
  Pair pair = Join();
  EXPECT_TRUE(SendAll(pair.client, "GET /"));
  ExpectHeld(pair);
  ResetAndClose(pair.client);
  const Received received = ReceiveAll(pair.server);
  EXPECT_EQ(received.error, ECONNRESET);
  EXPECT_TRUE(AllGone());
  EXPECT_EQ(counters_->denied_server_name.value() + counters_->reset_by_client.value(), 1u);
}

TEST_F(GreetingCheckTest, WhatIsTooLongIsDenied) {
  const Pair pair = Join();
  EXPECT_TRUE(SendAll(pair.client, "GET / HTTP/1.1\r\nAccept: "));
  SendAll(pair.client, std::string(Greeting::kMostBytes, 'a'));
  ExpectDenied(pair);
  EXPECT_EQ(Outcome("oversized"), 1);
}

class ImpatientGreetingCheckTest : public GreetingCheckTest {
 protected:
  ImpatientGreetingCheckTest() { patience_ = absl::Milliseconds(50); }
};

TEST_F(ImpatientGreetingCheckTest, WhatTakesTooLongIsDenied) {
  const Pair pair = Join();
  EXPECT_TRUE(SendAll(pair.client, "GE"));
  ExpectDenied(pair);
  EXPECT_EQ(Outcome("slow"), 1);
}

// The relay would drop the urgent byte and carry what is behind, which no peek shows.
TEST_F(ImpatientGreetingCheckTest, UrgentDataDoesNotEndAGreeting) {
  const Pair pair = Join();
  EXPECT_TRUE(SendAll(pair.client, "GET / HTTP/1.0\r\n"));
  EXPECT_EQ(send(pair.client.get(), "!", 1, MSG_OOB), 1);
  EXPECT_TRUE(SendAll(pair.client, "Host: evil.example.com\r\n\r\n"));
  shutdown(pair.client.get(), SHUT_WR);
  ExpectDenied(pair);
  EXPECT_EQ(Outcome("slow"), 1);
}

TEST_F(GreetingCheckTest, WhatARuleByAddressAllowsIsNotLookedAt) {
  SetRules({NetworkPolicyOf("web", {ToNames({"api.example.com"}, {}), ToBlock(kShared, {}, {})})});
  const Pair pair = Join();
  EXPECT_TRUE(SendAll(pair.client, kOther));
  EXPECT_EQ(Receive(pair.server, strlen(kOther)), kOther);
  EXPECT_EQ(Outcome("allowed"), 0);
}

TEST_F(GreetingCheckTest, AServicesEndpointIsGreetedByANameOfTheService) {
  Serve({server_->address()});
  OnLoop([&] { policy_.Learn("api.example.com", At(kService).ip, absl::Minutes(5), Monotonic()); });
  Pair pair;
  pair.client = Call();
  pair.server = server_->Accept();
  EXPECT_TRUE(SendAll(pair.client, kOther));
  ExpectDenied(pair);
}

TEST_F(GreetingCheckTest, InAuditItGoesOnAndIsCounted) {
  SetRules({InAudit(NetworkPolicyOf("web", {ToNames({"api.example.com"}, {})}))});
  const Pair pair = Join();
  EXPECT_TRUE(SendAll(pair.client, kOther));
  EXPECT_EQ(Receive(pair.server, strlen(kOther)), kOther);
  EXPECT_EQ(Denials(PolicyMode::kAudit), 1);
}

}  // namespace
}  // namespace portolan::proxy

#include "dns/plugins/loop.h"

#include <gtest/gtest.h>

#include "tests/dns/plugins/listening.h"

namespace portolan::dns {
namespace {

using test::Answer;
using test::Bytes;
using test::ErrorIn;
using test::Metric;
using test::RcodeOf;
using wire::type::kA;

constexpr char kSaysLoop[] = "22 forwarding loop: the upstream leads back to this sidecar";

class LoopTest : public test::Listening {
 protected:
  bool RunUntilFound() {
    return test::RunUntil(loop_, [&] { return Metric(*chains_, "portolan_loop_found_total") > 0; });
  }
  // Questions that came in, ours and others.
  uint64_t Questions() {
    MetricFamilies families;
    server_->CollectMetrics(families);
    double sum = 0;
    for (const auto& family : families) {
      if (family.name != "coredns_dns_requests_total") continue;
      for (const auto& metric : family.metric) sum += metric.counter.value;
    }
    return static_cast<uint64_t>(sum);
  }
};

TEST_F(LoopTest, AServerThatIsThisSidecarIsFoundAndNotAsked) {
  Start(". {\n loop\n forward . " + own().ToString() + "\n}");
  ASSERT_TRUE(RunUntilFound());
  const Bytes reply = Ask("www.example.org");
  EXPECT_EQ(RcodeOf(reply), 2);
  EXPECT_EQ(ErrorIn(reply), kSaysLoop);
  RunFor(absl::Milliseconds(200));
  EXPECT_LE(Questions(), 3u) << "the probe and the client's question, and nothing goes round";
}

TEST_F(LoopTest, TheOrderInTheFileMeansNothing) {
  Start(". {\n forward . " + own().ToString() + "\n loop\n}");
  EXPECT_TRUE(RunUntilFound());
}

TEST_F(LoopTest, OverTcpItIsFoundAsWell) {
  Start(". {\n loop\n forward . " + own().ToString() + " {\n  force_tcp\n }\n}");
  ASSERT_TRUE(RunUntilFound());
  EXPECT_EQ(ErrorIn(Ask("www.example.org")), kSaysLoop);
}

TEST_F(LoopTest, ThePodsResolversAreWatchedWhereThereIsNoForward) {
  Start(". {\n loop\n}", {own()});
  ASSERT_TRUE(RunUntilFound());
  EXPECT_EQ(ErrorIn(Ask("www.example.org")), kSaysLoop);
}

TEST_F(LoopTest, AForwardOfASubdomainIsWatchedWithNamesOfThatSubdomain) {
  Start(". {\n loop\n forward corp.example " + own().ToString() + "\n}");
  ASSERT_TRUE(RunUntilFound());
  EXPECT_EQ(ErrorIn(Ask("www.corp.example")), kSaysLoop);
}

TEST_F(LoopTest, AProbeIsKnownInAnyLetterCase) {
  // A resolver in between that asks us in capitals.
  test::FakeServer between(loop_);
  between.udp = [&](const Bytes& query) {
    Bytes loud = query;
    for (size_t i = 12; i < loud.size() - 4; ++i) {
      if (loud[i] >= 'a' && loud[i] <= 'z') loud[i] ^= 0x20;
    }
    Send(loud);
    return std::vector<Bytes>{Answer(query, 0, wire::Rcode::kNxDomain)};
  };
  Start(". {\n loop\n forward . " + between.address.ToString() + "\n}");
  ASSERT_TRUE(RunUntilFound());
}

TEST_F(LoopTest, OtherServersGoOnAnswering) {
  test::FakeServer other(loop_);
  Start(". {\n loop\n forward . " + own().ToString() + " " + other.address.ToString() +
        " {\n  policy sequential\n }\n}");
  ASSERT_TRUE(RunUntilFound());
  EXPECT_EQ(test::AnswersOf(Ask("www.example.org")), 1);
}

TEST_F(LoopTest, WithoutALoopNothingIsFoundAndTheProbeGoesToTheServer) {
  test::FakeServer other(loop_);
  Start(". {\n loop\n forward . " + other.address.ToString() + "\n}");
  EXPECT_EQ(test::AnswersOf(Ask("www.example.org")), 1);
  RunFor(absl::Milliseconds(50));
  EXPECT_EQ(Metric(*chains_, "portolan_loop_found_total"), 0u);
  EXPECT_EQ(other.udp_queries.size(), 2u);
}

TEST_F(LoopTest, WithoutTheDirectiveALoopStillEndsAndIsBounded) {
  Start(". {\n forward . " + own().ToString() + "\n}");
  Send(test::MakeQuery("www.example.org", kA, test::kEdns));
  RunFor(absl::Milliseconds(700));
  EXPECT_LE(Questions(), 10u) << "the question that comes back joins the one under way";
}

}  // namespace
}  // namespace portolan::dns

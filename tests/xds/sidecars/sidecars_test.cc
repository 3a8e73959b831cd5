#include "xds/sidecars/sidecars.h"

#include <gmock/gmock.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/server_builder.h>
#include <gtest/gtest.h>

#include <future>
#include <memory>
#include <string>
#include <thread>

#include "absl/time/clock.h"
#include "common/status.h"
#include "tests/common/run_on_loop.h"
#include "xds/api/grpc_process.h"
#include "xds/api/sidecar_limits.h"
#include "xds/sidecars/report_rules.h"

namespace portolan::xds {
namespace {

using ::testing::HasSubstr;

constexpr char kNode[] = "default/frontend-1";

v1::SidecarMessage Hello(const std::string& node) {
  v1::SidecarMessage message;
  message.mutable_hello()->set_node(node);
  return message;
}

v1::SidecarMessage Report(uint64_t queries) {
  v1::SidecarMessage message;
  message.mutable_report()->mutable_dns()->set_queries(queries);
  return message;
}

v1::SidecarMessage JsonAnswer(uint64_t id, const std::string& json) {
  v1::SidecarMessage message;
  message.mutable_answer()->set_id(id);
  message.mutable_answer()->set_json(json);
  return message;
}

v1::Question ConfigDump() {
  v1::Question question;
  question.mutable_config_dump();
  return question;
}

// A sidecar that says what the test has it say.
class Peer {
 public:
  explicit Peer(const std::string& address, const std::string& token = {})
      : stub_(v1::Sidecars::NewStub(
            grpc::CreateChannel(address, grpc::InsecureChannelCredentials()))) {
    if (!token.empty()) context_.AddMetadata("authorization", "Bearer " + token);
    stream_ = stub_->Connect(&context_);
  }
  ~Peer() {
    context_.TryCancel();
    if (!finished_) stream_->Finish();
  }

  void Say(const v1::SidecarMessage& message) { stream_->Write(message); }
  v1::Question NextQuestion() {
    v1::ControlMessage message;
    EXPECT_TRUE(stream_->Read(&message));
    return message.question();
  }
  // What the control plane ended the stream with.
  grpc::Status End() {
    v1::ControlMessage message;
    while (stream_->Read(&message)) {
    }
    finished_ = true;
    return stream_->Finish();
  }

 private:
  std::unique_ptr<v1::Sidecars::Stub> stub_;
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReaderWriter<v1::SidecarMessage, v1::ControlMessage>> stream_;
  bool finished_ = false;
};

class SidecarsTest : public ::testing::Test {
 protected:
  explicit SidecarsTest(absl::Duration patience = absl::Seconds(30), TokenGate* gate = nullptr) {
    api::PrepareGrpc();
    sidecars = std::make_unique<Sidecars>(loop, Sidecars::Options{.patience = patience});
    sidecars->SetGate(gate);
    int port = 0;
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
    builder.RegisterService(sidecars.get());
    builder.SetMaxReceiveMessageSize(16 << 20);
    server = builder.BuildAndStart();
    address = "127.0.0.1:" + std::to_string(port);
    thread = std::thread([this] { loop.Run(); });
  }
  ~SidecarsTest() override {
    sidecars->EndAll(grpc::Status::CANCELLED);
    server->Shutdown();
    server->Wait();
    loop.Stop();
    thread.join();
  }

  void UntilConnected(const std::string& node = kNode) {
    while (!sidecars->Find(node)) std::this_thread::yield();
  }
  std::unique_ptr<Peer> Greet() {
    auto peer = std::make_unique<Peer>(address);
    peer->Say(Hello(kNode));
    UntilConnected();
    return peer;
  }

  std::future<absl::StatusOr<std::string>> Ask(const std::string& node = kNode) {
    auto answer = std::make_shared<std::promise<absl::StatusOr<std::string>>>();
    auto future = answer->get_future();
    loop.Post([this, node, answer] {
      sidecars->Ask(node, ConfigDump(), [answer](const auto& got) { answer->set_value(got); });
    });
    return future;
  }

  EventLoop loop;
  std::unique_ptr<Sidecars> sidecars;
  std::unique_ptr<grpc::Server> server;
  std::string address;
  std::thread thread;
};

class ImpatientSidecarsTest : public SidecarsTest {
 protected:
  ImpatientSidecarsTest() : SidecarsTest(absl::Milliseconds(20)) {}
};

// Knows one token, which is frontend-1's.
struct OneToken : TokenVerifier {
  void Verify(const std::string& token, Done done) override {
    if (token != "good") return done(absl::UnauthenticatedError("the token is no good"));
    done(PodIdentity{"default", "frontend-1", "", absl::Now() + absl::Hours(1)});
  }
};

// The gate has a loop of its own, which outlives the streams.
struct Gate {
  Gate() : thread([this] { loop.Run(); }) {}
  ~Gate() {
    loop.Stop();
    thread.join();
  }
  EventLoop loop;
  TokenGate gate{loop, std::make_unique<OneToken>()};
  std::thread thread;
};

class GuardedSidecarsTest : private Gate, public SidecarsTest {
 protected:
  GuardedSidecarsTest() : SidecarsTest(absl::Seconds(30), &gate) {}
};

TEST_F(GuardedSidecarsTest, WhoShowsNoGoodTokenIsNotHeard) {
  for (const char* token : {"", "bad"}) {
    Peer peer(address, token);
    peer.Say(Hello(kNode));
    EXPECT_EQ(peer.End().error_code(), grpc::StatusCode::UNAUTHENTICATED) << token;
  }
  EXPECT_FALSE(sidecars->Find(kNode).has_value());
}

TEST_F(GuardedSidecarsTest, ATokenSpeaksForItsPodAlone) {
  Peer other(address, "good");
  other.Say(Hello("default/frontend-2"));
  const grpc::Status ended = other.End();
  EXPECT_EQ(ended.error_code(), grpc::StatusCode::PERMISSION_DENIED);
  EXPECT_THAT(ended.error_message(), HasSubstr("the token is default/frontend-1's"));
  EXPECT_FALSE(sidecars->Find("default/frontend-2").has_value());
  Peer own(address, "good");
  own.Say(Hello(kNode));
  UntilConnected();
}

TEST_F(SidecarsTest, TheLastReportIsKept) {
  const auto peer = Greet();
  EXPECT_EQ(sidecars->Find(kNode)->report, nullptr);
  peer->Say(Report(1));
  peer->Say(Report(2));
  const auto queries = [&] {
    const auto report = sidecars->Find(kNode)->report;
    return report == nullptr ? 0 : report->dns().queries();
  };
  while (queries() != 2) std::this_thread::yield();
}

TEST_F(SidecarsTest, TheReportBeforeIsKeptForRates) {
  const auto peer = Greet();
  peer->Say(Report(1));
  peer->Say(Report(2));
  while (sidecars->Find(kNode)->previous == nullptr) std::this_thread::yield();
  const ReportedSidecar sidecar = *sidecars->Find(kNode);
  EXPECT_EQ(sidecar.previous->dns().queries(), 1u);
  EXPECT_EQ(sidecar.report->dns().queries(), 2u);
  EXPECT_LE(sidecar.previous_reported, sidecar.reported);
}

TEST_F(SidecarsTest, APartThatIsAbsentIsWhatItWas) {
  const auto peer = Greet();
  v1::SidecarMessage both = Report(1);
  both.mutable_report()->mutable_endpoints()->set_held(7);
  peer->Say(both);
  peer->Say(Report(2));
  while (sidecars->Find(kNode)->previous == nullptr) std::this_thread::yield();
  EXPECT_EQ(sidecars->Find(kNode)->report->endpoints().held(), 7u);
  EXPECT_EQ(sidecars->Find(kNode)->report->dns().queries(), 2u);
}

TEST_F(SidecarsTest, AreCountedByHowPolicyIsEnforced) {
  const auto state = [&](std::string_view word) {
    MetricFamilies families;
    sidecars->AddMetrics(families);
    for (const auto& family : families) {
      if (family.name != "portolan_sidecars_by_policy") continue;
      for (const auto& sample : family.metric) {
        if (sample.label[0].value == word) return sample.gauge.value;
      }
    }
    return -1.0;
  };
  const auto peer = Greet();
  EXPECT_EQ(state("unknown"), 1);
  v1::SidecarMessage message;
  v1::PolicyReport& policy = *message.mutable_report()->mutable_policy();
  policy.set_known(true);
  peer->Say(message);
  while (state("none") != 1) std::this_thread::yield();
  policy.add_policies("NetworkPolicy/default/web");
  peer->Say(message);
  while (state("enforced") != 1) std::this_thread::yield();
  policy.set_partly_enforced(true);
  peer->Say(message);
  while (state("partly") != 1) std::this_thread::yield();
  EXPECT_EQ(state("unknown") + state("none") + state("enforced"), 0);
}

TEST_F(SidecarsTest, AllThatAreConnectedAreListedByName) {
  Peer second(address);
  second.Say(Hello("default/frontend-2"));
  UntilConnected("default/frontend-2");
  const auto first = Greet();
  const auto all = sidecars->All();
  ASSERT_EQ(all.size(), 2u);
  EXPECT_EQ(all[0].node_id, kNode);
  EXPECT_EQ(all[1].node_id, "default/frontend-2");
}

TEST_F(SidecarsTest, WhoReportedIsToldOnTheLoop) {
  std::promise<std::string> told;
  sidecars->SetOnReport([&](const std::string& node_id) { told.set_value(node_id); });
  Greet()->Say(Report(1));
  EXPECT_EQ(told.get_future().get(), kNode);
}

TEST_F(SidecarsTest, AQuestionIsAnsweredByTheSidecar) {
  const auto peer = Greet();
  auto answer = Ask();
  const v1::Question question = peer->NextQuestion();
  EXPECT_TRUE(question.has_config_dump());
  peer->Say(JsonAnswer(question.id(), "{}"));
  EXPECT_EQ(*answer.get(), "{}");
}

TEST_F(SidecarsTest, ARefusalIsPassedOn) {
  const auto peer = Greet();
  auto answer = Ask();
  v1::SidecarMessage refusal;
  refusal.mutable_answer()->set_id(peer->NextQuestion().id());
  refusal.mutable_answer()->set_refusal("not today");
  peer->Say(refusal);
  const auto got = answer.get();
  EXPECT_TRUE(absl::IsFailedPrecondition(got.status()));
  EXPECT_EQ(Message(got.status()), "not today");
}

TEST_F(SidecarsTest, AnAnswerOfHalfAMillionBracketsEndsTheStreamAndReachesNobody) {
  const auto peer = Greet();
  auto answer = Ask();
  const std::string deep = std::string(500'000, '[') + std::string(500'000, ']');
  peer->Say(JsonAnswer(peer->NextQuestion().id(), deep));
  const grpc::Status ended = peer->End();
  EXPECT_EQ(ended.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(ended.error_message(), HasSubstr("nests deeper"));
  EXPECT_TRUE(absl::IsNotFound(answer.get().status()));
}

TEST(CheckAnswer, CountsBracketsThatAreOpenAtOnceOutsideOfStrings) {
  const auto nested = [](size_t depth) {
    return std::string(depth, '[') + std::string(depth, ']');
  };
  EXPECT_TRUE(CheckAnswer(nested(api::kMaxAnswerDepth)).ok());
  EXPECT_FALSE(CheckAnswer(nested(api::kMaxAnswerDepth + 1)).ok());
  std::string wide = "[";
  for (int i = 0; i < 1000; ++i) wide += R"({"a": [1]},)";
  EXPECT_TRUE(CheckAnswer(wide + "{}]").ok());
  const std::string brackets(1000, '{');
  EXPECT_TRUE(CheckAnswer("\"" + brackets + R"(\"[\\")").ok());
  EXPECT_FALSE(CheckAnswer(R"("\\")" + brackets).ok());
}

TEST_F(SidecarsTest, WhoIsNotConnectedIsNotFound) {
  EXPECT_TRUE(absl::IsNotFound(Ask("default/other").get().status()));
}

TEST_F(SidecarsTest, AQuestionEndsWithTheStream) {
  auto peer = Greet();
  auto answer = Ask();
  peer->NextQuestion();
  peer.reset();
  EXPECT_TRUE(absl::IsNotFound(answer.get().status()));
  while (sidecars->Find(kNode)) std::this_thread::yield();
}

TEST_F(ImpatientSidecarsTest, SilenceHasADeadlineAndALateAnswerDoesNoHarm) {
  const auto peer = Greet();
  auto answer = Ask();
  const uint64_t id = peer->NextQuestion().id();
  EXPECT_TRUE(absl::IsDeadlineExceeded(answer.get().status()));
  peer->Say(JsonAnswer(id, "{}"));
  peer->Say(Report(1));
  while (sidecars->Find(kNode)->report == nullptr) std::this_thread::yield();
}

TEST_F(ImpatientSidecarsTest, WhoAnswersNothingIsAskedNoMore) {
  const auto peer = Greet();
  for (size_t i = 0; i < api::kMaxOpenQuestions; ++i) {
    EXPECT_TRUE(absl::IsDeadlineExceeded(Ask().get().status()));
  }
  EXPECT_TRUE(absl::IsResourceExhausted(Ask().get().status()));
  peer->Say(JsonAnswer(peer->NextQuestion().id(), "{}"));
  while (!absl::IsDeadlineExceeded(Ask().get().status())) std::this_thread::yield();
}

TEST_F(SidecarsTest, TheNewerStreamOfASidecarCounts) {
  const auto older = Greet();
  Peer newer(address);
  newer.Say(Hello(kNode));
  const grpc::Status ended = older->End();
  EXPECT_EQ(ended.error_code(), grpc::StatusCode::ABORTED);
  EXPECT_THAT(ended.error_message(), HasSubstr("newer stream"));
  auto answer = Ask();
  newer.Say(JsonAnswer(newer.NextQuestion().id(), "1"));
  EXPECT_EQ(*answer.get(), "1");
}

TEST_F(SidecarsTest, AMessageOfANewerSidecarIsPassedOver) {
  const auto peer = Greet();
  peer->Say({});
  peer->Say(Report(1));
  while (sidecars->Find(kNode)->report == nullptr) std::this_thread::yield();
}

struct Offence {
  const char* name;
  std::vector<v1::SidecarMessage> said;
  grpc::StatusCode code;
  const char* reason;
};

class SidecarOffence : public SidecarsTest, public ::testing::WithParamInterface<Offence> {};

TEST_P(SidecarOffence, EndsTheStreamWithAReason) {
  Peer peer(address);
  for (const v1::SidecarMessage& message : GetParam().said) peer.Say(message);
  const grpc::Status ended = peer.End();
  EXPECT_EQ(ended.error_code(), GetParam().code) << ended.error_message();
  EXPECT_THAT(ended.error_message(), HasSubstr(GetParam().reason));
}

v1::SidecarMessage LongReport() {
  v1::SidecarMessage message;
  for (int i = 0; i <= api::kMaxReportedUpstreams; ++i) {
    message.mutable_report()->mutable_dns()->add_upstreams();
  }
  return message;
}

v1::SidecarMessage LargeReport(size_t bytes) {
  v1::SidecarMessage message;
  message.mutable_report()->mutable_feed()->set_source(std::string(bytes, 'x'));
  return message;
}

v1::SidecarMessage NamesReport(int names, const std::string& name) {
  v1::SidecarMessage message;
  for (int i = 0; i < names; ++i) {
    message.mutable_report()->mutable_names()->add_names()->set_name(name);
  }
  return message;
}

v1::SidecarMessage FlowsReport(int flows, const std::string& address) {
  v1::SidecarMessage message;
  for (int i = 0; i < flows; ++i) {
    message.mutable_report()->mutable_flows()->add_flows()->set_address(address);
  }
  return message;
}

v1::SidecarMessage PolicyReport(int policies, const std::string& policy) {
  v1::SidecarMessage message;
  for (int i = 0; i < policies; ++i) {
    message.mutable_report()->mutable_policy()->add_policies(policy);
  }
  return message;
}

v1::SidecarMessage DenialsReport(int count, const v1::DenialReport& denial) {
  v1::SidecarMessage message;
  for (int i = 0; i < count; ++i) {
    *message.mutable_report()->mutable_policy()->add_denials() = denial;
  }
  return message;
}

template <typename Set>
v1::SidecarMessage Denial(Set&& set) {
  v1::DenialReport denial;
  set(denial);
  return DenialsReport(1, denial);
}

using grpc::StatusCode;

INSTANTIATE_TEST_SUITE_P(
    All, SidecarOffence,
    ::testing::Values(
        Offence{"NoHello", {Report(1)}, StatusCode::INVALID_ARGUMENT, "first message"},
        Offence{"EmptyFirst", {{}}, StatusCode::INVALID_ARGUMENT, "first message"},
        Offence{"TwoHellos",
                {Hello(kNode), Hello(kNode)},
                StatusCode::INVALID_ARGUMENT,
                "first message"},
        Offence{"NoNode", {Hello("frontend")}, StatusCode::INVALID_ARGUMENT, "NAMESPACE/POD"},
        Offence{"OddNode", {Hello("a/b\n")}, StatusCode::INVALID_ARGUMENT, "NAMESPACE/POD"},
        Offence{"AnswerToNothing",
                {Hello(kNode), JsonAnswer(7, "{}")},
                StatusCode::INVALID_ARGUMENT,
                "nothing that was asked: id 7"},
        Offence{"LongReport",
                {Hello(kNode), LongReport()},
                StatusCode::RESOURCE_EXHAUSTED,
                "larger than reports may be"},
        Offence{"LargeReport",
                {Hello(kNode), LargeReport(api::kMaxReportBytes)},
                StatusCode::RESOURCE_EXHAUSTED,
                "larger than reports may be"},
        Offence{"ManyNames",
                {Hello(kNode), NamesReport(api::kMaxReportedNames + 1, "a")},
                StatusCode::RESOURCE_EXHAUSTED,
                "larger than reports may be"},
        Offence{"ManyPolicies",
                {Hello(kNode), PolicyReport(api::kMaxReportedPolicies + 1, "a")},
                StatusCode::RESOURCE_EXHAUSTED,
                "larger than reports may be"},
        Offence{"OddPolicy",
                {Hello(kNode), PolicyReport(1, "a b")},
                StatusCode::INVALID_ARGUMENT,
                "a policy in force"},
        Offence{"ManyDenials",
                {Hello(kNode), DenialsReport(api::kMaxReportedDenials + 1, {})},
                StatusCode::RESOURCE_EXHAUSTED,
                "larger than reports may be"},
        Offence{"LongNearest",
                {Hello(kNode), Denial([](auto& d) { d.set_nearest(std::string(301, 'a')); })},
                StatusCode::RESOURCE_EXHAUSTED,
                "larger than reports may be"},
        Offence{"OddNearest",
                {Hello(kNode), Denial([](auto& d) { d.set_nearest("a\x1b[2J"); })},
                StatusCode::INVALID_ARGUMENT,
                "for a reason"},
        Offence{"OddDenial",
                {Hello(kNode), Denial([](auto& d) { d.set_address("a b"); })},
                StatusCode::INVALID_ARGUMENT,
                "a denial of what"},
        Offence{"NoPort",
                {Hello(kNode), Denial([](auto& d) { d.set_port(65536); })},
                StatusCode::INVALID_ARGUMENT,
                "no port"},
        Offence{"LongName",
                {Hello(kNode), NamesReport(1, std::string(api::kMaxReportTextBytes + 1, 'a'))},
                StatusCode::INVALID_ARGUMENT,
                "a name asked for"},
        Offence{"OddName",
                {Hello(kNode), NamesReport(1, "a\nb")},
                StatusCode::INVALID_ARGUMENT,
                "a name asked for"},
        Offence{"ManyFlows",
                {Hello(kNode), FlowsReport(api::kMaxReportedFlows + 1, "1.1.1.1")},
                StatusCode::RESOURCE_EXHAUSTED,
                "larger than reports may be"},
        Offence{"OddAddress",
                {Hello(kNode), FlowsReport(1, "a b")},
                StatusCode::INVALID_ARGUMENT,
                "a flow"},
        Offence{"HugeMessage",
                {Hello(kNode), LargeReport(2 << 20)},
                StatusCode::RESOURCE_EXHAUSTED,
                "larger than 1 MB"}),
    [](const auto& tested) { return tested.param.name; });

}  // namespace
}  // namespace portolan::xds

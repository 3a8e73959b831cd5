#include "xds/authentication/token_gate.h"

#include <gmock/gmock.h>

#include "common/status.h"
#include "tests/xds/authentication/counted.h"

namespace portolan::xds {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

PodIdentity Pod(const std::string& name, absl::Duration expires_in = absl::Hours(1)) {
  return {"default", name, "uid", absl::Now() + expires_in};
}

// Answers when it is told to.
struct ScriptedVerifier : TokenVerifier {
  void Verify(const std::string& token, Done done) override {
    asked.push_back(token);
    waiting.push_back(std::move(done));
  }
  void Answer(const absl::StatusOr<PodIdentity>& found) {
    const Done done = std::move(waiting.front());
    waiting.erase(waiting.begin());
    done(found);
  }

  std::vector<std::string> asked;
  std::vector<Done> waiting;
};

class TokenGateTest : public ::testing::Test {
 protected:
  void Make(TokenGate::Options options = {}) {
    auto made = std::make_unique<ScriptedVerifier>();
    verifier = made.get();
    gate = std::make_unique<TokenGate>(loop, std::move(made), options);
  }
  // Shown by one client more; `said` gets "POD" or why not.
  void Show(const std::string& token) {
    const size_t client = said.size();
    said.emplace_back();
    gate->Admit("Bearer " + token, [this, client](const absl::StatusOr<PodIdentity>& found) {
      said[client] = found.ok() ? found->pod : std::string(Message(found.status()));
    });
    RunPosted();
  }
  void RunPosted() {
    loop.Stop();
    loop.Run();
  }
  double Counted(const std::string& result) const { return test::Authentications(*gate, result); }
  const absl::Status bad = absl::UnauthenticatedError("no good");
  const absl::Status away = absl::UnavailableError("away");

  EventLoop loop;
  ScriptedVerifier* verifier = nullptr;
  std::unique_ptr<TokenGate> gate;
  std::vector<std::string> said;
};

TEST_F(TokenGateTest, ATokenIsVerifiedOnceHoweverManyShowIt) {
  Make();
  Show("a");
  Show("a");
  EXPECT_THAT(verifier->asked, ElementsAre("a"));
  verifier->Answer(Pod("web"));
  Show("a");
  EXPECT_THAT(said, ElementsAre("web", "web", "web"));
  EXPECT_THAT(verifier->asked, ElementsAre("a"));
  EXPECT_EQ(Counted("accepted"), 3);
}

TEST_F(TokenGateTest, WithoutATokenNobodyIsLetIn) {
  Make();
  for (const char* header : {"", "Bearer", "Bearer ", "Basic abc", "abc"}) {
    absl::Status status;
    gate->Admit(header, [&](const auto& found) { status = found.status(); });
    EXPECT_TRUE(absl::IsUnauthenticated(status)) << header;
  }
  EXPECT_EQ(Counted("no_token"), 5);
  EXPECT_TRUE(verifier->asked.empty());
}

TEST_F(TokenGateTest, ABadTokenIsRememberedForAWhile) {
  Make({.bad_for = absl::Milliseconds(50)});
  Show("a");
  verifier->Answer(bad);
  Show("a");
  EXPECT_THAT(said, ElementsAre("no good", "no good"));
  EXPECT_EQ(verifier->asked.size(), 1u);
  EXPECT_EQ(Counted("refused"), 2);
  absl::SleepFor(absl::Milliseconds(60));
  Show("a");
  verifier->Answer(Pod("web"));
  EXPECT_EQ(said.back(), "web");
}

TEST_F(TokenGateTest, WhoIsUnknownWhileNobodyCanBeAskedIsToldToComeBack) {
  Make();
  Show("a");
  verifier->Answer(away);
  EXPECT_THAT(said, ElementsAre("the token cannot be verified now: away"));
  EXPECT_EQ(Counted("unavailable"), 1);
  Show("a");
  verifier->Answer(Pod("web"));
  EXPECT_EQ(said.back(), "web");
}

TEST_F(TokenGateTest, WhatWasFoundGoodCountsWhileNobodyCanBeAsked) {
  Make({.good_for = absl::ZeroDuration()});
  Show("a");
  verifier->Answer(Pod("web"));
  Show("a");
  EXPECT_EQ(verifier->asked.size(), 2u);
  verifier->Answer(away);
  EXPECT_EQ(said.back(), "web");
  Show("a");
  verifier->Answer(bad);
  EXPECT_EQ(said.back(), "no good");
  Show("a");
  EXPECT_EQ(said.back(), "no good");
}

TEST_F(TokenGateTest, AnExpiredTokenIsForgotten) {
  Make();
  Show("a");
  verifier->Answer(Pod("web", -absl::Seconds(1)));
  Show("a");
  EXPECT_EQ(verifier->asked.size(), 2u);
  verifier->Answer(away);
  EXPECT_THAT(said.back(), HasSubstr("cannot be verified now"));
}

TEST_F(TokenGateTest, OnlySoManyAreVerifiedAtOnceAndOnlySoManyMayWait) {
  Make({.max_waiting = 3, .max_at_once = 2});
  for (const char* token : {"a", "b", "c", "d"}) Show(token);
  EXPECT_THAT(verifier->asked, ElementsAre("a", "b"));
  EXPECT_THAT(said[3], HasSubstr("too many clients"));
  EXPECT_EQ(Counted("too_many"), 1);
  verifier->Answer(Pod("pod-a"));
  EXPECT_THAT(verifier->asked, ElementsAre("a", "b", "c"));
  verifier->Answer(Pod("pod-b"));
  verifier->Answer(Pod("pod-c"));
  EXPECT_THAT(said, ElementsAre("pod-a", "pod-b", "pod-c", HasSubstr("too many")));
  Show("d");
  EXPECT_EQ(verifier->asked.back(), "d");
}

TEST_F(TokenGateTest, WhatIsRememberedIsBounded) {
  Make({.max_remembered = 2});
  for (const char* token : {"a", "b", "c"}) {
    Show(token);
    verifier->Answer(Pod(token));
  }
  for (const char* token : {"a", "b", "c"}) Show(token);
  EXPECT_EQ(verifier->asked.size(), 4u);
}

TEST_F(TokenGateTest, WhoWaitsTooLongIsToldToComeBack) {
  Make({.max_at_once = 1, .patience = absl::ZeroDuration()});
  Show("a");
  Show("b");
  EventLoop::Timer stop = loop.AddTimer([this] { loop.Stop(); });
  stop.Start(absl::Milliseconds(1200));
  loop.Run();
  EXPECT_THAT(said, ElementsAre("the token could not be verified in time",
                                "the token could not be verified in time"));
  // What it comes to is remembered all the same, and "b" is not asked about.
  verifier->Answer(Pod("web"));
  EXPECT_EQ(said[0], "the token could not be verified in time");
  Show("a");
  EXPECT_EQ(said.back(), "web");
  EXPECT_THAT(verifier->asked, ElementsAre("a"));
}

TEST_F(TokenGateTest, AnAnswerAfterTheGatesEndIsHeardByNobody) {
  Make();
  Show("a");
  const auto done = verifier->waiting.front();
  gate->Admit("Bearer b", [](const auto&) { ADD_FAILURE(); });
  gate.reset();
  done(Pod("web"));
  RunPosted();
  EXPECT_EQ(said[0], "");
}

}  // namespace
}  // namespace portolan::xds

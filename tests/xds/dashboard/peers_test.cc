#include "xds/dashboard/peers.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "common/guarded.h"
#include "common/status.h"
#include "tests/kubernetes/scripted_api.h"

namespace portolan::xds {
namespace {

using nlohmann::json;
using test::ScriptedApi;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr char kOne[] = "10.0.0.1:15081";
constexpr char kTwo[] = "10.0.0.2:15081";
constexpr char kThree[] = "10.0.0.3:15081";

// A client that is the peers', who do not live as long.
class Borrowed : public ApiClient {
 public:
  explicit Borrowed(ScriptedApi& api) : api_(api) {}
  std::unique_ptr<Exchange> Start(ApiRequest request, Listener& listener) override {
    return api_.Start(std::move(request), listener);
  }

 private:
  ScriptedApi& api_;
};

class PeersTest : public ::testing::Test {
 protected:
  void Start(Peers::Addresses found) {
    found_->With([&](Peers::Addresses& now) { now = std::move(found); });
    peers_.emplace(
        loop_,
        Peers::Options{.self = "control-a",
                       .where = {"peers", 15081},
                       .look_up =
                           [found = found_](const HostAndPort& where) {
                             EXPECT_EQ(where.ToString(), "peers:15081");
                             return found->With([](const Peers::Addresses& now) { return now; });
                           },
                       .connect =
                           [this](const SocketAddress& address) {
                             return std::make_unique<Borrowed>(servers_[address.ToString()]);
                           }});
    ASSERT_TRUE(
        test::Until(loop_, [this] { return Metric("portolan_peers") != 0 || LookUpFailed(); }));
  }
  bool LookUpFailed() { return Metric("portolan_peer_lookup_failures_total") != 0; }
  double Metric(const std::string& sample) {
    MetricsPage page;
    page.AddSource([this](MetricFamilies& families) { peers_->AddMetrics(families); });
    const std::string text = page.Render();
    return std::stod(text.substr(text.find("\n" + sample + " ") + sample.size() + 2));
  }
  static Peers::Addresses Found(const std::vector<std::string>& texts) {
    std::vector<SocketAddress> addresses;
    for (const std::string& text : texts) addresses.push_back(*SocketAddress::Parse(text));
    return addresses;
  }

  void Ask(const std::string& target = "/api/v1/sidecars?limit=5",
           absl::Duration patience = Replicas::kPatience) {
    answers_.reset();
    peers_->Ask(target, patience, [this](std::vector<ReplicaAnswer> answers) {
      EXPECT_FALSE(answers_.has_value());
      answers_ = std::move(answers);
    });
  }
  void Name(const char* address, const std::string& name) {
    servers_[address].For("/status").Answer(200, json({{"replica", name}}).dump());
  }
  // "NAME: JSON" or "NAME: code: words" of each, once all is there.
  std::vector<std::string> Answers() {
    EXPECT_TRUE(test::Until(loop_, [this] { return answers_.has_value(); }));
    std::vector<std::string> texts;
    for (const ReplicaAnswer& each : *answers_) {
      texts.push_back(each.name + ": " +
                      (each.answer.ok() ? each.answer->dump() : each.answer.status().ToString()));
    }
    return texts;
  }

  EventLoop loop_;
  // A thread that looks the name up may outlive the test.
  const std::shared_ptr<Guarded<Peers::Addresses>> found_ =
      std::make_shared<Guarded<Peers::Addresses>>();
  std::map<std::string, ScriptedApi> servers_;
  std::optional<Peers> peers_;
  std::optional<std::vector<ReplicaAnswer>> answers_;
};

TEST_F(PeersTest, EachOtherReplicaIsAskedAtOnceForWhatItHasItself) {
  Start(Found({kTwo, kOne, kThree}));
  Ask();
  Name(kOne, "control-a");  // ourselves
  Name(kTwo, "control-c");
  Name(kThree, "control-b");
  EXPECT_EQ(servers_[kOne].count(), 1u);
  EXPECT_EQ(servers_[kTwo].last().target(), "/api/v1/sidecars?limit=5&scope=local");
  servers_[kTwo].last().Answer(200, R"({"two":2})");
  servers_[kThree].last().Answer(200, R"({"three":3})");
  EXPECT_THAT(Answers(), ElementsAre("control-b: {\"three\":3}", "control-c: {\"two\":2}"));
  // They have said who they are.
  Ask("/api/v1/flows");
  EXPECT_EQ(servers_[kOne].count(), 1u);
  EXPECT_EQ(servers_[kTwo].last().target(), "/api/v1/flows?scope=local");
  servers_[kTwo].last().Answer(200, "{}");
  servers_[kThree].last().Answer(200, "{}");
  EXPECT_THAT(Answers(), ElementsAre("control-b: {}", "control-c: {}"));
}

TEST_F(PeersTest, OneThatDoesNotAnswerInTimeIsNamedAndTheOthersAreNotLost) {
  Start(Found({kOne, kTwo, kThree}));
  Ask();
  Name(kOne, "control-a");
  Name(kTwo, "control-b");
  servers_[kTwo].last().Answer(200, "{}");
  EXPECT_THAT(Answers(), ElementsAre("10.0.0.3:15081: DEADLINE_EXCEEDED: no answer within 1 s",
                                     "control-b: {}"));
  EXPECT_FALSE(servers_[kThree].last().open());
}

TEST_F(PeersTest, WhatIsOfNoUseIsAnErrorInWords) {
  Start(Found({kTwo}));
  Ask();
  servers_[kTwo].last().End(absl::UnavailableError("https://10.0.0.2:15081: Connection refused"));
  EXPECT_THAT(Answers(), ElementsAre("10.0.0.2:15081: UNAVAILABLE: https://10.0.0.2:15081: "
                                     "Connection refused"));
  Ask();
  Name(kTwo, "control-b");
  const auto with = [this](int status, const std::string& body) {
    servers_[kTwo].last().Answer(status, body);
    const std::vector<std::string> answers = Answers();
    Ask();
    return answers.at(0);
  };
  EXPECT_EQ(with(404, R"({"error":"no sidecar default/x here"})"),
            "control-b: NOT_FOUND: no sidecar default/x here");
  EXPECT_EQ(with(404, "no such page\n"), "control-b: NOT_FOUND: no such page: an older version?");
  EXPECT_EQ(with(503, R"({"error":"away"})"), "control-b: UNAVAILABLE: answers 503: away");
  EXPECT_EQ(with(200, "[]"), "control-b: UNAVAILABLE: what it answers is no JSON object");
  EXPECT_EQ(with(200, "{\"a\":" + std::string(400'000, '[') + std::string(400'000, ']') + "}"),
            "control-b: UNAVAILABLE: what it answers is no JSON object");
  EXPECT_EQ(with(200, "{"), "control-b: UNAVAILABLE: what it answers is no JSON object");
  EXPECT_EQ(with(200, std::string(Peers::kMaxAnswerBytes + 1, ' ')),
            "control-b: UNAVAILABLE: its answer is larger than 8 MB");
  servers_[kTwo].last().End(absl::DeadlineExceededError("x"));
  EXPECT_THAT(Answers(), ElementsAre("control-b: DEADLINE_EXCEEDED: no answer within 1 s"));
}

TEST_F(PeersTest, AReplicaThatDoesNotSayWhichItIsIsAnError) {
  Start(Found({kTwo}));
  Ask();
  servers_[kTwo].last().Answer(200, "{}");
  EXPECT_THAT(Answers(), ElementsAre(HasSubstr("it does not say which replica it is")));
}

TEST_F(PeersTest, AloneThereIsNobodyToAsk) {
  Start(Found({kOne}));
  Ask();
  Name(kOne, "control-a");
  EXPECT_THAT(Answers(), IsEmpty());
}

TEST_F(PeersTest, ANameThatLeadsNowhereIsAnError) {
  Start(absl::UnavailableError("peers: Name or service not known"));
  Ask();
  EXPECT_THAT(Answers(), ElementsAre("peers:15081: UNAVAILABLE: peers: Name or service not known"));
}

TEST_F(PeersTest, AfterOneFailedTheNameIsLookedUpAgainAndWhoIsGoneIsForgotten) {
  Start(Found({kTwo}));
  Ask();
  Name(kTwo, "control-b");
  servers_[kTwo].last().End(absl::UnavailableError("gone"));
  Answers();
  found_->With([](Peers::Addresses& now) { now = Found({kTwo, kThree}); });
  EXPECT_TRUE(test::Until(loop_, [this] { return Metric("portolan_peers") == 2; }));
  Ask();
  EXPECT_EQ(servers_[kTwo].last().target(), "/api/v1/sidecars?limit=5&scope=local");
  EXPECT_EQ(servers_[kThree].last().target(), "/api/v1/status?scope=local");
}

TEST_F(PeersTest, APostGoesToAll) {
  Start(Found({kTwo}));
  peers_->Post("/api/v1/sidecars/default/web-0/logging?level=debug", Replicas::kSidecarPatience,
               [this](std::vector<ReplicaAnswer> answers) { answers_ = std::move(answers); });
  Name(kTwo, "control-b");
  EXPECT_EQ(servers_[kTwo].last().request().method, "POST");
  servers_[kTwo].last().Answer(200, "{}");
  EXPECT_THAT(Answers(), ElementsAre("control-b: {}"));
}

constexpr char kTwoOfV6[] = "[fd00::2]:15081";

TEST_F(PeersTest, OneWithTwoAddressesIsAskedOnce) {
  Start(Found({kTwo, kTwoOfV6}));
  peers_->Post("/api/v1/sidecars/default/web-0/logging?level=debug", Replicas::kSidecarPatience,
               [this](std::vector<ReplicaAnswer> answers) { answers_ = std::move(answers); });
  Name(kTwoOfV6, "control-b");
  Name(kTwo, "control-b");
  servers_[kTwoOfV6].last().Answer(200, "{}");
  EXPECT_THAT(Answers(), ElementsAre("control-b: {}"));
  EXPECT_EQ(servers_[kTwo].last().request().method, "GET") << "only for its name";
  Ask();
  EXPECT_EQ(servers_[kTwo].last().target(), "/api/v1/sidecars?limit=5&scope=local");
  EXPECT_EQ(servers_[kTwoOfV6].last().request().method, "POST");
  servers_[kTwo].last().Answer(200, "{}");
  EXPECT_THAT(Answers(), ElementsAre("control-b: {}"));
}

TEST_F(PeersTest, WhereItCannotBeAskedAtOneAddressItIsAskedAtTheOther) {
  Start(Found({kTwo, kTwoOfV6}));
  Ask();
  Name(kTwo, "control-b");
  Name(kTwoOfV6, "control-b");
  servers_[kTwo].last().End(absl::UnavailableError("No route to host"));
  servers_[kTwoOfV6].last().Answer(200, R"({"a":1})");
  EXPECT_THAT(Answers(), ElementsAre("control-b: {\"a\":1}"));
  // And there first from now on.
  Ask();
  servers_[kTwoOfV6].last().Answer(404, R"({"error":"none"})");
  EXPECT_THAT(Answers(), ElementsAre("control-b: NOT_FOUND: none"));
  Ask();
  servers_[kTwoOfV6].last().End(absl::UnavailableError("No route to host"));
  servers_[kTwo].last().End(absl::UnavailableError("Connection refused"));
  EXPECT_THAT(Answers(), ElementsAre(HasSubstr("control-b: UNAVAILABLE: ")));
}

TEST_F(PeersTest, AQuestionToASidecarIsGivenAsLongAsThatTakes) {
  Start(Found({kTwo}));
  Ask("/api/v1/sidecars/default/web-0/explain?name=x", Replicas::kSidecarPatience);
  Name(kTwo, "control-b");
  EXPECT_GT(servers_[kTwo].last().request().timeout, absl::Seconds(2));
  servers_[kTwo].last().Answer(504, R"({"error":"the sidecar has not answered"})");
  EXPECT_THAT(Answers(), ElementsAre("control-b: DEADLINE_EXCEEDED: the sidecar has not answered"));
  Ask("/api/v1/sidecars/default/web-0/explain?name=x", Replicas::kSidecarPatience);
  servers_[kTwo].last().Answer(502, R"({"error":"type: there is no FOO"})");
  EXPECT_THAT(Answers(), ElementsAre("control-b: FAILED_PRECONDITION: type: there is no FOO"));
  Ask("/api/v1/sidecars/default/web-0/explain?name=x", Replicas::kSidecarPatience);
  servers_[kTwo].last().End(absl::DeadlineExceededError("x"));
  EXPECT_THAT(Answers(), ElementsAre("control-b: DEADLINE_EXCEEDED: no answer within 2.5 s"));
}

TEST_F(PeersTest, MoreQuestionsThanMayBeUnderWayAreAnError) {
  Start(Found({kTwo}));
  for (size_t i = 0; i < Peers::kMostQuestions; ++i) {
    peers_->Ask("/api/v1/flows", Replicas::kPatience, [](const auto&) {});
  }
  Ask();
  ASSERT_TRUE(answers_.has_value());
  EXPECT_THAT(Answers(), ElementsAre(HasSubstr("too many ask the other replicas at once")));
}

TEST_F(PeersTest, NobodyIsToldOnceTheyAreGone) {
  Start(Found({kTwo}));
  Ask();
  peers_.reset();
  EXPECT_FALSE(servers_[kTwo].last().open());
  test::RunFor(loop_, absl::Milliseconds(5));
  EXPECT_FALSE(answers_.has_value());
}

TEST(ReplicasList, NamesThisOneAndWhichOthersDidNotAnswer) {
  const std::vector<ReplicaAnswer> answers = {
      {"control-b", json::object()}, {"control-c", absl::DeadlineExceededError("no answer")}};
  EXPECT_EQ(ReplicasJson("control-a", answers),
            json::parse(R"([{"name":"control-a","self":true},{"name":"control-b"},
                            {"name":"control-c","error":"no answer"}])"));
}

}  // namespace
}  // namespace portolan::xds

#include "proxy/reporting/asked_names.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <array>
#include <chrono>
#include <map>
#include <memory>
#include <string>

#include "dns/wire/reply.h"
#include "tests/dns/question.h"

namespace portolan::proxy {
namespace {

using dns::wire::Rcode;
using dns::wire::type::kA;
using dns::wire::type::kAaaa;

struct NoPool : dns::SuspendedPool {
  dns::Suspended* Suspend(dns::Exchange&) override { return nullptr; }
};

// A worker of a pod with kubelet's search list, at a time that stands still.
class Worker {
 public:
  explicit Worker(SearchWalks& walks, AskedNames::Names names = AskedNames::Names::kCounted)
      : names_(std::make_unique<AskedNames>(walks, names)) {
    names_->SetSearch({"default.svc.cluster.local", "svc.cluster.local", "cluster.local"});
  }

  void Replies(std::string_view name, Rcode rcode, uint16_t type = kA) {
    Reply(name, rcode, type, [](dns::Exchange&) {});
  }
  void Completes(std::string_view name) {
    Reply(name, Rcode::kNoError, kA, [](dns::Exchange& exchange) { exchange.set_completed(true); });
  }
  void AsksUpstream(std::string_view name) {
    Reply(name, Rcode::kNoError, kA, [](dns::Exchange& exchange) {
      exchange.set_asked(reinterpret_cast<dns::upstream::ServerSet*>(&exchange));
    });
  }
  // One look-up of a name that exists nowhere in the list.
  void WalksTo(const std::string& name, Rcode rcode, uint16_t type = kA) {
    for (const char* end : {".default.svc.cluster.local", ".svc.cluster.local", ".cluster.local"}) {
      Replies(name + end, Rcode::kNxDomain, type);
    }
    Replies(name, rcode, type);
  }
  void Wait(std::chrono::seconds time) { now_ += time; }
  AskedNames& names() { return *names_; }

  // "queries nxdomain search_list"
  std::map<std::string, std::string> Counts() const {
    std::map<std::string, std::string> counts;
    for (const auto& [wire, c] : names_->TakeView().names) {
      const std::string name = dns::wire::NameToText(wire + '\0');
      counts[name] = fmt::format("{} {} {}", c.queries, c.nxdomain, c.search_list);
    }
    return counts;
  }
  Amplification amplification() const { return names_->TakeView().amplification; }

 private:
  template <typename F>
  void Reply(std::string_view name, Rcode rcode, uint16_t type, F&& change) {
    const auto message = dns::test::MakeQuery(name, type, shape);
    dns::wire::Query query;
    dns::wire::ParseQuery(message, query);
    NoPool pool;
    std::array<uint8_t, 512> room;
    dns::Exchange exchange(query, {}, dns::Transport::kUdp, room, pool);
    exchange.set_received(now_);
    exchange.set_reply_bytes(dns::wire::WriteEmptyReply(query, room, rcode));
    change(exchange);
    names_->Tell(exchange);
  }

 public:
  dns::test::QueryShape shape;

 private:
  std::unique_ptr<AskedNames> names_;
  dns::Exchange::Time now_{std::chrono::hours(1)};
};

class AskedNamesTest : public ::testing::Test {
 protected:
  using Counts = std::map<std::string, std::string>;

  SearchWalks walks;
  Worker worker{walks};
};

TEST_F(AskedNamesTest, ANameThatExistsCountsAsItWasAsked) {
  worker.Replies("Backend.default.svc.cluster.local", Rcode::kNoError);
  worker.Replies("backend.default.svc.cluster.local", Rcode::kNoError, kAaaa);
  EXPECT_EQ(worker.Counts(), (Counts{{"backend.default.svc.cluster.local.", "2 0 0"}}));
  EXPECT_EQ(worker.amplification().search_list_queries, 0u);
}

TEST_F(AskedNamesTest, AWalkCountsForTheNameThatTheApplicationGave) {
  worker.WalksTo("example.org", Rcode::kNoError);
  EXPECT_EQ(worker.Counts(), (Counts{{"example.org.", "4 3 3"}}));
}

TEST_F(AskedNamesTest, AWalkThatFindsTheNameWouldHaveBeenOneQueryEitherWay) {
  worker.WalksTo("example.org", Rcode::kNoError);
  EXPECT_EQ(worker.amplification().search_list_queries, 3u);
  EXPECT_EQ(worker.amplification().saved_by_autopath, 3u);
  EXPECT_EQ(worker.amplification().saved_by_trailing_dot, 3u);
}

TEST_F(AskedNamesTest, AutopathDoesNotHelpWhereNothingExists) {
  worker.WalksTo("example.org", Rcode::kNxDomain);
  EXPECT_EQ(worker.Counts(), (Counts{{"example.org.", "4 4 3"}}));
  EXPECT_EQ(worker.amplification().saved_by_autopath, 0u);
  EXPECT_EQ(worker.amplification().saved_by_trailing_dot, 3u);
}

TEST_F(AskedNamesTest, AServiceOfAnotherNamespaceEndsTheWalkInTheMiddleOfTheList) {
  worker.Replies("backend.other.default.svc.cluster.local", Rcode::kNxDomain);
  worker.Replies("backend.other.svc.cluster.local", Rcode::kNoError);
  EXPECT_EQ(worker.amplification().saved_by_autopath, 1u);
  EXPECT_EQ(worker.amplification().saved_by_trailing_dot, 1u);
  EXPECT_EQ(worker.Counts(),
            (Counts{{"backend.other.", "1 1 1"}, {"backend.other.svc.cluster.local.", "1 0 0"}}));
}

// With ndots:5 the list comes first even so.
TEST_F(AskedNamesTest, AServicesFullNameWithoutItsDotIsAWalkToo) {
  worker.WalksTo("backend.default.svc.cluster.local", Rcode::kNoError);
  EXPECT_EQ(worker.amplification().saved_by_autopath, 3u);
  EXPECT_EQ(worker.Counts(), (Counts{{"backend.default.svc.cluster.local.", "4 3 3"}}));
}

// backend.default with the second of the list looks like backend with the first.
TEST_F(AskedNamesTest, TheNameThatIsOnItsWayIsTheOneThatIsMeant) {
  worker.WalksTo("backend.default", Rcode::kNxDomain);
  EXPECT_EQ(worker.Counts(), (Counts{{"backend.default.", "4 4 3"}}));
  EXPECT_EQ(worker.amplification().saved_by_trailing_dot, 3u);
}

TEST_F(AskedNamesTest, WhatIsAskedInFullAndDoesNotExistIsNoWalk) {
  worker.Replies("nosuch.default.svc.cluster.local", Rcode::kNxDomain);
  EXPECT_EQ(worker.amplification().search_list_queries, 1u);
  EXPECT_EQ(worker.amplification().saved_by_trailing_dot, 0u);
  worker.Replies("example.org", Rcode::kNoError);
  EXPECT_EQ(worker.amplification().saved_by_autopath, 0u);
}

TEST_F(AskedNamesTest, ALookUpThatTakesTooLongIsNoWalk) {
  worker.Replies("example.org.cluster.local", Rcode::kNxDomain);
  worker.Wait(std::chrono::seconds(SearchWalks::kPatience + 1));
  worker.Replies("example.org", Rcode::kNoError);
  EXPECT_EQ(worker.amplification().saved_by_autopath, 0u);
}

TEST_F(AskedNamesTest, EachTypeIsAWalkOfItsOwn) {
  worker.WalksTo("example.org", Rcode::kNoError, kA);
  worker.WalksTo("example.org", Rcode::kNxDomain, kAaaa);
  EXPECT_EQ(worker.amplification().saved_by_autopath, 3u);
  EXPECT_EQ(worker.amplification().saved_by_trailing_dot, 6u);
}

TEST_F(AskedNamesTest, AServerThatFailsEndsNoWalk) {
  worker.WalksTo("example.org", Rcode::kServFail);
  EXPECT_EQ(worker.amplification().saved_by_autopath, 0u);
  EXPECT_EQ(worker.amplification().saved_by_trailing_dot, 0u);
  EXPECT_EQ(worker.Counts(), (Counts{{"example.org.", "4 3 3"}}));
}

TEST_F(AskedNamesTest, AWalkMayGoOverSeveralWorkers) {
  Worker other(walks);
  worker.Replies("example.org.default.svc.cluster.local", Rcode::kNxDomain);
  other.Replies("example.org.svc.cluster.local", Rcode::kNxDomain);
  worker.Replies("example.org.cluster.local", Rcode::kNxDomain);
  other.Replies("example.org", Rcode::kNoError);
  EXPECT_EQ(other.amplification().saved_by_autopath, 3u);
  EXPECT_EQ(worker.amplification().search_list_queries, 2u);
}

TEST_F(AskedNamesTest, WhatAutopathCompletesWasAskedWithTheListAndWastesNothing) {
  worker.Completes("example.org.default.svc.cluster.local");
  EXPECT_EQ(worker.Counts(), (Counts{{"example.org.", "1 0 1"}}));
  EXPECT_EQ(worker.amplification().search_list_queries, 0u);
}

TEST_F(AskedNamesTest, QuestionsForWhichAnUpstreamWasAskedAreCounted) {
  worker.AsksUpstream("example.org");
  worker.Replies("example.org", Rcode::kNoError);
  EXPECT_EQ(worker.amplification().upstream_queries, 1u);
}

TEST_F(AskedNamesTest, NamesCanBeLeftOutAndNumbersStay) {
  Worker discreet(walks, AskedNames::Names::kLeftOut);
  discreet.WalksTo("example.org", Rcode::kNoError);
  EXPECT_EQ(discreet.Counts(), Counts());
  EXPECT_EQ(discreet.amplification().saved_by_autopath, 3u);
}

TEST_F(AskedNamesTest, TheLongestNameAndTheRootHaveRoom) {
  const std::string label(63, 'x');
  worker.Replies(label + "." + label + "." + label + "." + std::string(61, 'x'), Rcode::kNoError);
  worker.Replies(".", Rcode::kNoError);
  EXPECT_EQ(worker.Counts().size(), 2u);
  EXPECT_EQ(worker.Counts().at("."), "1 0 0");
}

TEST_F(AskedNamesTest, WhatComesSeldomIsCountedExactlyAndWhatComesOftenEstimated) {
  for (uint32_t i = 0; i < Sample::kExact; ++i) worker.Replies("seldom.test", Rcode::kNoError);
  EXPECT_EQ(worker.Counts().at("seldom.test."), "128 0 0");
  constexpr int kBusy = 100'000;
  for (int i = 0; i < kBusy; ++i) {
    worker.Replies(i % 4 == 0 ? "quarter.test" : "rest.test", Rcode::kNxDomain);
  }
  const auto counted = [&](const char* name) { return std::stod(worker.Counts().at(name)); };
  EXPECT_EQ(counted("seldom.test."), 128);
  EXPECT_NEAR(counted("quarter.test."), 0.25 * kBusy, 0.05 * kBusy);
  EXPECT_NEAR(counted("rest.test."), 0.75 * kBusy, 0.05 * kBusy);
  EXPECT_EQ(worker.amplification().search_list_queries, 0u);
  worker.Wait(std::chrono::seconds(1));
  worker.Replies("next.second.test", Rcode::kNoError);
  EXPECT_EQ(worker.Counts().at("next.second.test."), "1 0 0");
}

TEST_F(AskedNamesTest, OfManyNamesThoseThatAreAskedForMostAreTakenAndTheRestCounted) {
  constexpr int kNames = 200, kBusy = 10;
  for (int i = 0; i < kNames; ++i) {
    const std::string name = fmt::format("n{}.test", i);
    for (int j = 0; j < (i < kBusy ? 5 : 1); ++j) worker.Replies(name, Rcode::kNoError);
    worker.Wait(std::chrono::seconds(1));
  }
  const AskedNames::View view = worker.names().TakeView();
  EXPECT_EQ(view.names.size(), AskedNames::kMostTaken);
  uint64_t queries = view.others.queries;
  int busy = 0;
  for (const auto& [name, counts] : view.names) {
    queries += counts.queries;
    if (counts.queries == 5) ++busy;
  }
  EXPECT_EQ(busy, kBusy);
  EXPECT_EQ(queries, uint64_t{kNames + 4 * kBusy});
}

TEST_F(AskedNamesTest, OtherClassesAreNoNamesOfTheApplication) {
  worker.shape.qclass = dns::wire::kClassChaos;
  worker.Replies("version.bind", Rcode::kNoError);
  EXPECT_EQ(worker.Counts(), Counts());
}

TEST_F(AskedNamesTest, AResolvConfThatChangesIsFollowed) {
  worker.names().SetSearch({"corp.test", "not..a.name"});
  worker.Replies("db.corp.test", Rcode::kNxDomain);
  worker.Replies("db", Rcode::kNoError);
  EXPECT_EQ(worker.Counts(), (Counts{{"db.", "2 1 1"}}));
  EXPECT_EQ(worker.amplification().saved_by_autopath, 1u);
}

}  // namespace
}  // namespace portolan::proxy

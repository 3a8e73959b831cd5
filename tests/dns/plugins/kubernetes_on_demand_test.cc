// Names whose endpoints are had on demand: what waits for them, what does not, and what is answered
// once they are held.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>

#include "common/use_filter.h"
#include "dns/plugins/kubernetes.h"
#include "tests/conformance/records.h"
#include "tests/dns/cluster.h"
#include "tests/dns/question.h"
#include "tests/dns/recording_on_demand.h"

namespace portolan::dns {
namespace {

using test::Bytes;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

constexpr uint16_t kA = 1, kPtr = 12, kTxt = 16, kSrv = 33, kNs = 2;

class NoPool : public SuspendedPool {
  Suspended* Suspend(Exchange&) override { return nullptr; }
};

class EndpointsOnDemand : public testing::Test {
 protected:
  EndpointsOnDemand() {
    cluster_.PutService("default", "backend", {"10.43.0.123"});
    cluster_.PutService("default", kLongName, {"10.43.0.124"});
    cluster_.PutService("default", "db", {});
    cluster_.PutService("default", "idle", {});
    cluster_.PutExternalName("default", "alias", "db.default.svc.cluster.local");
    cluster_.PutExternalName("default", "outside", "example.org");
    cluster_.Publish();
    config_.zones = {*wire::Zone::Parse("cluster.local"), *wire::Zone::Parse("in-addr.arpa")};
    config_.primary = config_.zones[0];
  }

  Verdict Ask(const std::string& name, uint16_t type = kA) {
    const Bytes message = test::MakeQuery(name, type);
    wire::Query query;
    EXPECT_EQ(wire::ParseQuery(message, query), wire::ParseOutcome::kQuery);
    Kubernetes plugin(config_, {cluster_.holder(), name_servers_, &on_demand_, &used_});
    std::array<uint8_t, 4096> room;
    NoPool pool;
    Exchange exchange(query, SocketAddress(), Transport::kUdp, room, pool);
    const Verdict verdict = plugin.OnQuery(exchange);
    reply_.assign(exchange.reply().begin(), exchange.reply().end());
    return verdict;
  }
  Verdict AskFor(const std::string& service, uint16_t type = kA) {
    return Ask(service + ".default.svc.cluster.local", type);
  }
  std::vector<std::string> Answer() { return test::RecordsOf(reply_, wire::Section::kAnswer); }
  int Rcode() { return reply_[3] & 15; }
  std::vector<std::string> Awaited() { return std::exchange(on_demand_.awaited, {}); }
  std::vector<std::string> Wanted() { return std::exchange(on_demand_.wanted, {}); }

  void HoldDb() {
    cluster_.PutEndpoints("default", "db", {{"10.42.0.1", "db-0"}});
    cluster_.Publish();
  }
  void HoldNone(const std::string& service) {
    cluster_.directory().PutNoSlices("default/" + service);
    cluster_.Publish();
  }
  // That the Services list 10.42.0.1 among their endpoints.
  void HoldOwner(std::vector<std::string> services) {
    AddressOwner owner;
    owner.ip = test::Ip("10.42.0.1");
    for (std::string& name : services) {
      owner.services.push_back({{"default", std::move(name)}, true, {}});
    }
    cluster_.directory().Put(owner);
    cluster_.Publish();
  }

  const std::string kLongName = std::string(60, 'x');
  test::Cluster cluster_{Directory::Slices::kOfThoseAskedFor};
  KubernetesConfig config_;
  std::vector<IpAddress> name_servers_;
  test::RecordingOnDemand on_demand_;
  UseFilter used_;
  Bytes reply_;
};

TEST_F(EndpointsOnDemand, TheNameOfAClusterIpIsAnsweredAtOnceAndAsksForThemInPassing) {
  for (const std::string& name : {std::string("backend"), kLongName}) {
    ASSERT_EQ(AskFor(name), Verdict::kAnswered);
    EXPECT_EQ(Answer().size(), 1u);
    EXPECT_THAT(Wanted(), ElementsAre("default/" + name));
    HoldNone(name);
    ASSERT_EQ(AskFor(name), Verdict::kAnswered);
    EXPECT_THAT(Wanted(), IsEmpty()) << "held: there are none";
  }
  ASSERT_EQ(AskFor("outside"), Verdict::kAlias);
  EXPECT_THAT(Wanted(), IsEmpty()) << "it has none";
  EXPECT_THAT(Awaited(), IsEmpty());
}

TEST_F(EndpointsOnDemand, WhatTheyDecideWaitsForThem) {
  for (const char* name : {"db.default.svc.cluster.local", "db-0.db.default.svc.cluster.local",
                           "_sql._tcp.db.default.svc.cluster.local"}) {
    for (const uint16_t type : {kA, kSrv, kTxt}) {
      EXPECT_EQ(Ask(name, type), Verdict::kPending) << name << " " << type;
      EXPECT_THAT(Awaited(), ElementsAre("default/db"));
    }
  }
  EXPECT_EQ(AskFor("db-0.backend"), Verdict::kPending);
  EXPECT_THAT(Awaited(), ElementsAre("default/backend"));
  EXPECT_EQ(AskFor("alias"), Verdict::kPending);
  EXPECT_THAT(Awaited(), ElementsAre("default/db"));
  EXPECT_EQ(AskFor("nosuch"), Verdict::kAnswered);
  EXPECT_EQ(Rcode(), 3);
  EXPECT_THAT(Awaited(), IsEmpty());
}

TEST_F(EndpointsOnDemand, OnceHeldTheAnswersAreThoseOfAllEndpoints) {
  HoldDb();
  ASSERT_EQ(AskFor("db"), Verdict::kAnswered);
  EXPECT_THAT(Answer(), ElementsAre("db.default.svc.cluster.local. 5 A 10.42.0.1"));
  ASSERT_EQ(AskFor("alias"), Verdict::kAnswered);
  EXPECT_EQ(Answer().size(), 2u);
  ASSERT_EQ(AskFor("db-1.db"), Verdict::kAnswered);
  EXPECT_EQ(Rcode(), 3);
  HoldNone("idle");
  ASSERT_EQ(AskFor("idle"), Verdict::kAnswered);
  EXPECT_EQ(Rcode(), 3) << "CoreDNS: a headless Service without endpoints does not exist";
  EXPECT_THAT(Awaited(), IsEmpty());
}

TEST_F(EndpointsOnDemand, WhatCannotBeHadNowGoesOn) {
  on_demand_.verdict = Verdict::kNext;
  EXPECT_EQ(AskFor("db"), Verdict::kNext);
  EXPECT_EQ(Ask("1.0.42.10.in-addr.arpa", kPtr), Verdict::kNext);
}

TEST_F(EndpointsOnDemand, NoendpointsNeedsNone) {
  config_.endpoints = false;
  ASSERT_EQ(AskFor("db"), Verdict::kAnswered);
  EXPECT_EQ(Rcode(), 3);
  ASSERT_EQ(Ask("1.0.42.10.in-addr.arpa", kPtr), Verdict::kAnswered);
  EXPECT_EQ(Rcode(), 3);
  EXPECT_THAT(Awaited(), IsEmpty());
}

TEST_F(EndpointsOnDemand, WhetherAServiceIsEmptyIsWaitedForWhereThatHidesIt) {
  config_.ignore_empty_service = true;
  EXPECT_EQ(AskFor("backend"), Verdict::kPending);
  EXPECT_THAT(Awaited(), ElementsAre("default/backend"));
  HoldNone("backend");
  ASSERT_EQ(AskFor("backend"), Verdict::kAnswered);
  EXPECT_EQ(Rcode(), 3);
  cluster_.PutEndpoints("default", "backend", {{"10.42.0.2", ""}});
  cluster_.Publish();
  ASSERT_EQ(AskFor("backend"), Verdict::kAnswered);
  EXPECT_EQ(Answer().size(), 1u);
}

TEST_F(EndpointsOnDemand, AnAddressLeadsBackByItsOwnerAndTheEndpointsOfItsServices) {
  ASSERT_EQ(Ask("123.0.43.10.in-addr.arpa", kPtr), Verdict::kAnswered);
  EXPECT_THAT(Awaited(), IsEmpty()) << "a cluster IP needs none";
  EXPECT_EQ(Ask("1.0.42.10.in-addr.arpa", kPtr), Verdict::kPending);
  EXPECT_THAT(Awaited(), ElementsAre("10.42.0.1"));
  HoldOwner({"db", "idle"});
  EXPECT_EQ(Ask("1.0.42.10.in-addr.arpa", kPtr), Verdict::kPending);
  EXPECT_THAT(Wanted(), UnorderedElementsAre("default/db", "default/idle")) << "both at once";
  EXPECT_EQ(Awaited().size(), 1u);
  HoldDb();
  HoldNone("idle");
  ASSERT_EQ(Ask("1.0.42.10.in-addr.arpa", kPtr), Verdict::kAnswered);
  EXPECT_THAT(Answer(),
              ElementsAre("1.0.42.10.in-addr.arpa. 5 PTR db-0.db.default.svc.cluster.local."));
}

TEST_F(EndpointsOnDemand, AnAddressOfNoServiceIsDenied) {
  HoldOwner({});
  ASSERT_EQ(Ask("1.0.42.10.in-addr.arpa", kPtr), Verdict::kAnswered);
  EXPECT_EQ(Rcode(), 3);
}

TEST_F(EndpointsOnDemand, TheZonesServersAreLookedUpByTheirAddresses) {
  name_servers_ = {test::Ip("10.42.0.1")};
  for (const char* name : {"cluster.local", "ns.dns.cluster.local"}) {
    EXPECT_EQ(Ask(name, *name == 'c' ? kNs : kA), Verdict::kPending);
    EXPECT_THAT(Awaited(), ElementsAre("10.42.0.1"));
  }
  HoldOwner({"db"});
  HoldDb();
  ASSERT_EQ(Ask("cluster.local", kNs), Verdict::kAnswered);
  EXPECT_THAT(Answer(), ElementsAre("cluster.local. 5 NS db-0.db.default.svc.cluster.local."));
  name_servers_ = {test::Ip("10.43.0.123")};
  ASSERT_EQ(Ask("cluster.local", kNs), Verdict::kAnswered);
  EXPECT_THAT(Awaited(), IsEmpty()) << "a cluster IP needs none";
}

TEST_F(EndpointsOnDemand, EveryQuestionAboutAServiceMarksItAsUsed) {
  HoldDb();
  AskFor("db-0.db");
  AskFor("backend");
  AskFor(kLongName);
  const auto used = used_.Take();
  for (const std::string& name : {std::string("db"), std::string("backend"), kLongName}) {
    EXPECT_TRUE(used.Holds(ServiceTable::HashOf("default", name))) << name;
  }
  EXPECT_FALSE(used.Holds(ServiceTable::HashOf("default", "idle")));
  EXPECT_FALSE(used_.Take().Holds(ServiceTable::HashOf("default", "db"))) << "begins anew";
}

}  // namespace
}  // namespace portolan::dns

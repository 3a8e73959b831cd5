#include "dns/plugins/transfer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "dns/plugins/kubernetes.h"
#include "tests/conformance/records.h"
#include "tests/dns/cluster.h"
#include "tests/dns/question.h"

namespace portolan::dns {
namespace {

using test::Bytes;
using test::RecordsOf;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using wire::Section;

constexpr uint16_t kIxfr = 251, kAxfr = 252;

class NoPool : public SuspendedPool {
  Suspended* Suspend(Exchange&) override { return nullptr; }
};

class ZoneTransfers : public testing::Test {
 protected:
  ZoneTransfers() {
    kubernetes_.zones = {*wire::Zone::Parse("cluster.local"), *wire::Zone::Parse("in-addr.arpa")};
    kubernetes_.primary = kubernetes_.zones[0];
    config_.zones = {*wire::Zone::Parse(".")};
    config_.to_everybody = true;
    Service web;
    web.name = {"default", "web"};
    web.cluster_ips = {test::Ip("10.43.0.9"), test::Ip("fd00::9")};
    web.ports = {{"http", Protocol::kTcp, 80}, {"", Protocol::kTcp, 81}};
    cluster_.directory().Put(web);
    cluster_.PutService("default", "db", {});
    cluster_.PutEndpoints("default", "db", {{"10.42.0.1", "db-0"}, {"10.42.0.2", ""}});
    cluster_.PutExternalName("default", "out", "example.org");
    cluster_.PutExternalName("default", "digits", "192.0.2.1");
    cluster_.Publish();
  }

  Verdict Ask(std::string_view zone, uint16_t type, Transport transport = Transport::kTcp,
              const Bytes& authority = {}) {
    message_ = test::MakeQuery(zone, type, {.edns_version = authority.empty() ? 0 : -1});
    if (!authority.empty()) {
      wire::Store16(&message_[8], 1);
      message_.insert(message_.end(), authority.begin(), authority.end());
    }
    EXPECT_EQ(wire::ParseQuery(message_, query_), wire::ParseOutcome::kQuery);
    Transfer link(config_, kubernetes_, cluster_.holder(), {test::Ip("10.43.0.9")});
    Exchange exchange(query_, {test::Ip("192.0.2.7"), 4000}, transport, room_, pool_);
    exchange.set_max_reply_bytes(room_.size());
    const Verdict verdict = link.OnQuery(exchange);
    reply_.assign(exchange.reply().begin(), exchange.reply().end());
    stream_ = exchange.stream();
    return verdict;
  }

  // All messages of the stream.
  std::vector<std::string> Records() {
    std::vector<std::string> all;
    while (const size_t bytes = stream_->Next(room_)) {
      ++messages_;
      const std::span<const uint8_t> message = std::span(room_).first(bytes);
      EXPECT_EQ(message[2] & 0x02, 0) << "never TC";
      const auto records = RecordsOf(message, Section::kAnswer);
      EXPECT_FALSE(records.empty());
      all.insert(all.end(), records.begin(), records.end());
    }
    return all;
  }
  int Rcode() { return reply_[3] & 15; }
  bool Says(std::string_view text) {
    return std::string(reply_.begin(), reply_.end()).find(text) != std::string::npos;
  }

  static constexpr char kSoa[] =
      "cluster.local. 5 SOA ns.dns.cluster.local. hostmaster.cluster.local. * 7200 1800 86400 5";

  test::Cluster cluster_;
  KubernetesConfig kubernetes_;
  TransferConfig config_;
  Bytes message_, reply_;
  wire::Query query_;
  std::vector<uint8_t> room_ = std::vector<uint8_t>(wire::kMaxMessageBytes);
  NoPool pool_;
  std::shared_ptr<ReplyStream> stream_;
  int messages_ = 0;
};

TEST_F(ZoneTransfers, AZoneIsListedBetweenItsSoaRecords) {
  ASSERT_EQ(Ask("cluster.local", kAxfr), Verdict::kStream);
  const auto records = Records();
  ASSERT_GE(records.size(), 2u);
  EXPECT_EQ(records.front(), kSoa);
  EXPECT_EQ(records.back(), kSoa);
  const std::set<std::string> between(records.begin() + 1, records.end() - 1);
  EXPECT_EQ(between.size(), records.size() - 2) << "no record twice";
  const std::string web = "web.default.svc.cluster.local.", db = "db.default.svc.cluster.local.";
  EXPECT_EQ(between, (std::set<std::string>{
                         "cluster.local. 5 NS " + web,
                         web + " 5 A 10.43.0.9",
                         web + " 5 AAAA fd00::9",
                         web + " 5 SRV 0 100 80 " + web,
                         web + " 5 SRV 0 100 81 " + web,
                         "_http._tcp." + web + " 5 SRV 0 100 80 " + web,
                         db + " 5 A 10.42.0.1",
                         db + " 5 A 10.42.0.2",
                         "db-0." + db + " 5 A 10.42.0.1",
                         "10-42-0-2." + db + " 5 A 10.42.0.2",
                         "out.default.svc.cluster.local. 5 CNAME example.org.",
                     }));
}

// As CoreDNS: a question for the same records counts all slices.
TEST_F(ZoneTransfers, EndpointsWeighAsMuchAsTheirSliceIsLarge) {
  cluster_.PutService("default", "both", {});
  for (const auto& [family, ips] :
       {std::pair(IpFamily::kIpv4, std::vector{"10.42.0.3", "10.42.0.4"}),
        std::pair(IpFamily::kIpv6, std::vector{"fd00::3"})}) {
    EndpointSlice slice;
    slice.name = {"default", family == IpFamily::kIpv4 ? "both-4" : "both-6"};
    slice.service = "both";
    slice.family = family;
    slice.ports = {{"http", Protocol::kTcp, 80}};
    for (const char* ip : ips) slice.endpoints.emplace_back().addresses = {test::Ip(ip)};
    cluster_.directory().Put(std::move(slice));
  }
  cluster_.Publish();
  ASSERT_EQ(Ask("cluster.local", kAxfr), Verdict::kStream);
  const auto records = Records();
  const std::string srv = "_http._tcp.both.default.svc.cluster.local. 5 SRV 0 ";
  EXPECT_THAT(records, Contains(srv + "50 80 10-42-0-3.both.default.svc.cluster.local."));
  EXPECT_THAT(records, Contains(srv + "100 80 fd00--3.both.default.svc.cluster.local."));
}

TEST_F(ZoneTransfers, AZoneOfManyMessagesIsWhole) {
  std::vector<std::string> ips;
  for (int i = 0; i < 3000; ++i) ips.push_back(fmt::format("10.50.{}.{}", i / 250, i % 250));
  std::vector<std::pair<std::string_view, std::string>> endpoints;
  for (const std::string& ip : ips) endpoints.emplace_back(ip, "");
  cluster_.PutService("default", "large", {});
  cluster_.PutEndpoints("default", "large", endpoints);
  for (int i = 0; i < 2000; ++i) cluster_.PutService("many", fmt::format("s-{}", i), {ips[i]});
  cluster_.Publish();
  ASSERT_EQ(Ask("cluster.local", kAxfr), Verdict::kStream);
  // The zone is of one version, whatever happens meanwhile.
  cluster_.directory().RemoveService({"default", "large"});
  cluster_.Publish();
  const auto records = Records();
  EXPECT_GT(messages_, 5);
  EXPECT_EQ(records.back(), kSoa);
  const std::set<std::string> distinct(records.begin(), records.end());
  EXPECT_EQ(distinct.size(), 12u + 2 * 3000 + 2000);
  EXPECT_EQ(records.size(), distinct.size() + 1) << "the SOA";
}

TEST_F(ZoneTransfers, OnlyTcpAndThoseListedAreServed) {
  ASSERT_EQ(Ask("cluster.local", kAxfr, Transport::kUdp), Verdict::kAnswered);
  EXPECT_EQ(Rcode(), 5);
  config_.to_everybody = false;
  config_.to = {test::Ip("192.0.2.8")};
  ASSERT_EQ(Ask("cluster.local", kAxfr), Verdict::kAnswered);
  EXPECT_EQ(Rcode(), 5);
  config_.to = {test::Ip("192.0.2.7")};
  EXPECT_EQ(Ask("cluster.local", kAxfr), Verdict::kStream);
}

TEST_F(ZoneTransfers, OtherZonesAndOtherQuestionsGoOn) {
  EXPECT_EQ(Ask("cluster.local", 6), Verdict::kNext);
  EXPECT_EQ(Ask("example.org", kAxfr), Verdict::kNext);
  EXPECT_EQ(Ask("svc.cluster.local", kAxfr), Verdict::kNext);
  EXPECT_EQ(Ask("in-addr.arpa", kAxfr), Verdict::kNext);
  config_.zones = {*wire::Zone::Parse("example.org")};
  EXPECT_EQ(Ask("cluster.local", kAxfr), Verdict::kNext);
}

TEST_F(ZoneTransfers, AnIncompleteZoneIsNotListed) {
  const Directory on_demand(Directory::Slices::kOfThoseAskedFor);
  auto data = cluster_.holder().current();
  data.snapshot = on_demand.snapshot();
  cluster_.Replace(data);
  ASSERT_EQ(Ask("cluster.local", kAxfr), Verdict::kAnswered);
  EXPECT_EQ(Rcode(), 5);
  EXPECT_TRUE(Says("--endpoints=eager"));
  cluster_.Publish(FeedTrust::kStale);
  ASSERT_EQ(Ask("cluster.local", kAxfr), Verdict::kAnswered);
  EXPECT_EQ(Rcode(), 2);
  EXPECT_TRUE(Says("not in sync"));
}

TEST_F(ZoneTransfers, AnIncrementIsTheZoneOrNothingNew) {
  ASSERT_EQ(Ask("cluster.local", kIxfr), Verdict::kAnswered);
  EXPECT_EQ(Rcode(), 2) << "without a serial";
  // Owner, type, class, TTL, length, two root names and five numbers.
  Bytes soa = {0, 0, 6, 0, 1, 0, 0, 0, 0, 0, 22, 0, 0};
  soa.resize(soa.size() + 20);
  wire::Store32(&soa[13], 1);
  ASSERT_EQ(Ask("cluster.local", kIxfr, Transport::kTcp, soa), Verdict::kStream);
  EXPECT_GT(Records().size(), 2u);
  wire::Store32(&soa[13], cluster_.holder().current().records->serial());
  ASSERT_EQ(Ask("cluster.local", kIxfr, Transport::kTcp, soa), Verdict::kStream);
  EXPECT_THAT(Records(), ElementsAre(kSoa));
}

TEST_F(ZoneTransfers, NameServersThatAreNotListedHaveTheirAddressesWithThem) {
  kubernetes_.namespaces = {"other"};
  ASSERT_EQ(Ask("cluster.local", kAxfr), Verdict::kStream);
  EXPECT_THAT(Records(), ElementsAre(kSoa, "cluster.local. 5 NS web.default.svc.cluster.local.",
                                     "web.default.svc.cluster.local. 5 A 10.43.0.9",
                                     "web.default.svc.cluster.local. 5 AAAA fd00::9", kSoa));
}

TEST_F(ZoneTransfers, WhatIsHiddenIsNotListed) {
  kubernetes_.namespaces = {"other"};
  ASSERT_EQ(Ask("cluster.local", kAxfr), Verdict::kStream);
  EXPECT_THAT(Records(), Not(Contains(HasSubstr("db.default"))));
}

corefile::Token Word(std::string text, int line) {
  return {std::move(text), std::make_shared<const std::string>("Corefile"), line, 5};
}

std::string ErrorOf(const std::vector<std::vector<std::string>>& lines) {
  corefile::Directive made{Word("transfer", 1), {}, {}};
  int at = 1;
  for (const auto& words : lines) {
    corefile::Directive line{Word(words[0], ++at), {}, {}};
    for (size_t i = 1; i < words.size(); ++i) line.arguments.push_back(Word(words[i], at));
    made.block.push_back(std::move(line));
  }
  const auto config = ParseTransfer(made, {*wire::Zone::Parse(".")});
  return config.ok() ? "" : std::string(Message(config.status()));
}

TEST(TransferConfig, AddressesAreReadAndErrorsNameThePlace) {
  EXPECT_EQ(ErrorOf({{"to", "*", "192.0.2.1", "192.0.2.1:5353", "2001:db8::1"}}), "");
  EXPECT_THAT(ErrorOf({}), HasSubstr("Corefile:1:5: transfer needs 'to'"));
  EXPECT_THAT(ErrorOf({{"to"}}), HasSubstr("Corefile:2:5: to needs at least one address"));
  EXPECT_THAT(ErrorOf({{"to", "somebody"}}), HasSubstr("'somebody' is neither an address nor *"));
  EXPECT_THAT(ErrorOf({{"too", "*"}}), HasSubstr("unknown option 'too' of transfer, did you mean"));
}

}  // namespace
}  // namespace portolan::dns

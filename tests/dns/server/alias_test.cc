// Aliases that lead out of the cluster, as a client of the server sees them. The facts marked K are
// cases of CoreDNS's own behaviour (tests/conformance/cases.json).
#include "dns/server/alias.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "dns/plugins/kubernetes.h"
#include "dns/server/query_handler.h"
#include "tests/conformance/records.h"
#include "tests/dns/cluster.h"
#include "tests/dns/question.h"

namespace portolan::dns {
namespace {

using test::Append16;
using test::Bytes;
using test::RecordsOf;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;
using wire::Rcode;
using wire::Section;
constexpr uint16_t kA = wire::type::kA, kAaaa = wire::type::kAaaa, kCname = wire::type::kCname;

// An upstream's reply, byte by byte: names and pointers as the test wants them.
class RawReply {
 public:
  explicit RawReply(const wire::Query& query, Rcode rcode = Rcode::kNoError, uint16_t flags = 0) {
    Append16(bytes, query.id);
    Append16(bytes, static_cast<uint16_t>(0x8180 | flags | static_cast<uint16_t>(rcode)));
    for (const uint16_t count : {1, 0, 0, 0}) Append16(bytes, count);
    bytes.insert(bytes.end(), query.question.begin(), query.question.end());
  }
  RawReply& Add(const Bytes& owner, uint16_t type, const Bytes& rdata,
                Section section = Section::kAnswer, uint16_t rclass = wire::kClassIn) {
    bytes.insert(bytes.end(), owner.begin(), owner.end());
    for (const uint16_t field : {type, rclass, uint16_t{0}, uint16_t{60}}) Append16(bytes, field);
    Append16(bytes, static_cast<uint16_t>(rdata.size()));
    bytes.insert(bytes.end(), rdata.begin(), rdata.end());
    uint8_t* count = &bytes[6 + 2 * static_cast<size_t>(section)];
    wire::Store16(count, static_cast<uint16_t>(wire::Load16(count) + 1));
    return *this;
  }

  Bytes bytes;
};

Bytes Name(std::string_view text) {
  const std::string wire = *wire::NameToWire(text);
  return {wire.begin(), wire.end()};
}
Bytes Pointer(size_t at) {
  return {static_cast<uint8_t>(0xc0 | at >> 8), static_cast<uint8_t>(at)};
}

// The link behind `kubernetes`: answers as the test says, at once or when resumed.
class FakeUpstream : public Plugin {
 public:
  std::function<Bytes(const wire::Query&)> answer;
  bool waits = false;
  Suspended* waiting = nullptr;
  std::vector<std::string> asked;

  std::string_view name() const override { return "fake"; }
  Verdict OnQuery(Exchange& exchange) override {
    asked.push_back(wire::NameToText(exchange.query().lower_name()));
    if (!waits) {
      Answer(exchange);
      return Verdict::kAnswered;
    }
    waiting = exchange.Suspend();
    return waiting == nullptr ? Verdict::kDropped : Verdict::kPending;
  }
  void Resume() {
    Answer(waiting->exchange());
    waiting->Resume();
  }

 private:
  void Answer(Exchange& exchange) const {
    const Bytes bytes = answer(exchange.query());
    ASSERT_LE(bytes.size(), exchange.room().size());
    std::copy(bytes.begin(), bytes.end(), exchange.room().begin());
    exchange.set_reply_bytes(bytes.size());
  }
};

// Stands in front and keeps what it saw on the way back.
class Witness : public Plugin {
 public:
  std::vector<std::string> seen;

  std::string_view name() const override { return "witness"; }
  Verdict OnQuery(Exchange&) override { return Verdict::kNext; }
  After OnReply(Exchange& exchange) override {
    seen.push_back(wire::NameToText(exchange.query().lower_name()) +
                   (exchange.local() ? " local" : " upstream"));
    return After::kReply;
  }
};

class AliasReply : public testing::Test, public ReplySink {
 protected:
  AliasReply() {
    cluster_.PutExternalName("testns", "external", "ext.example.test");
    cluster_.PutExternalName("testns", "hop", "external.testns.svc.cluster.local");
    cluster_.PutExternalName("testns", "other", "ext.other.test");
    cluster_.Publish();
    SetChains();
    upstream_->answer = [](const wire::Query& query) {
      return RawReply(query)
          .Add(Pointer(12), query.type, Bytes(query.type == kA ? 4 : 16, 7))
          .bytes;
    };
  }

  void SetChains() {
    KubernetesConfig config;
    config.zones = {*wire::Zone::Parse("cluster.local")};
    config.primary = config.zones[0];
    std::vector<std::unique_ptr<Plugin>> links, others;
    links.push_back(std::make_unique<Witness>());
    witness_ = static_cast<Witness*>(links.back().get());
    links.push_back(
        std::make_unique<Kubernetes>(config, Kubernetes::Surroundings{cluster_.holder()}));
    links.push_back(std::make_unique<FakeUpstream>());
    upstream_ = static_cast<FakeUpstream*>(links.back().get());
    others.push_back(std::make_unique<FakeUpstream>());
    other_ = static_cast<FakeUpstream*>(others.back().get());
    handler_.SetChains(
        {{*wire::Zone::Parse("."), std::make_shared<Chain>(std::move(links))},
         {*wire::Zone::Parse("other.test"), std::make_shared<Chain>(std::move(others))}});
  }

  // The reply, or nothing while it waits.
  void Ask(std::string_view name, uint16_t type, const test::QueryShape& shape = {},
           Transport transport = Transport::kUdp) {
    reply_.clear();
    Bytes message = test::MakeQuery(name, type, shape);
    std::vector<uint8_t> room(transport == Transport::kUdp ? kMaxUdpReplyBytes
                                                           : wire::kMaxMessageBytes);
    const auto handled = handler_.Handle(message, {}, transport, room, {this, {}, 1});
    if (handled.outcome != QueryHandler::Outcome::kReply) return;
    reply_.assign(room.begin(), room.begin() + static_cast<ptrdiff_t>(handled.reply_bytes));
  }
  void SendReply(const ReplyTo&, const SocketAddress&, std::span<const uint8_t> reply) override {
    reply_.assign(reply.begin(), reply.end());
  }
  void Forget(const ReplyTo&) override {}

  std::vector<std::string> Answer() { return RecordsOf(reply_, Section::kAnswer); }
  uint16_t Flags() { return wire::Load16(&reply_[2]); }
  void ExpectTheCnameAlone() {
    Ask(kExternal, kA);
    EXPECT_THAT(Answer(),
                ElementsAre("external.testns.svc.cluster.local. 5 CNAME ext.example.test."));
    EXPECT_EQ(Flags() & 15, 0);
    EXPECT_THAT(RecordsOf(reply_, Section::kAuthority), IsEmpty());
  }

  static constexpr std::string_view kExternal = "external.testns.svc.cluster.local";

  test::Cluster cluster_;
  SlotPool slots_{2, 2};
  ZoneCounterTable counters_;
  QueryHandler handler_{slots_, counters_};
  FakeUpstream* upstream_;
  FakeUpstream* other_;
  Witness* witness_;
  Bytes reply_;
};

TEST_F(AliasReply, HasTheAddressesOfTheTarget) {  // K141
  Ask(kExternal, kAaaa);
  EXPECT_THAT(Answer(), ElementsAre("external.testns.svc.cluster.local. 5 CNAME ext.example.test.",
                                    "ext.example.test. 60 AAAA 707:707:707:707:707:707:707:707"));
  EXPECT_EQ(Flags(), 0x8580) << "AA, RA and the query's RD";
  EXPECT_THAT(upstream_->asked, ElementsAre("ext.example.test."));
}

TEST_F(AliasReply, ToACnameQueryIsTheCnameAlone) {
  Ask(kExternal, kCname);
  EXPECT_THAT(Answer(),
              ElementsAre("external.testns.svc.cluster.local. 5 CNAME ext.example.test."));
  EXPECT_THAT(upstream_->asked, IsEmpty());
}

TEST_F(AliasReply, FollowsTheUpstreamsAliasesWhateverTheirCompression) {  // K150
  upstream_->answer = [](const wire::Query& query) {
    RawReply reply(query);
    const size_t first = reply.bytes.size();
    Bytes alias = {3, 'W', 'w', 'w'};
    const Bytes zone = Pointer(12 + 4);  // "example.test"
    alias.insert(alias.end(), zone.begin(), zone.end());
    reply.Add(Pointer(12), kCname, alias);
    reply.Add(Pointer(first + 12), kA, {198, 51, 100, 10});
    reply.Add(Name("wWw.example.TEST"), kA, {198, 51, 100, 11});
    reply.Add(Pointer(12), wire::type::kNs, Name("ns.example.test"), Section::kAuthority);
    return reply.Add(Name("ns.example.test"), kA, {1, 1, 1, 1}, Section::kAdditional).bytes;
  };
  Ask("hop.testns.svc.cluster.local", kA);
  EXPECT_THAT(
      Answer(),
      ElementsAre("hop.testns.svc.cluster.local. 5 CNAME external.testns.svc.cluster.local.",
                  "external.testns.svc.cluster.local. 5 CNAME ext.example.test.",
                  "ext.example.test. 60 CNAME Www.example.test.",
                  "Www.example.test. 60 A 198.51.100.10", "Www.example.test. 60 A 198.51.100.11"));
  EXPECT_THAT(RecordsOf(reply_, Section::kAuthority), IsEmpty());
  EXPECT_THAT(RecordsOf(reply_, Section::kAdditional), IsEmpty());
}

TEST_F(AliasReply, IsTheCnameAloneWhereTheTargetCannotBeResolved) {  // K341
  for (const Rcode rcode : {Rcode::kServFail, Rcode::kNxDomain, Rcode::kRefused}) {
    upstream_->answer = [rcode](const wire::Query& query) { return RawReply(query, rcode).bytes; };
    ExpectTheCnameAlone();
  }
}

TEST_F(AliasReply, TakesNothingThatIsNotOfTheChain) {
  upstream_->answer = [](const wire::Query& query) {
    return RawReply(query)
        .Add(Name("bank.example"), kA, {6, 6, 6, 6})
        .Add(Pointer(12), kAaaa, Bytes(16, 6))
        .Add(Pointer(12), wire::type::kTxt, {1, 'x'})
        .Add(Pointer(12), kA, {6, 6, 6, 6}, Section::kAnswer, 3)
        .Add(Pointer(12), kA, {6, 6, 6, 6}, Section::kAdditional)
        .bytes;
  };
  ExpectTheCnameAlone();
}

TEST_F(AliasReply, IsTheCnameAloneWhereTheUpstreamsBytesAreMalformed) {
  const std::vector<std::function<Bytes(const wire::Query&)>> bad = {
      [](const wire::Query&) { return Bytes(); },
      [](const wire::Query&) { return Bytes(11, 0xff); },
      [](const wire::Query& q) {  // a record that breaks off
        Bytes reply = RawReply(q).Add(Pointer(12), kA, {1, 2, 3, 4}).bytes;
        reply.pop_back();
        return reply;
      },
      [](const wire::Query& q) {  // after a good one
        return RawReply(q).Add(Pointer(12), kA, {1, 2, 3, 4}).Add(Pointer(12), kA, {1}).bytes;
      },
      [](const wire::Query& q) {  // a pointer to itself
        RawReply reply(q);
        return reply.Add(Pointer(reply.bytes.size()), kA, {1, 2, 3, 4}).bytes;
      },
      [](const wire::Query& q) {  // a name that runs past its record
        return RawReply(q).Add(Pointer(12), kCname, {9, 'a'}).bytes;
      },
      [](const wire::Query& q) {  // bytes behind the name
        return RawReply(q).Add(Pointer(12), kCname, {0, 0}).bytes;
      },
      [](const wire::Query& q) {  // an alias that has an address as well
        return RawReply(q)
            .Add(Pointer(12), kA, {1, 2, 3, 4})
            .Add(Pointer(12), kCname, Name("a.test"))
            .bytes;
      },
      [](const wire::Query& q) {  // round in a circle
        RawReply reply(q);
        for (int i = 0; i < 40; ++i) reply.Add(Pointer(12), kCname, Pointer(12));
        return reply.bytes;
      }};
  for (const auto& answer : bad) {
    upstream_->answer = answer;
    ExpectTheCnameAlone();
  }
}

TEST_F(AliasReply, IsCutAtWhatTheClientTakes) {
  upstream_->answer = [](const wire::Query& query) {
    RawReply reply(query);
    for (uint8_t i = 0; i < 100; ++i) reply.Add(Pointer(12), kA, {10, 0, 0, i});
    return reply.bytes;
  };
  Ask(kExternal, kA);
  EXPECT_LE(reply_.size(), 512u);
  EXPECT_NE(Flags() & wire::flag::kTruncated, 0);
  EXPECT_GT(Answer().size(), 20u);
  Ask(kExternal, kA, {.edns_version = 0, .udp_payload = 4096});
  EXPECT_EQ(Flags() & wire::flag::kTruncated, 0);
  EXPECT_THAT(Answer(), SizeIs(101));
  Ask(kExternal, kA, {}, Transport::kTcp);
  EXPECT_THAT(Answer(), SizeIs(101));
}

TEST_F(AliasReply, IsTruncatedWhereTheUpstreamsIs) {
  upstream_->answer = [](const wire::Query& query) {
    return RawReply(query, Rcode::kNoError, wire::flag::kTruncated).bytes;
  };
  Ask(kExternal, kA);
  EXPECT_NE(Flags() & wire::flag::kTruncated, 0);
  EXPECT_THAT(Answer(), SizeIs(1));
}

TEST_F(AliasReply, EchoesTheQuestionAsItWasAskedAlsoAfterAWait) {
  for (const bool waits : {false, true}) {
    for (const Transport transport : {Transport::kUdp, Transport::kTcp}) {
      upstream_->waits = waits;
      Ask("ExterNal.TestNS.svc.cluster.local", kA, {.id = 0x4321, .edns_version = 0}, transport);
      if (waits) {
        EXPECT_THAT(reply_, IsEmpty());
        EXPECT_EQ(slots_.in_use(), 1u);
        upstream_->Resume();
      }
      ASSERT_GT(reply_.size(), wire::kHeaderBytes);
      EXPECT_EQ(wire::Load16(reply_.data()), 0x4321);
      EXPECT_THAT(Answer(),
                  ElementsAre("ExterNal.TestNS.svc.cluster.local. 5 CNAME ext.example.test.",
                              "ext.example.test. 60 A 7.7.7.7"));
      EXPECT_EQ(wire::Load16(&reply_[10]), 1) << "OPT";
      EXPECT_EQ(slots_.in_use(), 0u);
    }
  }
}

TEST_F(AliasReply, PassesThePluginsInFrontTwice) {
  Ask(kExternal, kA);
  EXPECT_THAT(witness_->seen, ElementsAre("ext.example.test. upstream",
                                          "external.testns.svc.cluster.local. local"));
}

TEST_F(AliasReply, OutlivesAChangeOfConfigurationAndOfTheService) {
  upstream_->waits = true;
  FakeUpstream* first = upstream_;
  Ask(kExternal, kA);
  cluster_.PutExternalName("testns", "external", "new.example.test");
  cluster_.Publish();
  const auto answer = upstream_->answer;
  SetChains();
  first->answer = answer;
  first->Resume();
  EXPECT_THAT(Answer(), ElementsAre("external.testns.svc.cluster.local. 5 CNAME ext.example.test.",
                                    "ext.example.test. 60 A 7.7.7.7"));
}

TEST_F(AliasReply, AsksTheServerBlockThatHoldsTheTarget) {
  other_->answer = upstream_->answer;
  for (const bool waits : {false, true}) {
    other_->waits = waits;
    Ask("other.testns.svc.cluster.local", kA);
    if (waits) other_->Resume();
    EXPECT_THAT(Answer(), SizeIs(2));
  }
  EXPECT_THAT(upstream_->asked, IsEmpty());
}

TEST_F(AliasReply, IsTheCnameAloneWhereNoSlotIsFree) {
  upstream_->waits = true;
  for (int i = 0; i < 2; ++i) Ask(kExternal, kA);
  ExpectTheCnameAlone();
}

}  // namespace
}  // namespace portolan::dns

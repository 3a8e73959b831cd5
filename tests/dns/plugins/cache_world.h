// A cache between a client and an upstream that does as the test says, with a clock of its own.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "common/event_loop.h"
#include "dns/corefile/parser.h"
#include "dns/plugins/cache.h"
#include "dns/server/query_handler.h"
#include "dns/wire/extended_error.h"
#include "dns/wire/message.h"
#include "dns/wire/name.h"
#include "dns/wire/reply.h"
#include "tests/dns/question.h"

namespace portolan::dns::test {

inline constexpr uint16_t kRa = wire::flag::kRecursionAvailable;

// The upstream's end of the chain: like `forward`.
class FakeUpstream : public Plugin {
 public:
  std::string_view name() const override { return "upstream"; }
  Verdict OnQuery(Exchange& exchange) override {
    asked.push_back(wire::NameToText(exchange.query().lower_name()));
    if (wait) {
      waiting.push_back(exchange.Suspend());
      return Verdict::kPending;
    }
    answer(exchange);
    return Verdict::kAnswered;
  }

  void ResumeAll() {
    for (Suspended* one : std::exchange(waiting, {})) {
      answer(one->exchange());
      one->Resume();
    }
  }

  std::function<void(Exchange&)> answer;
  bool wait = false;
  std::vector<std::string> asked;
  std::vector<Suspended*> waiting;
};

inline void Address(Exchange& exchange, uint32_t ttl, uint8_t last = 1, uint16_t flags = kRa,
                    size_t addresses = 1) {
  wire::ReplyWriter writer(exchange.query(), exchange.room(), exchange.max_reply_bytes());
  for (size_t i = 0; i < addresses; ++i) {
    const auto rdata = writer.Add(wire::Section::kAnswer, wire::kQuestionName, wire::type::kA,
                                  ttl + static_cast<uint32_t>(i), 4);
    if (!rdata.empty()) rdata[3] = last;
  }
  exchange.set_reply_bytes(writer.Finish(wire::Rcode::kNoError, flags));
  exchange.set_answered_by_upstream(true);
}

// With the SOA record of `zone`, or none if it is empty.
inline void Denial(Exchange& exchange, wire::Rcode rcode, const std::string& zone, uint32_t ttl) {
  wire::ReplyWriter writer(exchange.query(), exchange.room(), exchange.max_reply_bytes());
  if (!zone.empty()) {
    const std::string owner = *wire::NameToWire(zone);
    const std::string server = *wire::NameToWire("ns." + zone);
    const auto rdata = writer.Add(wire::Section::kAuthority,
                                  {reinterpret_cast<const uint8_t*>(owner.data()), owner.size()},
                                  wire::type::kSoa, ttl, 2 * server.size() + 20);
    std::copy(server.begin(), server.end(), rdata.begin());
    std::copy(server.begin(), server.end(), rdata.begin() + static_cast<long>(server.size()));
    std::fill(rdata.end() - 20, rdata.end(), uint8_t{9});
  }
  exchange.set_reply_bytes(writer.Finish(rcode, kRa));
  exchange.set_answered_by_upstream(true);
}

inline void Failure(Exchange& exchange, bool theirs = true) {
  exchange.set_reply_bytes(
      wire::WriteEmptyReply(exchange.query(), exchange.room(), wire::Rcode::kServFail, kRa));
  exchange.set_answered_by_upstream(theirs);
}

// What a client got.
struct Got {
  Bytes message;

  uint16_t flags() const { return wire::Load16(&message[2]); }
  uint16_t rcode() const { return flags() & 15; }
  std::vector<uint32_t> ttls() const {
    std::vector<uint32_t> all;
    Each([&](const wire::MessageRecord& record) {
      if (record.type != wire::type::kOpt) all.push_back(record.ttl);
    });
    return all;
  }
  size_t answers() const { return wire::Load16(&message[6]); }
  // The last byte of the first A record.
  int last() const { return record(wire::type::kA).empty() ? -1 : record(wire::type::kA).back(); }
  bool has_opt() const {
    bool has = false;
    Each([&](const auto& record) { has = has || record.type == wire::type::kOpt; });
    return has;
  }
  // The Extended DNS Error, -1 if there is none.
  int extended_error() const {
    const Bytes opt = record(wire::type::kOpt);
    return opt.size() >= 6 && wire::Load16(opt.data()) == wire::kExtendedErrorOption
               ? wire::Load16(&opt[4])
               : -1;
  }
  Bytes record(uint16_t type) const {
    Bytes rdata;
    Each([&](const wire::MessageRecord& record) {
      if (record.type != type || !rdata.empty()) return;
      rdata.assign(message.begin() + static_cast<long>(record.rdata_at),
                   message.begin() + static_cast<long>(record.end()));
    });
    return rdata;
  }
  // The owner of the first SOA record.
  std::string soa_owner() const {
    std::string owner;
    Each([&](const wire::MessageRecord& record) {
      wire::NameBuffer name;
      if (record.type != wire::type::kSoa) return;
      EXPECT_NE(wire::ReadName(message, record.owner_at, name), 0u);
      owner = wire::NameToText(name.view());
    });
    return owner;
  }

 private:
  template <typename F>
  void Each(F f) const {
    wire::MessageReader reader(message);
    for (wire::MessageRecord record; reader.Next(record);) f(record);
    EXPECT_TRUE(reader.ok());
  }
};

class CacheWorld : public testing::Test, public ReplySink {
 protected:
  ~CacheWorld() override { EndChains(); }

  void Use(const std::string& directive, CachePlace place = {}) {
    auto corefile = corefile::ParseCorefile(". {\n" + directive + "\n}\n", "Corefile", {});
    auto config = ParseCache(corefile->blocks[0].directives[0], {*wire::Zone::Parse(".")});
    ASSERT_TRUE(config.ok()) << config.status();
    std::vector<std::unique_ptr<Plugin>> links;
    auto cache = std::make_unique<Cache>(*config, place, loop_, [this] { return now_; });
    auto upstream = std::make_unique<FakeUpstream>();
    cache_ = cache.get();
    upstream_ = upstream.get();
    links.push_back(std::move(cache));
    links.push_back(std::move(upstream));
    handler_.SetChains({{*wire::Zone::Parse("."), std::make_shared<Chain>(std::move(links))}});
  }

  // As a server ends: the chains before the slots of those who wait.
  void EndChains() {
    handler_.SetChains({});
    slots_.ReleaseChains();
  }

  // A reply that is there at once.
  Got Ask(std::string_view name, uint16_t type = wire::type::kA, const QueryShape& shape = {}) {
    EXPECT_EQ(Begin(name, type, shape), QueryHandler::Outcome::kReply);
    return {Bytes(room_.begin(), room_.begin() + static_cast<long>(bytes_))};
  }
  QueryHandler::Outcome Begin(std::string_view name, uint16_t type = wire::type::kA,
                              const QueryShape& shape = {}) {
    message_ = MakeQuery(name, type, shape);
    const auto handled = handler_.Handle(message_, {}, Transport::kUdp, room_, {this, {}, 7});
    bytes_ = handled.reply_bytes;
    return handled.outcome;
  }

  void Pass(int seconds) { now_ += std::chrono::seconds(seconds); }
  size_t asked() const { return upstream_->asked.size(); }

  // The sum of the family's samples.
  double Metric(std::string_view name) const {
    MetricFamilies families;
    cache_->CollectMetrics(families);
    double sum = 0;
    for (const auto& family : families) {
      if (family.name != name) continue;
      for (const auto& sample : family.metric) sum += sample.counter.value + sample.gauge.value;
    }
    return sum;
  }

  void SendReply(const ReplyTo&, const SocketAddress&, std::span<const uint8_t> reply) override {
    later_.push_back({Bytes(reply.begin(), reply.end())});
  }
  void Forget(const ReplyTo&) override { ++forgotten_; }

  static constexpr QueryShape kEdns = {.edns_version = 0};

  EventLoop loop_;
  CacheTime now_ = CacheTime() + std::chrono::hours(100);
  Cache* cache_ = nullptr;
  FakeUpstream* upstream_ = nullptr;
  std::vector<Got> later_;  // to clients that had to wait
  int forgotten_ = 0;

 private:
  Bytes message_;
  size_t bytes_ = 0;
  std::vector<uint8_t> room_ = std::vector<uint8_t>(kMaxUdpReplyBytes);
  ZoneCounterTable counters_;
  SlotPool slots_{32, 4};
  QueryHandler handler_{slots_, counters_};
};

}  // namespace portolan::dns::test

// A worker that answers by a Corefile's text, without sockets: what a test asks goes through the
// query handler, as from a listener, and comes back as bytes. All on one loop.
#pragma once

#include <gtest/gtest.h>

#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/status.h"
#include "dns/config.h"
#include "dns/corefile/parser.h"
#include "dns/plugins/cache_stores.h"
#include "dns/server/explained_questions.h"
#include "dns/server/query_handler.h"
#include "dns/upstream/upstream.h"
#include "dns/wire/edns.h"
#include "tests/conformance/records.h"
#include "tests/dns/upstream/world.h"

namespace portolan::dns::test {

inline absl::StatusOr<std::shared_ptr<const Config>> LoadText(std::string_view text) {
  auto corefile = corefile::ParseCorefile(text, "Corefile", {});
  if (!corefile.ok()) return corefile.status();
  LoadOptions options;
  options.hosts_file = "/dev/null";
  return LoadConfig(*corefile, options);
}

// The error of a server block for every name that holds `directives`, from its line 2 on.
inline std::string ErrorOf(std::string_view directives) {
  auto config = LoadText(".:53 {\n" + std::string(directives) + "\n}\n");
  return config.ok() ? "no error" : std::string(Message(config.status()));
}

class CorefileServer : public ReplySink {
 public:
  // Where the Corefile says UPSTREAM, upstream().address stands.
  explicit CorefileServer(const std::string& text, const Routes::Told& told = {})
      : handler_(slots_, counters_, told) {
    Use(text);
  }
  ~CorefileServer() override {
    handler_.SetChains({});
    slots_.ReleaseChains();
  }

  // In the place of the Corefile before, as a worker changes it.
  void Use(std::string text) {
    for (size_t at; (at = text.find("UPSTREAM")) != std::string::npos;) {
      text.replace(at, 8, upstream_.address.ToString());
    }
    auto config = LoadText(text);
    EXPECT_TRUE(config.ok()) << config.status();
    if (!config.ok()) return;
    auto chains = (*config)->Instantiate({.loop = loop_,
                                          .cluster = cluster_,
                                          .upstream = asks_,
                                          .pod_resolvers = {upstream_.address},
                                          .cache_stores = &cache_stores_});
    handler_.SetChains(chains->zones());
    chains_ = std::move(chains);
  }

  // The reply; empty if there is none.
  Bytes Ask(const Bytes& query, Transport transport = Transport::kUdp) {
    Bytes room(transport == Transport::kUdp ? kMaxUdpReplyBytes : wire::kMaxMessageBytes);
    const auto handled = handler_.Handle(query, client, transport, room, {this, {}, 0});
    if (handled.outcome == QueryHandler::Outcome::kReply) {
      room.resize(handled.reply_bytes);
      return room;
    }
    if (handled.outcome != QueryHandler::Outcome::kPending) return {};
    late_reply_.reset();
    RunUntil(loop_, [this] { return late_reply_.has_value(); });
    return *late_reply_;
  }
  Bytes Ask(std::string_view name, uint16_t type, const QueryShape& shape = {}) {
    return Ask(MakeQuery(name, type, shape));
  }

  // How the question is answered.
  Trace Explain(std::string_view name, uint16_t type, const QueryShape& shape = {}) {
    std::optional<Trace> got;
    explained_.Ask(MakeQuery(name, type, shape), client,
                   [&](std::span<const uint8_t>, const Trace& trace) { got = trace; });
    RunUntil(loop_, [&] { return got.has_value(); });
    return *got;
  }

  // What the links count, and their upstreams.
  MetricFamilies Metrics() const {
    MetricFamilies families;
    CollectChains(families);
    asks_.CollectMetrics(families);
    counters_.Collect(families);
    return families;
  }

  void CollectChains(MetricFamilies& families) const { chains_->CollectMetrics(families); }

  double Metric(std::string_view name) const {
    const MetricFamilies families = Metrics();
    double sum = 0;
    for (const auto& family : families) {
      if (family.name != name) continue;
      for (const auto& metric : family.metric) sum += metric.counter.value;
    }
    return sum;
  }

  EventLoop& loop() { return loop_; }
  FakeServer& upstream() { return upstream_; }
  ClusterDataHolder& cluster() { return cluster_; }

  SocketAddress client = *SocketAddress::Parse("10.0.0.7:4321");

 private:
  void SendReply(const ReplyTo&, const SocketAddress&, std::span<const uint8_t> reply) override {
    late_reply_.emplace(reply.begin(), reply.end());
  }
  void Forget(const ReplyTo&) override { late_reply_.emplace(); }

  EventLoop loop_;
  ClusterDataHolder cluster_;
  FakeServer upstream_{loop_};
  upstream::Upstream asks_{loop_};
  CacheStores cache_stores_;
  std::unique_ptr<Chains> chains_;
  ZoneCounterTable counters_;
  SlotPool slots_{16, 4};
  QueryHandler handler_;
  ExplainedQuestions explained_{handler_};
  std::optional<Bytes> late_reply_;
};

inline std::vector<std::string> Answers(const Bytes& reply) {
  return RecordsOf(reply, wire::Section::kAnswer);
}
inline std::vector<std::string> Authority(const Bytes& reply) {
  return RecordsOf(reply, wire::Section::kAuthority);
}
inline std::vector<std::string> Additional(const Bytes& reply) {
  return RecordsOf(reply, wire::Section::kAdditional);
}
inline uint16_t FlagsOf(const Bytes& reply) { return wire::Load16(&reply[2]); }
inline int RcodeOf(const Bytes& reply) { return reply[3] & 15; }

// The bytes of the OPT record's options; none without one.
inline std::optional<Bytes> OptionsOf(const Bytes& reply) {
  wire::MessageReader reader(reply);
  std::optional<Bytes> options;
  for (wire::MessageRecord record; reader.Next(record);) {
    if (record.type != wire::type::kOpt) continue;
    options.emplace(reply.begin() + static_cast<long>(record.rdata_at),
                    reply.begin() + static_cast<long>(record.end()));
  }
  return options;
}

// "CODE TEXT" of the reply's Extended DNS Error.
inline std::string ExtendedErrorOf(const Bytes& reply) {
  const auto options = OptionsOf(reply);
  if (!options.has_value()) return "no OPT";
  const auto data = wire::FindOption(*options, wire::kExtendedErrorOption);
  if (!data.has_value()) return "none";
  return fmt::format("{} {}", wire::Load16(data->data()),
                     std::string(data->begin() + 2, data->end()));
}

}  // namespace portolan::dns::test

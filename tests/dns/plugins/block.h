// A server block for tests of directives: loaded from its text as a Corefile's is, with what the
// test says below all of its links.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/event_loop.h"
#include "dns/corefile/parser.h"
#include "dns/plugins/registry.h"
#include "dns/server/query_handler.h"
#include "dns/upstream/upstream.h"
#include "dns/wire/message.h"
#include "dns/wire/name.h"
#include "dns/wire/reply.h"
#include "tests/conformance/records.h"
#include "tests/dns/cluster.h"
#include "tests/dns/question.h"

namespace portolan::dns::test {

inline Bytes NameBytes(std::string_view text) {
  const std::string wire = *wire::NameToWire(text);
  return {wire.begin(), wire.end()};
}
inline Bytes AddressBytes(std::string_view text) {
  const IpAddress ip = Ip(text);
  return {ip.bytes().begin(), ip.bytes().end()};
}

inline Bytes operator+(Bytes a, const Bytes& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

struct Record {
  wire::Section section;
  std::string owner;
  uint16_t type;
  uint32_t ttl;
  Bytes rdata;
};

// Names that are not said are NXDOMAIN.
class Below final : public Plugin {
 public:
  struct Reply {
    wire::Rcode rcode = wire::Rcode::kNoError;
    std::vector<Record> records;
    uint16_t flags = wire::flag::kRecursionAvailable;
  };
  // By "name. type", or "name." for all types.
  std::map<std::string, Reply> says;
  std::vector<std::string> asked;
  Bytes edns_options;  // of the last question
  bool echoes_options = false;
  bool local = false;

  std::string_view name() const override { return "below"; }
  Verdict OnQuery(Exchange& exchange) override {
    const wire::Query& query = exchange.query();
    const std::string owner = wire::NameToText(query.lower_name());
    const std::string key = owner + " " + std::to_string(query.type);
    asked.push_back(key);
    edns_options.assign(query.edns_options.begin(), query.edns_options.end());
    auto found = says.find(key);
    if (found == says.end()) found = says.find(owner);
    wire::ReplyWriter reply(query, exchange.room(), exchange.max_reply_bytes());
    if (found == says.end()) {
      exchange.set_reply_bytes(reply.Finish(wire::Rcode::kNxDomain, 0));
    } else {
      for (const Record& record : found->second.records) {
        auto rdata = reply.Add(record.section, NameBytes(record.owner), record.type, record.ttl,
                               record.rdata.size());
        std::copy_n(record.rdata.begin(), rdata.size(), rdata.begin());
      }
      exchange.set_reply_bytes(reply.Finish(found->second.rcode, found->second.flags));
    }
    if (echoes_options && !edns_options.empty()) EchoOptions(exchange);
    exchange.set_local(local);
    return Verdict::kAnswered;
  }

 private:
  void EchoOptions(Exchange& exchange) const {
    wire::MessageReader reader(exchange.reply());
    for (wire::MessageRecord record; reader.Next(record);) {
      if (record.type != wire::type::kOpt) continue;
      const size_t bytes = exchange.reply().size();
      ASSERT_EQ(record.end(), bytes) << "the OPT record is the last";
      wire::Store16(&exchange.room()[record.rdata_at - 2],
                    static_cast<uint16_t>(edns_options.size()));
      std::ranges::copy(edns_options, exchange.room().begin() + static_cast<ptrdiff_t>(bytes));
      exchange.set_reply_bytes(bytes + edns_options.size());
      return;
    }
  }
};

// Says on its way up where the answer is from.
class Above final : public Plugin {
 public:
  bool local = false;
  bool completed = false;
  std::string_view name() const override { return "above"; }
  Verdict OnQuery(Exchange&) override { return Verdict::kNext; }
  After OnReply(Exchange& exchange) override {
    local = exchange.local();
    completed = exchange.completed();
    return After::kReply;
  }
  bool TakesChaos() const override { return true; }
};

class Block {
 public:
  // Read when the block is loaded.
  std::vector<std::string> search;
  std::string pod_namespace;
  std::string zone = ".";
  Cluster cluster;

  std::vector<std::string> notes;
  Bytes reply;
  SocketAddress client{Ip("10.42.0.9"), 5353};

  // `directives` are the lines of a block of `zone`. The message of the error, or "".
  std::string Load(std::string_view directives) {
    auto corefile =
        corefile::ParseCorefile(". {\n" + std::string(directives) + "\n}", "Corefile", {});
    if (!corefile.ok()) return std::string(corefile.status().message());
    HttpSettings http;
    LoadOptions options;
    FollowedFiles followed;
    LoadContext context(options, {*wire::Zone::Parse(zone)}, notes, http, followed);
    for (const corefile::Directive& directive : corefile->blocks[0].directives) {
      const DirectiveInfo* info = FindDirective(directive.name.text);
      EXPECT_NE(info->load, nullptr) << directive.name.text;
      context.set_place(ChainPlace(info->name));
      const absl::Status status = info->load(directive, context);
      if (!status.ok()) return std::string(status.message());
    }
    Build(context.links());
    return "";
  }

  Below& below() { return *below_; }
  bool local() const { return above_->local; }
  bool completed() const { return above_->completed; }

  // "RCODE" and the records of the answer, behind "|" those of authority and additional if any.
  std::string Ask(std::string_view name, uint16_t type, const QueryShape& shape = {}) {
    const Bytes message = MakeQuery(name, type, shape);
    Bytes room(wire::kMaxMessageBytes);
    const auto handled = handler_.Handle(message, client, Transport::kUdp, room, {});
    if (handled.outcome != QueryHandler::Outcome::kReply) return "no reply";
    room.resize(handled.reply_bytes);
    reply = room;
    wire::MessageReader reader(reply);
    wire::Query query;
    wire::ParseQuery(message, query);
    EXPECT_TRUE(std::ranges::equal(reader.question(), query.question)) << "the client's spelling";
    std::string text = std::to_string(reader.rcode());
    for (const auto section :
         {wire::Section::kAnswer, wire::Section::kAuthority, wire::Section::kAdditional}) {
      const auto records = RecordsOf(reply, section);
      if (section != wire::Section::kAnswer && !records.empty()) text += "|";
      for (const std::string& record : records) text += "\n" + record;
    }
    return text;
  }

  // Of the last reply's OPT record.
  Bytes ReplyOptions() const {
    Bytes options;
    wire::MessageReader reader(reply);
    for (wire::MessageRecord record; reader.Next(record);) {
      if (record.type != wire::type::kOpt) continue;
      options.assign(reply.begin() + static_cast<ptrdiff_t>(record.rdata_at),
                     reply.begin() + static_cast<ptrdiff_t>(record.end()));
    }
    return options;
  }

  // The sum of all samples of a counter.
  double Metric(std::string_view name) const {
    MetricFamilies families;
    for (const auto& link : chain_->links()) link->CollectMetrics(families);
    double sum = 0;
    for (const auto& family : families) {
      if (family.name != name) continue;
      for (const auto& sample : family.metric) sum += sample.counter.value;
    }
    return sum;
  }

 private:
  void Build(std::vector<LoadContext::PlacedLink>& placed) {
    std::stable_sort(placed.begin(), placed.end(),
                     [](const auto& a, const auto& b) { return a.place < b.place; });
    const PluginContext context{.loop = loop_,
                                .cluster = cluster.holder(),
                                .upstream = upstream_,
                                .search = search,
                                .pod_namespace = pod_namespace};
    std::vector<std::unique_ptr<Plugin>> links;
    links.push_back(std::make_unique<Above>());
    above_ = static_cast<Above*>(links.back().get());
    for (const auto& link : placed) links.push_back(link.make(context));
    links.push_back(std::make_unique<Below>());
    below_ = static_cast<Below*>(links.back().get());
    chain_ = std::make_shared<const Chain>(std::move(links));
    handler_.SetChains({{*wire::Zone::Parse("."), chain_}});
  }

  EventLoop loop_;
  upstream::Upstream upstream_{loop_};
  Above* above_ = nullptr;
  Below* below_ = nullptr;
  std::shared_ptr<const Chain> chain_;
  ZoneCounterTable counters_;
  SlotPool slots_{16, 4};
  QueryHandler handler_{slots_, counters_};
};

}  // namespace portolan::dns::test

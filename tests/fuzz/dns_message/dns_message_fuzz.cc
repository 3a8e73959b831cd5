// The whole way of an untrusted query: parser, routing, plugins over a small cluster, reply writer,
// over UDP and TCP; then the reader of replies over what was written, and over the input itself,
// which also gets an Extended DNS Error.
// The input is also what an upstream says of the target of an alias.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string_view>

#include "dns/plugins/kubernetes.h"
#include "dns/plugins/loadbalance.h"
#include "dns/server/query_handler.h"
#include "dns/wire/extended_error.h"
#include "dns/wire/message.h"
#include "dns/wire/name.h"
#include "tests/dns/cluster.h"
#include "tests/dns/question.h"

namespace portolan::dns {
namespace {

void Check(bool holds) {
  if (!holds) std::abort();
}

// Says what it is given; while that is nothing, as for the input's own questions, it is silent.
class Upstream final : public Plugin {
 public:
  std::span<const uint8_t> says;

  std::string_view name() const override { return "fuzz"; }
  Verdict OnQuery(Exchange& exchange) override {
    if (says.empty()) return Verdict::kDropped;
    const size_t bytes = std::min(says.size(), exchange.room().size());
    std::copy_n(says.begin(), bytes, exchange.room().begin());
    exchange.set_reply_bytes(bytes);
    return Verdict::kAnswered;
  }
};

class World {
 public:
  World() : slots_(2, 2), handler_(slots_, counters_) {
    cluster_.PutService("default", "backend", {"10.43.0.123", "fd00::123"});
    cluster_.PutService("default", "twin", {});
    std::vector<std::string> ips;
    for (int i = 0; i < 120; ++i) ips.push_back("10.42.0." + std::to_string(i));
    std::vector<std::pair<std::string_view, std::string>> endpoints;
    for (const std::string& ip : ips) endpoints.emplace_back(ip, ip.back() == '7' ? "web" : "");
    endpoints.emplace_back("fd00::1", "web-0");
    cluster_.PutEndpoints("default", "twin", endpoints);
    PutPorts();
    PutImports();
    cluster_.PutExternalName("default", "out", "example.org");
    cluster_.PutExternalName("default", "in", "twin.default.svc.cluster.local");
    cluster_.PutExternalName("default", "loop", "loop.default.svc.cluster.local");
    cluster_.PutExternalName("default", "ip", "203.0.113.7");
    cluster_.PutExternalName("default", "bad", "a..b");
    cluster_.Publish();
    KubernetesConfig config;
    for (const char* zone : {"in-addr.arpa", "cluster.local", "ip6.arpa", "clusterset.local"}) {
      config.zones.push_back(*wire::Zone::Parse(zone));
    }
    config.primary = config.zones[1];
    config.pods = KubernetesConfig::Pods::kInsecure;
    config.multicluster = {config.zones.back()};
    config.zonal = true;
    std::vector<std::unique_ptr<Plugin>> links;
    links.push_back(std::make_unique<Loadbalance>(1));
    links.push_back(std::make_unique<Kubernetes>(
        config, Kubernetes::Surroundings{cluster_.holder(), {test::Ip("10.43.0.124")}}));
    auto chain = std::make_shared<Chain>(std::move(links));
    auto upstream = std::make_unique<Upstream>();
    upstream_ = upstream.get();
    std::vector<std::unique_ptr<Plugin>> outside;
    outside.push_back(std::move(upstream));
    handler_.SetChains({{*wire::Zone::Parse("cluster.local"), chain},
                        {*wire::Zone::Parse("clusterset.local"), chain},
                        {*wire::Zone::Parse("arpa"), chain},
                        {*wire::Zone::Parse("org"), std::make_shared<Chain>(std::move(outside))}});
  }

  // An alias to example.org, of which the upstream says `reply`.
  void AskAlias(std::span<const uint8_t> reply) {
    upstream_->says = reply;
    for (const uint16_t type : {wire::type::kA, wire::type::kAaaa}) {
      const auto query = test::MakeQuery("out.default.svc.cluster.local", type);
      Ask(query, Transport::kUdp);
      Ask(query, Transport::kTcp);
    }
    upstream_->says = {};
  }

  // The reply in memory of exactly its room, so that a byte too far is seen.
  void Ask(std::span<const uint8_t> message, Transport transport) {
    const size_t room_bytes =
        transport == Transport::kUdp ? kMaxUdpReplyBytes : wire::kMaxMessageBytes;
    const auto room = std::make_unique<uint8_t[]>(room_bytes);
    const auto handled = handler_.Handle(message, {test::Ip("10.42.0.9"), 5353}, transport,
                                         {room.get(), room_bytes}, {});
    if (handled.outcome != QueryHandler::Outcome::kReply) return;
    CheckReply(message, {room.get(), handled.reply_bytes}, transport);
  }

 private:
  void PutPorts() {
    Service ports;
    ports.name = {"default", "ports"};
    ports.cluster_ips = {test::Ip("10.43.0.124"), test::Ip("fd00::124")};
    ports.ports = {{"http", Protocol::kTcp, 80}, {"dns", Protocol::kUdp, 53}};
    cluster_.directory().Put(std::move(ports));
    cluster_.PutService("default", "named", {});
    for (int i = 0; i < 3; ++i) PutSlice("named", i);
  }
  void PutImports() {
    ServiceImport import;
    import.name = {"default", "import"};
    import.headless = true;
    cluster_.directory().Put(std::move(import));
    for (int i = 0; i < 3; ++i) PutSlice("import", i);
  }
  // Of different ports, zones and clusters, some with the same names.
  void PutSlice(const std::string& service, int number) {
    EndpointSlice slice;
    slice.name = {"default", service + std::to_string(number)};
    slice.service = service;
    slice.imported = service == "import";
    slice.source_cluster = number == 0 ? "" : "east";
    slice.ports = {{"http", Protocol::kTcp, static_cast<uint16_t>(8080 + number)},
                   {"dns", Protocol::kUdp, 53}};
    for (int i = 0; i < 40; ++i) {
      Endpoint& endpoint = slice.endpoints.emplace_back();
      endpoint.addresses = {test::Ip("10.42.1." + std::to_string(i))};
      endpoint.hostname = i % 3 == 0 ? "web" : "";
      endpoint.zone = i % 2 == 0 ? "west" : "a.b";
    }
    cluster_.directory().Put(std::move(slice));
  }

  static void CheckReply(std::span<const uint8_t> message, std::span<const uint8_t> reply,
                         Transport transport) {
    Check(reply.size() >= wire::kHeaderBytes && message.size() >= wire::kHeaderBytes);
    Check(std::memcmp(reply.data(), message.data(), 2) == 0);
    Check((reply[2] & 0x80) != 0);
    wire::Query query;
    wire::ParseQuery(message, query);
    Check(transport == Transport::kTcp || reply.size() <= query.udp_payload);
    wire::MessageReader reader(reply);
    Check(reader.ok());
    Check(std::ranges::equal(reader.question(), query.question));
    wire::MessageRecord record;
    wire::NameBuffer owner;
    while (reader.Next(record)) Check(wire::ReadName(reply, record.owner_at, owner) != 0);
    Check(reader.ok() && reader.position() == reply.size());
  }

  test::Cluster cluster_;
  ZoneCounterTable counters_;
  SlotPool slots_;
  QueryHandler handler_;
  Upstream* upstream_;
};

void ReadAsReply(std::span<const uint8_t> bytes) {
  wire::MessageReader reader(bytes);
  wire::NameBuffer name;
  for (wire::MessageRecord record; reader.Next(record);) {
    Check(record.end() <= bytes.size());
    if (wire::ReadName(bytes, record.owner_at, name) == 0) continue;
    const std::string text = wire::NameToText(name.view());
    const auto again = wire::NameToWire(text);
    Check(again.ok() && std::equal(again->begin(), again->end(), name.bytes.begin(),
                                   name.bytes.begin() + name.size,
                                   [](char a, uint8_t b) { return static_cast<uint8_t>(a) == b; }));
  }
}

// Whatever the reply: what is whole stays whole, and nothing is written past the room.
void ExtendAsReply(std::span<const uint8_t> bytes) {
  constexpr std::string_view kText = "why";
  constexpr size_t kMost = 6 + kText.size();
  for (const size_t slack : {size_t{3}, size_t{7}, kMost}) {
    const size_t room_bytes = bytes.size() + slack;
    const auto room = std::make_unique<uint8_t[]>(room_bytes);
    std::copy(bytes.begin(), bytes.end(), room.get());
    const size_t end =
        wire::AppendExtendedError({room.get(), room_bytes}, bytes.size(), wire::kMaxMessageBytes,
                                  wire::ExtendedError::kOther, kText);
    if (end == bytes.size()) continue;
    wire::MessageReader reader({room.get(), end});
    for (wire::MessageRecord record; reader.Next(record);) {
    }
    Check(reader.ok() && reader.position() == end);
  }
}

}  // namespace
}  // namespace portolan::dns

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using portolan::dns::Transport;
  static portolan::dns::World world;
  // A copy without slack behind it.
  const auto exact = std::make_unique<uint8_t[]>(size);
  std::copy_n(data, size, exact.get());
  const std::span<const uint8_t> bytes(exact.get(), size);
  world.Ask(bytes, Transport::kUdp);
  world.Ask(bytes, Transport::kTcp);
  portolan::dns::ReadAsReply(bytes);
  portolan::dns::ExtendAsReply(bytes);
  world.AskAlias(bytes);
  return 0;
}

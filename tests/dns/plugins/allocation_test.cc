// Counts what the answer path takes from the heap: every operator new and malloc of this program.
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <cstdlib>
#include <new>

#include "dns/plugins/cache.h"
#include "dns/plugins/kubernetes.h"
#include "dns/plugins/loadbalance.h"
#include "dns/server/query_handler.h"
#include "dns/wire/reply.h"
#include "tests/dns/cluster.h"
#include "tests/dns/question.h"

namespace {
std::atomic<long> allocations{0};
}  // namespace

// glibc lets a program put its own malloc in front (malloc(3), "Replacing malloc"); operator new of
// libstdc++ comes through here too.
extern "C" {
// NOLINTBEGIN(bugprone-reserved-identifier): glibc's names
void* __libc_malloc(size_t);
void* __libc_calloc(size_t, size_t);
void* __libc_realloc(void*, size_t);
// NOLINTEND(bugprone-reserved-identifier)
void* malloc(size_t bytes) {
  allocations.fetch_add(1, std::memory_order_relaxed);
  return __libc_malloc(bytes);
}
void* calloc(size_t n, size_t bytes) {
  allocations.fetch_add(1, std::memory_order_relaxed);
  return __libc_calloc(n, bytes);
}
void* realloc(void* at, size_t bytes) {
  allocations.fetch_add(1, std::memory_order_relaxed);
  return __libc_realloc(at, bytes);
}
}

namespace portolan::dns {
namespace {

TEST(LocalAnswers, TenThousandCostNoHeapAllocation) {
  test::Cluster cluster;
  cluster.PutService("default", "backend", {"10.43.0.123", "fd00::123"});
  cluster.PutService("default", "twin", {});
  cluster.PutEndpoints("default", "twin",
                       {{"10.42.0.1", ""}, {"10.42.0.2", ""}, {"10.42.0.3", "web-0"}});
  Service ports;
  ports.name = {"default", "ports"};
  ports.cluster_ips = {test::Ip("10.43.0.124"), test::Ip("fd00::124")};
  ports.ports = {{"http", Protocol::kTcp, 80}, {"dns", Protocol::kUdp, 53}};
  cluster.directory().Put(ports);
  EndpointSlice slice;
  slice.name = {"default", "named"};
  slice.service = "named";
  slice.ports = {{"http", Protocol::kTcp, 8080}};
  for (const char* ip : {"10.42.1.1", "10.42.1.2", "10.42.1.3"}) {
    Endpoint& endpoint = slice.endpoints.emplace_back();
    endpoint.addresses = {test::Ip(ip)};
    endpoint.zone = "west";
  }
  cluster.PutService("default", "named", {});
  cluster.directory().Put(slice);
  ServiceImport import;
  import.name = {"default", "named"};
  import.headless = true;
  slice.imported = true;
  slice.source_cluster = "east";
  cluster.directory().Put(import);
  cluster.directory().Put(slice);
  cluster.directory().Put(AddressOwner{test::Ip("10.42.0.1"), {"default", "pod"}});
  cluster.PutExternalName("default", "alias", "backend.default.svc.cluster.local");
  cluster.PutExternalName("default", "digits", "203.0.113.7");
  cluster.Publish();

  KubernetesConfig config;
  config.zones = {*wire::Zone::Parse("in-addr.arpa"), *wire::Zone::Parse("cluster.local"),
                  *wire::Zone::Parse("clusterset.local")};
  config.primary = config.zones[1];
  config.multicluster = {config.zones[2]};
  config.zonal = true;
  config.pods = KubernetesConfig::Pods::kVerified;
  std::vector<std::unique_ptr<Plugin>> links;
  links.push_back(std::make_unique<Loadbalance>(1));
  links.push_back(std::make_unique<Kubernetes>(
      config, Kubernetes::Surroundings{cluster.holder(), {test::Ip("10.43.0.124")}}));
  ZoneCounterTable counters;
  SlotPool slots(4, 4);
  QueryHandler handler(slots, counters);
  handler.SetChains({{*wire::Zone::Parse("."), std::make_shared<Chain>(std::move(links))}});

  std::vector<test::Bytes> queries;
  for (const char* name : {"BackEnd.default.svc.cluster.local",
                           "twin.default.svc.cluster.local",
                           "web-0.twin.default.svc.cluster.local",
                           "alias.default.svc.cluster.local",
                           "digits.default.svc.cluster.local",
                           "nosuch.default.svc.cluster.local",
                           "a.b.c.d.e.f.svc.cluster.local",
                           "default.svc.cluster.local",
                           "cluster.local",
                           "10-42-0-1.default.pod.cluster.local",
                           "not-an-address.default.pod.cluster.local",
                           "123.0.43.10.in-addr.arpa",
                           "1.1.42.10.in-addr.arpa",
                           "9.9.42.10.in-addr.arpa",
                           "_http._tcp.ports.default.svc.cluster.local",
                           "ports.default.svc.cluster.local",
                           "_http._tcp.named.default.svc.cluster.local",
                           "named.default.svc.cluster.local",
                           "10-42-1-1.named.default.svc.cluster.local",
                           "ns.dns.cluster.local",
                           "west.pin._zone.named.default.svc.cluster.local",
                           "_http._tcp.named.default.svc.clusterset.local",
                           "10-42-1-1.east.named.default.svc.clusterset.local",
                           "example.org",
                           "."}) {
    for (const uint16_t type : {1, 28, 33, 12, 16, 6, 2, 255}) {
      queries.push_back(test::MakeQuery(name, type, {.edns_version = type % 2 - 1}));
    }
  }
  queries.push_back({1, 2, 3});
  queries.push_back(test::MakeQuery("a", 1, {.qclass = 3}));
  std::array<uint8_t, kMaxUdpReplyBytes> room;
  const SocketAddress client{test::Ip("10.42.0.9"), 5353};

  const long before = allocations.load();
  size_t replies = 0;
  for (size_t i = 0; i < 10000; ++i) {
    const auto handled =
        handler.Handle(queries[i % queries.size()], client, Transport::kUdp, room, {});
    replies += handled.outcome == QueryHandler::Outcome::kReply ? 1 : 0;
  }
  EXPECT_EQ(allocations.load() - before, 0);
  EXPECT_GT(replies, 9800u);
  int* volatile proof = new int;
  delete proof;
  EXPECT_GT(allocations.load(), before) << "the count counts";
}

// An upstream that has one address for every name.
class OneAddress : public Plugin {
 public:
  std::string_view name() const override { return "upstream"; }
  Verdict OnQuery(Exchange& exchange) override {
    ++asked;
    wire::ReplyWriter writer(exchange.query(), exchange.room(), exchange.max_reply_bytes());
    writer.Add(wire::Section::kAnswer, wire::kQuestionName, wire::type::kA, 60, 4);
    exchange.set_reply_bytes(writer.Finish(wire::Rcode::kNoError, 0));
    exchange.set_answered_by_upstream(true);
    return Verdict::kAnswered;
  }
  size_t asked = 0;
};

TEST(CachedAnswers, CostNoHeapAllocationNorDoesKeepingThemOnceTheCacheIsFull) {
  EventLoop loop;
  CacheTime now = CacheTime() + std::chrono::hours(1);
  CacheConfig config;
  config.zones = {*wire::Zone::Parse(".")};
  config.kinds[0].capacity = 64;
  std::vector<std::unique_ptr<Plugin>> links;
  links.push_back(std::make_unique<Cache>(config, CachePlace(), loop, [&] { return now; }));
  auto upstream = std::make_unique<OneAddress>();
  const OneAddress& asked = *upstream;
  links.push_back(std::move(upstream));
  ZoneCounterTable counters;
  SlotPool slots(4, 4);
  QueryHandler handler(slots, counters);
  handler.SetChains({{*wire::Zone::Parse("."), std::make_shared<Chain>(std::move(links))}});
  std::vector<test::Bytes> queries;
  for (int i = 0; i < 200; ++i) {
    const std::string name = "name-" + std::to_string(i) + "." + std::string(i % 60 + 1, 'x');
    queries.push_back(test::MakeQuery(name, 1, {.edns_version = i % 2 - 1}));
  }
  std::array<uint8_t, kMaxUdpReplyBytes> room;
  // Each one stored, found again, and evicted by those that follow.
  const auto round = [&] {
    for (const test::Bytes& query : queries) {
      for (int i = 0; i < 2; ++i) handler.Handle(query, {}, Transport::kUdp, room, {});
    }
    now += std::chrono::seconds(1);
  };
  for (int i = 0; i < 3; ++i) round();

  const long before = allocations.load();
  const size_t asked_before = asked.asked;
  for (int i = 0; i < 25; ++i) round();
  EXPECT_EQ(allocations.load() - before, 0);
  EXPECT_EQ(asked.asked - asked_before, 25 * queries.size()) << "half of them were hits";
}

}  // namespace
}  // namespace portolan::dns

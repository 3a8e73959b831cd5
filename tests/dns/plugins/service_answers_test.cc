// The table of Services against the way through the directory, which `labels` takes.
#include <gtest/gtest.h>

#include <array>
#include <random>

#include "dns/plugins/kubernetes.h"
#include "tests/dns/cluster.h"
#include "tests/dns/question.h"

namespace portolan::dns {
namespace {

using test::Bytes;

class NoPool : public SuspendedPool {
  Suspended* Suspend(Exchange&) override { return nullptr; }
};

// A cluster of Services of every kind, which changes at random.
class RandomCluster {
 public:
  explicit RandomCluster(unsigned seed) : random_(seed) {}

  void Change(int changes) {
    for (int i = 0; i < changes; ++i) {
      const ObjectName name = RandomName();
      if (Pick(5) == 0) {
        cluster_.directory().RemoveService(name);
      } else {
        PutService(name);
        PutSlices(name);
      }
    }
    cluster_.Publish(FeedTrust::kInSync);
  }

  ObjectName RandomName() {
    static constexpr size_t kPadding[] = {0, 0, 0, 12, 25, 40, 55};
    const size_t n = Pick(40);
    return {"ns" + std::to_string(n % 3),
            "s" + std::to_string(n) + std::string(kPadding[n % std::size(kPadding)], 'x')};
  }
  const ClusterDataHolder& holder() const { return cluster_.holder(); }
  size_t Pick(size_t below) { return random_() % below; }

 private:
  IpAddress RandomIp(bool v4) {
    const std::string n = std::to_string(Pick(200));
    return test::Ip(v4 ? "10.0.0." + n : "fd00::" + n);
  }

  void PutService(const ObjectName& name) {
    Service service;
    service.name = name;
    const size_t shape = Pick(8);
    service.headless = shape < 3;
    if (shape == 3) {
      service.type = ServiceType::kExternalName;
      ServiceExtras extras;
      extras.external_name = Pick(2) == 0 ? "s1.ns1.svc.cluster.local" : "example.org";
      service.extras = std::move(extras);
    } else if (!service.headless) {
      for (size_t i = 0; i < Pick(4); ++i) service.cluster_ips.push_back(RandomIp(true));
      for (size_t i = 0; i < Pick(3); ++i) service.cluster_ips.push_back(RandomIp(false));
    }
    static const ServicePort kPorts[] = {{"http", Protocol::kTcp, 80},
                                         {"dns", Protocol::kUdp, 53},
                                         {"dns-tcp", Protocol::kTcp, 53},
                                         {"", Protocol::kSctp, 99}};
    for (const ServicePort& port : kPorts) {
      if (Pick(2) == 0) service.ports.push_back(port);
    }
    cluster_.directory().Put(std::move(service));
  }

  void PutSlices(const ObjectName& service) {
    for (const bool v4 : {true, false}) {
      EndpointSlice slice;
      slice.name = {service.ns, service.name + (v4 ? "-4" : "-6")};
      slice.service = service.name;
      slice.family = v4 ? IpFamily::kIpv4 : IpFamily::kIpv6;
      if (Pick(3) > 0) slice.ports = {{"http", Protocol::kTcp, 8080}};
      for (size_t i = Pick(4) * Pick(5); i > 0; --i) {
        Endpoint endpoint;
        endpoint.addresses = {RandomIp(v4)};
        endpoint.conditions.ready = Pick(4) > 0;
        if (Pick(3) == 0) endpoint.hostname = "h" + std::to_string(Pick(3));
        slice.endpoints.push_back(std::move(endpoint));
      }
      cluster_.directory().Put(std::move(slice));
    }
  }

  std::mt19937 random_;
  test::Cluster cluster_;
};

struct Told {
  Verdict verdict;
  Bytes reply;
  friend bool operator==(const Told&, const Told&) = default;
};

Told Ask(Kubernetes& plugin, std::string_view name, uint16_t type) {
  const Bytes message = test::MakeQuery(name, type);
  wire::Query query;
  EXPECT_EQ(wire::ParseQuery(message, query), wire::ParseOutcome::kQuery) << name;
  NoPool pool;
  std::array<uint8_t, 4096> room;
  Exchange exchange(query, SocketAddress(), Transport::kUdp, room, pool);
  const Verdict verdict = plugin.OnQuery(exchange);
  const auto reply = exchange.reply();
  return {verdict, Bytes(reply.begin(), reply.end())};
}

KubernetesConfig Config(bool by_table, bool endpoints) {
  KubernetesConfig config;
  config.zones = {*wire::Zone::Parse("cluster.local")};
  config.primary = config.zones[0];
  config.endpoints = endpoints;
  if (by_table) return config;
  // Every Service is without this label.
  const auto file = std::make_shared<const std::string>("Corefile");
  const corefile::Token words[] = {{"!absent", file, 1, 1}};
  config.labels = *LabelSelector::Parse(words);
  return config;
}

TEST(ServiceAnswers, AreTheSameByTheTableAsByTheDirectory) {
  static constexpr const char* kInFront[] = {
      "",         "",    "",          "",     "_http._tcp.", "_dns._udp.",     "_dns-tcp._tcp.",
      "dns.tcp.", "h0.", "10-0-0-7.", "_._.", "a.b.c.",      "west.pin._zone."};
  static constexpr uint16_t kTypes[] = {1, 1, 28, 28, 33, 33, 16, 6, 12, 255};
  for (unsigned seed = 1; seed <= 8; ++seed) {
    RandomCluster cluster(seed);
    const bool endpoints = seed % 4 > 0;
    Kubernetes fast(Config(true, endpoints), {cluster.holder()});
    Kubernetes slow(Config(false, endpoints), {cluster.holder()});
    for (int change = 0; change < 30; ++change) {
      cluster.Change(change == 0 ? 40 : 3);
      for (int question = 0; question < 100; ++question) {
        const ObjectName service = cluster.RandomName();
        const std::string name = kInFront[cluster.Pick(std::size(kInFront))] + service.name + "." +
                                 service.ns + ".svc.Cluster.local";
        const uint16_t type = kTypes[cluster.Pick(std::size(kTypes))];
        ASSERT_EQ(Ask(fast, name, type), Ask(slow, name, type))
            << name << " type " << type << " seed " << seed << " change " << change;
      }
    }
  }
}

}  // namespace
}  // namespace portolan::dns

#include "dns/plugins/service_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "dns/wire/name.h"
#include "tests/dns/cluster.h"

namespace portolan::dns {
namespace {

using test::Ip;
using testing::ElementsAre;
using Kind = ServiceTable::Kind;

Service Make(std::string ns, std::string name, const std::vector<std::string_view>& ips) {
  Service service;
  service.name = {std::move(ns), std::move(name)};
  for (const auto ip : ips) service.cluster_ips.push_back(Ip(ip));
  return service;
}

Service Headless(std::string ns, std::string name) {
  Service service = Make(std::move(ns), std::move(name), {});
  service.headless = true;
  return service;
}

const ServiceTable::Entry* Find(const ServiceTable& table, std::string_view name) {
  std::string labels = *wire::NameToWire(name);
  labels.pop_back();  // the root
  return table.Find({reinterpret_cast<const uint8_t*>(labels.data()), labels.size()});
}

Kind KindOf(const ServiceTable& table, std::string_view name) {
  const auto* entry = Find(table, name);
  return entry == nullptr ? Kind::kNone : entry->kind;
}

std::vector<std::string> Addresses(std::span<const uint8_t> ipv4) {
  std::vector<std::string> texts;
  for (size_t at = 0; at < ipv4.size(); at += 4) {
    texts.push_back(IpAddress::V4(ipv4.subspan(at).first<4>()).ToString());
  }
  return texts;
}

class Table : public testing::Test {
 protected:
  ServiceTable Put(const ServiceTable& from, const Service& service,
                   const EndpointRecords* endpoints = nullptr) {
    ServiceTable::Edit edit(from, ports_);
    edit.Put(service, endpoints, true);
    return std::move(edit).Finish();
  }

  SharedValues<ServiceTable::Ports> ports_;
};

TEST_F(Table, AnEmptyOneHasNothing) { EXPECT_EQ(Find(ServiceTable(), "a.b"), nullptr); }

TEST_F(Table, FindsBothFamiliesByTheLabelsOfAQuery) {
  const auto table = Put({}, Make("default", "backend", {"fd00::1", "10.0.0.1"}));
  const auto* entry = Find(table, "backend.default");
  ASSERT_NE(entry, nullptr);
  EXPECT_EQ(entry->kind, Kind::kClusterIps);
  EXPECT_THAT(Addresses(entry->ipv4()), ElementsAre("10.0.0.1"));
  EXPECT_EQ(IpAddress::V6(entry->ipv6().first<16>()), Ip("fd00::1"));
  EXPECT_EQ(Find(table, "default.backend"), nullptr);
  EXPECT_EQ(Find(table, "backend.defaul"), nullptr);
}

TEST_F(Table, AHeadlessServiceHasTheAddressesOfItsEndpointsHoweverMany) {
  test::Cluster cluster;
  std::vector<std::string> ips;
  for (int i = 1; i <= 11; ++i) ips.push_back("10.1.0." + std::to_string(10 + i));
  std::vector<std::pair<std::string_view, std::string>> endpoints;
  cluster.PutService("ns", "web", {});
  for (const std::string& ip : ips) {
    endpoints.emplace_back(ip, "");
    cluster.PutEndpoints("ns", "web", endpoints);
    cluster.Publish();
    const auto* entry = Find(cluster.holder().current().records->table(), "web.ns");
    ASSERT_NE(entry, nullptr);
    EXPECT_EQ(entry->kind, Kind::kHeadless);
    EXPECT_EQ(
        Addresses(entry->ipv4()),
        std::vector<std::string>(ips.begin(), ips.begin() + static_cast<long>(endpoints.size())));
    EXPECT_TRUE(entry->ipv6().empty());
  }
  cluster.PutEndpoints("ns", "web", endpoints, /*ready=*/false);
  cluster.Publish();
  const auto* entry = Find(cluster.holder().current().records->table(), "web.ns");
  ASSERT_NE(entry, nullptr);
  EXPECT_EQ(entry->endpoints, nullptr);
  EXPECT_TRUE(entry->ipv4().empty());
}

TEST_F(Table, ThousandsComeAndGo) {
  ServiceTable table;
  {
    ServiceTable::Edit edit(table, ports_);
    for (int i = 0; i < 20000; ++i) {
      edit.Put(Make("ns", "s" + std::to_string(i), {"10.0." + std::to_string(i / 256) + ".1"}),
               nullptr, true);
    }
    table = std::move(edit).Finish();
  }
  const ServiceTable before = table;
  ServiceTable::Edit edit(table, ports_);
  for (int i = 0; i < 20000; i += 2) edit.Remove({"ns", "s" + std::to_string(i)});
  edit.Put(Make("ns", "s1", {"10.8.8.8"}), nullptr, true);
  edit.Put(Make("ns", "s1", {"10.9.9.9"}), nullptr, true);
  const ServiceTable after = std::move(edit).Finish();
  for (int i = 0; i < 20000; ++i) {
    const std::string name = "s" + std::to_string(i) + ".ns";
    ASSERT_NE(Find(before, name), nullptr) << "the version before stays";
    ASSERT_EQ(Find(after, name) != nullptr, i % 2 == 1) << i;
  }
  EXPECT_THAT(Addresses(Find(after, "s1.ns")->ipv4()), ElementsAre("10.9.9.9"));
}

TEST_F(Table, OfWhatDoesNotFitOnALineItKnowsThatTheSnapshotKnows) {
  const std::string long_name(60, 'x');
  EXPECT_EQ(KindOf(Put({}, Make("default", long_name, {"10.0.0.1"})), long_name + ".default"),
            Kind::kElsewhere);
  const std::string name(30, 'x');
  EXPECT_EQ(KindOf(Put({}, Make("default", name, {"10.0.0.1"})), name + ".default"),
            Kind::kClusterIps);
  EXPECT_EQ(KindOf(Put({}, Make("default", name, {"10.0.0.1", "fd00::1"})), name + ".default"),
            Kind::kElsewhere);
}

TEST_F(Table, AServiceThatTurnsHeadlessOrExternalIsNoLongerItsAddresses) {
  const auto table = Put({}, Make("a", "b", {"10.0.0.1"}));
  const auto headless = Put(table, Headless("a", "b"));
  EXPECT_EQ(KindOf(headless, "b.a"), Kind::kHeadless);
  EXPECT_TRUE(Find(headless, "b.a")->ipv4().empty());
  Service external = Make("a", "b", {});
  external.type = ServiceType::kExternalName;
  EXPECT_EQ(KindOf(Put(table, external), "b.a"), Kind::kElsewhere);
  EXPECT_EQ(KindOf(table, "b.a"), Kind::kClusterIps);
}

TEST_F(Table, PortsLiveAsLongAsAServiceHasThem) {
  Service one = Make("a", "one", {"10.0.0.1"}), two = Make("a", "two", {"10.0.0.2"});
  one.ports = two.ports = {{"http", Protocol::kTcp, 80}};
  ServiceTable table = Put(Put({}, one), two);
  // Many others are seen meanwhile, and forgotten by those that share.
  for (uint16_t port = 1; port < 200; ++port) {
    Service other = Make("a", "other" + std::to_string(port % 3), {"10.0.0.3"});
    other.ports = {{"p", Protocol::kUdp, port}};
    table = Put(table, other);
  }
  EXPECT_THAT(*Find(table, "one.a")->ports, testing::ElementsAreArray(one.ports));
  EXPECT_EQ(Find(table, "one.a")->ports, Find(table, "two.a")->ports);
}

}  // namespace
}  // namespace portolan::dns

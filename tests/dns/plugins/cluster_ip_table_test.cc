#include "dns/plugins/cluster_ip_table.h"

#include <gtest/gtest.h>

#include "dns/wire/name.h"
#include "tests/dns/cluster.h"

namespace portolan::dns {
namespace {

using test::Ip;

Service Make(std::string ns, std::string name, const std::vector<std::string_view>& ips) {
  Service service;
  service.name = {std::move(ns), std::move(name)};
  for (const auto ip : ips) service.cluster_ips.push_back(Ip(ip));
  return service;
}

const ClusterIpTable::Entry* Find(const ClusterIpTable& table, std::string_view name) {
  std::string labels = *wire::NameToWire(name);
  labels.pop_back();  // the root
  return table.Find({reinterpret_cast<const uint8_t*>(labels.data()), labels.size()});
}

ClusterIpTable Put(const ClusterIpTable& from, const Service& service) {
  ClusterIpTable::Edit edit(from);
  edit.Put(service);
  return std::move(edit).Finish();
}

TEST(ClusterIpTable, AnEmptyOneHasNothing) { EXPECT_EQ(Find(ClusterIpTable(), "a.b"), nullptr); }

TEST(ClusterIpTable, FindsBothFamiliesByTheLabelsOfAQuery) {
  const auto table = Put({}, Make("default", "backend", {"10.0.0.1", "fd00::1"}));
  const auto* entry = Find(table, "backend.default");
  ASSERT_NE(entry, nullptr);
  EXPECT_TRUE(entry->has_ipv4);
  EXPECT_TRUE(entry->has_ipv6);
  EXPECT_EQ(IpAddress::V4(entry->ipv4), Ip("10.0.0.1"));
  EXPECT_EQ(IpAddress::V6(entry->ipv6), Ip("fd00::1"));
  EXPECT_EQ(Find(table, "default.backend"), nullptr);
  EXPECT_EQ(Find(table, "backend.defaul"), nullptr);
}

TEST(ClusterIpTable, ThousandsComeAndGo) {
  ClusterIpTable table;
  {
    ClusterIpTable::Edit edit(table);
    for (int i = 0; i < 20000; ++i) {
      edit.Put(Make("ns", "s" + std::to_string(i), {"10.0." + std::to_string(i / 256) + ".1"}));
    }
    table = std::move(edit).Finish();
  }
  const ClusterIpTable before = table;
  ClusterIpTable::Edit edit(table);
  for (int i = 0; i < 20000; i += 2) edit.Remove({"ns", "s" + std::to_string(i)});
  edit.Put(Make("ns", "s1", {"10.9.9.9"}));
  const ClusterIpTable after = std::move(edit).Finish();
  for (int i = 0; i < 20000; ++i) {
    const std::string name = "s" + std::to_string(i) + ".ns";
    ASSERT_NE(Find(before, name), nullptr) << "the version before stays";
    ASSERT_EQ(Find(after, name) != nullptr, i % 2 == 1) << i;
  }
  EXPECT_EQ(IpAddress::V4(Find(after, "s1.ns")->ipv4), Ip("10.9.9.9"));
}

TEST(ClusterIpTable, LeavesOutWhatDoesNotFitOnALine) {
  const std::string long_name(40, 'x');
  EXPECT_EQ(Find(Put({}, Make("default", long_name, {"10.0.0.1"})), long_name + ".default"),
            nullptr);
  EXPECT_EQ(Find(Put({}, Make("a", "b", {"10.0.0.1", "10.0.0.2"})), "b.a"), nullptr);
}

TEST(ClusterIpTable, AServiceThatTurnsHeadlessOrExternalLeavesIt) {
  const auto table = Put({}, Make("a", "b", {"10.0.0.1"}));
  Service headless = Make("a", "b", {});
  headless.headless = true;
  EXPECT_EQ(Find(Put(table, headless), "b.a"), nullptr);
  Service external = Make("a", "b", {});
  external.type = ServiceType::kExternalName;
  EXPECT_EQ(Find(Put(table, external), "b.a"), nullptr);
  EXPECT_NE(Find(table, "b.a"), nullptr);
}

}  // namespace
}  // namespace portolan::dns

#include "dns/plugins/service_records.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/dns/cluster.h"

namespace portolan::dns {
namespace {

using test::Ip;

TEST(DashedAddress, EndsInNoHyphen) {
  EXPECT_EQ(DashedAddress(Ip("10.244.0.2")), "10-244-0-2");
  EXPECT_EQ(DashedAddress(Ip("fd00:10:244::1")), "fd00-10-244--1");
  EXPECT_EQ(DashedAddress(Ip("fd00:10:244:1:2:3::")), "fd00-10-244-1-2-3--0");
}

class Records : public testing::Test {
 protected:
  std::shared_ptr<const ServiceRecords> Publish() {
    cluster_.Publish();
    return cluster_.holder().current().records;
  }
  test::Cluster cluster_;
};

TEST_F(Records, AddressesAreSortedAndUnique) {
  cluster_.PutService("a", "s", {});
  cluster_.PutEndpoints("a", "s", {{"10.0.0.2", "x"}, {"10.0.0.1", ""}, {"10.0.0.2", "y"}});
  const auto records = Publish();
  const EndpointRecords* s = records->Find("a/s");
  ASSERT_NE(s, nullptr);
  const auto ipv4 = s->ipv4();
  EXPECT_EQ(std::vector<uint8_t>(ipv4.begin(), ipv4.end()),
            (std::vector<uint8_t>{10, 0, 0, 1, 10, 0, 0, 2}));
  EXPECT_EQ(s->entries().size(), 3u);
}

TEST_F(Records, ANamespaceIsKnownUntilItsLastServiceGoes) {
  cluster_.PutService("a", "one", {"10.0.0.1"});
  cluster_.PutService("a", "two", {"10.0.0.2"});
  EXPECT_TRUE(Publish()->NamespaceHasService("a"));
  cluster_.PutService("a", "two", {"10.0.0.3"});  // replaced, not one more
  cluster_.directory().RemoveService({"a", "one"});
  EXPECT_TRUE(Publish()->NamespaceHasService("a"));
  cluster_.directory().RemoveService({"a", "two"});
  EXPECT_FALSE(Publish()->NamespaceHasService("a"));
}

TEST_F(Records, SlicesMayComeBeforeTheirServiceAndStayAfterIt) {
  cluster_.PutEndpoints("a", "s", {{"10.0.0.1", ""}});
  EXPECT_EQ(Publish()->Find("a/s"), nullptr);
  cluster_.PutService("a", "s", {});
  EXPECT_NE(Publish()->Find("a/s"), nullptr);
  cluster_.directory().RemoveService({"a", "s"});
  EXPECT_EQ(Publish()->Find("a/s"), nullptr);
}

TEST_F(Records, WhatDidNotChangeIsShared) {
  cluster_.PutService("a", "s", {});
  cluster_.PutEndpoints("a", "s", {{"10.0.0.1", ""}});
  cluster_.PutService("a", "t", {});
  cluster_.PutEndpoints("a", "t", {{"10.0.0.2", ""}});
  const auto before = Publish();
  cluster_.PutEndpoints("a", "t", {{"10.0.0.3", ""}});
  const auto after = Publish();
  EXPECT_EQ(before->Find("a/s"), after->Find("a/s"));
  EXPECT_NE(before->Find("a/t"), after->Find("a/t"));
  EXPECT_EQ(Publish(), after) << "no change, no new records";
}

TEST_F(Records, AnAddressLeadsToItsServicesAsTheyComeAndGo) {
  const auto keys_at = [](const ServiceRecords& records, const char* ip) {
    std::vector<std::string> keys;
    for (const auto& key : records.ServicesAt(Ip(ip))) keys.push_back(*key);
    std::sort(keys.begin(), keys.end());
    return keys;
  };
  using Keys = std::vector<std::string>;
  cluster_.PutService("a", "s", {});
  cluster_.PutEndpoints("a", "s", {{"10.0.0.1", ""}, {"10.0.0.2", ""}, {"10.0.0.2", "twice"}});
  cluster_.PutService("a", "t", {"10.1.0.1"});
  cluster_.PutEndpoints("a", "t", {{"10.0.0.2", ""}});
  const auto first = Publish();
  EXPECT_EQ(keys_at(*first, "10.0.0.1"), (Keys{"a/s"}));
  EXPECT_EQ(keys_at(*first, "10.0.0.2"), (Keys{"a/s", "a/t"}));

  cluster_.PutEndpoints("a", "s", {{"10.0.0.2", ""}, {"10.0.0.3", ""}});
  const auto second = Publish();
  EXPECT_EQ(keys_at(*second, "10.0.0.1"), Keys());
  EXPECT_EQ(keys_at(*second, "10.0.0.2"), (Keys{"a/s", "a/t"}));
  EXPECT_EQ(keys_at(*second, "10.0.0.3"), (Keys{"a/s"}));
  EXPECT_EQ(keys_at(*first, "10.0.0.1"), (Keys{"a/s"})) << "the version before stays as it was";

  cluster_.directory().RemoveService({"a", "s"});
  const auto third = Publish();
  EXPECT_EQ(keys_at(*third, "10.0.0.2"), (Keys{"a/t"}));
  EXPECT_EQ(keys_at(*third, "10.0.0.3"), Keys());
}

TEST_F(Records, NamesAreFoundByTheirBytesInEitherNaming) {
  EndpointSlice slice;
  slice.name = {"a", "s-1"};
  slice.service = "s";
  for (const auto& [hostname, pod] : {std::pair("Web-0", "pod-a"), {"", "pod-b"}, {"", ""}}) {
    Endpoint& endpoint = slice.endpoints.emplace_back();
    endpoint.addresses = {Ip("10.0.0." + std::to_string(slice.endpoints.size()))};
    endpoint.hostname = hostname;
    endpoint.pod = {"a", pod};
  }
  slice.endpoints.back().pod.name = std::string(64, 'p');  // no label
  cluster_.PutService("a", "s", {});
  cluster_.directory().Put(slice);
  const auto records = Publish();
  const EndpointRecords* s = records->Find("a/s");
  ASSERT_NE(s, nullptr);
  const auto count = [&](std::string label, EndpointNaming naming) {
    label.insert(label.begin(), static_cast<char>(label.size()));
    return s->Named({reinterpret_cast<const uint8_t*>(label.data()), label.size()}, naming).size();
  };
  EXPECT_EQ(count("web-0", EndpointNaming::kAddress), 1u) << "in lower case";
  EXPECT_EQ(count("10-0-0-2", EndpointNaming::kAddress), 1u);
  EXPECT_EQ(count("pod-b", EndpointNaming::kAddress), 0u);
  EXPECT_EQ(count("web-0", EndpointNaming::kPod), 1u);
  EXPECT_EQ(count("pod-b", EndpointNaming::kPod), 1u);
  EXPECT_EQ(count("10-0-0-2", EndpointNaming::kPod), 0u);
  EXPECT_EQ(count("10-0-0-3", EndpointNaming::kPod), 1u);
}

TEST_F(Records, ServiceImportsAreKeptApartAndHaveASerialOfTheirOwn) {
  cluster_.PutService("a", "s", {});
  cluster_.PutEndpoints("a", "s", {{"10.0.0.1", ""}});
  ServiceImport import;
  import.name = {"a", "s"};
  import.headless = true;
  EndpointSlice slice;
  slice.name = {"a", "s-4"};
  slice.service = "s";
  slice.imported = true;
  slice.source_cluster = "west";
  slice.endpoints.resize(1);
  slice.endpoints[0].addresses = {Ip("10.9.0.1")};
  cluster_.directory().Put(slice);
  EXPECT_EQ(Publish()->FindImported("a/s"), nullptr) << "before the ServiceImport";
  cluster_.directory().Put(import);
  const auto records = Publish();
  ASSERT_NE(records->FindImported("a/s"), nullptr);
  EXPECT_EQ(records->FindImported("a/s")->entries().front().ip, Ip("10.9.0.1"));
  EXPECT_EQ(records->Find("a/s")->entries().front().ip, Ip("10.0.0.1"));
  EXPECT_TRUE(records->ServicesAt(Ip("10.9.0.1")).empty());
  EXPECT_GT(records->multicluster_serial(), 1u);
}

TEST_F(Records, TheSerialIsTheTimeOfTheLastChangeAndNeverFalls) {
  ServiceRecordsCompiler compiler;
  const absl::Time noon = absl::FromUnixSeconds(1700000000);
  auto serial_after_a_change = [&](absl::Time now) {
    cluster_.PutService("a", fmt::format("s-{}", absl::ToUnixSeconds(now)), {"10.0.0.1"});
    return compiler.Apply(cluster_.directory().Commit(), now)->serial();
  };
  EXPECT_EQ(serial_after_a_change(noon), 1700000000u);
  EXPECT_EQ(serial_after_a_change(noon - absl::Hours(1)), 1700000001u) << "the clock was set back";
  EXPECT_EQ(serial_after_a_change(noon + absl::Hours(1)), 1700003600u);
}

TEST_F(Records, OneChangeAmongFiftyThousandServicesTakesFarBelowAMillisecond) {
  for (int i = 0; i < 50000; ++i) {
    const std::string ip = fmt::format("10.{}.{}.{}", 1 + i / 65536, i / 256 % 256, i % 256);
    cluster_.PutService("ns-" + std::to_string(i % 50), "service-" + std::to_string(i), {ip});
  }
  Publish();
  absl::Duration best = absl::InfiniteDuration();
  ServiceRecordsCompiler compiler;
  compiler.Apply({cluster_.directory().snapshot(), {}}, absl::Now());
  for (int i = 0; i < 50; ++i) {
    cluster_.PutService("ns-1", "service-1", {i % 2 == 0 ? "10.200.0.1" : "10.200.0.2"});
    const auto committed = cluster_.directory().Commit();
    const absl::Time start = absl::Now();
    compiler.Apply(committed, start);
    best = std::min(best, absl::Now() - start);
  }
  EXPECT_LT(best, absl::Milliseconds(1)) << best;
}

}  // namespace
}  // namespace portolan::dns

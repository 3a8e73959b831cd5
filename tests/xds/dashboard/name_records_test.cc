#include "xds/dashboard/name_records.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "tests/directory/small_cluster.h"

namespace portolan::xds {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::UnorderedElementsAre;

IpAddress Ip(std::string_view text) { return *IpAddress::Parse(text); }

class NameRecordsTest : public ::testing::Test {
 protected:
  void PutService(std::string name, std::vector<const char*> ips,
                  std::vector<ServicePort> ports = {}) {
    Service service;
    service.name = {"web", std::move(name)};
    service.headless = ips.empty();
    for (const char* ip : ips) service.cluster_ips.push_back(Ip(ip));
    service.ports.assign(ports.begin(), ports.end());
    directory.Put(service);
  }
  void PutAlias(const char* name, const char* target) {
    Service service;
    service.name = {"web", name};
    service.type = ServiceType::kExternalName;
    ServiceExtras extras;
    extras.external_name = target;
    service.extras = std::move(extras);
    directory.Put(service);
  }
  // Each "ADDRESS" or "ADDRESS HOSTNAME", of one family.
  void PutSlice(const char* service, std::vector<std::string> endpoints,
                std::vector<EndpointPort> ports = {}) {
    EndpointSlice slice;
    slice.name = {"web", fmt::format("{}-{}", service, endpoints.front())};
    slice.service = service;
    slice.ports = std::move(ports);
    for (const std::string& text : endpoints) {
      Endpoint endpoint;
      const size_t blank = text.find(' ');
      endpoint.addresses = {Ip(text.substr(0, blank))};
      if (blank != text.npos) endpoint.hostname = text.substr(blank + 1);
      slice.family = endpoint.addresses.front().family();
      slice.endpoints.push_back(std::move(endpoint));
    }
    directory.Put(std::move(slice));
  }
  NameRecords Of(const char* name) {
    const Directory::Committed committed = directory.Commit();
    std::vector<std::string> changed;
    addresses = addresses.Next(committed, &changed);
    return RecordsOf(dns, *committed.snapshot, addresses,
                     *committed.snapshot->FindService("web", name), "cluster.local");
  }
  std::vector<std::string> Lines(const NameRecords& found) {
    std::vector<std::string> lines;
    for (const auto& record : found.records) {
      lines.push_back(
          fmt::format("{} {} {} {}", record.name, record.ttl, record.type, record.data));
    }
    return lines;
  }
  std::vector<std::string> Missing(const NameRecords& found) {
    std::vector<std::string> lines;
    for (const auto& one : found.missing) {
      lines.push_back(fmt::format("{} {}: {}", one.type, one.answer, one.why));
    }
    return lines;
  }

  EventLoop loop;
  SidecarDns dns{loop};
  Directory directory;
  AddressIndex addresses;
};

TEST_F(NameRecordsTest, AServiceHasItsAddressesPortsAndTheWaysBack) {
  PutService("a", {"10.43.0.1", "fd43::1"},
             {{"http", Protocol::kTcp, 80}, {"dns", Protocol::kUdp, 53}});
  PutSlice("a", {"10.42.0.5"}, {{"http", Protocol::kTcp, 8080}});
  const NameRecords found = Of("a");
  EXPECT_THAT(Lines(found),
              ElementsAre("a.web.svc.cluster.local. 30 A 10.43.0.1",
                          "a.web.svc.cluster.local. 30 AAAA fd43::1",
                          "_dns._udp.a.web.svc.cluster.local. 30 SRV 0 50 53 "
                          "a.web.svc.cluster.local.",
                          "_http._tcp.a.web.svc.cluster.local. 30 SRV 0 50 80 "
                          "a.web.svc.cluster.local.",
                          "1.0.43.10.in-addr.arpa. 30 PTR a.web.svc.cluster.local.",
                          "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.3.4.d.f.ip6."
                          "arpa. 30 PTR a.web.svc.cluster.local.",
                          "5.0.42.10.in-addr.arpa. 30 PTR 10-42-0-5.a.web.svc.cluster.local."));
  EXPECT_FALSE(found.truncated);
  EXPECT_THAT(found.missing, IsEmpty());
}

TEST_F(NameRecordsTest, AHeadlessServiceHasTheNamesOfItsEndpoints) {
  PutService("h", {}, {{"http", Protocol::kTcp, 80}});
  PutSlice("h", {"10.42.0.5 five", "10.42.0.6"}, {{"http", Protocol::kTcp, 8080}});
  const auto lines = Lines(Of("h"));
  for (const char* line :
       {"h.web.svc.cluster.local. 30 A 10.42.0.5", "h.web.svc.cluster.local. 30 A 10.42.0.6",
        "five.h.web.svc.cluster.local. 30 A 10.42.0.5",
        "10-42-0-6.h.web.svc.cluster.local. 30 A 10.42.0.6",
        "_http._tcp.h.web.svc.cluster.local. 30 SRV 0 50 8080 five.h.web.svc.cluster.local.",
        "5.0.42.10.in-addr.arpa. 30 PTR five.h.web.svc.cluster.local."}) {
    EXPECT_THAT(lines, Contains(line));
  }
  EXPECT_EQ(lines.size(), 8u);
}

TEST_F(NameRecordsTest, WhatHasNoRecordIsSaidWithTheReason) {
  PutService("a", {"10.43.0.1"});
  PutService("h", {});
  EXPECT_THAT(Missing(Of("a")), ElementsAre("AAAA NODATA: it has no IPv6 address"));
  EXPECT_THAT(Missing(Of("h")),
              ElementsAre("A NXDOMAIN: a headless Service without ready endpoints has no name",
                          "AAAA NXDOMAIN: a headless Service without ready endpoints has no "
                          "name"));
}

TEST_F(NameRecordsTest, AnAliasIsFollowedWithinTheCluster) {
  PutService("real", {"10.43.0.1"});
  PutAlias("inside", "real.web.svc.cluster.local");
  PutAlias("outside", "www.example.com");
  PutAlias("nowhere", "none.web.svc.cluster.local");
  const NameRecords inside = Of("inside");
  EXPECT_THAT(Lines(inside),
              ElementsAre("inside.web.svc.cluster.local. 30 CNAME real.web.svc.cluster.local.",
                          "real.web.svc.cluster.local. 30 A 10.43.0.1"));
  const NameRecords outside = Of("outside");
  EXPECT_THAT(Lines(outside),
              ElementsAre("outside.web.svc.cluster.local. 30 CNAME www.example.com."));
  EXPECT_THAT(Missing(outside)[0],
              HasSubstr("the sidecar asks another server for www.example.com."));
  EXPECT_THAT(Missing(Of("nowhere"))[0],
              HasSubstr("an alias of none.web.svc.cluster.local, which has no such address"));
}

// A pod's address leads back to all Services that list it, as a sidecar says.
TEST_F(NameRecordsTest, AnAddressLeadsBackToOtherServicesAsWell) {
  PutService("a", {"10.43.0.1"});
  PutService("b", {});
  PutSlice("a", {"10.42.0.5"});
  PutSlice("b", {"10.42.0.5 five", "10.42.0.6"});
  EXPECT_THAT(Lines(Of("a")),
              Contains("5.0.42.10.in-addr.arpa. 30 PTR five.b.web.svc.cluster.local."));
}

TEST_F(NameRecordsTest, ThereAreAThousandAtMost) {
  PutService("h", {});
  for (int slice = 0; slice < 20; ++slice) {
    std::vector<std::string> endpoints;
    for (int i = 1; i <= 100; ++i) endpoints.push_back(fmt::format("10.42.{}.{}", slice, i));
    PutSlice("h", endpoints);
  }
  const NameRecords found = Of("h");
  EXPECT_EQ(found.records.size(), NameRecords::kMost);
  EXPECT_TRUE(found.truncated);
}

TEST_F(NameRecordsTest, AreThoseOfTheControlPlanesCorefile) {
  ASSERT_TRUE(dns.SetCorefile(R"(cluster.local:53 in-addr.arpa {
    rewrite name old.web.svc.cluster.local a.web.svc.cluster.local
    hosts /no/such/file {
      192.0.2.1 b.web.svc.cluster.local
      fallthrough
    }
    template IN A c.web.svc.cluster.local {
      answer "{{ .Name }} 60 IN A 192.0.2.2"
    }
    kubernetes {
      ttl 7
      namespaces web
    }
    forward . 192.0.2.53
    cache 30
  }
  d.web.svc.cluster.local {
    forward . 192.0.2.53
  })")
                  .ok());
  for (const char* name : {"a", "b", "c", "d", "old"}) PutService(name, {"10.43.0.1"});
  PutService("a", {"10.43.0.9"});
  EXPECT_THAT(Lines(Of("a")), Contains("a.web.svc.cluster.local. 7 A 10.43.0.9"));
  EXPECT_THAT(Lines(Of("b")), Contains("b.web.svc.cluster.local. 3600 A 192.0.2.1"));
  EXPECT_THAT(Lines(Of("c")), Contains("c.web.svc.cluster.local. 60 A 192.0.2.2"));
  EXPECT_THAT(Lines(Of("old")), Contains("old.web.svc.cluster.local. 7 A 10.43.0.9"));
  const NameRecords d = Of("d");
  EXPECT_THAT(Missing(d)[0], HasSubstr("the sidecar asks another server for it"));
  EXPECT_THAT(Lines(d), Not(Contains(HasSubstr("d.web.svc.cluster.local. 7 A"))));

  EXPECT_EQ(dns.FindShadow("a.web.svc.cluster.local"), std::nullopt);
  EXPECT_EQ(dns.FindShadow("b.web.svc.cluster.local")->by, "hosts");
  EXPECT_EQ(dns.FindShadow("c.web.svc.cluster.local")->by, "template");
  EXPECT_EQ(dns.FindShadow("d.web.svc.cluster.local")->by, "");
  EXPECT_EQ(dns.FindShadow("old.web.svc.cluster.local")->renamed, "a.web.svc.cluster.local.");
}

TEST_F(NameRecordsTest, ACorefileInErrorLeavesTheOneBefore) {
  EXPECT_FALSE(dns.SetCorefile(". {\n  kubernets cluster.local\n}").ok());
  PutService("a", {"10.43.0.1"});
  EXPECT_THAT(Lines(Of("a")), Contains("a.web.svc.cluster.local. 30 A 10.43.0.1"));
}

}  // namespace
}  // namespace portolan::xds

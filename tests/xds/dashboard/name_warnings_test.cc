#include "xds/dashboard/name_warnings.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <utility>

namespace portolan::xds {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

IpAddress Ip(const char* text) { return *IpAddress::Parse(text); }

class NameWarningsTest : public ::testing::Test {
 protected:
  NameWarningsTest() {
    service.name = {"web", "a"};
    service.ports = {{"http", Protocol::kTcp, 80}};
    slice.name = {"web", "a-1"};
    slice.service = "a";
    slice.ports = {{"http", Protocol::kTcp, 8080}};
    Endpoint endpoint;
    endpoint.addresses = {Ip("10.42.0.1")};
    endpoint.pod = {"web", "pod-1"};
    slice.endpoints = {endpoint};
  }
  // "CODE: MESSAGE"
  std::vector<std::string> Warnings(std::optional<SidecarDns::Shadow> shadow = std::nullopt) {
    directory.Put(service);
    directory.Put(slice);
    const auto snapshot = directory.Commit().snapshot;
    std::vector<std::string> lines;
    for (const NameWarning& warning : WarningsOf(
             service,
             {*snapshot, "cluster.local", CountEndpoints(snapshot->FindSlices("web/a")), shadow})) {
      lines.push_back(std::string(WarningWord(warning.code)) + ": " + warning.message);
    }
    return lines;
  }
  void AliasOf(const char* target) {
    service.type = ServiceType::kExternalName;
    ServiceExtras extras;
    extras.external_name = target;
    service.extras = std::move(extras);
  }
  std::string Stale() {
    directory.Put(slice);
    const auto snapshot = directory.Commit().snapshot;
    return StaleEndpoint(*snapshot, snapshot->FindSlices("web/a"));
  }

  Directory directory;
  Service service;
  EndpointSlice slice;
};

TEST_F(NameWarningsTest, AServiceWithAReadyEndpointHasNone) { EXPECT_THAT(Warnings(), IsEmpty()); }

TEST_F(NameWarningsTest, NoEndpoints) {
  slice.endpoints.clear();
  EXPECT_THAT(Warnings(), ElementsAre("no-endpoints: it has no endpoints"));
}

TEST_F(NameWarningsTest, NoneReady) {
  slice.endpoints[0].conditions = {false, true, true};
  EXPECT_THAT(Warnings(), ElementsAre("none-ready: none of its endpoints is ready"));
}

// The EndpointSlice controller leaves out a port whose targetPort no pod has by name.
TEST_F(NameWarningsTest, TargetPortMissing) {
  service.ports.push_back({"metrics", Protocol::kTcp, 9100});
  EXPECT_THAT(Warnings(), ElementsAre(HasSubstr("target-port-missing: no ready endpoint has its "
                                                "port metrics (9100/TCP)")));
  slice.ports.clear();
  EXPECT_EQ(Warnings().size(), 2u);
}

TEST_F(NameWarningsTest, AServiceWithoutPortsMissesNone) {
  service.headless = true;
  service.ports.clear();
  slice.ports.clear();
  EXPECT_THAT(Warnings(), IsEmpty());
}

TEST_F(NameWarningsTest, ExternalNameToNowhere) {
  AliasOf("www.example.com");
  EXPECT_THAT(Warnings(), IsEmpty());
  AliasOf("b.web.svc.cluster.local");
  EXPECT_THAT(Warnings(), ElementsAre("external-name-to-nowhere: it leads to "
                                      "b.web.svc.cluster.local, and there is no Service web/b"));
  AliasOf("a.web.svc.cluster.local.");
  EXPECT_THAT(Warnings(), ElementsAre(HasSubstr("round in a circle")));
  AliasOf("192.0.2.1");
  EXPECT_THAT(Warnings(), ElementsAre(HasSubstr("is an address")));
  AliasOf("a..b");
  EXPECT_THAT(Warnings(), ElementsAre(HasSubstr("is no name")));
}

TEST_F(NameWarningsTest, NameShadowed) {
  EXPECT_THAT(Warnings(SidecarDns::Shadow{"hosts", ""}),
              ElementsAre("name-shadowed: the Corefile's hosts answers it before kubernetes is "
                          "asked"));
  EXPECT_THAT(Warnings(SidecarDns::Shadow{"rewrite", "b."}),
              ElementsAre("name-shadowed: rewrite turns it into b."));
  EXPECT_THAT(Warnings(SidecarDns::Shadow{}), ElementsAre(HasSubstr("has no kubernetes")));
}

TEST_F(NameWarningsTest, ASliceIsStaleWhosePodIsGoneHasFinishedOrMoved) {
  EXPECT_EQ(Stale(), "") << "a directory without pods cannot know";
  Pod other;
  other.name = {"web", "pod-2"};
  directory.Put(other);
  EXPECT_EQ(Stale(), "the slice web/a-1 lists web/pod-1, which is gone");
  Pod pod;
  pod.name = {"web", "pod-1"};
  pod.ips = {Ip("10.42.0.1")};
  directory.Put(pod);
  EXPECT_EQ(Stale(), "");
  pod.finished = true;
  directory.Put(pod);
  EXPECT_THAT(Stale(), HasSubstr("has finished"));
  pod.finished = false;
  pod.ips = {Ip("10.42.0.2")};
  directory.Put(pod);
  EXPECT_THAT(Stale(), HasSubstr("does not have the address 10.42.0.1"));
}

TEST(WarningWords, NameEachCode) {
  for (size_t i = 0; i < kWarningCodes; ++i) {
    const auto code = static_cast<WarningCode>(i);
    EXPECT_EQ(FindWarning(WarningWord(code)), code);
    EXPECT_THAT(WarningWords(), HasSubstr(std::string(WarningWord(code))));
  }
  EXPECT_EQ(FindWarning(""), std::nullopt);
}

}  // namespace
}  // namespace portolan::xds

// Who sees a Service: portolan.dev/export-to.
#include "xds/serving/export_to.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "portolan/v1/directory.pb.h"
#include "tests/xds/serving/delta_client.h"
#include "tests/xds/serving/delta_server.h"
#include "tests/xds/serving/services.h"
#include "tests/xds/serving/state_client.h"

namespace portolan::xds {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr char kKey[] = "portolan.dev/export-to";

Service Exported(const std::string& to) {
  Service service = MakeClusterIpService("db", "10.43.0.9", {{"sql", 5432}});
  if (!to.empty()) {
    ServiceExtras extras;
    extras.annotations = {{kKey, to}};
    service.extras = std::move(extras);
  }
  return service;
}

Namespace ExportedNamespace(const std::string& to) {
  Namespace ns{"default", {}, {}, {}};
  if (!to.empty()) ns.annotations = {{kKey, to}};
  return ns;
}

// Which of these namespaces see it.
std::vector<std::string> Seers(const Service& service, const Namespace* ns) {
  const auto exported = ExportTo::Of(service, ns);
  std::vector<std::string> seers;
  for (const char* viewer : {"default", "shop", "tools", ""}) {
    if (exported == nullptr || exported->Allows(viewer)) seers.emplace_back(viewer);
  }
  return seers;
}

TEST(ExportTo, WithoutTheAnnotationAndWithAStarAllSeeIt) {
  const auto all = ElementsAre("default", "shop", "tools", "");
  EXPECT_THAT(Seers(Exported(""), nullptr), all);
  EXPECT_THAT(Seers(Exported("*"), nullptr), all);
  EXPECT_THAT(Seers(Exported("shop, *"), nullptr), all);
}

TEST(ExportTo, ItsOwnNamespaceSeesItAlways) {
  EXPECT_THAT(Seers(Exported("."), nullptr), ElementsAre("default"));
  EXPECT_THAT(Seers(Exported(" shop ,billing"), nullptr), ElementsAre("default", "shop"));
}

TEST(ExportTo, TheServicesAnnotationCountsBeforeTheNamespaces) {
  const Namespace own = ExportedNamespace(".");
  EXPECT_THAT(Seers(Exported(""), &own), ElementsAre("default"));
  EXPECT_THAT(Seers(Exported("tools"), &own), ElementsAre("default", "tools"));
  EXPECT_THAT(Seers(Exported("*"), &own), ElementsAre("default", "shop", "tools", ""));
}

TEST(ExportTo, WhatIsNoNamespaceIsLeftOut) {
  EXPECT_THAT(Seers(Exported("Shop!,tools"), nullptr), ElementsAre("default", "tools"));
  EXPECT_THAT(Seers(Exported(""), nullptr).size(), 4u);
}

class ExportServer : public DeltaServer {
 protected:
  void PutAll(const std::string& to) {
    Put(Exported(to), MakeClusterIpService("web", "10.43.0.1", {{"http", 80}}),
        MakeSliceOf("db", "db-1", {{"sql", Protocol::kTcp, 5432}}, {{"10.42.0.7"}}));
  }
  static DeltaClient::Request AskAs(const std::string& node, ResourceType type,
                                    const DeltaClient::Names& names) {
    auto request = DeltaClient::Ask(type, names);
    request.mutable_node()->set_id(node);
    return request;
  }
};

TEST_F(ExportServer, AClientIsToldOfWhatItsNamespaceSees) {
  PutAll("shop");
  for (const char* node : {"shop/cart-1", "default/db-0"}) {
    DeltaClient client(port());
    client.Send(AskAs(node, ResourceType::kService, {"*"}));
    EXPECT_THAT(NamesIn(client.Receive()), ElementsAre("default/db", "default/web")) << node;
  }
  for (const char* node : {"tools/x", "shop"}) {
    DeltaClient client(port());
    client.Send(AskAs(node, ResourceType::kService, {"*"}));
    EXPECT_THAT(NamesIn(client.Receive()), ElementsAre("default/web")) << node;
    // Asked by name it does not exist, and nothing says that it has slices.
    client.Send(ResourceType::kEndpoints, {"default/db", "default/db/db-1"});
    const auto endpoints = client.Receive();
    EXPECT_THAT(NamesIn(endpoints), IsEmpty());
    EXPECT_THAT(RemovedIn(endpoints), ElementsAre("default/db", "default/db/db-1"));
    client.Send(ResourceType::kAddress, {"10.42.0.7"});
    EXPECT_THAT(RemovedIn(client.Receive()), ElementsAre("10.42.0.7"));
    const std::string cluster = "db.default.svc.cluster.local:5432";
    client.Send(ResourceType::kCluster, {cluster});
    EXPECT_THAT(RemovedIn(client.Receive()), ElementsAre(cluster));
  }
}

TEST_F(ExportServer, SlicesOfAHiddenServiceAreNotNamed) {
  PutAll(".");
  DeltaClient client(port());
  client.Send(AskAs("tools/x", ResourceType::kEndpoints, {"default/db"}));
  EXPECT_THAT(RemovedIn(client.Receive()), ElementsAre("default/db"));
}

TEST_F(ExportServer, AChangeOfTheAnnotationGivesAndTakes) {
  PutAll("");
  DeltaClient client(port());
  client.Send(AskAs("tools/x", ResourceType::kService, {"*"}));
  EXPECT_THAT(NamesIn(client.Receive()), Contains("default/db"));
  client.Send(ResourceType::kEndpoints, {"default/db"});
  EXPECT_THAT(NamesIn(client.Receive()), ElementsAre("default/db", "default/db/db-1"));
  client.Send(ResourceType::kAddress, {"10.42.0.7"});
  EXPECT_THAT(NamesIn(client.Receive()), ElementsAre("10.42.0.7"));

  Put(Exported("shop"));
  EXPECT_THAT(RemovedIn(client.Receive()), ElementsAre("default/db"));
  EXPECT_THAT(RemovedIn(client.Receive()), ElementsAre("default/db", "default/db/db-1"));
  EXPECT_THAT(RemovedIn(client.Receive()), ElementsAre("10.42.0.7"));

  Put(Exported("shop,tools"));
  EXPECT_THAT(NamesIn(client.Receive()), ElementsAre("default/db"));
  EXPECT_THAT(NamesIn(client.Receive()), ElementsAre("default/db", "default/db/db-1"));
  EXPECT_THAT(NamesIn(client.Receive()), ElementsAre("10.42.0.7"));
}

TEST_F(ExportServer, ANamespacesAnnotationHoldsForItsServices) {
  PutAll("");
  DeltaClient client(port());
  client.Send(AskAs("tools/x", ResourceType::kService, {"*"}));
  EXPECT_THAT(NamesIn(client.Receive()), ElementsAre("default/db", "default/web"));
  Put(ExportedNamespace("shop"));
  EXPECT_THAT(RemovedIn(client.Receive()), ElementsAre("default/db", "default/web"));
  Put(ExportedNamespace(""));
  EXPECT_THAT(NamesIn(client.Receive()), ElementsAre("default/db", "default/web"));
}

TEST_F(ExportServer, StateOfTheWorldClientsSeeNoMore) {
  PutAll("shop");
  StateClient client(port());
  auto request = StateClient::Ask(ResourceType::kListener, {"*"});
  request.mutable_node()->set_id("tools/x");
  client.Send(request);
  EXPECT_THAT(NamesIn(client.Receive()), ElementsAre("10.43.0.1:80"));
}

}  // namespace
}  // namespace portolan::xds

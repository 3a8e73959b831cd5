#include "directory/directory.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

namespace portolan {
namespace {

using testing::ElementsAre;

Service MakeService(std::string_view name, std::initializer_list<std::string_view> addresses) {
  Service service;
  service.name = {"default", std::string(name)};
  for (auto address : addresses) service.cluster_ips.push_back(*IpAddress::Parse(address));
  return service;
}

ServiceExtras WithExternalIps(std::vector<IpAddress> ips) {
  ServiceExtras extras;
  extras.external_ips = std::move(ips);
  return extras;
}

EndpointSlice MakeSlice(std::string_view name, std::string_view service) {
  EndpointSlice slice;
  slice.name = {"default", std::string(name)};
  slice.service = service;
  return slice;
}

TEST(Directory, CommitGivesASnapshotAndLeavesTheOldOneAlone) {
  Directory directory;
  const auto before = directory.snapshot();
  directory.Put(MakeService("backend", {"10.43.0.123"}));
  EXPECT_EQ(directory.snapshot(), before) << "nothing is visible before the commit";
  const auto [after, changes] = directory.Commit();
  EXPECT_THAT(changes.services, ElementsAre("default/backend"));
  EXPECT_EQ(before->FindService("default/backend"), nullptr);
  ASSERT_NE(after->FindService("default/backend"), nullptr);
  EXPECT_EQ(after->generation(), before->generation() + 1);
}

TEST(Directory, ACommitOfNothingKeepsTheSnapshot) {
  Directory directory;
  directory.RemoveService({"default", "never-there"});
  const auto [snapshot, changes] = directory.Commit();
  EXPECT_TRUE(changes.empty());
  EXPECT_EQ(snapshot->generation(), 0u);
}

TEST(Directory, FindsServicesByAddressAcrossChanges) {
  Directory directory;
  directory.Put(MakeService("backend", {"10.43.0.1", "fd00::1"}));
  directory.Commit();
  directory.Put(MakeService("backend", {"10.43.0.2"}));
  const auto snapshot = directory.Commit().snapshot;
  EXPECT_EQ(snapshot->FindServiceByAddress(*IpAddress::Parse("10.43.0.1")), nullptr);
  EXPECT_EQ(snapshot->FindServiceByAddress(*IpAddress::Parse("fd00::1")), nullptr);
  EXPECT_NE(snapshot->FindServiceByAddress(*IpAddress::Parse("10.43.0.2")), nullptr);
  directory.RemoveService({"default", "backend"});
  EXPECT_EQ(directory.Commit().snapshot->FindServiceByAddress(*IpAddress::Parse("10.43.0.2")),
            nullptr);
}

TEST(Directory, AClusterIpIsItsServicesWhoeverElseNamesItAsExternal) {
  const IpAddress ip = *IpAddress::Parse("10.43.0.1");
  Directory directory;
  Service thief = MakeService("thief", {"10.43.0.2"});
  thief.extras = WithExternalIps({ip});
  directory.Put(thief);
  directory.Put(MakeService("backend", {"10.43.0.1"}));
  directory.Put(thief);
  EXPECT_EQ(directory.Commit().snapshot->FindServiceByAddress(ip)->name.name, "backend");
  directory.RemoveService({"default", "backend"});
  EXPECT_EQ(directory.Commit().snapshot->FindServiceByAddress(ip)->name.name, "thief");
}

// An address leads to the very object that the name leads to, however Services contend for it.
TEST(Directory, AnAddressLeadsToTheServiceAsItIsInTheSameSnapshot) {
  for (uint32_t seed = 0; seed < 50; ++seed) {
    std::mt19937 random(seed);
    Directory directory;
    for (int step = 0; step < 200; ++step) {
      const std::string name = "s" + std::to_string(random() % 5);
      if (random() % 4 == 0) {
        directory.RemoveService({"default", name});
      } else {
        Service service = MakeService(name, {});
        const auto ip = [&] {
          return *IpAddress::Parse("10.43.0." + std::to_string(random() % 6));
        };
        if (random() % 2 == 0) service.cluster_ips.push_back(ip());
        if (random() % 2 == 0) service.extras = WithExternalIps({ip(), ip()});
        directory.Put(std::move(service));
      }
      if (random() % 3 != 0) continue;  // several changes to a commit
      const auto snapshot = directory.Commit().snapshot;
      for (int host = 0; host < 6; ++host) {
        const IpAddress ip = *IpAddress::Parse("10.43.0." + std::to_string(host));
        bool claimed = false;
        snapshot->ForEachService([&](const Service& service) {
          const auto addresses = service.Addresses();
          claimed |= std::binary_search(addresses.begin(), addresses.end(), ip);
        });
        const Service* found = snapshot->FindServiceByAddress(ip);
        ASSERT_EQ(found != nullptr, claimed) << "seed " << seed << " step " << step;
        if (found == nullptr) continue;
        ASSERT_EQ(found, snapshot->FindService(found->name.ToString()));
        const auto addresses = found->Addresses();
        ASSERT_TRUE(std::binary_search(addresses.begin(), addresses.end(), ip));
      }
    }
  }
}

TEST(Directory, AnAddressClaimedTwiceStaysWithTheFirstUntilItGoes) {
  const IpAddress ip = *IpAddress::Parse("192.0.2.1");
  Directory directory;
  directory.Put(MakeService("first", {"192.0.2.1"}));
  directory.Put(MakeService("second", {"192.0.2.1"}));
  EXPECT_EQ(directory.Commit().snapshot->FindServiceByAddress(ip)->name.name, "first");
  directory.Put(MakeService("first", {"192.0.2.1", "192.0.2.2"}));
  EXPECT_EQ(directory.Commit().snapshot->FindServiceByAddress(ip)->name.name, "first")
      << "an update keeps its place";
  directory.RemoveService({"default", "first"});
  EXPECT_EQ(directory.Commit().snapshot->FindServiceByAddress(ip)->name.name, "second");
}

TEST(Directory, AnAddressGoesToTheOldestClaimThatIsLeftAndThenToNobody) {
  const IpAddress ip = *IpAddress::Parse("192.0.2.1");
  Directory directory;
  for (const char* name : {"first", "second", "third"}) {
    directory.Put(MakeService(name, {"192.0.2.1"}));
  }
  directory.RemoveService({"default", "second"});
  directory.Put(MakeService("first", {"192.0.2.2"}));
  EXPECT_EQ(directory.Commit().snapshot->FindServiceByAddress(ip)->name.name, "third");
  directory.Put(MakeService("first", {"192.0.2.1"}));
  EXPECT_EQ(directory.Commit().snapshot->FindServiceByAddress(ip)->name.name, "third");
  directory.RemoveService({"default", "first"});
  directory.RemoveService({"default", "third"});
  EXPECT_EQ(directory.Commit().snapshot->FindServiceByAddress(ip), nullptr);
}

TEST(Directory, SlicesAreFiledUnderTheirService) {
  Directory directory;
  directory.Put(MakeSlice("backend-a", "backend"));
  directory.Put(MakeSlice("backend-b", "backend"));
  auto [snapshot, changes] = directory.Commit();
  EXPECT_THAT(changes.endpoints, ElementsAre("default/backend"));
  EXPECT_EQ(snapshot->FindSlices("default/backend")->size(), 2u);

  directory.RemoveSlice({"default", "backend-a"});
  EXPECT_EQ(directory.Commit().snapshot->FindSlices("default/backend")->size(), 1u);
  directory.RemoveSlice({"default", "backend-b"});
  EXPECT_EQ(directory.Commit().snapshot->FindSlices("default/backend"), nullptr);
}

TEST(Directory, ASliceWhoseLabelChangesMoves) {
  Directory directory;
  directory.Put(MakeSlice("s", "old"));
  directory.Commit();
  directory.Put(MakeSlice("s", "new"));
  const auto [snapshot, changes] = directory.Commit();
  EXPECT_THAT(changes.endpoints, ElementsAre("default/new", "default/old"));
  EXPECT_EQ(snapshot->FindSlices("default/old"), nullptr);
  EXPECT_EQ(snapshot->FindSlices("default/new")->size(), 1u);
}

// The controllers of the multi-cluster services API label a slice for a derived Service and for its
// ServiceImport; the sources make two of it.
TEST(Directory, ImportedSlicesAreASetOfTheirOwn) {
  Directory directory;
  directory.Put(MakeSlice("s", "derived-1"));
  EndpointSlice imported = MakeSlice("s", "backend");
  imported.imported = true;
  imported.source_cluster = "west";
  directory.Put(imported);
  const auto [snapshot, changes] = directory.Commit();
  EXPECT_THAT(changes.endpoints, ElementsAre("default/derived-1"));
  EXPECT_THAT(changes.imported_endpoints, ElementsAre("default/backend"));
  EXPECT_EQ(snapshot->FindSlices("default/backend"), nullptr);
  ASSERT_NE(snapshot->FindImportedSlices("default/backend"), nullptr);
  EXPECT_EQ(snapshot->FindImportedSlices("default/backend")->at("s")->source_cluster, "west");

  directory.RemoveSlice({"default", "s"});
  const auto without = directory.Commit().snapshot;
  EXPECT_EQ(without->FindSlices("default/derived-1"), nullptr);
  EXPECT_NE(without->FindImportedSlices("default/backend"), nullptr);
  directory.RemoveImportedSlice({"default", "s"});
  EXPECT_EQ(directory.Commit().snapshot->FindImportedSlices("default/backend"), nullptr);
}

TEST(Directory, ThatAServiceHasNoSlicesIsHeldApartFromNotKnowing) {
  Directory directory(Directory::Slices::kOfThoseAskedFor);
  directory.Put(MakeSlice("s", "backend"));
  const auto held = directory.Commit().snapshot;
  EXPECT_FALSE(held->holds_all_slices());
  EXPECT_TRUE(held->KnowsSlices("default/backend"));
  EXPECT_FALSE(held->KnowsSlices("default/other"));

  directory.PutNoSlices("default/backend");
  const auto [none, changes] = directory.Commit();
  EXPECT_THAT(changes.endpoints, ElementsAre("default/backend"));
  EXPECT_TRUE(none->KnowsSlices("default/backend"));
  EXPECT_TRUE(none->FindSlices("default/backend")->empty());
  directory.Put(MakeSlice("s", "other"));
  EXPECT_TRUE(directory.Commit().snapshot->FindSlices("default/backend")->empty());

  directory.ForgetSlices("default/backend");
  directory.ForgetSlices("default/other");
  const auto forgotten = directory.Commit();
  EXPECT_THAT(forgotten.changes.endpoints, ElementsAre("default/backend", "default/other"));
  EXPECT_FALSE(forgotten.snapshot->KnowsSlices("default/backend"));
  // Not moved out of the Service that was forgotten.
  directory.Put(MakeSlice("s", "backend"));
  EXPECT_THAT(directory.Commit().changes.endpoints, ElementsAre("default/backend"));
  EXPECT_TRUE(Directory().snapshot()->KnowsSlices("default/backend"));
}

TEST(Directory, ServiceImportsAreFoundByName) {
  Directory directory;
  ServiceImport import;
  import.name = {"default", "backend"};
  import.ips = {*IpAddress::Parse("10.96.0.153")};
  directory.Put(import);
  const auto [snapshot, changes] = directory.Commit();
  EXPECT_THAT(changes.service_imports, ElementsAre("default/backend"));
  ASSERT_NE(snapshot->FindServiceImport("default/backend"), nullptr);
  EXPECT_EQ(snapshot->FindServiceImport("default/backend")->ips, import.ips);
  EXPECT_EQ(snapshot->FindService("default/backend"), nullptr);
  EXPECT_EQ(snapshot->FindServiceByAddress(import.ips.front()), nullptr);

  directory.RemoveServiceImport(import.name);
  const auto removed = directory.Commit();
  EXPECT_THAT(removed.changes.service_imports, ElementsAre("default/backend"));
  EXPECT_EQ(removed.snapshot->service_import_count(), 0u);
}

TEST(Directory, NodesServiceRangesAndPoliciesAreFoundByNameUntilTheyGo) {
  Directory directory;
  Node node;
  node.name = "node-1";
  node.zone = "a";
  directory.Put(node);
  ServiceCidr range;
  range.name = "kubernetes";
  directory.Put(range);
  NetworkPolicy policy;
  policy.name = {"default", "allow"};
  directory.Put(policy);
  const auto [snapshot, changes] = directory.Commit();
  EXPECT_THAT(changes.nodes, ElementsAre("node-1"));
  EXPECT_THAT(changes.service_cidrs, ElementsAre("kubernetes"));
  EXPECT_THAT(changes.network_policies, ElementsAre("default/allow"));
  ASSERT_NE(snapshot->FindNode("node-1"), nullptr);
  EXPECT_EQ(snapshot->FindNode("node-1")->zone, "a");
  EXPECT_NE(snapshot->FindServiceCidr("kubernetes"), nullptr);
  EXPECT_NE(snapshot->FindNetworkPolicy("default/allow"), nullptr);

  directory.RemoveNode("node-1");
  directory.RemoveServiceCidr("kubernetes");
  directory.RemoveNetworkPolicy({"default", "allow"});
  const auto removed = directory.Commit();
  EXPECT_THAT(removed.changes.nodes, ElementsAre("node-1"));
  EXPECT_EQ(removed.snapshot->FindNode("node-1"), nullptr);
  EXPECT_EQ(removed.snapshot->FindServiceCidr("kubernetes"), nullptr);
  EXPECT_EQ(removed.snapshot->FindNetworkPolicy("default/allow"), nullptr);
  directory.RemoveNode("node-1");
  EXPECT_FALSE(directory.dirty());
}

TEST(Directory, AnAddressThatNobodyHasIsHeldToo) {
  Directory directory;
  const IpAddress ip = *IpAddress::Parse("10.42.0.7"), unheld = *IpAddress::Parse("10.42.0.8");
  directory.Put(AddressOwner{ip, {}});
  const auto [snapshot, changes] = directory.Commit();
  EXPECT_THAT(changes.addresses, ElementsAre(ip));
  EXPECT_EQ(snapshot->FindAddress(unheld), nullptr);
  ASSERT_NE(snapshot->FindAddress(ip), nullptr);
  EXPECT_EQ(snapshot->FindAddress(ip)->pod, ObjectName());

  directory.Put(AddressOwner{ip, {"default", "web-0"}});
  EXPECT_EQ(directory.Commit().snapshot->FindAddress(ip)->pod.name, "web-0");
  directory.RemoveAddress(ip);
  EXPECT_EQ(directory.Commit().snapshot->FindAddress(ip), nullptr);
  directory.RemoveAddress(ip);
  EXPECT_FALSE(directory.dirty());
}

}  // namespace
}  // namespace portolan

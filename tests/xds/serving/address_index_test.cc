#include "xds/serving/address_index.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace portolan::xds {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

// Every Service is wanted.
bool Any(const std::string&) { return true; }

class PodAddresses : public ::testing::Test {
 protected:
  static Pod Make(const std::string& name, const std::string& ip, int created = 0) {
    Pod pod;
    pod.name = {"default", name};
    pod.ips = {*IpAddress::Parse(ip)};
    pod.created = absl::FromUnixSeconds(created);
    return pod;
  }
  // The addresses whose owner changed.
  std::vector<std::string> Put(Pod pod) {
    directory_.Put(std::move(pod));
    return Commit();
  }
  std::vector<std::string> Commit() {
    std::vector<std::string> changed;
    index_ = index_.Next(directory_.Commit(), &changed);
    return changed;
  }
  std::string Owner(const std::string& ip) const {
    const Pod* owner = index_.FindOwner(*IpAddress::Parse(ip));
    return owner == nullptr ? "" : owner->name.name;
  }

  Directory directory_;
  AddressIndex index_;
};

TEST_F(PodAddresses, APodHasAllItsAddressesUntilItGoes) {
  Pod pod = Make("a", "10.42.0.1");
  pod.ips.push_back(*IpAddress::Parse("fd00::1"));
  EXPECT_THAT(Put(pod), ElementsAre("10.42.0.1", "fd00::1"));
  EXPECT_EQ(Owner("fd00::1"), "a");
  EXPECT_EQ(Owner("10.42.0.2"), "");
  pod.ips = {*IpAddress::Parse("10.42.0.2")};
  EXPECT_THAT(Put(pod), ElementsAre("10.42.0.1", "10.42.0.2", "fd00::1"));
  directory_.RemovePod({"default", "a"});
  EXPECT_THAT(Commit(), ElementsAre("10.42.0.2"));
  EXPECT_EQ(Owner("10.42.0.2"), "");
}

TEST_F(PodAddresses, AFinishedPodHasNoneAndATerminatingOneStill) {
  Pod pod = Make("a", "10.42.0.1");
  pod.terminating = true;
  EXPECT_THAT(Put(pod), ElementsAre("10.42.0.1"));
  EXPECT_EQ(Owner("10.42.0.1"), "a");
  pod.finished = true;
  EXPECT_THAT(Put(pod), ElementsAre("10.42.0.1"));
  EXPECT_EQ(Owner("10.42.0.1"), "");
}

TEST_F(PodAddresses, APodOnTheHostsNetworkHasNone) {
  Pod pod = Make("a", "192.0.2.1");
  pod.host_network = true;
  EXPECT_THAT(Put(pod), IsEmpty());
  EXPECT_EQ(Owner("192.0.2.1"), "");
}

TEST_F(PodAddresses, OfSeveralTheUnfinishedAndNewestHasTheAddressWhateverTheOrder) {
  Put(Make("new", "10.42.0.1", 20));
  EXPECT_THAT(Put(Make("old", "10.42.0.1", 10)), IsEmpty());
  EXPECT_EQ(Owner("10.42.0.1"), "new");
  Put(Make("twin", "10.42.0.1", 20));
  EXPECT_EQ(Owner("10.42.0.1"), "twin");
  Pod finished = Make("twin", "10.42.0.1", 20);
  finished.finished = true;
  EXPECT_THAT(Put(finished), ElementsAre("10.42.0.1"));
  EXPECT_EQ(Owner("10.42.0.1"), "new");
  directory_.RemovePod({"default", "new"});
  EXPECT_THAT(Commit(), ElementsAre("10.42.0.1"));
  EXPECT_EQ(Owner("10.42.0.1"), "old");
}

TEST_F(PodAddresses, ChangeWithThePodsNodeAndWithThatNodesZone) {
  Pod pod = Make("a", "10.42.0.1");
  pod.node_name = "node-a";
  EXPECT_THAT(Put(pod), ElementsAre("10.42.0.1"));
  EXPECT_THAT(Put(Make("elsewhere", "10.42.0.9")), ElementsAre("10.42.0.9"));
  Node node;
  node.name = "node-a";
  node.zone = "zone-a";
  directory_.Put(node);
  EXPECT_THAT(Commit(), ElementsAre("10.42.0.1"));
  node.internal_ips = {*IpAddress::Parse("192.0.2.1")};
  directory_.Put(node);
  EXPECT_THAT(Commit(), IsEmpty());
  directory_.RemoveNode("node-a");
  EXPECT_THAT(Commit(), ElementsAre("10.42.0.1"));
  pod.node_name = "node-b";
  EXPECT_THAT(Put(pod), ElementsAre("10.42.0.1"));
}

TEST_F(PodAddresses, AnAddressListedTwiceIsOne) {
  Pod pod = Make("a", "10.42.0.1");
  pod.ips.push_back(pod.ips.front());
  EXPECT_THAT(Put(pod), ElementsAre("10.42.0.1"));
  pod.labels = {{"app", "a"}};
  EXPECT_THAT(Put(pod), IsEmpty());
  directory_.RemovePod({"default", "a"});
  EXPECT_THAT(Commit(), ElementsAre("10.42.0.1"));
}

TEST_F(PodAddresses, AnEarlierIndexStaysAsItWas) {
  Put(Make("a", "10.42.0.1"));
  const AddressIndex before = index_;
  directory_.RemovePod({"default", "a"});
  Commit();
  EXPECT_EQ(Owner("10.42.0.1"), "");
  ASSERT_NE(before.FindOwner(*IpAddress::Parse("10.42.0.1")), nullptr);
}

class ServiceAddresses : public PodAddresses {
 protected:
  static Service MakeService(const std::string& name, bool headless = false) {
    Service service;
    service.name = {"default", name};
    service.headless = headless;
    return service;
  }
  // A slice of `service` with these addresses, port `port`.
  static EndpointSlice Slice(const std::string& service, const std::string& name,
                             const std::vector<std::string>& ips, uint16_t port = 80) {
    EndpointSlice slice;
    slice.name = {"default", name};
    slice.service = service;
    slice.ports = {{"", Protocol::kTcp, port}};
    for (const std::string& ip : ips) {
      slice.endpoints.emplace_back().addresses = {*IpAddress::Parse(ip)};
    }
    return slice;
  }
  template <typename... T>
  std::vector<std::string> PutAll(T... objects) {
    (directory_.Put(std::move(objects)), ...);
    return Commit();
  }
  // "name:port,port" of each.
  std::vector<std::string> Services(const std::string& ip) const {
    std::vector<std::string> all;
    for (const AddressService& service : index_.FindServices(*IpAddress::Parse(ip), Any)) {
      std::string& text = all.emplace_back(service.name.name + ":");
      for (const EndpointPort& port : service.ports) text += std::to_string(port.port) + ",";
    }
    return all;
  }
};

TEST_F(ServiceAddresses, AreTheServicesWhoseSlicesListThemHeadlessOnesFirst) {
  EXPECT_THAT(PutAll(MakeService("b"), MakeService("a"), MakeService("h", true),
                     Slice("b", "b-1", {"10.42.0.1"}, 8080), Slice("a", "a-1", {"10.42.0.1"}),
                     Slice("h", "h-1", {"10.42.0.1", "10.42.0.2"}, 8080),
                     Slice("h", "h-2", {"10.42.0.1"}, 443)),
              ElementsAre("10.42.0.1", "10.42.0.2"));
  EXPECT_THAT(Services("10.42.0.1"), ElementsAre("h:443,8080,", "a:80,", "b:8080,"));
  EXPECT_THAT(Services("10.42.0.2"), ElementsAre("h:8080,"));
  EXPECT_THAT(Services("10.42.0.3"), IsEmpty());
}

TEST_F(ServiceAddresses, AreBounded) {
  for (const char* name : {"f", "e", "d", "c", "b", "a"}) {
    PutAll(MakeService(name), Slice(name, name, {"10.42.0.1"}));
  }
  EXPECT_THAT(Services("10.42.0.1"), ElementsAre("a:80,", "b:80,", "c:80,", "d:80,"));
}

TEST_F(ServiceAddresses, OnlyThoseThatDifferAreSaidToHaveChanged) {
  PutAll(MakeService("a"), Slice("a", "a-1", {"10.42.0.1", "10.42.0.2"}),
         Slice("a", "a-2", {"10.42.0.2", "10.42.0.3"}));
  EndpointSlice slice = Slice("a", "a-1", {"10.42.0.1", "10.42.0.2", "10.42.0.4"});
  slice.endpoints[0].conditions.ready = false;
  EXPECT_THAT(PutAll(slice), ElementsAre("10.42.0.4"));
  EXPECT_THAT(PutAll(Slice("a", "a-1", {"10.42.0.4"})), ElementsAre("10.42.0.1"))
      << "10.42.0.2 is in another slice as well";
  EXPECT_THAT(Services("10.42.0.1"), IsEmpty());
  EXPECT_THAT(Services("10.42.0.2"), ElementsAre("a:80,"));
  EXPECT_THAT(PutAll(Slice("a", "a-1", {"10.42.0.4"}, 81)), ElementsAre("10.42.0.4"));
  EXPECT_THAT(Services("10.42.0.4"), ElementsAre("a:81,"));
  directory_.RemoveSlice({"default", "a-2"});
  EXPECT_THAT(Commit(), ElementsAre("10.42.0.2", "10.42.0.3"));
  EXPECT_THAT(Services("10.42.0.3"), IsEmpty());
}

TEST_F(ServiceAddresses, AServiceCountsOnceItIsThereAndUntilItGoes) {
  EXPECT_THAT(PutAll(Slice("a", "a-1", {"10.42.0.1"})), ElementsAre("10.42.0.1"));
  EXPECT_THAT(Services("10.42.0.1"), IsEmpty());
  EXPECT_THAT(PutAll(MakeService("a")), ElementsAre("10.42.0.1"));
  EXPECT_THAT(Services("10.42.0.1"), ElementsAre("a:80,"));
  Service service = MakeService("a");
  service.publish_not_ready_addresses = true;
  EXPECT_THAT(PutAll(service), IsEmpty());
  EXPECT_THAT(PutAll(MakeService("a", true)), ElementsAre("10.42.0.1"));
  directory_.RemoveService({"default", "a"});
  EXPECT_THAT(Commit(), ElementsAre("10.42.0.1"));
  EXPECT_THAT(Services("10.42.0.1"), IsEmpty());
}

// The endpoints controller does not take them away.
TEST_F(ServiceAddresses, AnExternalNameHasNoneOfTheSlicesThatItKept) {
  PutAll(MakeService("a"), Slice("a", "a-1", {"10.42.0.1"}));
  EXPECT_THAT(Services("10.42.0.1"), ElementsAre("a:80,"));
  Service external = MakeService("a");
  external.type = ServiceType::kExternalName;
  EXPECT_THAT(PutAll(external), ElementsAre("10.42.0.1"));
  EXPECT_THAT(Services("10.42.0.1"), IsEmpty());
  EXPECT_THAT(PutAll(MakeService("a")), ElementsAre("10.42.0.1"));
  EXPECT_THAT(Services("10.42.0.1"), ElementsAre("a:80,"));
}

}  // namespace
}  // namespace portolan::xds

#include "xds/serving/address_index.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace portolan::xds {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

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

}  // namespace
}  // namespace portolan::xds

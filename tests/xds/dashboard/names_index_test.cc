#include "xds/dashboard/names_index.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>

#include "absl/time/clock.h"
#include "tests/directory/small_cluster.h"

namespace portolan::xds {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

IpAddress Ip(const char* text) { return *IpAddress::Parse(text); }

class NamesIndexTest : public ::testing::Test {
 protected:
  void Commit(bool loaded = true) {
    const Directory::Committed committed = directory.Commit();
    std::vector<std::string> changed;
    addresses = addresses.Next(committed, &changed);
    index.OnCommit(committed, addresses, loaded);
  }
  void PutService(const char* name, std::vector<const char*> ips) {
    Service service;
    service.name = {"web", name};
    for (const char* ip : ips) service.cluster_ips.push_back(Ip(ip));
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
  std::vector<std::string> Codes(const char* name) {
    std::vector<std::string> codes;
    for (const auto& warning : index.Find(ObjectName{"web", name})->warnings) {
      codes.push_back(warning["code"]);
    }
    return codes;
  }

  EventLoop loop;
  SidecarDns dns{loop};
  Directory directory;
  AddressIndex addresses;
  NamesIndex index{loop, "cluster.local", dns};
};

TEST_F(NamesIndexTest, FollowsWhatIsAddedChangedAndRemoved) {
  PutSmallCluster(directory);
  Commit();
  EXPECT_EQ(index.size(), 4u);
  EXPECT_EQ(index.endpoints(), 2u);
  directory.RemoveService({"default", "backend"});
  directory.RemoveSlice({"default", "backend-headless-1"});
  Commit();
  EXPECT_EQ(index.size(), 3u);
  EXPECT_EQ(index.endpoints(), 0u);
  EXPECT_EQ(index.Find(ObjectName{"default", "backend"}), nullptr);
  EXPECT_THAT(index.Find(ObjectName{"default", "backend-headless"})->json,
              HasSubstr(R"("code":"no-endpoints")"));
}

TEST_F(NamesIndexTest, AnAddressThatTwoHaveIsAWarningOfBoth) {
  PutService("a", {"10.43.0.1"});
  PutService("b", {"10.43.0.1", "10.43.0.2"});
  Commit();
  EXPECT_THAT(Codes("a"), ElementsAre("no-endpoints", "duplicate-address"));
  EXPECT_THAT(Codes("b"), ElementsAre("no-endpoints", "duplicate-address"));
  PutService("b", {"10.43.0.2"});
  Commit();
  EXPECT_THAT(Codes("a"), ElementsAre("no-endpoints"));
  EXPECT_THAT(Codes("b"), ElementsAre("no-endpoints"));
}

TEST_F(NamesIndexTest, AnAliasIsJudgedAnewWhenWhatItLeadsToComesOrGoes) {
  PutAlias("alias", "real.web.svc.cluster.local");
  PutAlias("second", "alias.web.svc.cluster.local");
  Commit();
  EXPECT_THAT(Codes("second"), ElementsAre("external-name-to-nowhere"));
  PutService("real", {"10.43.0.1"});
  Commit();
  EXPECT_THAT(Codes("alias"), IsEmpty());
  EXPECT_THAT(Codes("second"), IsEmpty());
  directory.RemoveService({"web", "real"});
  Commit();
  EXPECT_THAT(Codes("alias"), ElementsAre("external-name-to-nowhere"));
  EXPECT_THAT(Codes("second"), ElementsAre("external-name-to-nowhere"));
}

TEST_F(NamesIndexTest, AChainOfAliasesIsJudgedAsFarAsItIsFollowed) {
  constexpr int kAliases = 20'000;
  const auto name = [](int i) { return "alias" + std::to_string(i); };
  PutAlias(name(0).c_str(), "real.web.svc.cluster.local");
  for (int i = 1; i < kAliases; ++i) {
    PutAlias(name(i).c_str(), (name(i - 1) + ".web.svc.cluster.local").c_str());
  }
  Commit();
  bool is_current = false;
  index.WhenCurrent([&] {
    is_current = true;
    loop.Stop();
  });
  if (!is_current) loop.Run();
  PutService("real", {"10.43.0.1"});
  Commit();
  EXPECT_THAT(Codes("alias0"), IsEmpty());
  EXPECT_THAT(Codes("alias7"), IsEmpty());
  EXPECT_THAT(Codes("alias8"), ElementsAre("external-name-to-nowhere"));
}

TEST_F(NamesIndexTest, ACorefileThatShadowsANameIsAWarning) {
  PutService("shown", {"10.43.0.1"});
  PutService("hidden", {"10.43.0.2"});
  Commit();
  EXPECT_THAT(Codes("hidden"), ElementsAre("no-endpoints"));
  ASSERT_TRUE(dns.SetCorefile(R"(. {
    hosts { 
      192.0.2.1 hidden.web.svc.cluster.local
      fallthrough
    }
    kubernetes cluster.local
  })")
                  .ok());
  index.OnCorefile();
  EXPECT_THAT(Codes("hidden"), ElementsAre("no-endpoints", "name-shadowed"));
  EXPECT_THAT(Codes("shown"), ElementsAre("no-endpoints"));
}

TEST_F(NamesIndexTest, APodThatIsGoneMakesItsSliceSuspectButNotAtOnce) {
  PutSmallCluster(directory);
  for (const char* name : {"backend-1", "backend-2"}) {
    Pod pod;
    pod.name = {"default", name};
    const bool first = std::string_view(name) == "backend-1";
    pod.ips = {Ip(first ? "10.42.0.1" : "10.42.0.2"), Ip(first ? "fd42::1" : "fd42::2")};
    directory.Put(pod);
  }
  Commit();
  EXPECT_EQ(StaleEndpoint(*index.snapshot(), index.snapshot()->FindSlices("default/backend")), "");
  directory.RemovePod({"default", "backend-1"});
  Commit();
  EXPECT_THAT(StaleEndpoint(*index.snapshot(), index.snapshot()->FindSlices("default/backend")),
              HasSubstr("default/backend-1, which is gone"));
  EXPECT_EQ(index.Find(ObjectName{"default", "backend"})->warnings.dump(), "[]");
}

TEST_F(NamesIndexTest, TheLastChangeIsWhenTheSlicesChangedUntilACommitChangesMore) {
  const absl::Time then = absl::FromUnixSeconds(1'600'000'000);
  Service service;
  service.name = {"web", "a"};
  service.origin = {absl::Cord("1"), then + absl::Hours(2), {}};
  directory.Put(service);
  EndpointSlice slice;
  slice.name = {"web", "a-1"};
  slice.service = "a";
  slice.triggered = then;
  slice.origin = {absl::Cord("2"), then + absl::Hours(2), {}};
  directory.Put(slice);
  Commit(false);
  EXPECT_EQ(index.Find(ObjectName{"web", "a"})->last_change, then);
  directory.Put(service);  // listed again, as it was
  directory.Put(slice);
  Commit();
  EXPECT_EQ(index.Find(ObjectName{"web", "a"})->last_change, then);
  service.origin.resource_version = absl::Cord("3");
  directory.Put(service);
  const absl::Time before = absl::Now();
  Commit();
  EXPECT_GE(index.Find(ObjectName{"web", "a"})->last_change, before);
}

// A first load takes many turns of the loop; whoever asks meanwhile waits.
TEST_F(NamesIndexTest, AnswersOnceAllIsWorkedOut) {
  for (int i = 0; i < 20000; ++i) PutService(("s" + std::to_string(i)).c_str(), {});
  Commit(false);
  size_t found = 0;
  ASSERT_TRUE(index.WhenCurrent([&] {
    NamesQuery query;
    query.any_warning = true;
    found = index.Find(query).total;
    loop.Stop();
  }));
  EXPECT_EQ(found, 0u);
  loop.Run();
  EXPECT_EQ(found, 20000u);
}

}  // namespace
}  // namespace portolan::xds

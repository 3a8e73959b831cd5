#include "dns/plugins/autopath.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "tests/dns/plugins/block.h"

namespace portolan::dns {
namespace {

using test::AddressBytes;
using test::Below;
using test::NameBytes;
using test::operator+;  // NOLINT(misc-unused-using-decls): it does not see this use
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using wire::Rcode;
using wire::Section;
using wire::type::kA;
using wire::type::kAaaa;
using wire::type::kSoa;

Below::Reply Address(const std::string& owner, std::string_view address, uint32_t ttl = 60) {
  return {Rcode::kNoError, {{Section::kAnswer, owner, kA, ttl, AddressBytes(address)}}};
}

class AutopathTest : public ::testing::Test {
 protected:
  void Load(std::string_view directives = "autopath @kubernetes") {
    block_.search = {"default.svc.cluster.local", "svc.cluster.local", "cluster.local",
                     "corp.test"};
    EXPECT_EQ(block_.Load(directives), "");
  }

  test::Block block_;
};

TEST_F(AutopathTest, AnExternalNameIsAnsweredToTheFirstQuestionBehindACname) {
  Load();
  block_.below().says["example.org. 1"] = Address("example.org", "192.0.2.1", 30);
  EXPECT_EQ(block_.Ask("Example.org.default.svc.cluster.local", kA),
            "0\nExample.org.default.svc.cluster.local. 30 CNAME example.org."
            "\nexample.org. 30 A 192.0.2.1");
  EXPECT_THAT(
      block_.below().asked,
      ElementsAre("example.org.default.svc.cluster.local. 1", "example.org.svc.cluster.local. 1",
                  "example.org.cluster.local. 1", "example.org.corp.test. 1", "example.org. 1"));
  EXPECT_EQ(block_.Metric("coredns_autopath_success_total"), 1);
  EXPECT_TRUE(block_.completed());
}

TEST_F(AutopathTest, TheFirstNameOfTheListThatExistsWins) {
  Load();
  block_.below().says["db.corp.test. 1"] = Address("db.corp.test", "192.0.2.7");
  block_.below().says["db. 1"] = Address("db", "192.0.2.8");
  EXPECT_EQ(block_.Ask("db.default.svc.cluster.local", kA),
            "0\ndb.default.svc.cluster.local. 60 CNAME db.corp.test."
            "\ndb.corp.test. 60 A 192.0.2.7");
}

TEST_F(AutopathTest, ANameThatIsThereIsAnsweredAsItIs) {
  Load();
  block_.below().says["db.default.svc.cluster.local. 1"] =
      Address("db.default.svc.cluster.local", "10.0.0.1");
  EXPECT_EQ(block_.Ask("db.default.svc.cluster.local", kA),
            "0\ndb.default.svc.cluster.local. 60 A 10.0.0.1");
  EXPECT_FALSE(block_.completed());
  EXPECT_EQ(block_.below().asked.size(), 1u);
  // NODATA: the name exists.
  block_.below().says["db.default.svc.cluster.local. 28"] = {};
  EXPECT_EQ(block_.Ask("db.default.svc.cluster.local", kAaaa), "0");
  EXPECT_EQ(block_.below().asked.size(), 2u);
}

TEST_F(AutopathTest, NodataOfALaterNameIsTheAnswerWithoutACname) {
  Load();
  block_.below().says["example.org."] = {
      Rcode::kNoError,
      {{Section::kAuthority, "org", kSoa, 60, NameBytes("ns") + NameBytes("h") + test::Bytes(20)}}};
  EXPECT_EQ(block_.Ask("example.org.default.svc.cluster.local", kAaaa),
            "0|\norg. 60 SOA ns. h. * 0 0 0 0");
}

TEST_F(AutopathTest, WhereNothingExistsTheFirstRepliesNxdomainIsTheAnswer) {
  Load();
  block_.below().says["nosuch.default.svc.cluster.local."] = {
      Rcode::kNxDomain,
      {{Section::kAuthority, "cluster.local", kSoa, 5,
        NameBytes("ns") + NameBytes("h") + test::Bytes(20)}}};
  EXPECT_EQ(block_.Ask("nosuch.default.svc.cluster.local", kA),
            "3|\ncluster.local. 5 SOA ns. h. * 0 0 0 0");
  EXPECT_EQ(block_.below().asked.front(), block_.below().asked.back());
  EXPECT_EQ(block_.Metric("portolan_autopath_failed_total"), 1);
}

TEST_F(AutopathTest, OtherNamesAreNotCompleted) {
  Load();
  for (const char* name : {"example.org", "example.org.svc.cluster.local",
                           "default.svc.cluster.local", "x.other.svc.cluster.local"}) {
    EXPECT_EQ(block_.Ask(name, kA), "3");
  }
  EXPECT_EQ(block_.below().asked.size(), 4u);
}

TEST_F(AutopathTest, ServfailEndsTheSearchAndRefusedDoesNot) {
  Load();
  block_.below().says["db.svc.cluster.local."] = {Rcode::kRefused, {}};
  block_.below().says["db.corp.test."] = {Rcode::kServFail, {}};
  block_.below().says["db. 1"] = Address("db", "192.0.2.8");
  EXPECT_EQ(block_.Ask("db.default.svc.cluster.local", kA), "2");
}

TEST_F(AutopathTest, NamesThatWouldBeTooLongArePassedOver) {
  block_.search = {"a", std::string(60, 'b') + ".b", "c"};
  EXPECT_EQ(block_.Load("autopath @kubernetes"), "");
  std::string base;
  for (int i = 0; i < 3; ++i) base += std::string(63, 'x') + ".";
  block_.Ask(base + "a", kA);
  EXPECT_THAT(block_.below().asked,
              ElementsAre(base + "a. 1", base + "c. 1", base + " 1", base + "a. 1"));
}

TEST_F(AutopathTest, NamesOfTheClusterAreFoundWithoutAnUpstream) {
  block_.cluster.PutService("other", "backend", {"10.43.0.5"});
  block_.cluster.Publish();
  Load("kubernetes cluster.local\nautopath @kubernetes");
  EXPECT_EQ(block_.Ask("backend.other.default.svc.cluster.local", kA),
            "0\nbackend.other.default.svc.cluster.local. 5 CNAME backend.other.svc.cluster.local."
            "\nbackend.other.svc.cluster.local. 5 A 10.43.0.5");
  EXPECT_THAT(block_.below().asked, IsEmpty());
}

TEST_F(AutopathTest, WithoutASearchListTheNamespaceGivesIt) {
  block_.pod_namespace = "default";
  EXPECT_EQ(block_.Load("autopath @kubernetes\nkubernetes in-addr.arpa cluster.local"), "");
  block_.below().says["example.org. 1"] = Address("example.org", "192.0.2.1");
  EXPECT_EQ(block_.Ask("example.org.default.svc.cluster.local", kA),
            "0\nexample.org.default.svc.cluster.local. 60 CNAME example.org."
            "\nexample.org. 60 A 192.0.2.1");
}

TEST_F(AutopathTest, AFileGivesItsOwnListAndZonesNarrowIt) {
  const std::string file = ::testing::TempDir() + "portolan-autopath-resolv.conf";
  std::ofstream(file) << "search one.test two.test\n";
  Load("autopath b.one.test " + file);
  block_.Ask("a.one.test", kA);
  EXPECT_EQ(block_.below().asked.size(), 1u);
  block_.Ask("b.one.test", kA);
  EXPECT_THAT(block_.below().asked, ElementsAre("a.one.test. 1", "b.one.test. 1", "b.two.test. 1",
                                                "b. 1", "b.one.test. 1"));
  std::remove(file.c_str());
}

TEST_F(AutopathTest, BadArgumentsAreErrorsWithTheirPlace) {
  EXPECT_EQ(block_.Load("autopath"), "Corefile:2:1: autopath needs a resolv.conf or @kubernetes");
  EXPECT_EQ(block_.Load("autopath @kubernets"),
            "Corefile:2:10: '@kubernets' has no search list, did you mean '@kubernetes'?");
  EXPECT_THAT(block_.Load("autopath example.org /nonexistent"),
              HasSubstr("Corefile:2:22: /nonexistent"));
  EXPECT_THAT(block_.Load("autopath a..b @kubernetes"), HasSubstr("Corefile:2:10: "));
}

}  // namespace
}  // namespace portolan::dns

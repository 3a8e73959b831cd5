#include "proxy/dns_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <fstream>

#include "common/status.h"
#include "tests/proxy/feed/temp_dir.h"

namespace portolan::proxy {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class DnsConfigTest : public ::testing::Test {
 protected:
  void Write(const std::string& name, const std::string& text) {
    std::ofstream(dir_.path() + "/" + name + ".new") << text;
    std::rename((dir_.path() + "/" + name + ".new").c_str(), (dir_.path() + "/" + name).c_str());
  }
  // Until the configuration has changed `changes` times, or `done` says so.
  void Turn(const std::function<bool()>& done) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    EventLoop::Timer look;
    look = loop_.AddTimer([&] {
      if (done() || std::chrono::steady_clock::now() > end) return loop_.Stop();
      look.Start(absl::Milliseconds(5));
    });
    look.Start(absl::ZeroDuration());
    loop_.Run();
    EXPECT_TRUE(done());
  }
  std::string Refused() const { return config_.Dump()["corefileRefused"]; }
  std::string Metrics() {
    MetricsPage page;
    page.AddSource([this](MetricFamilies& families) { config_.CollectMetrics(families); });
    return page.Render();
  }

  TempDir dir_;
  EventLoop loop_;
  int changes_ = 0;
  DnsConfig config_{loop_, dir_.path() + "/Corefile", [this] { ++changes_; }};
};

TEST_F(DnsConfigTest, AChangedFileIsInForceABadOneIsRefusedOnceAndTheOldOneStays) {
  Write("Corefile", ".:53 {\n reload 2s 1s\n import more.conf\n}\n");
  Write("more.conf", "errors\n");
  ASSERT_TRUE(config_.UseOwn().ok());
  EXPECT_EQ(changes_, 1);
  const std::string first = Metrics();
  EXPECT_THAT(first, HasSubstr("coredns_reload_version_info{hash=\"sha512\",value=\""));
  EXPECT_THAT(first, HasSubstr("coredns_reload_failed_total 0"));

  Write("more.conf", "erors\n");
  Turn([&] { return !Refused().empty(); });
  EXPECT_THAT(Refused(), HasSubstr("1:1: unknown directive 'erors', did you mean 'errors'?"));
  EXPECT_EQ(changes_, 1);
  EXPECT_THAT(Metrics(), HasSubstr("coredns_reload_failed_total 1"));

  Write("more.conf", "errors\nloadbalance\n");
  Turn([&] { return changes_ == 2; });
  EXPECT_EQ(Refused(), "");
  EXPECT_THAT(Metrics(), HasSubstr("coredns_reload_failed_total 1"))
      << "the same error counts once";
}

TEST_F(DnsConfigTest, CommentsAndBlanksAreNoChange) {
  Write("Corefile", ".:53 {\n errors\n}\n");
  ASSERT_TRUE(config_.UseOwn().ok());
  Write("Corefile", "# a comment\n.:53 {\n\n  errors\n}\n");
  ASSERT_TRUE(config_.UseOwn().ok());
  EXPECT_EQ(changes_, 1);
}

TEST_F(DnsConfigTest, AFileOfHostsIsFollowedAndWhatItSaidStaysWhileItIsAway) {
  const std::string hosts = dir_.path() + "/hosts";
  Write("hosts", "10.0.0.1 a.example\n");
  Write("Corefile", ".:53 {\n hosts " + hosts + " {\n reload 10ms\n }\n}\n");
  ASSERT_TRUE(config_.UseOwn().ok());
  std::remove(hosts.c_str());
  int looks = 0;
  Turn([&] { return ++looks > 60; });
  EXPECT_EQ(changes_, 1);
  Write("hosts", "10.0.0.2 a.example\n");
  Turn([&] { return changes_ == 2; });
}

TEST_F(DnsConfigTest, AFileOfWeightsIsFollowedAndABadOneChangesNothing) {
  const std::string weights = dir_.path() + "/weights";
  Write("Corefile", ".:53 {\n loadbalance weighted " + weights + " {\n reload 10ms\n }\n}\n");
  ASSERT_TRUE(config_.UseOwn().ok()) << "it may come later";
  Write("weights", "a.example\n10.0.0.1 3\n");
  Turn([&] { return changes_ == 2; });
  Write("weights", "a.example\n10.0.0.1 300\n");
  Turn([&] { return !Refused().empty(); });
  EXPECT_THAT(Refused(), HasSubstr("weights:2: '300' is not a weight from 1 to 255"));
  EXPECT_EQ(changes_, 2);
  Write("weights", "a.example\n10.0.0.1 30\n");
  Turn([&] { return changes_ == 3; });
  EXPECT_EQ(Refused(), "");
}

TEST_F(DnsConfigTest, TheControlPlanesCorefileSeesNeitherFilesNorTheOwnReload) {
  Write("Corefile", ".:53 {\n errors\n}\n");
  Write("more.conf", "errors\n");
  ASSERT_TRUE(config_.UseOwn().ok());
  EXPECT_FALSE(config_.UseControlPlanes(".:53 {\n import more.conf\n}\n").ok());
  EXPECT_EQ(changes_, 1);
  ASSERT_TRUE(config_.UseControlPlanes(".:53 {\n reload\n}\n").ok());
  EXPECT_EQ(config_.source(), "control plane");
  ASSERT_TRUE(config_.UseOwn().ok());
  EXPECT_EQ(changes_, 3);
}

}  // namespace
}  // namespace portolan::proxy

#include "proxy/pod_resolvers.h"

#include <gtest/gtest.h>

#include <fstream>

#include "tests/proxy/feed/temp_dir.h"

namespace portolan::proxy {
namespace {

class PodResolversTest : public ::testing::Test {
 protected:
  void Write(const std::string& text) {
    std::ofstream(path_ + ".new") << text;
    std::rename((path_ + ".new").c_str(), path_.c_str());
  }
  // Turns the loop until the resolvers change, for 30 s at most.
  void ExpectChange(PodResolvers& resolvers) {
    EventLoop::Timer end = loop_.AddTimer([this] { loop_.Stop(); });
    end.Start(absl::Seconds(30));
    loop_.Run();
    EXPECT_EQ(changes_, 1);
    ASSERT_EQ(resolvers.current().nameservers.size(), 1u);
    EXPECT_EQ(resolvers.current().nameservers[0].ToString(), "10.43.0.10:53");
    EXPECT_EQ(resolvers.current().search, std::vector<std::string>{"svc.cluster.local"});
  }

  TempDir dir_;
  const std::string path_ = dir_.path() + "/resolv.conf";
  EventLoop loop_;
  int changes_ = 0;
  const std::function<void()> on_change_ = [this] {
    ++changes_;
    loop_.Stop();
  };
};

constexpr char kUsual[] = "search svc.cluster.local\nnameserver 10.43.0.10\n";

TEST_F(PodResolversTest, AFileThatIsNotThereYetIsWaitedFor) {
  PodResolvers resolvers(loop_, path_, on_change_);
  EXPECT_TRUE(resolvers.current().nameservers.empty());
  Write(kUsual);
  ExpectChange(resolvers);
}

TEST_F(PodResolversTest, SoIsOneThatNamesNobody) {
  Write("search svc.cluster.local\nnameserver 10.43.0\n");
  PodResolvers resolvers(loop_, path_, on_change_);
  EXPECT_TRUE(resolvers.current().nameservers.empty());
  Write(kUsual);
  ExpectChange(resolvers);
}

}  // namespace
}  // namespace portolan::proxy

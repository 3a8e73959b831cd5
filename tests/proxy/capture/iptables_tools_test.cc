#include "proxy/capture/iptables_tools.h"

#include <gmock/gmock.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "common/status.h"
#include "proxy/capture/tool.h"

namespace portolan::proxy {
namespace {

using ::testing::HasSubstr;

// A folder of scripts that stand for the tools; PATH leads to it alone while the test runs.
class ToolsInPath : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "capture_tools_XXXXXX";
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    dir_ = pattern;
    path_ = getenv("PATH");
    setenv("PATH", dir_.c_str(), 1);
  }
  void TearDown() override {
    setenv("PATH", path_.c_str(), 1);
    std::filesystem::remove_all(dir_);
  }

  void Script(const std::string& name, const std::string& body) {
    const auto file = dir_ / name;
    std::ofstream(file) << "#!/bin/sh\nPATH=/usr/bin:/bin\n" << body << '\n';
    chmod(file.c_str(), 0755);
  }

  std::filesystem::path dir_;
  std::string path_;
};

TEST_F(ToolsInPath, EachBackendAndFamilyHasItsOwnTool) {
  Script("iptables-nft-save", "echo four nft");
  Script("ip6tables-legacy-save", "echo six legacy");
  IptablesTools tools;
  EXPECT_EQ(*tools.Save(Backend::kNft, IpFamily::kIpv4), "four nft\n");
  EXPECT_EQ(*tools.Save(Backend::kLegacy, IpFamily::kIpv6), "six legacy\n");
  const auto missing = tools.Save(Backend::kLegacy, IpFamily::kIpv4).status();
  EXPECT_TRUE(absl::IsNotFound(missing));
  EXPECT_THAT(Message(missing), HasSubstr("iptables-legacy-save: not installed"));
}

TEST_F(ToolsInPath, RestoreLeavesOtherRulesAndWaitsForTheLock) {
  Script("iptables-nft-restore",
         "echo \"$@\" > " + (dir_ / "args").string() + "; cat > " + (dir_ / "input").string());
  IptablesTools tools;
  // More than a pipe holds.
  const std::string input(300'000, 'x');
  ASSERT_TRUE(tools.Restore(Backend::kNft, IpFamily::kIpv4, input).ok());
  std::string args;
  std::getline(std::ifstream(dir_ / "args"), args);
  EXPECT_EQ(args, "--noflush --wait 10");
  EXPECT_EQ(std::filesystem::file_size(dir_ / "input"), input.size());
}

TEST_F(ToolsInPath, FailureIsDiagnosed) {
  Script("iptables-nft-restore", "echo 'Permission denied (you must be root)' >&2; exit 4");
  IptablesTools tools;
  EXPECT_TRUE(absl::IsPermissionDenied(tools.Restore(Backend::kNft, IpFamily::kIpv4, "")));
}

TEST_F(ToolsInPath, ToolThatHangsIsKilled) {
  Script("sleeper", "exec sleep 60");
  const absl::Time start = absl::Now();
  const auto result = RunTool({"sleeper"}, "", absl::Milliseconds(50));
  EXPECT_TRUE(absl::IsDeadlineExceeded(result.status())) << result.status();
  EXPECT_LT(absl::Now() - start, absl::Seconds(10));
}

TEST_F(ToolsInPath, ToolEndedByASignalHasFailed) {
  Script("victim", "kill -TERM $$");
  EXPECT_EQ(RunTool({"victim"}, "", absl::Seconds(10))->exit_status, 128 + 15);
}

TEST_F(ToolsInPath, Ipv6IsThereWhenAnyInterfaceHasIt) {
  auto conf = [&](const std::string& interface, const std::string& disabled) {
    std::filesystem::create_directories(dir_ / "conf" / interface);
    std::ofstream(dir_ / "conf" / interface / "disable_ipv6") << disabled << '\n';
  };
  IptablesTools tools((dir_ / "conf").string());
  EXPECT_FALSE(tools.HasIpv6()) << "no /proc/sys/net/ipv6 at all";
  conf("all", "0");
  conf("default", "0");
  conf("lo", "1");
  conf("eth0", "1");
  EXPECT_FALSE(tools.HasIpv6());
  conf("all", "1");
  conf("eth0", "0");
  EXPECT_TRUE(tools.HasIpv6());
}

TEST_F(ToolsInPath, AnAddressOfIpv6IsOneThatReachesBeyondItsLink) {
  const std::string path = (dir_ / "if_inet6").string();
  IptablesTools tools("", path);
  EXPECT_FALSE(tools.HasGlobalIpv6());
  std::ofstream file(path);
  file << "00000000000000000000000000000001 01 80 10 80       lo\n"
       << "fe800000000000000858a0fffe000005 02 40 20 80     eth0\n"
       << std::flush;
  EXPECT_FALSE(tools.HasGlobalIpv6());
  file << "fd000042000000000000000000000005 02 40 00 80     eth0\n" << std::flush;
  EXPECT_TRUE(tools.HasGlobalIpv6());
}

}  // namespace
}  // namespace portolan::proxy

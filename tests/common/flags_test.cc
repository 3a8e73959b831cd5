#include "common/flags.h"

#include <gtest/gtest.h>

#include "common/files.h"
#include "tests/common/write_file.h"

namespace portolan {
namespace {

struct Parsed {
  std::vector<IpAddress> pod_ips;
  SocketAddress admin;
  absl::Duration wait = absl::Seconds(3);
  std::string zone = "default";
  std::optional<int> exit_status;
};

Parsed Parse(std::vector<const char*> arguments) {
  Parsed parsed;
  CLI::App app("test");
  AddCommonFlags(app, "1.0");
  AddFlag(app, "--pod-ip", parsed.pod_ips, "");
  AddFlag(app, "--admin-listen", parsed.admin, "");
  AddFlag(app, "--ready-wait", parsed.wait, "");
  app.add_option("--zone", parsed.zone);
  arguments.insert(arguments.begin(), "program");
  parsed.exit_status = ParseFlags(app, static_cast<int>(arguments.size()), arguments.data());
  return parsed;
}

TEST(Flags, ReadsAddressesListsAndDurations) {
  const Parsed p = Parse({"--pod-ip", "10.0.0.1", "--pod-ip", "fd00::1", "--admin-listen",
                          "127.0.0.1:15000", "--ready-wait", "300ms"});
  EXPECT_FALSE(p.exit_status.has_value());
  ASSERT_EQ(p.pod_ips.size(), 2u);
  EXPECT_EQ(p.pod_ips[1].ToString(), "fd00::1");
  EXPECT_EQ(p.admin.port, 15000);
  EXPECT_EQ(p.wait, absl::Milliseconds(300));
}

TEST(Flags, AnEmptyValueIsNotTakenFromWhatFollows) {
  const Parsed p = Parse({"--zone=", "--pod-ip=10.0.0.1"});
  EXPECT_FALSE(p.exit_status.has_value());
  EXPECT_EQ(p.zone, "");
  EXPECT_EQ(p.pod_ips.size(), 1u);
  EXPECT_EQ(Parse({"--zone=a="}).zone, "a=");
}

TEST(Flags, WrongUsageIsExitStatusTwo) {
  EXPECT_EQ(Parse({"--pod-ip", "10.0.0"}).exit_status, kExitUsage);
  EXPECT_EQ(Parse({"--ready-wait", "soon"}).exit_status, kExitUsage);
  EXPECT_EQ(Parse({"--no-such-flag"}).exit_status, kExitUsage);
  EXPECT_EQ(Parse({"--version"}).exit_status, kExitOk);
  EXPECT_EQ(Parse({"--help"}).exit_status, kExitOk);
}

TEST(Flags, ReadsTheSameSettingsFromYaml) {
  const std::string path = testing::TempDir() + "/portolan_flags_test.yaml";
  ASSERT_TRUE(WriteFile(path, "pod-ip: [10.0.0.1, 10.0.0.2]\nready-wait: 1s\n").ok());
  const Parsed p = Parse({"--config", path.c_str(), "--ready-wait", "2s"});
  EXPECT_FALSE(p.exit_status.has_value());
  EXPECT_EQ(p.pod_ips.size(), 2u);
  EXPECT_EQ(p.wait, absl::Seconds(2)) << "the command line wins";
  ASSERT_TRUE(WriteFile(path, "no-such-setting: 1\n").ok());
  EXPECT_EQ(Parse({"--config", path.c_str()}).exit_status, kExitUsage);
  ASSERT_TRUE(WriteFile(path, "pod-ip: [\n").ok());
  EXPECT_EQ(Parse({"--config", path.c_str()}).exit_status, kExitUsage);
}

}  // namespace
}  // namespace portolan

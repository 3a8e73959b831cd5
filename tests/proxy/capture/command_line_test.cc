// portolan-init as it is called: words, flags, the YAML file, exit status. --print only, so that no
// kernel is touched.

#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>

#include "proxy/capture/tool.h"

namespace portolan::proxy {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

ToolResult Init(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), PORTOLAN_INIT);
  auto result = RunTool(arguments, "", absl::Seconds(20));
  EXPECT_TRUE(result.ok()) << result.status();
  return result.ok() ? *result : ToolResult{};
}

TEST(PortolanInit, WrongUsageIsStatusTwoAndNamesTheFlag) {
  const std::vector<std::pair<std::vector<std::string>, std::string>> wrong = {
      {{}, "apply, verify, clean"},
      {{"remove"}, "remove"},
      {{"--print", "--dns-port", "0"}, "--dns-port"},
      {{"--print", "--dns-port", "65536"}, "--dns-port"},
      {{"--print", "--dns-port", "15001"}, "--forward-port"},
      {{"--print", "--service-cidr", "10.43.0.0/33"}, "--service-cidr"},
      {{"--print", "--pod-cidr", "0.0.0.0/0"}, "--pod-cidr"},
      {{"--print", "--exempt-uid", "-1"}, "--exempt-uid"},
      {{"--print", "--capture", "none"}, "--capture"},
      {{"--print", "--backend", "ebtables"}, "--backend"},
      {{"--print", "--log-level", "loud"}, "log level"},
      {{"--print", "--log-format", "xml"}, "--log-format"},
      {{"--print", "--config", "/nonexistent"}, "/nonexistent"},
  };
  for (const auto& [arguments, named] : wrong) {
    const ToolResult result = Init(arguments);
    EXPECT_EQ(result.exit_status, 2) << named;
    EXPECT_THAT(result.err, HasSubstr(named));
    EXPECT_EQ(result.out, "");
  }
}

TEST(PortolanInit, ListFlagTakesOneValueAndNotTheAction) {
  const ToolResult result = Init({"--print", "--dns-capture", "all", "--service-cidr",
                                  "10.43.0.0/16", "--service-cidr", "fd00:43::/112", "clean"});
  EXPECT_EQ(result.exit_status, 0) << result.err;
  EXPECT_THAT(result.out, AllOf(HasSubstr("-X PORTOLAN_OUTPUT"), Not(HasSubstr("-A "))));
}

TEST(PortolanInit, SettingsOfTheYamlFileAreThoseOfTheFlags) {
  const auto dir = std::filesystem::path(testing::TempDir());
  const std::string config = (dir / "capture_init.yaml").string();
  const std::string resolv_conf = (dir / "capture_init_resolv.conf").string();
  std::ofstream(resolv_conf) << "nameserver 10.43.0.10\nnameserver fd00:43::a\n";
  std::ofstream(config) << "service-cidr: [10.43.0.0/16, 'fd00:43::/112']\n"
                        << "exempt-uid: [1337, 1338]\n"
                        << "exclude-port: 22\n"
                        << "resolv-conf: " << resolv_conf << "\n";
  const ToolResult from_file = Init({"apply", "--print", "--config", config});
  const ToolResult from_flags =
      Init({"apply", "--print", "--service-cidr", "10.43.0.0/16", "--service-cidr", "fd00:43::/112",
            "--exempt-uid", "1337", "--exempt-uid", "1338", "--exclude-port", "22", "--resolv-conf",
            resolv_conf});
  EXPECT_EQ(from_file.exit_status, 0) << from_file.err;
  EXPECT_EQ(from_file.out, from_flags.out);
  EXPECT_THAT(from_file.out, AllOf(HasSubstr("-d fd00:43::a/128 -p udp"),
                                   HasSubstr("--uid-owner 1338"), HasSubstr("--dport 22")));
  std::filesystem::remove(config);
  std::filesystem::remove(resolv_conf);
}

TEST(PortolanInit, MissingResolvConfIsAWarning) {
  const ToolResult result = Init({"--print", "--resolv-conf", "/nonexistent"});
  EXPECT_EQ(result.exit_status, 0);
  EXPECT_THAT(result.err, HasSubstr("DNS is left alone"));
  EXPECT_THAT(result.out, Not(HasSubstr("15053")));
}

}  // namespace
}  // namespace portolan::proxy

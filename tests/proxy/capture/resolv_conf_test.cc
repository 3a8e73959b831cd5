#include "proxy/capture/resolv_conf.h"

#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>

namespace portolan::proxy {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

Nameservers Captured(std::string_view resolv_conf) {
  return CapturedNameservers(ParseResolvConf(resolv_conf, "resolv.conf"));
}

TEST(CapturedNameservers, BothFamiliesAreTakenInOrder) {
  const auto found = Captured("nameserver 10.43.0.10\nnameserver fd00:43::a\n");
  EXPECT_THAT(found.warnings, IsEmpty());
  ASSERT_EQ(found.addresses.size(), 2u);
  EXPECT_EQ(found.addresses[0].ToString(), "10.43.0.10");
  EXPECT_EQ(found.addresses[1].ToString(), "fd00:43::a");
}

TEST(CapturedNameservers, ResolverOfThePodsOwnIsNotCaptured) {
  const auto found = Captured("nameserver 127.0.0.1\nnameserver ::1\nnameserver 0.0.0.0");
  EXPECT_THAT(found.addresses, IsEmpty());
  EXPECT_THAT(found.warnings, ElementsAre(HasSubstr("127.0.0.1"), HasSubstr("::1"),
                                          HasSubstr("0.0.0.0"), HasSubstr("DNS is left alone")));
}

TEST(CapturedNameservers, LinkLocalIpv6AndNonsenseAreSkippedWithAWarning) {
  const auto found = Captured(
      "nameserver fe80::1%eth0\nnameserver dns.example\nnameserver fe80::2\n"
      "nameserver 10.43.0.10\n");
  EXPECT_EQ(found.addresses.size(), 1u);
  EXPECT_THAT(found.warnings,
              ElementsAre(HasSubstr("fe80::1%eth0"), HasSubstr("dns.example"),
                          "nameserver fe80::2: link-local IPv6 cannot be captured"));
}

TEST(CapturedNameservers, AbsentFileIsAWarningAndHasNoNameserver) {
  const auto found = ReadNameservers("/nonexistent/resolv.conf");
  EXPECT_THAT(found.addresses, IsEmpty());
  EXPECT_THAT(found.warnings, ElementsAre(HasSubstr("/nonexistent/resolv.conf: No such file")));
}

TEST(CapturedNameservers, FileThatIsTooLargeIsAWarningAndHasNoNameserver) {
  const auto path = std::filesystem::path(testing::TempDir()) / "capture_large_resolv.conf";
  std::ofstream(path) << "nameserver 10.43.0.10\n" << std::string(70'000, '#');
  const auto found = ReadNameservers(path.string());
  std::filesystem::remove(path);
  EXPECT_THAT(found.addresses, IsEmpty());
  EXPECT_THAT(found.warnings, ElementsAre(HasSubstr("larger than 65536 bytes")));
}

}  // namespace
}  // namespace portolan::proxy

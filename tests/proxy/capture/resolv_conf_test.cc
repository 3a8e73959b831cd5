#include "proxy/capture/resolv_conf.h"

#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>

namespace portolan::proxy {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::vector<std::string> Addresses(std::string_view resolv_conf) {
  std::vector<std::string> texts;
  for (const IpAddress& address : ParseNameservers(resolv_conf).addresses) {
    texts.push_back(address.ToString());
  }
  return texts;
}

TEST(ResolvConf, NameserversOfBothFamiliesAreTakenInOrderAndOnce) {
  const auto found = ParseNameservers(
      "search default.svc.cluster.local svc.cluster.local cluster.local\n"
      "nameserver 10.43.0.10\n"
      "nameserver\tfd00:43::a  # the same, IPv6\r\n"
      "  nameserver 169.254.20.10\n"
      "nameserver 10.43.0.10\n"
      "options ndots:5");
  EXPECT_THAT(found.warnings, IsEmpty());
  ASSERT_EQ(found.addresses.size(), 3u);
  EXPECT_EQ(found.addresses[0].ToString(), "10.43.0.10");
  EXPECT_EQ(found.addresses[1].ToString(), "fd00:43::a");
  EXPECT_EQ(found.addresses[2].ToString(), "169.254.20.10");
}

TEST(ResolvConf, CommentsAndOtherKeywordsNameNoNameserver) {
  EXPECT_THAT(Addresses("#nameserver 10.0.0.1\n; nameserver 10.0.0.2\nnameservers 10.0.0.3\n"
                        "nameserver\nnameserver"),
              IsEmpty());
}

TEST(ResolvConf, ResolverOfThePodsOwnIsNotCaptured) {
  const auto found = ParseNameservers("nameserver 127.0.0.1\nnameserver ::1\nnameserver 0.0.0.0");
  EXPECT_THAT(found.addresses, IsEmpty());
  EXPECT_THAT(found.warnings, ElementsAre(HasSubstr("127.0.0.1"), HasSubstr("::1"),
                                          HasSubstr("0.0.0.0"), HasSubstr("DNS is left alone")));
}

TEST(ResolvConf, LinkLocalIpv6AndNonsenseAreSkippedWithAWarning) {
  const auto found =
      ParseNameservers("nameserver fe80::1%eth0\nnameserver dns.example\nnameserver 10.43.0.10\n");
  EXPECT_EQ(found.addresses.size(), 1u);
  EXPECT_THAT(found.warnings, ElementsAre("nameserver fe80::1%eth0: link-local IPv6 cannot be "
                                          "captured",
                                          "nameserver dns.example: not an IP address, skipped"));
}

TEST(ResolvConf, AbsentFileIsAWarningAndHasNoNameserver) {
  const auto found = ReadNameservers("/nonexistent/resolv.conf");
  EXPECT_THAT(found.addresses, IsEmpty());
  EXPECT_THAT(found.warnings, ElementsAre(HasSubstr("/nonexistent/resolv.conf: No such file")));
}

TEST(ResolvConf, FileThatIsTooLargeIsAWarningAndHasNoNameserver) {
  const auto path = std::filesystem::path(testing::TempDir()) / "capture_large_resolv.conf";
  std::ofstream(path) << "nameserver 10.43.0.10\n" << std::string(70'000, '#');
  const auto found = ReadNameservers(path.string());
  std::filesystem::remove(path);
  EXPECT_THAT(found.addresses, IsEmpty());
  EXPECT_THAT(found.warnings, ElementsAre(HasSubstr("larger than 65536 bytes")));
}

}  // namespace
}  // namespace portolan::proxy

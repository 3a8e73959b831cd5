#include "proxy/default_gateways.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>

namespace portolan::proxy {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class DefaultGatewaysTest : public testing::Test {
 protected:
  DefaultGatewaysTest() { std::filesystem::create_directories(folder_); }
  ~DefaultGatewaysTest() override { std::filesystem::remove_all(folder_); }

  void Write(const std::string& file, const std::string& text) {
    std::ofstream(folder_ + "/" + file) << text;
  }
  std::vector<std::string> Gateways() {
    std::vector<std::string> all;
    for (const IpAddress& ip : DefaultGateways(folder_)) all.push_back(ip.ToString());
    return all;
  }

  const std::string folder_ = testing::TempDir() + "/default_gateways";
};

// As a pod of a bridge CNI has them, on a machine whose low bytes come first.
constexpr char kRoutes[] =
    "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"
    "eth0\t00000000\t01002A0A\t0003\t0\t0\t0\t00000000\t0\t0\t0\n"
    "eth0\t00002A0A\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0\n"
    "eth0\t00002B0A\t0200000A\t0003\t0\t0\t0\t0000FFFF\t0\t0\t0\n";
constexpr char kRoutes6[] =
    "fd000042000000000000000000000000 40 00000000000000000000000000000000 00 "
    "00000000000000000000000000000000 00000100 00000001 00000000 00000001     eth0\n"
    "00000000000000000000000000000000 00 00000000000000000000000000000000 00 "
    "fd000042000000000000000000000001 00000400 00000001 00000000 00000003     eth0\n"
    "00000000000000000000000000000000 00 00000000000000000000000000000000 00 "
    "00000000000000000000000000000000 ffffffff 00000001 00000000 00200200       lo\n";

TEST_F(DefaultGatewaysTest, OfEachFamilyThatOfTheDefaultRoute) {
  Write("route", kRoutes);
  Write("ipv6_route", kRoutes6);
  EXPECT_THAT(Gateways(), ElementsAre("10.42.0.1", "fd00:42::1"));
}

TEST_F(DefaultGatewaysTest, LinkLocalOnesAreNoAddressOfTheNode) {
  Write("route",
        "eth0\t00000000\t0101FEA9\t0003\t0\t0\t0\t00000000\t0\t0\t0\n"
        "eth0\t00000000\t0100000A\t0003\t0\t0\t10\t00000000\t0\t0\t0\n");
  Write("ipv6_route",
        "00000000000000000000000000000000 00 00000000000000000000000000000000 00 "
        "fe80000000000000eceeeefffeeeeeee 00000400 00000001 00000000 00000003     eth0\n");
  EXPECT_THAT(Gateways(), ElementsAre("10.0.0.1"));
}

TEST_F(DefaultGatewaysTest, WithoutARouteOrAFileThereIsNone) {
  EXPECT_THAT(Gateways(), IsEmpty());
  Write("route", "Iface\tDestination\n\nnonsense of eight fields at least a b c\n");
  Write("ipv6_route", "0 0 0\n");
  EXPECT_THAT(Gateways(), IsEmpty());
}

}  // namespace
}  // namespace portolan::proxy

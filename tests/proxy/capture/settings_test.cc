#include "proxy/capture/settings.h"

#include <gmock/gmock.h>

#include "common/status.h"

namespace portolan::proxy {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::string Refusal(const CaptureSettings& settings) {
  const absl::Status status = Validate(settings);
  return status.ok() ? "" : std::string(Message(status));
}

CaptureSettings Usual() {
  CaptureSettings settings;
  settings.nameservers = {*IpAddress::Parse("10.43.0.10")};
  settings.service_cidrs = {*Cidr::Parse("10.43.0.0/16")};
  return settings;
}

TEST(CaptureSettings, UsualSettingsAreAcceptedWithoutAWarning) {
  EXPECT_EQ(Refusal(Usual()), "");
  EXPECT_THAT(Warnings(Usual()), IsEmpty());
}

TEST(CaptureSettings, PortZeroIsRefused) {
  CaptureSettings settings = Usual();
  settings.dns_port = 0;
  EXPECT_THAT(Refusal(settings), HasSubstr("--dns-port 0"));
  settings = Usual();
  settings.forward_port = 0;
  EXPECT_THAT(Refusal(settings), HasSubstr("--forward-port 0"));
  settings = Usual();
  settings.exclude_ports = {22, 0};
  EXPECT_THAT(Refusal(settings), HasSubstr("--exclude-port 0"));
  settings = Usual();
  settings.include_ports = {0};
  EXPECT_THAT(Refusal(settings), HasSubstr("--include-port 0"));
  settings = Usual();
  settings.inbound_port = 0;
  EXPECT_THAT(Refusal(settings), HasSubstr("--inbound-port 0"));
  settings = Usual();
  settings.exclude_inbound_ports = {0};
  EXPECT_THAT(Refusal(settings), HasSubstr("--exclude-inbound-port 0"));
}

TEST(CaptureSettings, WhatComesToThePodHasAPortOfItsOwn) {
  for (uint16_t taken : {Usual().dns_port, Usual().forward_port}) {
    CaptureSettings settings = Usual();
    settings.inbound_port = taken;
    EXPECT_THAT(Refusal(settings), HasSubstr("--inbound-port"));
  }
}

TEST(CaptureSettings, DnsAndForwarderCannotShareAPort) {
  CaptureSettings settings = Usual();
  settings.forward_port = settings.dns_port;
  EXPECT_THAT(Refusal(settings), HasSubstr("must differ"));
}

TEST(CaptureSettings, WithoutAnExemptUserTheSidecarWouldLoop) {
  CaptureSettings settings = Usual();
  settings.exempt_uids.clear();
  EXPECT_EQ(Refusal(settings), "");
  settings.exempt_gids.clear();
  EXPECT_THAT(Refusal(settings), HasSubstr("its own connections"));
}

TEST(CaptureSettings, WholeFamilyIsAskedForByCaptureAll) {
  for (auto list : {&CaptureSettings::service_cidrs, &CaptureSettings::pod_cidrs,
                    &CaptureSettings::include_cidrs}) {
    CaptureSettings settings = Usual();
    settings.*list = {*Cidr::Parse("::/0")};
    EXPECT_THAT(Refusal(settings), HasSubstr("::/0: that is every address; use --capture all"));
  }
}

TEST(CaptureSettings, NumberThatStandsForNoUserIsRefused) {
  CaptureSettings settings = Usual();
  settings.exclude_uids = {UINT32_MAX};
  EXPECT_THAT(Refusal(settings), HasSubstr("--exclude-uid 4294967295"));
}

TEST(CaptureSettings, ExcludedNameserverIsAWarning) {
  CaptureSettings settings = Usual();
  settings.exclude_cidrs = {*Cidr::Parse("10.0.0.0/8")};
  settings.exclude_ports = {53};
  EXPECT_THAT(Warnings(settings),
              ElementsAre("nameserver 10.43.0.10 is inside --exclude-cidr 10.0.0.0/8: not captured",
                          "--exclude-port 53: no DNS is captured"));
}

TEST(CaptureSettings, UdpWithoutAServiceRangeIsAWarning) {
  CaptureSettings settings = Usual();
  settings.udp = UdpCapture::kTproxy;
  EXPECT_THAT(Warnings(settings), IsEmpty());
  settings.pod_cidrs = std::exchange(settings.service_cidrs, {});
  EXPECT_THAT(Warnings(settings), ElementsAre(HasSubstr("no UDP is captured")));
}

TEST(CaptureSettings, ClusterModeWithoutRangesIsAWarning) {
  CaptureSettings settings = Usual();
  settings.service_cidrs.clear();
  EXPECT_THAT(Warnings(settings), ElementsAre(HasSubstr("no TCP connection is captured")));
  settings.include_ports = {8080};
  EXPECT_THAT(Warnings(settings), IsEmpty());
  settings.forward = ForwardCapture::kAll;
  EXPECT_THAT(Warnings(settings), ElementsAre(HasSubstr("add nothing to --capture all")));
}

}  // namespace
}  // namespace portolan::proxy

#include "injector/settings.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "common/flags.h"

namespace portolan::injector {
namespace {

using ::testing::HasSubstr;

// The exit status, and what is printed to standard error.
std::pair<std::optional<int>, std::string> Parse(std::vector<const char*> flags, Settings& out) {
  setenv("POD_NAMESPACE", "portolan-system", 1);
  flags.insert(flags.begin(), {"portolan-injector", "--template", "t.yaml"});
  ::testing::internal::CaptureStderr();
  auto status = ParseSettings(static_cast<int>(flags.size()), flags.data(), out);
  return {status, ::testing::internal::GetCapturedStderr()};
}

TEST(InjectorSettings, AnOrdinaryStart) {
  Settings settings;
  setenv("POD_NAME", "injector-1", 1);
  EXPECT_EQ(Parse({"--self-signed"}, settings).first, std::nullopt);
  EXPECT_EQ(settings.listen.size(), 2u);
  EXPECT_EQ(settings.listen[1].ToString(), "[::]:9443");
  EXPECT_EQ(settings.name_space, "portolan-system");
  EXPECT_EQ(settings.pod, "injector-1");
  EXPECT_EQ(settings.drain_time, absl::Seconds(5));
}

TEST(InjectorSettings, WhatIsGivenWins) {
  Settings settings;
  EXPECT_EQ(Parse({"--self-signed", "--namespace", "mesh", "--listen", "127.0.0.1:9",
                   "--ca-lifetime", "90s", "--certificate-lifetime", "30s"},
                  settings)
                .first,
            std::nullopt);
  EXPECT_EQ(settings.name_space, "mesh");
  EXPECT_EQ(settings.listen.size(), 1u);
  EXPECT_EQ(settings.ca_lifetime, absl::Seconds(90));
}

TEST(InjectorSettings, WhatCannotBeIsWrongUsageAndNamed) {
  const auto fault = [](std::vector<const char*> flags) {
    Settings settings;
    const auto [status, text] = Parse(std::move(flags), settings);
    EXPECT_EQ(status, kExitUsage);
    return text;
  };
  EXPECT_THAT(fault({}), HasSubstr("--self-signed, have to say"));
  EXPECT_THAT(fault({"--tls-cert", "a"}), HasSubstr("one is of no use without the other"));
  EXPECT_THAT(fault({"--self-signed", "--tls-cert", "a", "--tls-key", "b"}),
              HasSubstr("--self-signed and --tls-cert"));
  EXPECT_THAT(fault({"--self-signed", "--ca-file", "a"}), HasSubstr("--ca-file is for --tls-cert"));
  EXPECT_THAT(fault({"--tls-cert", "a", "--tls-key", "b", "--patch-webhook"}),
              HasSubstr("--patch-webhook: --ca-file"));
  EXPECT_THAT(fault({"--self-signed", "--namespace", "Portolan"}), HasSubstr("'Portolan'"));
  EXPECT_THAT(fault({"--self-signed", "--namespace", "a,DNS:b"}), HasSubstr("--namespace"));
  EXPECT_THAT(fault({"--self-signed", "--cluster-domain", "a..b"}), HasSubstr("--cluster-domain"));
  EXPECT_THAT(fault({"--self-signed", "--ca-lifetime", "24h"}), HasSubstr("at least 3 times"));
  EXPECT_THAT(fault({"--self-signed", "--log-level", "loud"}), HasSubstr("loud"));
  EXPECT_THAT(fault({"--self-signed", "--log-format", "xml"}), HasSubstr("--log-format: xml"));
}

}  // namespace
}  // namespace portolan::injector

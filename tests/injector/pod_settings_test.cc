#include "injector/pod_settings.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <vector>

#include "common/status.h"
#include "injector/quantity.h"

namespace portolan::injector {
namespace {

using ::testing::ElementsAre;

std::string ErrorOf(std::string_view name, std::string_view value) {
  PodSettings settings;
  return std::string(Message(FindPodSetting(name)->read(value, settings)));
}

PodSettings With(std::string_view name, std::string_view value) {
  PodSettings settings;
  const auto status = FindPodSetting(name)->read(value, settings);
  EXPECT_TRUE(status.ok()) << name << ": " << status;
  return settings;
}

TEST(PodSettings, TheDefaultThatTheTableShowsIsReadable) {
  for (const PodSettingRow& row : PodSettingRows()) {
    PodSettings settings;
    EXPECT_TRUE(row.absent.empty() || row.read(row.absent, settings).ok()) << row.name;
  }
}

TEST(PodSettings, NoValueBecomesAnotherArgumentOrAnExpansion) {
  for (const PodSettingRow& row : PodSettingRows()) {
    for (const std::string_view bad : {"$(HOME)", "--flag x", "\n", "a;b", "-1"}) {
      if (row.name == "corefile" && bad == "-1") continue;  // a key of a ConfigMap may look so
      PodSettings settings;
      EXPECT_FALSE(row.read(bad, settings).ok()) << row.name << " " << bad;
    }
  }
}

TEST(PodSettings, AMessageShowsTheValueOnOneLineAndNotAtAnyLength) {
  EXPECT_EQ(ErrorOf("concurrency", "a\nb\x7f"), "'a?b?' is not a number from 1 to 64");
  EXPECT_LT(ErrorOf("concurrency", std::string(10'000, 'x')).size(), 120u);
}

TEST(PodSettings, ServiceEnvTakesServicesWithAndWithoutNamespaceAndPort) {
  const PodSettings settings = With("service-env", "backend other:8080,  db.data:5432 , x.y");
  ASSERT_EQ(settings.service_env.size(), 4u);
  EXPECT_EQ(settings.service_env[0].name, "backend");
  EXPECT_EQ(settings.service_env[0].port, 0);
  EXPECT_EQ(settings.service_env[1].port, 8080);
  EXPECT_EQ(settings.service_env[2].name_space, "data");
  EXPECT_EQ(settings.service_env[3].name_space, "y");
  EXPECT_EQ(ErrorOf("service-env", "Backend"),
            "'Backend' is not SERVICE or SERVICE.NAMESPACE, with or without :PORT");
  EXPECT_EQ(ErrorOf("service-env", "backend:http"), "'http' is not a number from 1 to 65535");
}

TEST(PodSettings, ListsAreBounded) {
  std::string list = "1";
  for (int i = 0; i < 63; ++i) list += ",1";
  EXPECT_EQ(ErrorOf("exclude-ports", list), "");
  EXPECT_EQ(ErrorOf("exclude-ports", list + ",1"), "more than 64 items");
  EXPECT_THAT(With("exclude-ports", " 22 ,80").exclude_ports, ElementsAre(22, 80));
  EXPECT_THAT(With("exclude-ports", "").exclude_ports, ElementsAre());
}

// docs/injection.md shows the very table that annotations are read by, no row more and none less.
TEST(PodSettings, TheManualShowsTheTable) {
  std::ifstream in("../docs/injection.md");
  ASSERT_TRUE(in) << "run in tests/";
  std::vector<std::string> shown, wanted;
  bool in_table = false;
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with("| annotation `portolan.dev/...`")) in_table = true;
    if (line.empty()) in_table = false;
    if (in_table && line.starts_with("| `")) shown.push_back(line);
  }
  for (const PodSettingRow& row : PodSettingRows()) {
    const std::string absent = row.absent.empty() ? "" : fmt::format("`{}`", row.absent);
    wanted.push_back(
        fmt::format("| `{}` | {} | {} | {} |", row.name, row.values, absent, row.meaning));
  }
  EXPECT_EQ(shown, wanted);
}

TEST(Quantity, IsReadAsKubernetesWritesIt) {
  EXPECT_EQ(ParseQuantity("100m"), 0.1);
  EXPECT_EQ(ParseQuantity("1.5Gi"), 1.5 * 1024 * 1024 * 1024);
  EXPECT_EQ(ParseQuantity("2"), 2);
  EXPECT_EQ(ParseQuantity("128974848"), 128974848);
  for (const std::string_view bad :
       {"", "m", ".5", "-1", "+1", "1e3", "1 Mi", "1mi", "1..2", "1Mii"}) {
    EXPECT_FALSE(ParseQuantity(bad).has_value()) << bad;
  }
}

}  // namespace
}  // namespace portolan::injector

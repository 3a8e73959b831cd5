// What manifests/ says to an injector is what it understands.
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include <nlohmann/json.hpp>

#include "injector/pod_settings.h"
#include "injector/template.h"

namespace portolan::injector {
namespace {

// ctest runs in tests/.
std::string Read(const std::string& path) {
  std::ifstream file("../" + path);
  std::ostringstream text;
  text << file.rdbuf();
  EXPECT_TRUE(file.good()) << path;
  return text.str();
}

// What the chart takes under `injection`.
nlohmann::json ChartSettings() {
  const auto schema = nlohmann::json::parse(Read("manifests/helm/portolan/values.schema.json"));
  return schema.at("properties").at("injection").at("properties");
}

TEST(Manifests, TheTemplateThatIsInstalledIsOne) {
  const std::string config_map = Read("manifests/base/injection.yaml");
  const std::string key = "\n  injection.yaml: |\n";
  const auto settings = ParseTemplate(config_map.substr(config_map.find(key) + key.size()));
  ASSERT_TRUE(settings.ok()) << settings.status();
  EXPECT_EQ(settings->control_server_name, "portolan-control.portolan-system.svc");
}

TEST(Manifests, TheChartTakesSettingsThatTheInjectorKnows) {
  const auto settings = ChartSettings();
  for (auto setting = settings.begin(); setting != settings.end(); ++setting) {
    const auto read = ParseTemplate(setting.key() + ": '~'\n");
    EXPECT_EQ(std::string(read.status().message()).find("no such setting"), std::string::npos)
        << setting.key();
  }
}

TEST(Manifests, TheChartTakesWhatAPodsAnnotationsMaySay) {
  const auto settings = ChartSettings();
  for (const PodSettingRow& row : PodSettingRows()) {
    EXPECT_TRUE(settings.contains(std::string(row.name))) << row.name;
  }
}

// The page is the list of them.
TEST(Manifests, TheChartTakesWhatOnlyTheTemplateMaySay) {
  const auto settings = ChartSettings();
  std::istringstream page(Read("docs/injection.md"));
  std::string line;
  while (std::getline(page, line) && line != "## The Template") {
  }
  size_t keys = 0;
  while (std::getline(page, line) && !line.starts_with("## ")) {
    if (!line.starts_with("| `")) continue;
    std::istringstream cell(line.substr(0, line.find('|', 1)));
    for (std::string key; std::getline(cell, key, '`') && std::getline(cell, key, '`'); ++keys) {
      EXPECT_TRUE(settings.contains(key)) << key;
    }
  }
  EXPECT_GT(keys, 10u);
}

}  // namespace
}  // namespace portolan::injector

#include "xds/dashboard/resource_pages.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/common/http/served.h"
#include "tests/xds/serving/services.h"

namespace portolan::xds {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;
using ::testing::StartsWith;

class ResourcePages : public ::testing::Test {
 protected:
  ResourcePages() {
    Service hidden = MakeClusterIpService("hidden", "10.43.0.2", {{"http", 8080}});
    ServiceExtras extras = *hidden.extras;
    extras.annotations = {{"portolan.dev/export-to", "."}};
    hidden.extras = extras;
    Directory directory;
    directory.Put(MakeClusterIpService("backend", "10.43.0.1", {{"http", 8080}}));
    directory.Put(hidden);
    cache_.Update(directory.Commit());
  }
  std::string Fetch(std::string_view query) {
    return http::Fetch(served_.address(), "GET", "/debug/resources" + std::string(query));
  }
  json Resources(std::string_view query) { return json::parse(http::BodyOf(Fetch(query))); }

  ResourceCache cache_;
  http::Served served_{[this](http::Server& server) {
    AddResourcePages(server, [this] { return cache_.current(); });
  }};
};

TEST_F(ResourcePages, AreWhatASidecarOfThatNamespaceIsServed) {
  const json own = Resources("?type=Service&namespace=default")["resources"];
  EXPECT_EQ(own.size(), 2u);
  const auto backend = cache_.current()->Find(ResourceType::kService, "default/backend", {});
  EXPECT_EQ(own["default/backend"], backend->version);
  const json others = Resources("?type=Service&namespace=web")["resources"];
  EXPECT_EQ(others.size(), 1u);
  EXPECT_TRUE(others.contains("default/backend"));
}

TEST_F(ResourcePages, GoOnBehindAName) {
  const json rest = Resources("?type=Service&namespace=default&continue=default/backend");
  EXPECT_EQ(rest["resources"].size(), 1u);
  EXPECT_FALSE(rest.contains("continue"));
}

TEST_F(ResourcePages, OfNoTypeAreRefusedWithThoseThereAre) {
  for (const char* query : {"", "?type=Cluster", "?type=Address"}) {
    const std::string answer = Fetch(query);
    EXPECT_THAT(answer, StartsWith("HTTP/1.1 400 ")) << query;
    EXPECT_THAT(answer, HasSubstr("type: one of ProxyConfig, Namespace, Service"));
  }
}

}  // namespace
}  // namespace portolan::xds

#include "ctl/diff.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <utility>

#include "tests/common/http/served.h"
#include "tests/ctl/invoke.h"

namespace portolan::ctl {
namespace {

using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

TEST(Diff, IsWhatIsMissingExtraAndHeldInAnotherVersion) {
  const TypeDiff diff = Compare("Service", {{"a", "1"}, {"b", "2"}, {"c", "3"}},
                                {{"b", "2"}, {"c", "old"}, {"d", "4"}});
  EXPECT_THAT(diff.missing, ElementsAre("a"));
  EXPECT_THAT(diff.extra, ElementsAre("d"));
  EXPECT_THAT(diff.stale, ElementsAre("c"));
  EXPECT_TRUE(Compare("Service", {{"a", "1"}}, {{"a", "1"}}).empty());
}

TEST(Diff, OfEndpointsOnDemandThoseOfOtherServicesAreNotMissing) {
  const Versions served{
      {"default/a", "1"}, {"default/a/s1", "1"}, {"default/b", "1"}, {"default/a-b", "1"}};
  const Versions held{{"default/a", "1"}};
  EXPECT_THAT(Compare("Endpoints", OfHeldServices(served, held), held).missing,
              ElementsAre("default/a/s1"));
}

TEST(Diff, WhatOnlyOneLookSawIsAChangeOnItsWay) {
  const TypeDiff before = Compare("Service", {{"a", "1"}, {"b", "1"}}, {});
  const TypeDiff now = Compare("Service", {{"b", "1"}, {"c", "1"}}, {});
  EXPECT_THAT(InBoth(before, now).missing, ElementsAre("b"));
}

// A control plane and the sidecar behind it.
class BothSides {
 public:
  BothSides() : held(served) {}
  explicit BothSides(json is_held) : held(std::move(is_held)) {}

  std::string url() const { return served_.url(); }
  const json served = {{"default/a", "1"}, {"default/b", "2"}};
  const json held;

 private:
  void Answer(const http::Request& request, http::Responder responder) const {
    const std::string type(request.FindQuery("type").value_or(""));
    const bool services = type == "Service";
    http::Response response;
    if (request.path == "/debug/resources") {
      // A page for each name.
      json page = {{"resources", json::object()}};
      const std::string after(request.FindQuery("continue").value_or(""));
      for (const auto& [name, version] : served.items()) {
        if (!services || name <= after) continue;
        page["resources"][name] = version;
        if (name != "default/b") page["continue"] = name;
        break;
      }
      response.body = page.dump();
    } else if (type.empty()) {
      response.body = R"({"feed": {"inSync": true, "source": "control plane"}})";
    } else {
      response.body = json({{"resources", services ? held : json::object()}}).dump();
    }
    responder.Send(response);
  }

  http::Served served_{[this](http::Server& server) {
    server.Get("/*", [this](const http::Request& request, http::Responder responder) {
      Answer(request, responder);
    });
  }};
};

TEST(DiffProgram, EqualsAreSaidWithStatusZero) {
  BothSides sides;
  const Ran ran = Invoke("diff default/frontend-1 --server " + sides.url());
  EXPECT_EQ(ran.status, 0) << ran.output;
  EXPECT_THAT(ran.output, HasSubstr("Service         2        2      0         0       0\n"));
  EXPECT_THAT(ran.output, HasSubstr("Feed: in sync, from control plane\n"));
}

TEST(DiffProgram, DifferencesAreNamedWithStatusOne) {
  BothSides sides(json{{"default/a", "old"}, {"default/gone", "1"}});
  const Ran ran = Invoke("diff default/frontend-1 --server " + sides.url());
  EXPECT_EQ(ran.status, 1);
  EXPECT_THAT(ran.output, HasSubstr("Service default/b is not held\n"
                                    "Service default/gone is not served any more\n"
                                    "Service default/a is held in another version\n"));
}

TEST(DiffProgram, ASidecarThatDoesNotListIsTooOld) {
  http::Served old([](http::Server& server) {
    server.Get("/*", [](const http::Request&, http::Responder responder) {
      http::Response response;
      response.body = "{}";
      responder.Send(response);
    });
  });
  const Ran ran = Invoke("diff default/frontend-1 --server " + old.url());
  EXPECT_EQ(ran.status, 1);
  EXPECT_THAT(ran.output, HasSubstr("the sidecar does not list its resources: it is older than"));
  for (const char* pod : {"frontend-1", "a/b/c"}) {
    const Ran wrong = Invoke(std::string("diff ") + pod);
    EXPECT_EQ(wrong.status, 2);
    EXPECT_THAT(wrong.output, HasSubstr("POD: NAMESPACE/POD says whose sidecar is asked"));
  }
}

}  // namespace
}  // namespace portolan::ctl

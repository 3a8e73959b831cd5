// The program itself, run against a server in this process.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>

#include <nlohmann/json.hpp>

#include "common/guarded.h"
#include "ctl/client.h"
#include "tests/common/http/served.h"
#include "tests/ctl/invoke.h"
#include "tests/directory/small_cluster.h"
#include "xds/dashboard/api.h"

namespace portolan::ctl {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

class Portolanctl : public ::testing::Test {
 protected:
  Portolanctl() {
    served.On([this](http::Server& server) {
      api = std::make_unique<xds::Api>(
          served.loop(), server, xds::Api::Options{.clients = [this](size_t) { return clients; }});
      Directory directory;
      PutSmallCluster(directory);
      api->OnCommit(directory.Commit(), xds::AddressIndex());
      return 0;
    });
  }
  ~Portolanctl() override {
    served.On([this](http::Server&) {
      api.reset();
      return 0;
    });
  }
  std::string With(const std::string& arguments) {
    return "--server " + served.url() + " " + arguments;
  }

  std::vector<xds::ClientStatus> clients{{"default/frontend-1", "0.1.0", "p", absl::Now(), {}}};
  std::unique_ptr<xds::Api> api;
  http::Served served{[](http::Server&) {}};
};

TEST_F(Portolanctl, NamesPrintsATable) {
  const Ran ran = Invoke(With("names"));
  EXPECT_EQ(ran.status, 0);
  EXPECT_THAT(ran.output, StartsWith("NAMESPACE   NAME "));
  EXPECT_THAT(ran.output, HasSubstr("default     backend            ClusterIP      10.43.0.123,"));
}

TEST_F(Portolanctl, NamesTakesASearchAndANamespace) {
  EXPECT_THAT(Invoke(With("names external")).output, Not(HasSubstr("backend")));
  EXPECT_THAT(Invoke(With("names -n default")).output, Not(HasSubstr("external")));
  EXPECT_EQ(Invoke(With("names 'a b&c'")).output, "No names found.\n");
}

TEST_F(Portolanctl, OptionsMayFollowTheSubcommand) {
  const Ran ran = Invoke("names -o json --server " + served.url() + "/");
  EXPECT_EQ(ran.status, 0);
  EXPECT_EQ(nlohmann::json::parse(ran.output)["names"].size(), 4u);
}

TEST_F(Portolanctl, ProxyStatusPrintsATable) {
  const Ran ran = Invoke(With("proxy-status"));
  EXPECT_EQ(ran.status, 0);
  EXPECT_THAT(ran.output, HasSubstr("default/frontend-1"));
}

TEST_F(Portolanctl, AllPagesAreFetched) {
  http::Served pages([](http::Server& server) {
    server.Get("/x", [](const http::Request& request, http::Responder responder) {
      const bool first = !request.FindQuery("continue");
      http::Response response;
      response.body = first ? R"({"l": [1], "continue": "a/b c"})" : R"({"l": [2]})";
      responder.Send(response);
    });
  });
  const auto answer = Client({.server = pages.url()}).GetAll("/x?limit=1", "l");
  ASSERT_TRUE(answer.ok()) << answer.status();
  EXPECT_EQ((*answer)["l"], nlohmann::json({1, 2}));
}

TEST_F(Portolanctl, ErrorsSayWhatToDoNext) {
  Ran ran = Invoke("--server http://127.0.0.1:1 names");
  EXPECT_EQ(ran.status, 1);
  EXPECT_THAT(ran.output, HasSubstr("Is portolan-control running there? Give its address with"));
  ran = Invoke("--server gopher://127.0.0.1 names");
  EXPECT_EQ(ran.status, 1);
  EXPECT_THAT(ran.output, HasSubstr("is not a URL such as"));
  http::Served other([](http::Server& server) {
    server.Get("/*", [](const http::Request&, http::Responder responder) {
      responder.Send(http::TextResponse(200, "<html>"));
    });
  });
  ran = Invoke("--server " + other.url() + " names");
  EXPECT_EQ(ran.status, 1);
  EXPECT_THAT(ran.output, HasSubstr("which is not portolan-control's API"));
}

TEST_F(Portolanctl, AServersErrorIsShownWithoutItsEscapeSequences) {
  http::Served hostile([](http::Server& server) {
    server.Get("/*", [](const http::Request&, http::Responder responder) {
      http::Response response;
      response.status = 400;
      response.body = R"({"error": "\u001b]0;owned\u0007"})";
      responder.Send(response);
    });
  });
  const Ran ran = Invoke("--server " + hostile.url() + " names");
  EXPECT_EQ(ran.status, 1);
  EXPECT_THAT(ran.output, HasSubstr("says: ?]0;owned?"));
}

TEST_F(Portolanctl, ASilentServerIsTimedOut) {
  std::optional<http::Responder> kept;
  http::Served silent([&](http::Server& server) {
    server.Get("/*", [&](const http::Request&, http::Responder responder) {
      kept = std::move(responder);
    });
  });
  const Ran ran = Invoke("--timeout 200ms --server " + silent.url() + " names");
  EXPECT_EQ(ran.status, 1);
  EXPECT_THAT(ran.output, HasSubstr("timed out"));
  silent.On([&](http::Server&) {
    kept.reset();
    return 0;
  });
}

TEST_F(Portolanctl, AnAnswerBeyondTheBoundIsRefused) {
  const auto answer = Client({.server = served.url(), .max_bytes = 100}).Get("/api/v1/names");
  ASSERT_FALSE(answer.ok());
  EXPECT_THAT(answer.status().ToString(), HasSubstr("larger than 100 bytes"));
}

// Answers whatever is asked below `prefix` with `body`, and keeps what was asked.
class SidecarPages {
 public:
  explicit SidecarPages(const std::string& prefix, const std::string& body = kNothingFound)
      : served_([this, prefix, body](http::Server& server) {
          for (const char* method : {"GET", "POST"}) {
            server.Route(method, prefix + "*",
                         [this, body](const http::Request& request, http::Responder responder) {
                           std::string asked = request.method + " " + request.path;
                           for (const auto& [key, value] : request.query) asked += " " + value;
                           asked_.With([&](std::string& last) { last = std::move(asked); });
                           http::Response response;
                           response.body = body;
                           responder.Send(response);
                         });
          }
        }) {}
  std::string url() const { return served_.url(); }
  std::string asked() {
    return asked_.With([](const std::string& last) { return last; });
  }

 private:
  static constexpr char kNothingFound[] = R"({
      "lookups": [{"name": "backend.", "rcode": "NXDOMAIN", "answers": []}],
      "feed": {"inSync": true}})";

  Guarded<std::string> asked_;
  http::Served served_;
};

TEST(PortolanctlSidecar, IsAskedByWayOfTheControlPlane) {
  SidecarPages pages("/api/v1/sidecars/default/frontend-1/");
  const std::string flags = " --pod default/frontend-1 --server " + pages.url();
  EXPECT_EQ(Invoke("config-dump" + flags).status, 0);
  EXPECT_EQ(pages.asked(), "GET /api/v1/sidecars/default/frontend-1/config_dump");
  EXPECT_EQ(Invoke("log-level debug" + flags).output, "default/frontend-1 logs at debug\n");
  EXPECT_EQ(pages.asked(), "POST /api/v1/sidecars/default/frontend-1/logging debug");
}

TEST(PortolanctlSidecar, IsAskedItselfWhereThatIsSaid) {
  SidecarPages pages("/");
  const Ran ran = Invoke("explain backend --direct --admin " + pages.url());
  EXPECT_EQ(ran.status, 0) << ran.output;
  EXPECT_EQ(pages.asked(), "GET /explain backend A");
  EXPECT_EQ(Invoke("config-dump --direct --admin " + pages.url()).status, 0);
  EXPECT_EQ(pages.asked(), "GET /config_dump");
  EXPECT_THAT(Invoke("config-dump --direct --admin http://127.0.0.1:1").output,
              HasSubstr("Is portolan-proxy running there? Give its address with --admin"));
}

TEST(PortolanctlExplain, AsksTheControlPlaneForAllThreeAndSaysWhereTheyDiffer) {
  SidecarPages pages("/api/v1/", R"({
      "sidecar": {"lookups": [{"name": "backend.", "rcode": "NXDOMAIN", "answers": []}],
                  "feed": {"inSync": true, "age": "0"}},
      "controlPlane": {"lookups": [{"name": "backend.", "rcode": "NOERROR",
                                    "answers": ["backend. 30 IN A 10.43.0.7"]}]},
      "differences": [{"name": "backend.", "kind": "rcode", "what": "W", "likely": "L"}]})");
  const std::string arguments =
      "explain backend --type SRV --pod default/frontend-1 --with-cluster-dns --server " +
      pages.url();
  const Ran ran = Invoke(arguments);
  EXPECT_EQ(ran.status, 0) << ran.output;
  EXPECT_EQ(pages.asked(), "GET /api/v1/explain default/frontend-1 backend SRV true");
  EXPECT_THAT(ran.output, HasSubstr("1. backend.   NXDOMAIN"));
  EXPECT_THAT(ran.output, HasSubstr("backend.   A 10.43.0.7     NXDOMAIN"));
  EXPECT_THAT(ran.output, HasSubstr("backend.: rcode: W\n  likely: L\n"));
  EXPECT_EQ(Invoke(arguments + " --exit-code").status, 3);
}

TEST_F(Portolanctl, AnExplanationWithoutTheSidecarFails) {
  const Ran ran = Invoke(With("explain backend --pod default/bare"));
  EXPECT_EQ(ran.status, 1);
  EXPECT_THAT(ran.output, StartsWith("The sidecar gave no answer: "));
  EXPECT_THAT(ran.output, HasSubstr("backend.default.svc.cluster.local.   A 10.43.0.123"));
  EXPECT_THAT(ran.output, Not(HasSubstr("No difference.")));
}

TEST(PortolanctlExplain, ComparesASidecarThatIsAskedItselfWithTheClusterDns) {
  SidecarPages pages("/", R"({
      "lookups": [{"name": "a.", "rcode": "NOERROR", "plugin": "hosts",
                   "answers": ["a. 30 IN A 10.43.0.7"]}],
      "feed": {"inSync": true},
      "clusterDns": {"lookups": [{"name": "a.", "rcode": "NXDOMAIN", "answers": []}]}})");
  const Ran ran =
      Invoke("explain a --with-cluster-dns --exit-code --direct --admin " + pages.url());
  EXPECT_EQ(ran.status, 3) << ran.output;
  EXPECT_THAT(ran.output, HasSubstr("the sidecar says A 10.43.0.7, the cluster DNS NXDOMAIN"));
}

TEST(PortolanctlSidecar, HasToBeNamed) {
  for (const char* arguments :
       {"explain backend", "config-dump --pod frontend", "log-level debug",
        "explain backend --pod /x", "explain backend --pod a/", "explain backend --pod a/b/c"}) {
    const Ran ran = Invoke(arguments);
    EXPECT_EQ(ran.status, 2) << arguments;
    EXPECT_THAT(ran.output, HasSubstr("--pod: NAMESPACE/POD says whose")) << arguments;
  }
  EXPECT_THAT(Invoke("explain --pod a/b").output, HasSubstr("NAME is required"));
  const Ran ran = Invoke("config-dump --pod a/b --admin http://127.0.0.1:1");
  EXPECT_EQ(ran.status, 2);
  EXPECT_THAT(ran.output, HasSubstr("--admin requires --direct"));
}

TEST_F(Portolanctl, TheNameOfAServiceIsTakenAsPeopleWriteIt) {
  for (const char* name :
       {"backend", "default/backend", "backend.default", "backend.default.svc.cluster.local.",
        "_http._tcp.backend.default.svc.cluster.local", "backend.default.svc"}) {
    const Ran ran = Invoke(With(std::string("endpoints ") + name));
    EXPECT_EQ(ran.status, 0) << ran.output;
    EXPECT_THAT(ran.output, StartsWith("default/backend: ClusterIP, 10.43.0.123"));
  }
  EXPECT_THAT(Invoke(With("endpoints 10.43.0.123")).output, StartsWith("default/backend"));
  EXPECT_EQ(Invoke(With("records example.com.au")).status, 1);
  const Ran ran = Invoke(With("records backend.default.svc.evil.example"));
  EXPECT_EQ(ran.status, 1);
  EXPECT_THAT(ran.output, HasSubstr("is no name of this cluster, where it is backend.default.svc."
                                    "cluster.local"));
}

TEST(PortolanctlHistory, TakesNamesAsTheOthersDoAndNoticesTypos) {
  http::Served served([](http::Server& server) {
    server.Get("/api/v1/names", [](const http::Request& request, http::Responder responder) {
      const bool known = request.FindQuery("search") != "192.0.2.99";
      responder.Send(http::TextResponse(
          200, known ? R"({"names": [{"namespace": "default", "name": "backend"}]})" : "{}"));
    });
    server.Get("/api/v1/history", [](const http::Request& request, http::Responder responder) {
      const bool known = request.FindQuery("namespace") == "default";
      responder.Send(http::TextResponse(
          200, known ? R"({"entries": [{"namespace": "default", "name": "backend",
                                        "time": "2026-11-26T20:00:00Z", "cause": "pod-ready"}]})"
                     : R"({"entries": []})"));
    });
  });
  const auto history = [&](const std::string& arguments) {
    return Invoke("history " + arguments + " --server " + served.url());
  };
  EXPECT_THAT(history("10.43.0.123").output, HasSubstr("default/backend   pod-ready"));
  EXPECT_THAT(history("192.0.2.99").output,
              HasSubstr("no Service has or lists the address 192.0.2.99"));
  EXPECT_THAT(history("backnd -n web").output, HasSubstr("\nThere are: default/backend\n"));
}

TEST_F(Portolanctl, AServiceThatIsNotThereComesWithThoseThatAre) {
  const Ran ran = Invoke(With("endpoints backend -n web"));
  EXPECT_EQ(ran.status, 1);
  EXPECT_THAT(ran.output, HasSubstr("no Service backend in namespace web"));
  EXPECT_THAT(ran.output, HasSubstr("There are: default/backend"));
}

TEST_F(Portolanctl, MomentsThatAreNoneAreWrongUsage) {
  const Ran ran = Invoke(With("history backend --at noon"));
  EXPECT_EQ(ran.status, 2);
  EXPECT_THAT(ran.output, HasSubstr("--at: 'noon' is no moment: 14:03:05 (today), 5m"));
  EXPECT_EQ(Invoke(With("history --at 5m")).status, 2);
}

TEST_F(Portolanctl, WrongUsageIsStatusTwo) {
  EXPECT_EQ(Invoke("").status, 2);
  EXPECT_EQ(Invoke("nonsense").status, 2);
  EXPECT_EQ(Invoke("names -o xml").status, 2);
  EXPECT_EQ(Invoke("log-level debug --pod a/b --watch").status, 2);
  EXPECT_EQ(Invoke("--help").status, 0);
  const Ran version = Invoke("--version");
  EXPECT_EQ(version.status, 0);
  EXPECT_THAT(version.output, StartsWith("portolanctl "));
}

TEST(PortolanctlInject, ReadsStandardInputAndSaysWhatBecameOfEachObject) {
  const std::string pod =
      "echo '{\"kind\":\"Pod\",\"metadata\":{\"name\":\"p\"},"
      "\"spec\":{\"containers\":[{\"name\":\"a\"}]}}' | ";
  const Ran ran = Invoke("inject -n yard --image i:2 --service-cidr 10.43.0.0/16 -f -", pod);
  EXPECT_EQ(ran.status, 0);
  EXPECT_THAT(ran.output, StartsWith("Pod yard/p: injected\n{\"kind\":\"Pod\""));
  EXPECT_THAT(ran.output, HasSubstr("\"image\":\"i:2\""));
  EXPECT_THAT(ran.output, HasSubstr("--service-cidr=10.43.0.0/16"));
}

TEST(PortolanctlInject, ADeniedObjectFailsAndNothingIsPrinted) {
  const Ran ran = Invoke("inject -f -", "echo 'kind: Deployment' | ");
  EXPECT_EQ(ran.status, 1);
  EXPECT_EQ(ran.output, "standard input:1: Deployment default/*: it has no pod template\n");
  EXPECT_EQ(Invoke("inject").status, 2);
  EXPECT_THAT(Invoke("inject -f /absent.yaml").output, HasSubstr("/absent.yaml"));
}

}  // namespace
}  // namespace portolan::ctl

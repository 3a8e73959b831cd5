#include "ctl/analyze/analyze.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "common/status.h"
#include "ctl/analyze/read_cluster.h"
#include "ctl/analyze/read_files.h"
#include "ctl/analyze_command.h"
#include "tests/common/http/served.h"
#include "tests/ctl/invoke.h"
#include "tests/proxy/feed/temp_dir.h"

namespace portolan::ctl {
namespace {

using analyze::Finding;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

constexpr std::string_view kBackend = R"(
apiVersion: apps/v1
kind: Deployment
metadata: {name: backend}
spec:
  template:
    metadata: {labels: {app: backend, tier: back}}
    spec:
      containers:
      - name: app
        ports: [{name: http, containerPort: 8080}]
)";

std::vector<Finding> FindingsOf(const std::string& text,
                                analyze::Origin origin = analyze::Origin::kFiles) {
  analyze::Objects objects;
  objects.origin = origin;
  const absl::Status status = analyze::AddText("m.yaml", text, objects);
  EXPECT_TRUE(status.ok()) << status;
  return Analyze(objects);
}

// "LINE CODE"
std::vector<std::string> CodesOf(const std::vector<Finding>& findings) {
  std::vector<std::string> codes;
  for (const Finding& finding : findings) {
    codes.push_back(fmt::format("{} {}", finding.place.line, finding.code));
  }
  return codes;
}

std::string WithBackend(std::string_view more) {
  return fmt::format("{}---\n{}", kBackend, more);  // what is `more` begins on line 13
}

TEST(Analyze, HasNothingToSayAboutWhatIsRight) {
  EXPECT_THAT(FindingsOf(WithBackend(R"(apiVersion: v1
kind: Service
metadata: {name: backend}
spec:
  selector: {app: backend}
  ports: [{name: a, port: 80, targetPort: http}, {name: b, port: 8080}]
)")),
              IsEmpty());
}

TEST(Analyze, ASelectorThatSelectsNothingComesWithWhatItAlmostSelects) {
  const auto findings = FindingsOf(WithBackend(R"(apiVersion: v1
kind: Service
metadata: {name: backend}
spec:
  selector: {app: backnd}
  ports: [{port: 80}]
)"));
  ASSERT_THAT(CodesOf(findings), ElementsAre("13 selector-selects-nothing"));
  EXPECT_EQ(findings[0].object, "Service default/backend");
  EXPECT_EQ(findings[0].severity, analyze::Severity::kError);
  EXPECT_EQ(findings[0].what,
            "no pod of namespace default has the labels app=backnd; Deployment default/backend has "
            "app=backend,tier=back");
}

TEST(Analyze, FilesWithoutPodsSayNothingAboutSelectors) {
  constexpr char kService[] =
      "apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec: {selector: {a: b}, ports: [{port: "
      "80}]}\n";
  EXPECT_THAT(FindingsOf(kService), IsEmpty());
  EXPECT_THAT(CodesOf(FindingsOf(kService, analyze::Origin::kCluster)),
              ElementsAre("1 selector-selects-nothing"));
}

TEST(Analyze, PortsThatNobodyServes) {
  const auto findings = FindingsOf(WithBackend(R"(apiVersion: v1
kind: Service
metadata: {name: backend}
spec:
  selector: {app: backend}
  ports:
  - {name: a, port: 80, targetPort: htp}
  - {name: b, port: 81, targetPort: 9090}
  - {name: c, port: 8080, protocol: UDP}
)"));
  EXPECT_THAT(CodesOf(findings), ElementsAre("19 target-port-missing", "20 target-port-undeclared",
                                             "21 target-port-undeclared"));
  EXPECT_THAT(findings[0].what,
              HasSubstr("port 80 leads to 'htp', which no container of Deployment "
                        "default/backend calls a port of TCP"));
}

TEST(Analyze, ExternalNamesToNowhere) {
  const auto external = [](const std::string& name, const std::string& to) {
    return fmt::format(
        "---\napiVersion: v1\nkind: Service\nmetadata: {{name: {}}}\nspec:\n"
        "  type: ExternalName\n  externalName: {}\n",
        name, to);
  };
  EXPECT_THAT(CodesOf(FindingsOf(external("a", "10.0.0.1"))),
              ElementsAre("7 external-name-is-address"));
  EXPECT_THAT(CodesOf(FindingsOf(external("a", "b.default.svc.cluster.local"))),
              ElementsAre("7 external-name-to-nowhere"));
  EXPECT_THAT(CodesOf(FindingsOf(external("a", "b.default.svc.cluster.local") +
                                 external("b", "a.default.svc.cluster.local"))),
              ElementsAre("7 external-name-loop", "14 external-name-loop"));
  EXPECT_THAT(FindingsOf(external("a", "db.example.com")), IsEmpty());
  // Of a namespace that is not in the files nothing is known.
  EXPECT_THAT(FindingsOf(external("a", "b.other.svc.cluster.local")), IsEmpty());
}

TEST(Analyze, WhatTheControlPlaneWouldRefuseIsSaidWithItsLine) {
  const auto findings = FindingsOf(
      "apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec:\n  ports:\n  - port: 70000\n");
  ASSERT_THAT(CodesOf(findings), ElementsAre("6 not-valid"));
  EXPECT_EQ(findings[0].what, "spec.ports[0].port: 70000 is not a port");
}

TEST(Analyze, ServicesWithoutEndpoints) {
  constexpr char kHeadless[] =
      "apiVersion: v1\nkind: Service\nmetadata: {name: h}\nspec: {clusterIP: None}\n";
  EXPECT_THAT(CodesOf(FindingsOf(kHeadless)), ElementsAre("1 headless-without-endpoints"));
  const std::string slice = std::string(kHeadless) + R"(---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: h-1, labels: {kubernetes.io/service-name: h}}
addressType: IPv4
endpoints:
- addresses: [10.0.0.1]
)";
  EXPECT_THAT(FindingsOf(slice), IsEmpty());
  EXPECT_THAT(CodesOf(FindingsOf(slice + "  conditions: {ready: false}\n")),
              ElementsAre("1 none-ready"));
}

TEST(Analyze, NdotsTrapsAreCounted) {
  const auto pod = [](const std::string& spec) {
    return "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec:\n" + spec +
           "  containers:\n  - name: app\n    env:\n"
           "    - {name: URL, value: 'postgres://u@db.example.com:5432/x'}\n";
  };
  auto findings = FindingsOf(pod(""));
  ASSERT_THAT(CodesOf(findings), ElementsAre("8 ndots-trap"));
  EXPECT_EQ(findings[0].what,
            "env URL of container app names db.example.com: with ndots:5 each lookup asks 8 "
            "questions instead of 2");
  EXPECT_THAT(findings[0].advice, StartsWith("Write db.example.com. (with the last dot), or set "
                                             "ndots to 2 in dnsConfig"));
  EXPECT_THAT(FindingsOf(pod("  dnsConfig: {options: [{name: ndots, value: '2'}]}\n")), IsEmpty());
  EXPECT_THAT(FindingsOf(pod("  dnsPolicy: Default\n")), IsEmpty());
  EXPECT_THAT(FindingsOf(pod("  hostNetwork: true\n")), IsEmpty());
}

TEST(Analyze, WhatIsNoTrap) {
  const auto codes = [](const std::string& value) {
    return CodesOf(FindingsOf(
        "apiVersion: v1\nkind: Service\nmetadata: {name: backend, namespace: shop}\nspec: {ports: "
        "[{port: 80}], selector: {a: b}}\n---\napiVersion: v1\nkind: Pod\nmetadata: {name: p}\n"
        "spec:\n  containers:\n  - name: app\n    args: ['" +
        value + "']\n"));
  };
  for (const char* value :
       {"http://backend:80", "http://backend.shop/x", "http://db.example.com.", "http://10.0.0.1",
        "http://backend.shop.svc", "http://a.b.c.d.e.example.com", "--level=3.5", "time: 10.30",
        "redis:6379", "http://[::1]:80/"}) {
    EXPECT_THAT(codes(value), IsEmpty()) << value;
  }
  for (const char* value : {"http://backend.shop.svc.cluster.local:80", "db.example.com:5432",
                            "--upstream=https://api.example.com/v1"}) {
    EXPECT_THAT(codes(value), ElementsAre("12 ndots-trap")) << value;
  }
}

TEST(Analyze, PodsWithoutResolversAndWithTheSidecarsPorts) {
  constexpr char kPod[] = R"(apiVersion: v1
kind: Pod
metadata: {name: p, labels: {portolan.dev/inject: "true"}}
spec:
  dnsPolicy: None
  containers:
  - name: app
    ports:
    - containerPort: 15020
)";
  const auto findings = FindingsOf(kPod);
  EXPECT_THAT(CodesOf(findings),
              ElementsAre("5 dns-none-without-nameservers", "9 port-collides-with-sidecar"));
  EXPECT_THAT(findings[1].advice, HasSubstr("portolan.dev/status-port"));
}

std::string Policy(const std::string& egress) {
  return WithBackend(fmt::format(R"(apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {{name: walls}}
spec:
  podSelector: {{matchLabels: {{app: backend}}}}
  policyTypes: [Egress]
  egress:
{})",
                                 egress));
}

TEST(Analyze, PoliciesThatBlockDns) {
  const auto findings = FindingsOf(Policy("  - to: [{podSelector: {}}]\n"));
  ASSERT_THAT(CodesOf(findings), ElementsAre("13 policy-blocks-dns"));
  EXPECT_EQ(findings[0].object, "Deployment default/backend");
  EXPECT_THAT(findings[0].what, HasSubstr("NetworkPolicy walls limits its egress and allows no UDP "
                                          "to port 53 of the cluster DNS"));
  const std::string kube_dns =
      "  - to:\n    - namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: "
      "kube-system}}\n"
      "      podSelector: {matchLabels: {k8s-app: kube-dns}}\n";
  EXPECT_THAT(FindingsOf(Policy(kube_dns)), IsEmpty());
  EXPECT_THAT(CodesOf(FindingsOf(Policy(kube_dns + "    ports: [{port: 53, protocol: UDP}]\n"))),
              ElementsAre("13 policy-blocks-dns-over-tcp"));
  EXPECT_THAT(CodesOf(FindingsOf(Policy(kube_dns + "    ports: [{port: 443}]\n"))),
              ElementsAre("13 policy-blocks-dns"));
  EXPECT_THAT(
      FindingsOf(Policy("  - ports: [{port: 53, protocol: UDP}, {port: 1, endPort: 60}]\n")),
      IsEmpty());
}

TEST(Analyze, ServicesThatClaimOneAddress) {
  const auto service = [](const std::string& name, int port) {
    return fmt::format(
        "---\napiVersion: v1\nkind: Service\nmetadata: {{name: {}}}\nspec:\n"
        "  selector: {{a: b}}\n  externalIPs: [192.0.2.7]\n  ports:\n  - port: {}\n",
        name, port);
  };
  const auto findings = FindingsOf(service("a", 80) + service("b", 80) + service("c", 81));
  ASSERT_THAT(CodesOf(findings), ElementsAre("18 duplicate-external-ip"));
  EXPECT_EQ(findings[0].what, "192.0.2.7 port 80/TCP is claimed by Service default/a too");
}

TEST(Analyze, HostNetworkAndExportsToUnknownNamespaces) {
  const auto findings = FindingsOf(R"(apiVersion: v1
kind: Pod
metadata: {name: p, labels: {a: b}}
spec: {hostNetwork: true, containers: [{name: c}]}
---
apiVersion: v1
kind: Service
metadata:
  name: s
  annotations:
    portolan.dev/export-to: "default, shp"
spec: {selector: {a: b}, ports: [{port: 80}]}
)");
  EXPECT_THAT(CodesOf(findings),
              ElementsAre("6 selects-host-network", "11 export-to-unknown-namespace"));
  EXPECT_THAT(findings[1].what, HasSubstr("names 'shp', and there is no such namespace"));
}

TEST(AnalyzeFiles, AFolderAListAndWhatOthersMadeOfThem) {
  proxy::TempDir folder;
  std::ofstream(folder.path() + "/a.json") << R"({"apiVersion": "v1", "kind": "List", "items": [
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "x"}},
            {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "ownerReferences":
              [{"kind": "ReplicaSet"}]}, "spec": {"dnsPolicy": "None"}}]})";
  std::ofstream(folder.path() + "/notes.txt") << ": : :";
  const auto objects = analyze::ReadFiles({folder.path()}, analyze::Folders::kFlat);
  ASSERT_TRUE(objects.ok()) << objects.status();
  EXPECT_EQ(objects->read, 2);
  EXPECT_THAT(objects->workloads, IsEmpty());
  std::ofstream(folder.path() + "/b.yaml") << "a: [\n";
  EXPECT_THAT(Message(analyze::ReadFiles({folder.path()}, analyze::Folders::kFlat).status()),
              HasSubstr("/b.yaml:2: "));
  std::filesystem::create_directory(folder.path() + "/empty");
  EXPECT_THAT(
      Message(analyze::ReadFiles({folder.path() + "/empty"}, analyze::Folders::kFlat).status()),
      HasSubstr("with -R the folders in it are read too"));
}

TEST(AnalyzeProgram, FailsWithErrorsAndStrictlyWithWarnings) {
  const std::string warned =
      "echo '{apiVersion: v1, kind: Pod, metadata: {name: p}, spec: {containers: [{name: c, args: "
      "[\"http://a.example.com\"]}]}}' | ";
  const Ran ran = Invoke("analyze -f -", warned);
  EXPECT_EQ(ran.status, 0) << ran.output;
  EXPECT_THAT(ran.output,
              StartsWith("standard input:1: warning: Pod default/p: args of container c "
                         "names a.example.com"));
  EXPECT_THAT(ran.output, HasSubstr("[ndots-trap]\n    Write a.example.com. (with"));
  EXPECT_THAT(ran.output, HasSubstr("1 objects: 0 errors, 1 warnings\n"));
  EXPECT_EQ(Invoke("analyze --strict -f -", warned).status, 1);
  const Ran failed = Invoke(
      "analyze -f - -o json",
      "echo '{apiVersion: v1, kind: Service, metadata: {name: a}, spec: {clusterIP: None}}' | ");
  EXPECT_EQ(failed.status, 1);
  EXPECT_EQ(nlohmann::json::parse(failed.output)["findings"][0]["code"],
            "headless-without-endpoints");
}

// An API server with one Service and no right to read Jobs.
class ApiServer {
 public:
  ApiServer() {
    std::ofstream(folder_.path() + "/config")
        << "apiVersion: v1\nkind: Config\ncurrent-context: other\n"
           "contexts: [{name: yard, context: {cluster: yard}}]\n"
           "clusters: [{name: yard, cluster: {server: '"
        << served_.url() << "'}}]\n";
  }
  std::string kubeconfig() const { return folder_.path() + "/config"; }

 private:
  static void Answer(const http::Request& request, http::Responder responder) {
    http::Response response;
    if (request.path.ends_with("/jobs")) {
      response.status = 403;
      response.body = R"({"kind": "Status", "message": "jobs is forbidden", "code": 403})";
    } else {
      const bool second = request.FindQuery("continue").has_value();
      const bool services = request.path == "/api/v1/services";
      response.body = fmt::format(
          R"({{"kind": "List", "metadata": {{"resourceVersion": "1"{}}}, "items": [{}]}})",
          services && !second ? R"(, "continue": "more")" : "",
          services ? fmt::format(R"({{"metadata": {{"name": "s{}", "namespace": "default"}},
                                   "spec": {{"selector": {{"a": "b"}}, "ports": [{{"port": 80}}]}}}})",
                                 second ? 2 : 1)
                   : std::string());
    }
    responder.Send(response);
  }

  proxy::TempDir folder_;
  http::Served served_{[](http::Server& server) { server.Get("/*", Answer); }};
};

TEST(AnalyzeCluster, IsReadPageByPageAndWhatMayNotBeReadIsSaid) {
  ApiServer server;
  const auto read = analyze::ReadCluster(server.kubeconfig(), "yard", "");
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->objects.services.size(), 2u);
  EXPECT_THAT(read->missing, ElementsAre("jobs: 403: jobs is forbidden"));
  std::vector<std::string> objects;
  for (const Finding& finding : Analyze(read->objects)) objects.push_back(finding.object);
  EXPECT_THAT(objects, ElementsAre("Service default/s1", "Service default/s2"));
  EXPECT_THAT(Message(analyze::ReadCluster(server.kubeconfig(), "", "").status()),
              HasSubstr("context 'other'"));
}

TEST(AnalyzeCluster, OneThatIsAwayIsAnError) {
  const Ran ran = Invoke("analyze", "env KUBECONFIG=/absent HOME=/absent ");
  EXPECT_EQ(ran.status, 1);
  EXPECT_THAT(ran.output,
              HasSubstr("Which cluster: --kubeconfig, --context; manifests instead: -f"));
}

}  // namespace
}  // namespace portolan::ctl

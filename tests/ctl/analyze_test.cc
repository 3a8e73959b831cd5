#include "ctl/analyze/analyze.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <map>

#include "common/document/yaml.h"
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

std::vector<Finding> FindingsOf(const std::string& text) {
  analyze::Objects objects;
  const absl::Status status = analyze::AddText("m.yaml", text, objects);
  EXPECT_TRUE(status.ok()) << status;
  return Analyze(objects);
}

// As if all of a cluster had been read, and this were it.
std::vector<Finding> FindingsOfCluster(const std::string& text) {
  analyze::Objects objects;
  objects.whole_namespaces = objects.whole_services = {.everywhere = true};
  objects.whole_slices = objects.whole_pods = {.everywhere = true};
  const absl::Status status = ReadYaml(text, [&](const Value& value, int) {
    objects.Add(value, "");
    return absl::OkStatus();
  });
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
  EXPECT_THAT(CodesOf(FindingsOfCluster(kService)), ElementsAre("1 selector-selects-nothing"));
}

// A pod whose labels are its own, and what is said to have made it.
std::string OwnedPod(const std::string& owner) {
  return fmt::format(R"(apiVersion: v1
kind: Pod
metadata:
  name: backend-1
  labels: {{app: backend, debug: "yes"}}
  ownerReferences: [{{{}, controller: true}}]
spec: {{dnsPolicy: None, containers: [{{name: c, ports: [{{name: http, containerPort: 8080}}]}}]}}
)",
                     owner);
}
std::string Selecting(const std::string& selector, const std::string& port = "port: 8080") {
  return fmt::format(
      "---\napiVersion: v1\nkind: Service\nmetadata: {{name: backend}}\nspec:\n  selector: {}\n"
      "  ports:\n  - {{{}}}\n",
      selector, port);
}

TEST(Analyze, APodCountsWhoeverMadeIt) {
  for (const char* owner : {"apiVersion: v1, kind: ReplicationController, name: backend",
                            "apiVersion: apps.kruise.io/v1beta1, kind: StatefulSet, name: backend",
                            "apiVersion: apps/v1, kind: ReplicaSet, name: backend"}) {
    // Which was not read, so that the pod itself is looked at.
    EXPECT_THAT(CodesOf(FindingsOf(OwnedPod(owner) + Selecting("{app: backend}"))),
                ElementsAre("7 dns-none-without-nameservers"))
        << owner;
  }
}

TEST(Analyze, OfAPodWhoseMakerWasReadOnlyItsLabelsCount) {
  const std::string made = OwnedPod("apiVersion: apps/v1, kind: Deployment, name: backend");
  EXPECT_THAT(FindingsOf(made + "---" + std::string(kBackend) + Selecting("{debug: 'yes'}")),
              IsEmpty());
}

TEST(Analyze, AReplicaSetThatItsDeploymentLeftBehindServesNothing) {
  const std::string old = R"(---
apiVersion: apps/v1
kind: ReplicaSet
metadata: {name: backend-1, ownerReferences: [{apiVersion: apps/v1, kind: Deployment, name: backend}]}
spec: {template: {metadata: {labels: {app: old}}, spec: {containers: [{name: c}]}}}
)";
  EXPECT_THAT(CodesOf(FindingsOf(std::string(kBackend) + old + Selecting("{app: old}"))),
              ElementsAre("18 selector-selects-nothing"));
}

TEST(Analyze, LabelsThatControllersGiveNeedNotBeInTheTemplate) {
  EXPECT_THAT(FindingsOf(WithBackend(
                  Selecting("{app: backend, statefulset.kubernetes.io/pod-name: backend-0}"))),
              IsEmpty());
}

TEST(Analyze, TargetPortsAreNumbersOrNames) {
  const auto codes = [](const std::string& target) {
    return CodesOf(
        FindingsOf(WithBackend(Selecting("{app: backend}", "port: 80, targetPort: " + target))));
  };
  for (const char* target : {"70000", "0", "'8080'", "a--b", "Http", "sixteen-letters-"}) {
    EXPECT_THAT(codes(target), ElementsAre("20 target-port-invalid")) << target;
  }
  for (const char* target : {"8080", "http", "'http'"}) {
    EXPECT_THAT(codes(target), IsEmpty()) << target;
  }
}

TEST(Analyze, AServiceThatIsReadTwiceIsOne) {
  const std::string service =
      "---\napiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec: {selector: {a: b}, "
      "externalIPs: [192.0.2.7], ports: [{port: 80}]}\n";
  EXPECT_THAT(FindingsOf(service + service), IsEmpty());
}

TEST(Analyze, WhatTheApiServerTakesIsNoFault) {
  EXPECT_THAT(FindingsOf("apiVersion: v1\nkind: Pod\nmetadata: {generateName: p-}\nspec: {}\n"),
              IsEmpty());
  const auto findings = FindingsOf(
      "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: p}\n"
      "spec: {template: {metadata: {labels: {a: b}}, spec: {hostNetwork: yes}}}\n---\n" +
      Selecting("{a: b}"));
  EXPECT_THAT(CodesOf(findings), ElementsAre("7 selects-host-network"));
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
  EXPECT_THAT(CodesOf(FindingsOfCluster(external("a", "b.default.svc.cluster.local"))),
              ElementsAre("7 external-name-to-nowhere"));
  // Files may be a part; where they hold Services of that namespace it is worth a look.
  EXPECT_THAT(FindingsOf(external("a", "b.default.svc.cluster.local")), IsEmpty());
  const auto perhaps =
      FindingsOf(external("a", "b.default.svc.cluster.local") + Selecting("{app: backend}"));
  ASSERT_THAT(CodesOf(perhaps), ElementsAre("7 external-name-to-nowhere"));
  EXPECT_EQ(perhaps[0].severity, analyze::Severity::kWarning);
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
  const auto unready = FindingsOf(slice + "  conditions: {ready: false}\n");
  ASSERT_THAT(CodesOf(unready), ElementsAre("1 headless-without-endpoints"));
  EXPECT_EQ(unready[0].severity, analyze::Severity::kError);
  EXPECT_EQ(unready[0].what, "none of its 1 endpoints is ready, so its name is answered NXDOMAIN");
}

TEST(Analyze, EndpointsByHandCountAsSlicesDo) {
  const auto codes = [](const char* addresses) {
    return CodesOf(
        FindingsOf(fmt::format("apiVersion: v1\nkind: Service\nmetadata: {{name: db}}\nspec: "
                               "{{ports: [{{port: 1}}]}}\n---\n"
                               "apiVersion: v1\nkind: Endpoints\nmetadata: {{name: "
                               "db}}\nsubsets:\n- {}: [{{ip: 10.0.0.1}}]\n",
                               addresses)));
  };
  EXPECT_THAT(codes("addresses"), IsEmpty());
  EXPECT_THAT(codes("notReadyAddresses"), ElementsAre("1 none-ready"));
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

TEST(Analyze, NamesOfAHeadlessServicesPodsAreNoTrap) {
  const auto codes = [](const std::string& name) {
    return CodesOf(FindingsOfCluster(fmt::format(R"(apiVersion: v1
kind: Service
metadata: {{name: kafka}}
spec: {{clusterIP: None}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: kafka-1, labels: {{kubernetes.io/service-name: kafka}}}}
addressType: IPv4
endpoints: [{{addresses: [10.0.0.1]}}]
---
apiVersion: v1
kind: Pod
metadata: {{name: p}}
spec:
  dnsConfig: {{searches: [corp.example]}}
  containers: [{{name: c, args: ['kafka://{}:9092']}}]
)",
                                                 name)));
  };
  for (const char* name : {"kafka-0.kafka", "kafka-0.kafka.default", "kafka.default", "kafka"}) {
    EXPECT_THAT(codes(name), IsEmpty()) << name;
  }
  EXPECT_THAT(codes("kafka-0.kafka.shop"), ElementsAre("17 ndots-trap"));
  EXPECT_THAT(codes("example.com"), ElementsAre("17 ndots-trap"));
}

TEST(Analyze, SearchesOfTheirOwnMakeTrapsWorse) {
  const auto findings = FindingsOf(
      "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec:\n"
      "  dnsConfig: {searches: [a.example, b.example]}\n"
      "  containers: [{name: c, args: ['http://api.example.com']}]\n");
  ASSERT_THAT(CodesOf(findings), ElementsAre("6 ndots-trap"));
  EXPECT_THAT(findings[0].what, HasSubstr("each lookup asks 12 questions instead of 2"));
}

TEST(Analyze, TheSidecarsPortsAreWhereTheAnnotationsPutThem) {
  const auto codes = [](const std::string& metadata, int port) {
    return CodesOf(
        FindingsOf(fmt::format("apiVersion: v1\nkind: Pod\nmetadata: {{name: p, {}}}\nspec:\n"
                               "  containers: [{{name: c, ports: [{{containerPort: {}}}]}}]\n",
                               metadata, port)));
  };
  const std::string moved = "annotations: {portolan.dev/status-port: '15021'}";
  EXPECT_THAT(codes(moved, 15020), IsEmpty());
  EXPECT_THAT(codes(moved, 15021), ElementsAre("5 port-collides-with-sidecar"));
  EXPECT_THAT(codes(moved, 15006), ElementsAre("5 port-collides-with-sidecar"));
}

TEST(Analyze, TheLabelSaysBeforeTheAnnotationWhetherAPodIsInjected) {
  const auto severity = [](const std::string& metadata) {
    const auto findings =
        FindingsOf("apiVersion: v1\nkind: Pod\nmetadata: {name: p, " + metadata +
                   "}\nspec:\n  containers: [{name: c, ports: [{containerPort: 15001}]}]\n");
    return findings.size() == 1 ? analyze::WordOf(findings[0].severity) : "?";
  };
  const std::string no = "annotations: {portolan.dev/inject: 'false'}";
  const std::string yes = "annotations: {portolan.dev/inject: 'true'}";
  EXPECT_EQ(severity(no + ", labels: {portolan.dev/inject: 'true'}"), "error");
  EXPECT_EQ(severity(yes + ", labels: {portolan.dev/inject: 'false'}"), "warning");
  EXPECT_EQ(severity(yes), "error");
  EXPECT_EQ(severity("labels: {portolan.dev/inject: enabled}"), "warning");
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

TEST(Analyze, WhatFilesCannotKnowOfTheDnsNamespaceMayBe) {
  const std::string by_name = "  - to: [{namespaceSelector: {matchLabels: {name: kube-system}}}]\n";
  EXPECT_THAT(FindingsOf(Policy(by_name)), IsEmpty());
  EXPECT_THAT(
      CodesOf(FindingsOf(Policy(by_name) + "---\napiVersion: v1\nkind: Namespace\nmetadata: {name: "
                                           "kube-system}\n")),
      ElementsAre("13 policy-blocks-dns"));
  EXPECT_THAT(CodesOf(FindingsOf(Policy("  - to: [{namespaceSelector: {matchLabels: "
                                        "{kubernetes.io/metadata.name: shop}}}]\n"))),
              ElementsAre("13 policy-blocks-dns"));
}

TEST(Analyze, AllButPrivateAddressesIsNotTheClusterDns) {
  const auto block = [](const std::string& except) {
    return Policy("  - to: [{ipBlock: {cidr: 0.0.0.0/0, except: [" + except + "]}}]\n");
  };
  EXPECT_THAT(CodesOf(FindingsOf(block("10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16"))),
              ElementsAre("13 policy-blocks-dns"));
  EXPECT_THAT(FindingsOf(block("10.0.0.0/8, 172.16.0.0/12")), IsEmpty());
  EXPECT_THAT(FindingsOf(block("169.254.169.254/32")), IsEmpty());
  // Where its addresses are known they count.
  const std::string dns = R"(---
apiVersion: v1
kind: Service
metadata: {name: kube-dns, namespace: kube-system}
spec: {clusterIP: 10.43.0.10, ports: [{port: 53, protocol: UDP}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: d, namespace: kube-system, labels: {kubernetes.io/service-name: kube-dns}}
addressType: IPv4
endpoints: [{addresses: [10.42.0.5]}]
)";
  EXPECT_THAT(CodesOf(FindingsOfCluster(block("10.42.0.0/16") + dns)),
              ElementsAre("13 policy-blocks-dns"));
  EXPECT_THAT(FindingsOfCluster(block("10.43.0.0/16") + dns), IsEmpty());
  // Another cluster's DNS than the usual one is not judged.
  EXPECT_THAT(FindingsOfCluster(block("10.0.0.0/8")), IsEmpty());
}

TEST(Analyze, PoliciesAreHeldToTheResolversThatThePodHas) {
  const auto findings = [](const std::string& dns, const std::string& egress) {
    return FindingsOfCluster(fmt::format(R"(apiVersion: v1
kind: Service
metadata: {{name: kube-dns, namespace: kube-system}}
spec: {{clusterIP: 10.43.0.10, ports: [{{port: 53, protocol: UDP}}]}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: d, namespace: kube-system, labels: {{kubernetes.io/service-name: kube-dns}}}}
addressType: IPv4
endpoints: [{{addresses: [10.42.0.5]}}]
---
apiVersion: v1
kind: Pod
metadata: {{name: p}}
spec: {{{}}}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {{name: walls}}
spec: {{podSelector: {{}}, policyTypes: [Egress], egress: [{{to: [{}]}}]}}
)",
                                         dns, egress));
  };
  const std::string kube_dns =
      "{namespaceSelector: {}, podSelector: {matchLabels: {k8s-app: kube-dns}}}";
  const auto own = [](const std::string& ips) {
    return "dnsPolicy: None, dnsConfig: {nameservers: [" + ips + "]}";
  };
  EXPECT_THAT(findings(own("10.43.0.10"), kube_dns), IsEmpty());
  EXPECT_THAT(findings("dnsPolicy: Default", "{podSelector: {}}"), IsEmpty());
  const auto blocked = findings(own("192.0.2.1, 192.0.2.2"), kube_dns);
  ASSERT_THAT(CodesOf(blocked), ElementsAre("17 policy-blocks-dns"));
  EXPECT_THAT(blocked[0].what, HasSubstr("UDP to port 53 of 192.0.2.1 or 192.0.2.2"));
  EXPECT_THAT(blocked[0].advice, HasSubstr("of the block 192.0.2.1/32"));
  // One that answers is enough.
  EXPECT_THAT(findings(own("192.0.2.1, 192.0.2.2"), "{ipBlock: {cidr: 192.0.2.2/32}}"), IsEmpty());
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
kind: Namespace
metadata: {name: shop, annotations: {portolan.dev/export-to: 'default, elsewhere'}}
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
              ElementsAre("8 export-to-unknown-namespace", "10 selects-host-network",
                          "15 export-to-unknown-namespace"));
  EXPECT_EQ(findings[0].object, "Namespace shop");
  EXPECT_THAT(findings[2].what, HasSubstr("names 'shp', and there is no such namespace"));
  // Files that declare no namespace leave them to somebody else.
  EXPECT_THAT(FindingsOf("apiVersion: v1\nkind: Service\nmetadata:\n  name: s\n  annotations: "
                         "{portolan.dev/export-to: shop}\nspec: {ports: [{port: 80}], selector: "
                         "{a: b}}\n"),
              IsEmpty());
}

TEST(AnalyzeFiles, AFolderAndAListInIt) {
  proxy::TempDir folder;
  std::ofstream(folder.path() + "/a.json") << R"({"apiVersion": "v1", "kind": "List", "items": [
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "x"}},
            {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "ownerReferences":
              [{"kind": "ReplicaSet"}]}, "spec": {"dnsPolicy": "None"}}]})";
  std::ofstream(folder.path() + "/notes.txt") << ": : :";
  const auto objects = analyze::ReadFiles({folder.path()}, analyze::Folders::kFlat);
  ASSERT_TRUE(objects.ok()) << objects.status();
  EXPECT_EQ(objects->read, 2);
  EXPECT_EQ(objects->WorkloadsOf("default").size(), 1u);
  std::ofstream(folder.path() + "/b.yaml") << "a: [\n";
  EXPECT_THAT(Message(analyze::ReadFiles({folder.path()}, analyze::Folders::kFlat).status()),
              HasSubstr("/b.yaml:2: "));
  std::filesystem::create_directory(folder.path() + "/empty");
  EXPECT_THAT(
      Message(analyze::ReadFiles({folder.path() + "/empty"}, analyze::Folders::kFlat).status()),
      HasSubstr("with -R the folders in it are read too"));
}

TEST(AnalyzeFiles, ListsOfListsAndListsWhoseItemsDoNotSayWhatTheyAre) {
  analyze::Objects objects;
  ASSERT_TRUE(analyze::AddText("f", R"({"apiVersion": "v1", "kind": "List", "items": [
      {"apiVersion": "v1", "kind": "ServiceList", "items": [{"metadata": {"name": "a"},
       "spec": {"ports": [{"port": 80}]}}]}]})",
                               objects)
                  .ok());
  EXPECT_NE(objects.FindService("default", "a"), nullptr);
}

TEST(AnalyzeProgram, FilesWithNothingToLookAtAreAnError) {
  const Ran ran = Invoke("analyze -f -", "echo 'kind: ConfigMap' | ");
  EXPECT_EQ(ran.status, 1);
  EXPECT_THAT(ran.output, HasSubstr("nothing that is looked at: Services"));
}

TEST(AnalyzeProgram, TheClusterDomainIsASetting) {
  const std::string service =
      "echo '{apiVersion: v1, kind: Service, metadata: {name: a}, spec: {type: ExternalName, "
      "externalName: a.default.svc.yard.example}}' | ";
  EXPECT_EQ(Invoke("analyze -f -", service).status, 0);
  const Ran ran = Invoke("analyze -f - --cluster-domain yard.example", service);
  EXPECT_EQ(ran.status, 1);
  EXPECT_THAT(ran.output, HasSubstr("[external-name-loop]"));
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

// An API server whose lists are what the test says; empty otherwise. In the order of their pages.
class ApiServer {
 public:
  ApiServer() {
    std::ofstream(folder_.path() + "/config")
        << "apiVersion: v1\nkind: Config\ncurrent-context: other\n"
           "contexts: [{name: yard, context: {cluster: yard}}]\n"
           "clusters: [{name: yard, cluster: {server: '"
        << served_.url() << "'}}]\n";
  }

  struct Answer {
    std::string items;  // of a list
    int status = 200;
  };
  std::map<std::string, std::vector<Answer>> lists;
  std::atomic<int> otherwise = 200;  // the status of the others

  analyze::ClusterQuery Query(const std::string& ns = "") const {
    return {.kubeconfig = folder_.path() + "/config", .context = "yard", .ns = ns};
  }
  Ran Analyze(const std::string& flags = "") const {
    return Invoke("analyze --context yard --kubeconfig " + folder_.path() + "/config " + flags);
  }

 private:
  void Reply(const http::Request& request, http::Responder responder) {
    const size_t page = std::stoul(std::string(request.FindQuery("continue").value_or("0")));
    const std::string path(request.path);
    const auto found = lists.find(path);
    Answer answer{"", otherwise};
    bool more = false;
    if (found != lists.end()) {
      // Once behind its last page a list begins again, at the answers after those.
      answer = found->second.at(std::min(page + again_[path], found->second.size() - 1));
      more = answer.status == 200 && page + again_[path] + 1 < found->second.size();
      if (answer.status == 410) again_[path] = page + 1;
    }
    http::Response response;
    response.status = answer.status;
    response.body =
        answer.status == 200
            ? fmt::format(
                  R"({{"kind": "List", "metadata": {{"resourceVersion": "1"{}}}, "items": [{}]}})",
                  more ? fmt::format(R"(, "continue": "{}")", page + 1) : "", answer.items)
            : fmt::format(R"({{"kind": "Status", "message": "no luck", "code": {}}})",
                          answer.status);
    responder.Send(response);
  }

  std::map<std::string, size_t, std::less<>> again_;
  proxy::TempDir folder_;
  http::Served served_{[this](http::Server& server) {
    server.Get("/*", [this](const http::Request& request, http::Responder responder) {
      Reply(request, std::move(responder));
    });
  }};
};

std::string Named(const std::string& name, const std::string& ns, const std::string& spec = "{}") {
  return fmt::format(R"({{"metadata": {{"name": "{}", "namespace": "{}"}}, "spec": {}}})", name, ns,
                     spec);
}
constexpr char kSelecting[] = R"({"selector": {"a": "b"}, "ports": [{"port": 80}]})";

// "OBJECT CODE"
std::vector<std::string> FoundIn(const absl::StatusOr<analyze::ClusterObjects>& read) {
  EXPECT_TRUE(read.ok()) << read.status();
  std::vector<std::string> found;
  if (!read.ok()) return found;
  for (const Finding& finding : Analyze(read->objects)) {
    found.push_back(finding.object + " " + finding.code);
  }
  return found;
}

TEST(AnalyzeCluster, IsReadPageByPageAndWhatMayNotBeReadIsSaid) {
  ApiServer server;
  server.lists["/api/v1/services"] = {{Named("s1", "default", kSelecting)},
                                      {Named("s2", "default", kSelecting)}};
  server.lists["/apis/batch/v1/jobs"] = {{"", 403}};
  const auto read = analyze::ReadCluster(server.Query());
  EXPECT_THAT(FoundIn(read), ElementsAre("Service default/s1 selector-selects-nothing",
                                         "Service default/s2 selector-selects-nothing"));
  EXPECT_THAT(read->missing, ElementsAre("jobs: 403: no luck"));
  analyze::ClusterQuery other = server.Query();
  other.context.clear();
  EXPECT_THAT(Message(analyze::ReadCluster(other).status()), HasSubstr("context 'other'"));
  other.kubeconfig.clear();
  other.context = "yard";
  EXPECT_THAT(Message(analyze::ReadCluster(other).status()), HasSubstr("no kubeconfig"));
}

TEST(AnalyzeCluster, WhatMayNotBeReadIsNotTakenForAbsent) {
  ApiServer server;
  server.lists["/api/v1/services"] = {
      {Named("plain", "default", kSelecting) + "," +
       Named("away", "default",
             R"({"type": "ExternalName", "externalName": "db.shop.svc.cluster.local"})")}};
  for (const char* path : {"/apis/discovery.k8s.io/v1/endpointslices", "/api/v1/pods"}) {
    server.lists[path] = {{"", 403}};
  }
  EXPECT_THAT(FoundIn(analyze::ReadCluster(server.Query())),
              ElementsAre("Service default/away external-name-to-nowhere"));
  // Deployments alone do not show all pods.
  server.lists["/apis/apps/v1/deployments"] = {{Named("d", "default", R"({"template": {}})")}};
  EXPECT_THAT(FoundIn(analyze::ReadCluster(server.Query())).size(), 1u);
}

TEST(AnalyzeCluster, PodsOfAReplicationControllerAreSelected) {
  ApiServer server;
  server.lists["/api/v1/services"] = {{Named("s", "default", kSelecting)}};
  server.lists["/api/v1/pods"] = {{R"({"metadata": {"name": "p", "namespace": "default",
      "labels": {"a": "b"}, "ownerReferences": [{"apiVersion": "v1",
      "kind": "ReplicationController", "name": "rc", "controller": true}]}, "spec": {}})"}};
  const std::string rc = R"({"metadata": {"name": "rc", "namespace": "default"},
      "spec": {"template": {"metadata": {"labels": {"a": "b"}}, "spec": {"hostNetwork": true}}}})";
  EXPECT_THAT(FoundIn(analyze::ReadCluster(server.Query())),
              ElementsAre("Service default/s no-endpoints"));
  server.lists["/api/v1/replicationcontrollers"] = {{rc}};
  EXPECT_THAT(
      FoundIn(analyze::ReadCluster(server.Query())),
      ElementsAre("Service default/s no-endpoints", "Service default/s selects-host-network"));
}

TEST(AnalyzeCluster, OfOneNamespaceOthersAreKnownButNotJudged) {
  ApiServer server;
  server.lists["/api/v1/namespaces"] = {
      {R"({"metadata": {"name": "default"}}, {"metadata": {"name": "shop"}})"}};
  server.lists["/api/v1/services"] = {
      {Named("a", "default",
             R"({"type": "ExternalName", "externalName": "db.shop.svc.cluster.local"})") +
       "," + Named("db", "shop", kSelecting)}};
  EXPECT_THAT(FoundIn(analyze::ReadCluster(server.Query("default"))), IsEmpty());
  EXPECT_THAT(FoundIn(analyze::ReadCluster(server.Query("shop"))),
              ElementsAre("Service shop/db selector-selects-nothing"));
  EXPECT_THAT(Message(analyze::ReadCluster(server.Query("defualt")).status()),
              HasSubstr("there is no namespace 'defualt', did you mean 'default'?"));
  // With rights in that namespace alone.
  server.lists["/api/v1/namespaces/default/services"] = {{Named(
      "a", "default", R"({"type": "ExternalName", "externalName": "db.shop.svc.cluster.local"})")}};
  server.lists["/api/v1/services"] = server.lists["/api/v1/namespaces"] = {{"", 403}};
  const auto read = analyze::ReadCluster(server.Query("default"));
  EXPECT_THAT(FoundIn(read), IsEmpty());
  EXPECT_THAT(read->missing, ElementsAre("namespaces: 403: no luck"));
}

TEST(AnalyzeCluster, AListThatIsForgottenMidwayIsReadAgain) {
  ApiServer server;
  server.lists["/api/v1/services"] = {{Named("gone", "default", kSelecting)},
                                      {"", 410},
                                      {Named("s1", "default", kSelecting)},
                                      {Named("s2", "default", kSelecting)}};
  EXPECT_THAT(FoundIn(analyze::ReadCluster(server.Query())),
              ElementsAre("Service default/s1 selector-selects-nothing",
                          "Service default/s2 selector-selects-nothing"));
}

TEST(AnalyzeCluster, NothingReadIsAFailure) {
  ApiServer server;
  server.otherwise = 403;
  Ran ran = server.Analyze();
  EXPECT_EQ(ran.status, 1);
  EXPECT_THAT(ran.output, HasSubstr("nothing was read. What you may read is said by kubectl auth"));
  server.otherwise = 500;
  ran = server.Analyze();
  EXPECT_EQ(ran.status, 1);
  EXPECT_THAT(ran.output, HasSubstr("namespaces: 500: no luck"));
  server.otherwise = 200;
  EXPECT_EQ(server.Analyze().status, 0);
}

TEST(AnalyzeCluster, OneThatIsAwayIsAnError) {
  const Ran ran = Invoke("analyze", "env KUBECONFIG=/absent HOME=/absent ");
  EXPECT_EQ(ran.status, 1);
  EXPECT_THAT(ran.output,
              HasSubstr("Which cluster: --kubeconfig, --context; manifests instead: -f"));
}

}  // namespace
}  // namespace portolan::ctl

#include "xds/sources/manifests.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/status.h"

namespace portolan::xds {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;
using ::testing::SizeIs;

const absl::Time kNow = absl::FromUnixSeconds(1700000000);

Manifests Read(const std::string& text) {
  auto read = ReadManifests("test.yaml", text, kNow);
  EXPECT_TRUE(read.ok()) << read.status();
  return read.ok() ? *std::move(read) : Manifests{};
}

std::string ErrorOf(const std::string& text) {
  auto read = ReadManifests("backend.yaml", text, kNow);
  EXPECT_FALSE(read.ok()) << text;
  return read.ok() ? "" : std::string(Message(read.status()));
}

template <typename T>
T One(const std::string& text) {
  Manifests read = Read(text);
  EXPECT_THAT(read.objects, SizeIs(1));
  if (read.objects.empty() || !std::holds_alternative<T>(read.objects[0].object)) {
    ADD_FAILURE() << "not the one object that was wanted";
    return {};
  }
  return std::get<T>(read.objects[0].object);
}

// A Service whose spec is `spec`, each of its lines indented by two.
std::string ServiceYaml(const std::string& spec) {
  return "apiVersion: v1\nkind: Service\nmetadata: {name: backend}\nspec:\n" + spec;
}

std::string SliceYaml(const std::string& rest) {
  return "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\n"
         "metadata:\n  name: backend-x\n  labels: {kubernetes.io/service-name: backend}\n" +
         rest;
}

TEST(Manifests, ServiceWithDefaults) {
  const auto service =
      One<Service>(ServiceYaml("  clusterIP: 10.43.0.123\n"
                               "  ports: [{port: 8080}]\n"));
  EXPECT_EQ(service.name.ToString(), "default/backend");
  EXPECT_EQ(service.type, ServiceType::kClusterIp);
  EXPECT_THAT(service.cluster_ips, ElementsAre(*IpAddress::Parse("10.43.0.123")));
  EXPECT_THAT(service.ports, ElementsAre(ServicePort{"", Protocol::kTcp, 8080}));
  EXPECT_FALSE(service.headless);
  EXPECT_FALSE(service.publish_not_ready_addresses);
  EXPECT_EQ(service.session_affinity, SessionAffinity::kNone);
  EXPECT_EQ(service.extras->session_affinity_seconds, 10800u);
  EXPECT_EQ(service.internal_traffic_policy, TrafficPolicy::kCluster);
  EXPECT_EQ(service.origin.arrived, kNow);
  EXPECT_EQ(service.origin.resource_version, "");
}

TEST(Manifests, ServiceWithEverything) {
  const auto service = One<Service>(R"(
apiVersion: v1
kind: Service
metadata:
  name: web
  namespace: shop
  resourceVersion: "4711"
  labels: {b: "2", a: "1"}
  annotations: {portolan.dev/x: "y", other.dev/x: "z"}
spec:
  type: LoadBalancer
  clusterIP: 10.43.0.5
  clusterIPs: [10.43.0.5, "fd00::5"]
  ipFamilies: [IPv4, IPv6]
  externalIPs: [192.0.2.7]
  ports:
  - {name: dns, port: 53, protocol: UDP, targetPort: named}
  - {name: dns-tcp, port: 53}
  - {name: assoc, port: 9, protocol: SCTP, nodePort: 30000}
  publishNotReadyAddresses: true
  sessionAffinity: ClientIP
  sessionAffinityConfig: {clientIP: {timeoutSeconds: 60}}
  internalTrafficPolicy: Local
  trafficDistribution: PreferClose
status:
  loadBalancer:
    ingress: [{ip: 192.0.2.8}, {ip: 192.0.2.9, ipMode: Proxy}, {hostname: lb.example}]
)");
  EXPECT_EQ(service.name.ToString(), "shop/web");
  EXPECT_EQ(service.origin.resource_version, "4711");
  EXPECT_THAT(*service.labels, ElementsAre(Pair("a", "1"), Pair("b", "2")));
  EXPECT_THAT(service.extras->annotations, ElementsAre(Pair("portolan.dev/x", "y")));
  EXPECT_EQ(service.type, ServiceType::kLoadBalancer);
  EXPECT_THAT(service.cluster_ips,
              ElementsAre(*IpAddress::Parse("10.43.0.5"), *IpAddress::Parse("fd00::5")));
  EXPECT_THAT(service.extras->external_ips, ElementsAre(*IpAddress::Parse("192.0.2.7")));
  EXPECT_THAT(service.extras->load_balancer_ips, ElementsAre(*IpAddress::Parse("192.0.2.8")));
  EXPECT_THAT(service.ports, ElementsAre(ServicePort{"dns", Protocol::kUdp, 53},
                                         ServicePort{"dns-tcp", Protocol::kTcp, 53},
                                         ServicePort{"assoc", Protocol::kSctp, 9}));
  EXPECT_TRUE(service.publish_not_ready_addresses);
  EXPECT_EQ(service.session_affinity, SessionAffinity::kClientIp);
  EXPECT_EQ(service.extras->session_affinity_seconds, 60u);
  EXPECT_EQ(service.internal_traffic_policy, TrafficPolicy::kLocal);
  EXPECT_EQ(service.extras->traffic_distribution, "PreferClose");
}

TEST(Manifests, HeadlessServiceNeedsNoPorts) {
  const auto service = One<Service>(ServiceYaml("  clusterIP: None\n"));
  EXPECT_TRUE(service.headless);
  EXPECT_THAT(service.cluster_ips, IsEmpty());
  EXPECT_TRUE(One<Service>(ServiceYaml("  clusterIPs: [None]\n")).headless);
}

TEST(Manifests, ExternalNameLosesItsTrailingDot) {
  const auto service =
      One<Service>(ServiceYaml("  type: ExternalName\n  externalName: db.example.com.\n"));
  EXPECT_EQ(service.extras->external_name, "db.example.com");
  EXPECT_EQ(service.type, ServiceType::kExternalName);
}

TEST(Manifests, ServiceWithoutAddressIsNotedAndKept) {
  const Manifests read = Read(ServiceYaml("  ports: [{port: 80}]\n"));
  EXPECT_THAT(read.objects, SizeIs(1));
  EXPECT_THAT(read.notes, ElementsAre(HasSubstr("default/backend has no spec.clusterIP")));
}

TEST(Manifests, EndpointSliceConditionsDefaultToReadyAndServing) {
  const auto slice = One<EndpointSlice>(SliceYaml(R"(
addressType: IPv4
ports: [{name: http, port: 8080}, {protocol: UDP}]
endpoints:
- addresses: [10.42.0.1]
- addresses: [10.42.0.2]
  conditions: {ready: false, serving: true, terminating: true}
  hostname: web-1
  nodeName: node-1
  zone: zone-a
  hints: {forZones: [{name: zone-a}], forNodes: [{name: node-1}]}
  targetRef: {kind: Pod, name: backend-1}
- addresses: [10.42.0.3]
  conditions: {ready: null}
)"));
  EXPECT_EQ(slice.name.ToString(), "default/backend-x");
  EXPECT_EQ(slice.service, "backend");
  EXPECT_THAT(slice.ports, ElementsAre(EndpointPort{"http", Protocol::kTcp, 8080},
                                       EndpointPort{"", Protocol::kUdp, 0}));
  ASSERT_THAT(slice.endpoints, SizeIs(3));
  EXPECT_EQ(slice.endpoints[0].conditions, (EndpointConditions{true, true, false}));
  EXPECT_EQ(slice.endpoints[1].conditions, (EndpointConditions{false, true, true}));
  EXPECT_EQ(slice.endpoints[2].conditions, (EndpointConditions{true, true, false}));
  EXPECT_EQ(slice.endpoints[1].hostname, "web-1");
  EXPECT_EQ(slice.endpoints[1].node_name, "node-1");
  EXPECT_EQ(slice.endpoints[1].zone, "zone-a");
  EXPECT_THAT(slice.endpoints[1].zone_hints, ElementsAre("zone-a"));
  EXPECT_THAT(slice.endpoints[1].node_hints, ElementsAre("node-1"));
  EXPECT_EQ(slice.endpoints[1].pod.ToString(), "default/backend-1");
}

TEST(Manifests, EndpointSliceMayBeEmptyAndOfTheOtherFamily) {
  EXPECT_THAT(
      One<EndpointSlice>(SliceYaml("addressType: IPv4\nendpoints: null\nports: null\n")).endpoints,
      IsEmpty());
  const auto slice =
      One<EndpointSlice>(SliceYaml("addressType: IPv6\nendpoints: [{addresses: [\"fd00::1\"]}]\n"));
  EXPECT_EQ(slice.family, IpFamily::kIpv6);
}

TEST(Manifests, FqdnSliceIsLeftOut) {
  const Manifests read =
      Read(SliceYaml("addressType: FQDN\nendpoints: [{addresses: [example.com]}]\n"));
  EXPECT_THAT(read.objects, IsEmpty());
  EXPECT_THAT(read.notes, ElementsAre(HasSubstr("FQDN")));
}

TEST(Manifests, PodStates) {
  const auto pod = One<Pod>(R"(
apiVersion: v1
kind: Pod
metadata:
  name: backend-1
  creationTimestamp: "2025-12-31T23:59:59Z"
  deletionTimestamp: "2026-01-01T00:00:00Z"
spec: {nodeName: node-1, hostNetwork: true}
status: {phase: Succeeded, podIP: 10.42.0.1, podIPs: [{ip: 10.42.0.1}, {ip: "fd00::1"}]}
)");
  EXPECT_THAT(pod.ips, SizeIs(2));
  EXPECT_EQ(pod.created, absl::FromUnixSeconds(1767225599));
  EXPECT_TRUE(pod.terminating);
  EXPECT_TRUE(pod.host_network);
  EXPECT_TRUE(pod.finished);
  EXPECT_EQ(pod.node_name, "node-1");
  const auto plain =
      One<Pod>("apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nstatus: {podIP: 10.42.0.9}\n");
  EXPECT_THAT(plain.ips, SizeIs(1));
  EXPECT_FALSE(plain.terminating || plain.host_network || plain.finished);
}

TEST(Manifests, ServiceImportsOfBothVersions) {
  const auto import = One<ServiceImport>(R"(
apiVersion: multicluster.x-k8s.io/v1alpha1
kind: ServiceImport
metadata: {name: mcsvc, namespace: testns}
spec: {type: ClusterSetIP, ips: [10.96.1.1, "fd00::1"], ports: [{name: http, port: 80}]}
)");
  EXPECT_EQ(import.name.ToString(), "testns/mcsvc");
  EXPECT_FALSE(import.headless);
  EXPECT_THAT(import.ips, SizeIs(2));
  EXPECT_THAT(import.ports, ElementsAre(ServicePort{"http", Protocol::kTcp, 80}));
  const auto headless = One<ServiceImport>(R"(
apiVersion: multicluster.x-k8s.io/v1beta1
kind: ServiceImport
metadata: {name: mchdls}
spec: {type: Headless, ips: [], ports: [{port: 53, protocol: UDP}]}
)");
  EXPECT_TRUE(headless.headless);
  EXPECT_THAT(headless.ports, ElementsAre(ServicePort{"", Protocol::kUdp, 53}));
}

TEST(Manifests, ASliceMayBelongToAServiceAnImportOrBoth) {
  const std::string head =
      "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\naddressType: IPv4\n";
  const std::string import_labels =
      "multicluster.kubernetes.io/service-name: mc, multicluster.kubernetes.io/source-cluster: c1";
  const auto imported =
      One<EndpointSlice>(head + "metadata: {name: s, labels: {" + import_labels + "}}\n");
  EXPECT_TRUE(imported.imported);
  EXPECT_EQ(imported.service, "mc");
  EXPECT_EQ(imported.source_cluster, "c1");

  const Manifests both = Read(head + "metadata: {name: s, labels: {" + import_labels +
                              ", kubernetes.io/service-name: derived-abc}}\n");
  ASSERT_THAT(both.objects, SizeIs(2));
  EXPECT_EQ(both.objects[0].id.kind, ObjectKind::kEndpointSlice);
  EXPECT_EQ(std::get<EndpointSlice>(both.objects[0].object).service, "derived-abc");
  EXPECT_EQ(std::get<EndpointSlice>(both.objects[0].object).source_cluster, "");
  EXPECT_EQ(both.objects[1].id.kind, ObjectKind::kImportedSlice);
  EXPECT_EQ(std::get<EndpointSlice>(both.objects[1].object).service, "mc");
}

TEST(Manifests, SeveralDocumentsAndLists) {
  const Manifests read = Read(R"(---
# nothing but a comment
---
apiVersion: v1
kind: List
items:
- {apiVersion: v1, kind: Namespace, metadata: {name: shop, labels: {team: a}}}
- {apiVersion: v1, kind: Service, metadata: {name: a}, spec: {clusterIP: None}}
---
apiVersion: v1
kind: ServiceList
items:
- {metadata: {name: b}, spec: {clusterIP: None}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: frontend}
---
apiVersion: serving.knative.dev/v1
kind: Service
metadata: {name: knative}
)");
  ASSERT_THAT(read.objects, SizeIs(3));
  EXPECT_EQ(read.objects[0].id.ToString(), "Namespace shop");
  EXPECT_EQ(read.objects[0].line, 7);
  EXPECT_EQ(read.objects[1].id.ToString(), "Service default/a");
  EXPECT_EQ(read.objects[2].id.ToString(), "Service default/b");
  EXPECT_THAT(read.notes,
              ElementsAre(HasSubstr("Deployment frontend (apps/v1) skipped"),
                          HasSubstr("Service knative (serving.knative.dev/v1) skipped")));
}

TEST(Manifests, ErrorsNameFileLineObjectAndField) {
  EXPECT_EQ(ErrorOf("apiVersion: v1\nkind: Service\nmetadata:\n  name: backend\nspec:\n"
                    "  clusterIP: 10.43.0.1\n  ports:\n  - name: http\n    port: 70000\n"),
            "backend.yaml:9: Service default/backend: spec.ports[0].port: 70000 is not a port");
  EXPECT_EQ(ErrorOf("apiVersion: v1\nkind: Namespace\nmetadata: {name: Shop}\n"),
            "backend.yaml:3: Namespace Shop: metadata.name: 'Shop' is not a name");
  EXPECT_EQ(ErrorOf("a: 1\n---\n{"), "backend.yaml:1: kind: is missing");
}

TEST(Manifests, EachBadFieldIsAnError) {
  const std::pair<std::string, std::string> cases[] = {
      {ServiceYaml("  clusterIP: 10.43.0.1\n"), "spec.ports: is missing"},
      {ServiceYaml("  clusterIP: 10.43.0.300\n  ports: [{port: 1}]\n"),
       "spec.clusterIP: '10.43.0.300' is not an IP address"},
      {ServiceYaml("  clusterIP: None\n  ports: [{port: \"80\"}]\n"),
       "spec.ports[0].port: \"80\" is a string, not a number"},
      {ServiceYaml("  clusterIP: None\n  ports: [{port: http}]\n"),
       "spec.ports[0].port: 'http' is not a whole number"},
      {ServiceYaml("  clusterIP: None\n  ports: [{name: a}]\n"), "spec.ports[0].port: is missing"},
      {ServiceYaml("  clusterIP: None\n  ports: [{port: 0}]\n"), "0 is not a port"},
      {ServiceYaml("  clusterIP: None\n  ports: [{port: 1}, {port: 2}]\n"),
       "spec.ports[0].name: is missing"},
      {ServiceYaml("  clusterIP: None\n  ports: [{name: a, port: 1}, {name: a, port: 2}]\n"),
       "spec.ports[1].name: 'a' names two ports"},
      {ServiceYaml("  clusterIP: None\n  ports: [{name: a, port: 1}, {name: b, port: 1}]\n"),
       "spec.ports[1].port: 1 stands twice"},
      {ServiceYaml("  clusterIP: None\n  ports: [{port: 1, protocol: ICMP}]\n"),
       "spec.ports[0].protocol: 'ICMP' is none of TCP, UDP, SCTP"},
      {ServiceYaml("  clusterIP: None\n  ports: {port: 1}\n"), "spec.ports: is not a list"},
      {ServiceYaml("  clusterIP: None\n  type: Headless\n"), "spec.type: 'Headless' is none of"},
      {ServiceYaml("  clusterIP: 10.0.0.1\n  clusterIPs: [10.0.0.2]\n  ports: [{port: 1}]\n"),
       "is not the first of clusterIPs"},
      {ServiceYaml("  clusterIPs: [10.0.0.1, 10.0.0.2]\n  ports: [{port: 1}]\n"),
       "spec.clusterIPs: holds more than one address of a family"},
      {ServiceYaml("  clusterIP: 10.0.0.1\n  ipFamilies: [IPv6]\n  ports: [{port: 1}]\n"),
       "spec.ipFamilies[0]: IPv6 is not the family of 10.0.0.1"},
      {ServiceYaml("  type: ExternalName\n"), "spec.externalName: is missing"},
      {ServiceYaml("  type: ExternalName\n  externalName: a b\n"), "'a b' is not a DNS name"},
      {ServiceYaml("  clusterIP: None\n  publishNotReadyAddresses: perhaps\n"),
       "spec.publishNotReadyAddresses: 'perhaps' is neither true nor false"},
      {ServiceYaml("  clusterIP: None\n  sessionAffinityConfig: {clientIP: {timeoutSeconds: 0}}\n"),
       "spec.sessionAffinityConfig.clientIP.timeoutSeconds: 0 is not between"},
      {"apiVersion: v1\nkind: Service\nmetadata: {name: a}\n", "spec: is missing"},
      {"apiVersion: v1\nkind: Service\nmetadata: {name: a.b}\nspec: {clusterIP: None}\n",
       "metadata.name: 'a.b' is not a DNS label"},
      {"apiVersion: v1\nkind: Service\nmetadata: {namespace: a}\nspec: {clusterIP: None}\n",
       "metadata.name: is missing"},
      {"kind: Service\n", "apiVersion: is missing"},
      {"- a\n", "is not a map"},
      {SliceYaml("endpoints: []\n"), "addressType: is missing"},
      {SliceYaml("addressType: IPX\n"), "addressType: 'IPX' is none of IPv4, IPv6"},
      {SliceYaml("addressType: IPv4\nendpoints: [{addresses: [\"fd00::1\"]}]\n"),
       "endpoints[0].addresses[0]: fd00::1 is not of the slice's addressType"},
      {SliceYaml("addressType: IPv4\nendpoints: [{conditions: {}}]\n"),
       "endpoints[0].addresses: is missing"},
      {SliceYaml("addressType: IPv4\nports: [{port: 99999}]\n"), "ports[0].port: 99999"},
      {SliceYaml("addressType: IPv4\nendpoints: [{addresses: [10.0.0.1], hostname: A_b}]\n"),
       "endpoints[0].hostname: 'A_b' is not a DNS label"},
      {"apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nstatus: {podIPs: [{ip: x}]}\n",
       "Pod default/a: status.podIPs[0].ip: 'x' is not an IP address"},
      {"apiVersion: v1\nkind: Pod\nmetadata: {name: a, creationTimestamp: yesterday}\n",
       "Pod default/a: metadata.creationTimestamp: 'yesterday' is not a time"},
      {"apiVersion: multicluster.x-k8s.io/v1alpha1\nkind: ServiceImport\nmetadata: {name: a}\n"
       "spec: {type: Global}\n",
       "ServiceImport default/a: spec.type: 'Global' is none of ClusterSetIP, Headless"},
      {"apiVersion: v1\nkind: List\nitems: [{kind: List, apiVersion: v1}]\n",
       "kind: a List within a List"},
      {"a: [1\n", "backend.yaml:2: "},
      {"a: 1\na: 2\n", "backend.yaml:2: the key 'a' stands twice"},
      {"a: *nobody\n", "backend.yaml:1: "},
      {"a: &x [*x]\n", "an alias for the value that it stands in"},
  };
  for (const auto& [text, error] : cases) {
    EXPECT_THAT(ErrorOf(text), HasSubstr(error)) << text;
  }
}

TEST(Manifests, AliasesAndMergeKeysWork) {
  const auto slice = One<EndpointSlice>(SliceYaml(R"(
addressType: IPv4
endpoints:
- &first
  addresses: [10.42.0.1]
  zone: a
  nodeName: n
- <<: *first
  addresses: [10.42.0.2]
)"));
  ASSERT_THAT(slice.endpoints, SizeIs(2));
  EXPECT_EQ(slice.endpoints[1].addresses[0].ToString(), "10.42.0.2");
  EXPECT_EQ(slice.endpoints[1].zone, "a");
}

TEST(Manifests, AliasBombIsAnError) {
  std::string bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n";
  for (int i = 1; i < 20; ++i) {
    bomb += fmt::format("a{0}: &a{0} [*a{1}, *a{1}, *a{1}, *a{1}, *a{1}, *a{1}, *a{1}, *a{1}]\n", i,
                        i - 1);
  }
  EXPECT_THAT(ErrorOf(bomb), HasSubstr("aliases written out"));
}

TEST(Manifests, DeepNestingIsAnError) {
  EXPECT_THAT(ErrorOf(std::string(100'000, '[')), HasSubstr("backend.yaml:"));
}

TEST(Manifests, WhatIsNoYamlAtAllIsAnErrorAtOnce) {
  EXPECT_THAT(ErrorOf("---\n,\"\""), HasSubstr("2: no YAML from here on"));
}

TEST(Manifests, DigestFollowsContentAndNotLines) {
  const std::string text = ServiceYaml("  clusterIP: None\n");
  const uint64_t digest = Read(text).objects[0].digest;
  EXPECT_EQ(Read("\n\n# moved\n" + text).objects[0].digest, digest);
  EXPECT_NE(Read(text + "  publishNotReadyAddresses: true\n").objects[0].digest, digest);
}

std::string PolicyYaml(const std::string& spec) {
  return "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: p}\nspec:\n" +
         spec;
}

TEST(Manifests, NetworkPolicyWithDefaults) {
  const auto closed = One<NetworkPolicy>(PolicyYaml("  podSelector: {}\n"));
  EXPECT_TRUE(closed.for_ingress);
  EXPECT_FALSE(closed.for_egress);
  EXPECT_EQ(closed.pods, ObjectSelector());
  const auto open = One<NetworkPolicy>(PolicyYaml(
      "  podSelector: {}\n  egress: [{ports: [{port: http}, {port: 53, protocol: UDP}]}]\n"));
  EXPECT_TRUE(open.for_ingress && open.for_egress);
  EXPECT_THAT(open.egress[0].ports, ElementsAre(NetworkPolicyPort{Protocol::kTcp, 0, 0, "http"},
                                                NetworkPolicyPort{Protocol::kUdp, 53, 0, ""}));
}

// What is no audit is enforced, and no word there makes the policy less than that.
TEST(Manifests, NetworkPolicyIsAnAuditByOneWordAlone) {
  const auto audit = [](const std::string& word) {
    return One<NetworkPolicy>(
               "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: p, "
               "annotations: {portolan.dev/audit: " +
               word + "}}\nspec: {podSelector: {}}\n")
        .audit;
  };
  EXPECT_TRUE(audit("\"true\""));
  for (const char* word : {"\"false\"", "\"\"", "\"True\"", "\"yes\"", "\" true\""}) {
    EXPECT_FALSE(audit(word)) << word;
  }
}

// As the API server reads them, and keeps them as they were written.
TEST(Manifests, NetworkPolicyBlocksAreReadAsTheApiServerDoes) {
  const auto block = [](const std::string& cidr, const std::string& except) {
    const auto policy = One<NetworkPolicy>(PolicyYaml(fmt::format(
        "  egress: [{{to: [{{ipBlock: {{cidr: \"{}\", except: [\"{}\"]}}}}]}}]\n", cidr, except)));
    const IpBlock& read = *policy.egress[0].peers[0].block;
    return read.cidr.ToString() + " " + read.except[0].ToString();
  };
  EXPECT_EQ(block("192.168.010.0/24", "192.168.0010.064/26"), "192.168.10.0/24 192.168.10.64/26");
  EXPECT_EQ(block("000.0.00.0/0", "010.0.0.0/08"), "0.0.0.0/0 10.0.0.0/8");
  EXPECT_EQ(block("::ffff:010.0.0.0/104", "::ffff:10.1.0.0/112"), "10.0.0.0/8 10.1.0.0/16");
  EXPECT_EQ(block("10.0.0.0/8", "::ffff:10.0.0.0/104"), "10.0.0.0/8 10.0.0.0/8");
  EXPECT_EQ(block("16.0.0.0/8", "::ffff:16.0.0.0/100"), "16.0.0.0/8 16.0.0.0/8");
  EXPECT_EQ(block("10.0.0.0/8", "::ffff:10.0.0.0/112"), "10.0.0.0/8 10.0.0.0/16");
  EXPECT_EQ(block("fd00:00043::/32", "fd00:0043:0:0100::/64"), "fd00:43::/32 fd00:43:0:100::/64");
  EXPECT_THAT(ErrorOf(PolicyYaml("  egress: [{to: [{ipBlock: {cidr: 192.168.0x10.0/24}}]}]\n")),
              HasSubstr("'192.168.0x10.0/24' is not a block of addresses"));
}

TEST(Manifests, NetworkPolicyPortsMayHaveNamesThatBeginWithADigit) {
  const auto policy =
      One<NetworkPolicy>(PolicyYaml("  ingress: [{ports: [{port: 8080-tcp}, {port: 8080}]}]\n"));
  EXPECT_THAT(policy.ingress[0].ports,
              ElementsAre(NetworkPolicyPort{Protocol::kTcp, 0, 0, "8080-tcp"},
                          NetworkPolicyPort{Protocol::kTcp, 8080, 0, ""}));
  for (const char* port : {"-1", "0", "70000", "8080-8090", "80.5"}) {
    EXPECT_THAT(ErrorOf(PolicyYaml(fmt::format("  ingress: [{{ports: [{{port: {}}}]}}]\n", port))),
                HasSubstr("spec.ingress[0].ports[0].port"));
  }
}

TEST(Manifests, NetworkPolicyThatMeansNothingIsAnError) {
  EXPECT_THAT(ErrorOf(PolicyYaml("  ingress: [{from: [{}]}]\n")),
              HasSubstr("spec.ingress[0].from[0]: is neither an ipBlock nor selectors"));
  EXPECT_THAT(ErrorOf(PolicyYaml("  egress: [{to: [{ipBlock: {cidr: 10.0.0.0/8, except: "
                                 "[11.0.0.0/16]}}]}]\n")),
              HasSubstr("11.0.0.0/16 is no part of 10.0.0.0/8"));
  EXPECT_THAT(ErrorOf(PolicyYaml("  egress: [{ports: [{port: 9, endPort: 8}]}]\n")),
              HasSubstr("endPort: is not the end of a range"));
  EXPECT_THAT(ErrorOf(PolicyYaml("  podSelector: {matchExpressions: [{key: a, operator: In}]}\n")),
              HasSubstr("values: is missing"));
  EXPECT_THAT(ErrorOf(PolicyYaml("  policyTypes: [Sideways]\n")),
              HasSubstr("'Sideways' is none of Ingress, Egress"));
}

TEST(DnsEgressPolicies, AreReadWithTheirDefaults) {
  const auto policy = One<DnsEgressPolicy>(R"(
apiVersion: portolan.dev/v1alpha1
kind: DNSEgressPolicy
metadata: {name: apis, namespace: shop, generation: 3}
spec:
  podSelector: {matchLabels: {app: web}}
  defaultDeny: true
  rules:
  - names: [API.example.com., "*.cdn.example.com"]
    ports: [{port: 443}, {port: 8000, endPort: 8010, protocol: UDP}]
  - names: [status.example.com]
)");
  EXPECT_EQ(policy.Key(), "DNSEgressPolicy/shop/apis");
  EXPECT_TRUE(policy.default_deny);
  EXPECT_FALSE(policy.audit);
  EXPECT_EQ(policy.api_generation, 3);
  EXPECT_EQ(policy.pods, (ObjectSelector{{{"app", "web"}}, {}}));
  EXPECT_THAT(
      policy.rules,
      ElementsAre(DnsEgressRule{{{"api.example.com", false}, {"cdn.example.com", true}},
                                {{Protocol::kTcp, 443, 0, ""}, {Protocol::kUdp, 8000, 8010, ""}},
                                0},
                  DnsEgressRule{{{"status.example.com", false}}, {}, 1}));
}

TEST(DnsEgressPolicies, WhatIsWrongIsNamed) {
  const auto error = [](const std::string& rule) {
    return ErrorOf(
        "apiVersion: portolan.dev/v1alpha1\nkind: DNSEgressPolicy\nmetadata: {name: a}\n"
        "spec: {rules: [" +
        rule + "]}\n");
  };
  EXPECT_THAT(error("{names: ['a.*.com']}"), HasSubstr("spec.rules[0].names[0]"));
  EXPECT_THAT(error("{ports: [{port: 1}]}"), HasSubstr("spec.rules[0].names: is missing"));
  EXPECT_THAT(error("{names: [a.com], ports: [{port: 9, endPort: 8}]}"), HasSubstr("endPort"));
  EXPECT_THAT(error("{names: [a.com], ports: [{port: 9, protocol: SCTP}]}"),
              HasSubstr("'SCTP' is none of TCP, UDP"));
}

TEST(Pods, HaveTheNamedPortsOfContainersThatKeepRunning) {
  const auto pod = One<Pod>(R"(
apiVersion: v1
kind: Pod
metadata: {name: a}
spec:
  initContainers:
  - {name: once, ports: [{name: gone, containerPort: 1}]}
  - {name: side, restartPolicy: Always, ports: [{name: side, containerPort: 9, protocol: UDP}]}
  containers:
  - {name: app, ports: [{name: web, containerPort: 80}, {containerPort: 81}]}
)");
  EXPECT_THAT(*pod.named_ports, ElementsAre(ContainerPort{"web", Protocol::kTcp, 80},
                                            ContainerPort{"side", Protocol::kUdp, 9}));
}

}  // namespace
}  // namespace portolan::xds

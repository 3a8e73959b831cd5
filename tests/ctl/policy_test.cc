// portolanctl policy test: manifests in, a verdict out; or a sidecar asked, and its verdict shown.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include <nlohmann/json.hpp>

#include "common/guarded.h"
#include "common/http/json.h"
#include "tests/common/http/served.h"
#include "tests/ctl/invoke.h"
#include "tests/proxy/feed/temp_dir.h"

namespace portolan::ctl {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr char kShop[] = R"(apiVersion: v1
kind: Pod
metadata: {name: frontend, namespace: shop, labels: {app: frontend}}
spec: {containers: [{name: c}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: backend, namespace: shop}
spec:
  template:
    metadata: {labels: {app: backend}}
    spec: {containers: [{name: c, ports: [{name: http, containerPort: 8080}]}]}
---
apiVersion: v1
kind: Service
metadata: {name: backend, namespace: shop}
spec: {selector: {app: backend}, ports: [{name: web, port: 80, targetPort: http}, {name: dns, port: 53, protocol: UDP}]}
---
apiVersion: v1
kind: Pod
metadata: {name: db, namespace: data, labels: {app: db}}
spec: {containers: [{name: c}]}
status: {podIP: 10.42.0.7}
---
apiVersion: v1
kind: Service
metadata: {name: db, namespace: data}
spec: {clusterIP: None, selector: {app: db}}
)";

class PolicyTest : public ::testing::Test {
 protected:
  Ran Test(const std::string& policy, const std::string& question) {
    std::ofstream(folder_.path() + "/a.yaml") << kShop << policy;
    return Invoke("policy test -f " + folder_.path() + " " + question);
  }
  // Of the pod shop/frontend.
  int StatusOf(const std::string& policy, const std::string& to, const std::string& more = "") {
    const Ran ran = Test(policy, "--from shop/frontend --to " + to + " " + more);
    output_ = ran.output;
    return ran.status;
  }

  proxy::TempDir folder_;
  std::string output_;
};

std::string Policy(const std::string& egress) {
  return "---\napiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\n"
         "metadata: {name: walls, namespace: shop}\n"
         "spec: {podSelector: {matchLabels: {app: frontend}}, policyTypes: [Egress], egress: [" +
         egress + "]}\n";
}
std::string DnsPolicy(const std::string& spec) {
  return "---\napiVersion: portolan.dev/v1alpha1\nkind: DNSEgressPolicy\n"
         "metadata: {name: names, namespace: shop}\nspec: {podSelector: {}, " +
         spec + "}\n";
}

TEST_F(PolicyTest, WithoutAPolicyAllIsAllowed) {
  EXPECT_EQ(StatusOf("", "backend:80"), 0) << output_;
  EXPECT_EQ(output_,
            "allowed: shop/frontend to backend:80/TCP: no policy limits what the pod may reach\n"
            "  leads to shop/backend:8080\n");
}

TEST_F(PolicyTest, AServiceIsJudgedByWhatItLeadsTo) {
  const std::string backend = Policy(
      "{to: [{podSelector: {matchLabels: {app: backend}}}], "
      "ports: [{port: http}, {port: 53, protocol: UDP}]}");
  EXPECT_EQ(StatusOf(backend, "backend:80"), 0) << output_;
  EXPECT_THAT(output_, HasSubstr("of NetworkPolicy/shop/walls allows it"));
  EXPECT_EQ(StatusOf(backend, "backend.shop.svc.cluster.local:80"), 0) << output_;
  EXPECT_EQ(StatusOf(backend, "backend:53", "--protocol udp"), 0) << output_;
  EXPECT_EQ(StatusOf(backend, "backend:8081"), 1) << output_;
  EXPECT_EQ(StatusOf(backend, "db.data:5432"), 1) << output_;
  EXPECT_THAT(output_, StartsWith("denied: shop/frontend to db.data:5432/TCP: no rule of "
                                  "NetworkPolicy/shop/walls allows it\n"
                                  "  leads to 10.42.0.7:5432\n"));
  // By the label that the API server gives each namespace, declared or not.
  EXPECT_EQ(StatusOf(Policy("{to: [{namespaceSelector: {matchLabels: "
                            "{kubernetes.io/metadata.name: data}}}]}"),
                     "db.data:5432"),
            0)
      << output_;
}

std::string IngressPolicy(const std::string& ns, const std::string& ingress) {
  return "---\napiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\n"
         "metadata: {name: doors, namespace: " +
         ns + "}\nspec: {podSelector: {}, policyTypes: [Ingress], ingress: [" + ingress + "]}\n";
}

TEST_F(PolicyTest, WhoIsLedToMustLetItIn) {
  const std::string doors = IngressPolicy(
      "shop", "{from: [{podSelector: {matchLabels: {app: frontend}}}], ports: [{port: http}]}");
  EXPECT_EQ(StatusOf(doors, "backend:80"), 0) << output_;
  EXPECT_THAT(output_, HasSubstr("no policy limits what the pod may reach; into shop/backend, rule "
                                 "0 of NetworkPolicy/shop/doors/ingress allows it"));
  // A pod that no manifest has is one without labels of that namespace.
  EXPECT_EQ(Test(doors, "--from shop/other --to backend:80").status, 1);
  const std::string of_namespace = IngressPolicy(
      "shop", "{from: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: ops}}}]}");
  EXPECT_EQ(Test(of_namespace, "--from ops/debugger --to backend.shop:80").status, 0);
  EXPECT_EQ(StatusOf(of_namespace, "backend:80"), 1);
  EXPECT_THAT(output_, StartsWith("denied: shop/frontend to backend:80/TCP: into shop/backend, no "
                                  "rule of NetworkPolicy/shop/doors/ingress allows it\n"));
  // Egress is judged first, and what it denies nobody is asked to let in.
  EXPECT_EQ(StatusOf(doors + Policy(""), "backend:80"), 1);
  EXPECT_THAT(output_, HasSubstr("no rule of NetworkPolicy/shop/walls allows it"));
  EXPECT_EQ(StatusOf(IngressPolicy("data", ""), "db.data:5432"), 1) << output_;
  EXPECT_EQ(StatusOf(IngressPolicy("data", ""), "192.0.2.1:5432"), 0) << output_;
}

TEST_F(PolicyTest, AddressesAreJudgedAsTheyAre) {
  const std::string block =
      Policy("{to: [{ipBlock: {cidr: 192.0.2.0/24, except: [192.0.2.7/32]}}]}");
  EXPECT_EQ(StatusOf(block, "192.0.2.1:443"), 0) << output_;
  EXPECT_EQ(StatusOf(block, "192.0.2.7:443"), 1) << output_;
  EXPECT_EQ(StatusOf(block, "'[2001:db8::1]:443'"), 1) << output_;
}

TEST_F(PolicyTest, ANameThatLeadsNowhereIsJudgedByRulesForNames) {
  const std::string names = DnsPolicy(
      "defaultDeny: true, rules: [{names: ['*.example.com'], "
      "ports: [{port: 443}]}]");
  EXPECT_EQ(StatusOf(names, "api.example.com:443"), 0) << output_;
  EXPECT_THAT(output_, HasSubstr("of DNSEgressPolicy/shop/names allows it"));
  EXPECT_EQ(StatusOf(names, "API.example.com.:443"), 0) << output_;
  EXPECT_EQ(StatusOf(names, "api.example.com:80"), 1) << output_;
  EXPECT_EQ(StatusOf(names, "example.com:443"), 1) << output_;
  EXPECT_THAT(output_, HasSubstr("no rule of DNSEgressPolicy/shop/names has the name: it is not "
                                 "resolved"));
  EXPECT_EQ(StatusOf(names, "backend:80"), 1) << output_;
  EXPECT_EQ(StatusOf(Policy("{to: [{podSelector: {}}]}"), "api.example.com:443"), 1) << output_;
}

TEST_F(PolicyTest, NamesHaveNoCase) {
  EXPECT_EQ(StatusOf("", "Backend.SHOP:80"), 0) << output_;
  EXPECT_THAT(output_, HasSubstr("to Backend.SHOP:80/TCP: "));
  EXPECT_THAT(output_, HasSubstr("  leads to shop/backend:8080\n"));
  for (const char* domain : {"Example.Org", "example.org.", "example.org"}) {
    EXPECT_EQ(
        StatusOf("", "backend.shop.svc.EXAMPLE.org:80", std::string("--cluster-domain ") + domain),
        0);
    EXPECT_THAT(output_, HasSubstr("  leads to shop/backend:8080\n")) << domain;
  }
}

TEST_F(PolicyTest, AnAddressThatStandsForAPodIsNamedWhereALongerOneStandsBeforeIt) {
  const std::string pod =
      "---\napiVersion: v1\nkind: Pod\nmetadata: {name: a-pod-with-a-rather-long-name, "
      "namespace: shop}\nspec: {containers: [{name: c}]}\n";
  EXPECT_EQ(StatusOf(Policy("{to: [{ipBlock: {cidr: 240.0.0.20/32}}]}") + pod, "240.0.0.2:80"), 1);
  EXPECT_THAT(output_, HasSubstr("at 240.0.0.20/32, not shop/a-pod-with-a-rather-long-name\n"));
}

constexpr char kPodsWithNames[] = R"(---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: pg, namespace: shop}
spec:
  serviceName: pg
  template: {metadata: {labels: {app: pg}}, spec: {containers: [{name: c}]}}
---
apiVersion: v1
kind: Pod
metadata: {name: one, namespace: shop, labels: {app: pg}}
spec: {hostname: first, subdomain: pg, containers: [{name: c}]}
---
apiVersion: v1
kind: Service
metadata: {name: pg, namespace: shop}
spec: {clusterIP: None, selector: {app: pg}}
)";

TEST_F(PolicyTest, PodsOfAHeadlessServiceHaveNames) {
  const std::string pg = kPodsWithNames + Policy("{to: [{podSelector: {}}]}");
  for (const char* name : {"pg-0.pg", "pg-12.pg.shop", "pg-0.pg.shop.svc",
                           "PG-0.pg.shop.svc.cluster.local", "pg-0.pg.shop.svc.cluster.local."}) {
    EXPECT_EQ(StatusOf(pg, std::string(name) + ":5432"), 0) << output_;
    EXPECT_THAT(output_, HasSubstr("  leads to shop/pg:5432\n")) << name;
  }
  EXPECT_EQ(StatusOf(pg, "first.pg:5432"), 0) << output_;
  EXPECT_THAT(output_, HasSubstr("  leads to shop/one:5432\n"));
  EXPECT_EQ(Test(kPodsWithNames, "--from data/db --to first.pg.shop:5432").output,
            "allowed: data/db to first.pg.shop:5432/TCP: no policy limits what the pod may reach\n"
            "  leads to shop/one:5432\n");
}

TEST_F(PolicyTest, WhatNoPodIsCalledLeadsNowhere) {
  const std::string pg = kPodsWithNames + Policy("{to: [{podSelector: {}}]}");
  for (const char* name :
       {"pg-.pg", "pg-x.pg", "pg.pg", "pgs-0.pg", "one.pg", "second.pg.shop", "pg-0.backend",
        "pg-0.pg.shop.svc.example.org", "x.backend.shop.svc.cluster.local"}) {
    EXPECT_EQ(StatusOf(pg, std::string(name) + ":80"), 1) << output_;
    EXPECT_THAT(output_, ::testing::Not(HasSubstr("leads to"))) << name;
  }
  // A name of elsewhere stays one where a Service happens to be called as its domain.
  const std::string names = DnsPolicy("defaultDeny: true, rules: [{names: [example.pg]}]");
  EXPECT_EQ(StatusOf(kPodsWithNames + names, "example.pg:443"), 0) << output_;
}

std::string Template(const std::string& kind, const std::string& name, const std::string& pod) {
  const std::string spec =
      "template: {metadata: {labels: {app: " + pod + "}}, spec: {containers: [{name: c}]}}";
  return "---\napiVersion: batch/v1\nkind: " + kind + "\nmetadata: {name: " + name +
         ", namespace: shop}\nspec: {" +
         (kind == "CronJob" ? "jobTemplate: {spec: {" + spec + "}}" : spec) + "}\n";
}

TEST_F(PolicyTest, WorkloadsOfOneNameAreOnePodEach) {
  const std::string api = Template("CronJob", "api", "api-job") +
                          Template("Deployment", "api", "api") +
                          "---\napiVersion: v1\nkind: Service\nmetadata: {name: api, namespace: "
                          "shop}\nspec: {selector: {app: api}, ports: [{port: 80}]}\n";
  const std::string to_api = Policy("{to: [{podSelector: {matchLabels: {app: api}}}]}");
  EXPECT_EQ(StatusOf(api + to_api, "api:80"), 0) << output_;
  EXPECT_THAT(output_, HasSubstr("  leads to shop/api-deployment:80\n"));
  const Ran of_either = Test(api + to_api, "--from shop/api --to backend:80");
  EXPECT_EQ(of_either.status, 2);
  EXPECT_THAT(of_either.output, HasSubstr("shop/api-cronjob, shop/api-deployment"));
  const std::string doors =
      IngressPolicy("shop", "{from: [{podSelector: {matchLabels: {app: api-job}}}]}");
  EXPECT_EQ(Test(api + doors, "--from shop/api-cronjob --to backend:80").status, 0);
  EXPECT_EQ(Test(api + doors, "--from shop/api-deployment --to backend:80").status, 1);
}

TEST_F(PolicyTest, AWorkloadKeepsItsNameWhereAnothersWithItsKindIsTheSame) {
  const std::string api = Template("CronJob", "api", "job") + Template("Deployment", "api", "api") +
                          Template("Deployment", "api-deployment", "real");
  const auto doors = [](const std::string& app) {
    return IngressPolicy("shop", "{from: [{podSelector: {matchLabels: {app: " + app + "}}}]}");
  };
  const std::string to = " --to backend:80";
  EXPECT_EQ(Test(api + doors("real"), "--from shop/api-deployment" + to).status, 0);
  EXPECT_EQ(Test(api + doors("api"), "--from shop/api-deployment" + to).status, 1);
  EXPECT_EQ(Test(api + doors("api"), "--from shop/api-deployment-deployment" + to).status, 0);
  // Those that share the other's name are not mistaken for it either.
  const Ran of_any =
      Test(api + Template("Job", "api-deployment", "real"), "--from shop/api-deployment" + to);
  EXPECT_EQ(of_any.status, 2);
  EXPECT_THAT(of_any.output,
              HasSubstr("shop/api-deployment-deployment-deployment, shop/api-deployment-job"));
}

TEST_F(PolicyTest, APodAndATemplateOfItsNameAreTwo) {
  const std::string job = Template("Job", "frontend", "job");
  const std::string doors =
      IngressPolicy("shop", "{from: [{podSelector: {matchLabels: {app: job}}}]}");
  EXPECT_EQ(StatusOf(job + doors, "backend:80"), 1) << output_;
  EXPECT_EQ(Test(job + doors, "--from shop/frontend-job --to backend:80").status, 0);
}

TEST_F(PolicyTest, SlicesOfServicesWhoseNamesRunTogetherAreKeptApart) {
  const auto service = [](const std::string& name) {
    return "---\napiVersion: v1\nkind: Service\nmetadata: {name: " + name +
           ", namespace: shop}\nspec: {selector: {app: " + name + "}, ports: [{port: 80}]}\n";
  };
  const std::string both = service("a") + service("a-b") + Template("Deployment", "b-c", "a") +
                           Template("Deployment", "c", "a-b");
  EXPECT_EQ(StatusOf(both, "a:80"), 0);
  EXPECT_THAT(output_, HasSubstr("  leads to shop/b-c:80\n"));
  EXPECT_EQ(StatusOf(both, "a-b:80"), 0);
  EXPECT_THAT(output_, HasSubstr("  leads to shop/c:80\n"));
}

TEST_F(PolicyTest, EndpointSlicesStandInForASelectorAndEndpointsDoNot) {
  const std::string backend = Policy("{to: [{podSelector: {matchLabels: {app: backend}}}]}");
  const std::string endpoints =
      "---\napiVersion: v1\nkind: Endpoints\nmetadata: {name: backend, namespace: shop}\n"
      "subsets: [{addresses: [{ip: 10.42.0.9}], ports: [{name: web, port: 8080}]}]\n";
  EXPECT_EQ(StatusOf(endpoints + backend, "backend:80"), 0) << output_;
  EXPECT_THAT(output_, HasSubstr("  leads to shop/backend:8080\n"));
  const std::string slice =
      "---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\n"
      "metadata: {name: backend-1, namespace: shop, labels: {kubernetes.io/service-name: "
      "backend}}\naddressType: IPv4\nports: [{name: web, port: 8081}]\n"
      "endpoints: [{addresses: [10.42.0.9]}]\n";
  EXPECT_EQ(StatusOf(endpoints + slice, "backend:80"), 0) << output_;
  EXPECT_THAT(output_, HasSubstr("  leads to 10.42.0.9:8081\n"));
  EXPECT_EQ(StatusOf(slice + backend, "backend:80"), 1) << output_;
}

// With 10.43.0.9 and 192.0.2.9.
constexpr char kWithAddresses[] = R"(---
apiVersion: v1
kind: Service
metadata: {name: api, namespace: shop}
spec: {clusterIP: 10.43.0.9, externalIPs: [192.0.2.9], selector: {app: backend}, ports: [{port: 80, targetPort: http}]}
)";

TEST_F(PolicyTest, WhatIsNoPortOfAServiceLeadsNowhere) {
  const std::string besides = "  besides: the cluster IP has no such port: reset\n";
  const std::string allowed =
      "allowed: shop/frontend to backend:81/TCP: no policy limits what the pod may reach\n";
  EXPECT_EQ(StatusOf("", "backend:81"), 0);
  EXPECT_EQ(output_, allowed + besides);
  const std::string by_address =
      kWithAddresses + Policy(
                           "{to: [{ipBlock: {cidr: 10.43.0.0/16}}, {ipBlock: {cidr: "
                           "192.0.2.0/24}}, {podSelector: {matchLabels: {app: backend}}}]}");
  for (const char* to : {"api:81", "10.43.0.9:81"}) {
    EXPECT_EQ(StatusOf(by_address, to), 1) << output_;
    EXPECT_THAT(output_, ::testing::EndsWith(besides));
    EXPECT_THAT(output_, ::testing::Not(HasSubstr("leads to")));
  }
  for (const char* to : {"api:80", "10.43.0.9:80", "192.0.2.9:80"}) {
    EXPECT_EQ(StatusOf(by_address, to), 0) << output_;
    EXPECT_THAT(output_, ::testing::EndsWith("  leads to shop/backend:8080\n")) << to;
  }
  EXPECT_EQ(StatusOf(by_address, "192.0.2.9:81"), 0) << output_;
  EXPECT_THAT(output_, ::testing::EndsWith("  leads to 192.0.2.9:81\n"));
}

TEST_F(PolicyTest, APodOnItsHostsNetworkIsOfNoSelector) {
  const std::string agent =
      "---\napiVersion: apps/v1\nkind: DaemonSet\nmetadata: {name: agent, namespace: shop}\n"
      "spec: {template: {metadata: {labels: {app: frontend}}, spec: {hostNetwork: true, "
      "containers: [{name: c}]}}}\n";
  const std::string to_backend = "--from shop/agent --to backend:80";
  EXPECT_EQ(Test(agent, to_backend).status, 0);
  const Ran denied = Test(agent + IngressPolicy("shop", "{from: [{podSelector: {}}]}"), to_backend);
  EXPECT_EQ(denied.status, 1);
  EXPECT_THAT(denied.output, HasSubstr("into shop/backend, no rule of "
                                       "NetworkPolicy/shop/doors/ingress allows it"));
  EXPECT_EQ(
      Test(agent + IngressPolicy("shop", "{from: [{ipBlock: {cidr: 0.0.0.0/0}}]}"), to_backend)
          .status,
      0);
  const std::string service =
      "---\napiVersion: v1\nkind: Service\nmetadata: {name: frontend, namespace: shop}\n"
      "spec: {clusterIP: None, selector: {app: frontend}}\n";
  const std::string egress = Policy("{to: [{podSelector: {}}]}");
  EXPECT_EQ(StatusOf(agent + service, "frontend:80", "-o json"), 0);
  EXPECT_THAT(output_, HasSubstr("\"shop/agent:80\""));
  EXPECT_EQ(StatusOf(agent + service + egress, "frontend:80", "-o json"), 0);
  const auto answer = nlohmann::json::parse(output_);
  for (const auto& way : answer["ways"]) {
    EXPECT_EQ(way["verdict"], way["at"] == "shop/agent:80" ? "denied" : "allowed");
  }
}

TEST_F(PolicyTest, APodThatIsNotInTheManifestsHasNoLabels) {
  const std::string to = " --to backend:80";
  EXPECT_EQ(Test(Policy(""), "--from shop/another" + to).status, 0);
  EXPECT_EQ(Test(DnsPolicy("defaultDeny: true"), "--from shop/another" + to).status, 1);
  EXPECT_EQ(Test(DnsPolicy("defaultDeny: true"), "--from elsewhere/another" + to).status, 0);
}

TEST_F(PolicyTest, WhatIsAuditedIsAllowedAndSaid) {
  EXPECT_EQ(StatusOf(DnsPolicy("defaultDeny: true, audit: true"), "backend:80"), 0);
  EXPECT_THAT(output_, HasSubstr("a policy in audit would deny it"));
}

// Services that lead to both pods and to the first alone; a policy in audit that has the second.
constexpr char kAudited[] = R"(---
apiVersion: v1
kind: Pod
metadata: {name: a, namespace: shop, labels: {of: both, v: old}}
spec: {containers: [{name: c}]}
---
apiVersion: v1
kind: Pod
metadata: {name: b, namespace: shop, labels: {of: both, v: new}}
spec: {containers: [{name: c}]}
---
apiVersion: v1
kind: Service
metadata: {name: both, namespace: shop}
spec: {selector: {of: both}, ports: [{port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: old, namespace: shop}
spec: {selector: {v: old}, ports: [{port: 80}]}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: audited, namespace: shop, annotations: {portolan.dev/audit: "true"}}
spec:
  podSelector: {matchLabels: {app: frontend}}
  policyTypes: [Egress]
  egress: [{to: [{podSelector: {matchLabels: {v: new}}}]}]
)";

TEST_F(PolicyTest, WhereAuditWouldLeaveAWayItIsNotSaid) {
  const auto warning = HasSubstr("a policy in audit would deny it");
  EXPECT_EQ(StatusOf(kAudited, "both:80"), 0);
  EXPECT_THAT(output_, HasSubstr("  leads to shop/a:80,shop/b:80\n"));
  EXPECT_THAT(output_, ::testing::Not(warning));
  EXPECT_EQ(StatusOf(kAudited, "old:80"), 0);
  EXPECT_THAT(output_, warning);
}

TEST_F(PolicyTest, WhatCannotBeJudgedIsNeitherAllowedNorDenied) {
  for (const char* question :
       {"--from shop --to backend:80", "--from a/b/c --to backend:80", "--from shop/frontend",
        "--from shop/frontend --to backend", "--from shop/frontend --to backend:0",
        "--from shop/frontend --to backend:http", "--from shop/frontend --to a..b:80",
        "--from shop/frontend --to shop/backend:80", "--from shop/frontend --to []:80",
        "--from shop/frontend --to [backend]:80",
        "--from shop/frontend --to backend:80 --cluster-domain a..b"}) {
    EXPECT_EQ(Test("", question).status, 2) << question;
  }
  EXPECT_EQ(StatusOf("", std::string(64, 'a') + ".example.com:80"), 2);
  EXPECT_THAT(output_, HasSubstr("--to: 'aaaaaaaa"));
  for (const char* address : {"2001:db8::5", "2001:db8::5:80", "::1"}) {
    EXPECT_EQ(StatusOf("", address), 2) << address;
    EXPECT_THAT(output_, HasSubstr("an IPv6 address is written [ADDRESS]:PORT"));
  }
  const Ran ran = Test("---\nkind: [\n", "--from shop/frontend --to backend:80");
  EXPECT_EQ(ran.status, 2);
  EXPECT_THAT(ran.output, HasSubstr("a.yaml:"));
}

TEST_F(PolicyTest, ForProgramsItIsJson) {
  StatusOf(Policy(""), "backend:80", "-o json");
  const auto answer = nlohmann::json::parse(output_);
  EXPECT_EQ(answer["verdict"], "denied");
  EXPECT_EQ(answer["at"][0], "shop/backend:8080");
  EXPECT_EQ(answer["isolatedBy"][0], "NetworkPolicy/shop/walls");
  EXPECT_FALSE(answer.contains("nearest"));
  StatusOf(Policy("{}"), "backend:80", "-o json");
  EXPECT_EQ(nlohmann::json::parse(output_)["rule"],
            nlohmann::json::parse(R"({"policy": "NetworkPolicy/shop/walls", "index": 0})"));
}

// A control plane that knows the sidecar of shop/frontend, or that sidecar itself.
class LivePolicyTest : public ::testing::Test {
 protected:
  Ran Test(const std::string& answer, const std::string& more = "--server ") {
    answer_.With([&](std::string& text) { text = answer; });
    return Invoke("policy test --from shop/frontend --to api.example.com:443 " + more +
                  served_.url());
  }
  std::string asked() {
    return asked_.With([](const std::string& text) { return text; });
  }

  Guarded<std::string> answer_, asked_;
  http::Served served_{[this](http::Server& server) {
    const auto answer = [this](const http::Request& request, http::Responder responder) {
      std::string asked = request.path;
      for (const auto& [key, value] : request.query) asked += " " + value;
      asked_.With([&](std::string& last) { last = std::move(asked); });
      http::Response response;
      response.body = answer_.With([](const std::string& text) { return text; });
      responder.Send(response);
    };
    server.Get("/api/v1/sidecars/shop/frontend/policy_test", answer);
    server.Get("/policy_test", answer);
    server.Get("/*", [](const http::Request&, http::Responder responder) {
      responder.Send(http::JsonError(404, "the sidecar is not connected"));
    });
  }};
};

constexpr char kAllowedLive[] = R"({"verdict": "allowed", "audited": false,
    "says": "rule 0 of DNSEgressPolicy/shop/names allows it", "at": ["192.0.2.1:443"],
    "rule": {"policy": "DNSEgressPolicy/shop/names", "index": 0}, "name": "api.example.com.",
    "rcode": "NOERROR", "learned": false, "policy": {"known": true, "isolates": true,
    "enforced": "PartlyEnforced"}, "onNoPolicy": "open"})";

TEST_F(LivePolicyTest, WithoutManifestsTheSidecarIsAsked) {
  const Ran ran = Test(kAllowedLive);
  EXPECT_EQ(ran.status, 0);
  EXPECT_EQ(asked(), "/api/v1/sidecars/shop/frontend/policy_test api.example.com 443 TCP");
  EXPECT_EQ(ran.output,
            "allowed: shop/frontend to api.example.com:443/TCP: rule 0 of "
            "DNSEgressPolicy/shop/names allows it\n"
            "  looked up as api.example.com.: NOERROR\n"
            "  leads to 192.0.2.1:443\n"
            "  not learned yet: it is once the application has looked the name up\n"
            "  PartlyEnforced: not all that the pod sends passes its sidecar\n");
}

TEST_F(LivePolicyTest, TheStatusIsTheVerdictAndNothingElseIsOne) {
  EXPECT_EQ(Test(R"({"verdict": "denied", "says": "no rule of A allows it"})").status, 1);
  EXPECT_EQ(Test(R"({"verdict": "perhaps"})").status, 2);
  EXPECT_EQ(Test("[").status, 2);
  const Ran elsewhere =
      Invoke("policy test --from shop/bare --to backend:80 --server " + served_.url());
  EXPECT_EQ(elsewhere.status, 2);
  EXPECT_THAT(elsewhere.output, HasSubstr("the sidecar is not connected"));
  EXPECT_THAT(elsewhere.output, HasSubstr("ask manifests: -f FILE"));
}

TEST_F(LivePolicyTest, TheSidecarItselfIsAskedWhereThatIsSaid) {
  EXPECT_EQ(Test(kAllowedLive, "--protocol udp --direct --admin ").status, 0);
  EXPECT_EQ(asked(), "/policy_test api.example.com 443 UDP");
  EXPECT_EQ(Test(kAllowedLive, "-f x --direct --admin ").status, 2);
  EXPECT_EQ(Test(kAllowedLive, "-R --server ").status, 2) << "there are no manifests";
}

}  // namespace
}  // namespace portolan::ctl

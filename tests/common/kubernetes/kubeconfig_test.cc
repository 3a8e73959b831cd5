#include "common/kubernetes/kubeconfig.h"

#include <gmock/gmock.h>

#include "absl/strings/escaping.h"
#include "common/status.h"
#include "tests/common/certificates.h"
#include "tests/common/write_file.h"

namespace portolan {
namespace {

using portolan::test::CertificatePem;
using portolan::test::Identity;
using portolan::test::KeyPem;
using portolan::test::MakeIdentity;
using portolan::test::PemFiles;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;

constexpr char kPath[] = "/home/jane/.kube/config";

// A whole file of one context; `cluster` and `user` are flow or indented fields.
std::string Config(const std::string& cluster, const std::string& user) {
  return "apiVersion: v1\nkind: Config\ncurrent-context: dev\n"
         "contexts: [{name: dev, context: {cluster: here, user: me, namespace: x}}]\n"
         "clusters:\n- name: here\n  cluster: {" +
         cluster + "}\nusers:\n- name: me\n  user: {" + user + "}\n";
}
const char kServer[] = "server: 'https://10.0.0.1:6443'";

Kubeconfig Parsed(const std::string& text) {
  auto config = ParseKubeconfig({{kPath, text}});
  EXPECT_TRUE(config.ok()) << config.status();
  return config.ok() ? *config : Kubeconfig();
}
std::string Fault(const std::string& text) {
  return std::string(Message(ParseKubeconfig({{kPath, text}}).status()));
}
std::string FaultOfUser(const std::string& user) { return Fault(Config(kServer, user)); }
std::string FaultOfCluster(const std::string& cluster) { return Fault(Config(cluster, "")); }

TEST(Kubeconfig, TheCurrentContextsClusterAndUserCount) {
  const Kubeconfig config = Parsed(R"(
apiVersion: v1
kind: Config
current-context: prod
preferences: {}
contexts:
- {name: dev, context: {cluster: dev, user: dev}}
- {name: prod, context: {cluster: prod, user: admin}}
clusters:
- {name: dev, cluster: {server: "https://dev:6443"}}
- name: prod
  cluster:
    server: https://prod.example/clusters/1/
    certificate-authority-data: Q0E=
    tls-server-name: kubernetes
    proxy-url: http://proxy:3128
users:
- {name: dev, user: {token: dev}}
- name: admin
  user:
    client-certificate-data: Q0VSVA==
    client-key-data: S0VZ
)");
  EXPECT_EQ(config.server, "https://prod.example/clusters/1");
  EXPECT_EQ(config.ca.data, "CA");
  EXPECT_EQ(config.ca.origin, "certificate-authority-data of /home/jane/.kube/config");
  EXPECT_EQ(config.tls_server_name, "kubernetes");
  EXPECT_EQ(config.proxy, "http://proxy:3128");
  EXPECT_TRUE(config.verified);
  EXPECT_EQ(config.client_certificate.data, "CERT");
  EXPECT_EQ(config.client_key.data, "KEY");
  EXPECT_EQ(config.token, "");
}

TEST(Kubeconfig, PathsAreRelativeToTheFile) {
  const Kubeconfig config = Parsed(
      Config(std::string(kServer) + ", certificate-authority: pki/ca.crt",
             "client-certificate: ../me.crt, client-key: /keys/me.key, tokenFile: token, "
             "exec: {apiVersion: client.authentication.k8s.io/v1beta1, command: bin/login}"));
  EXPECT_EQ(config.ca.path, "/home/jane/.kube/pki/ca.crt");
  EXPECT_EQ(config.client_certificate.path, "/home/jane/me.crt");
  EXPECT_EQ(config.client_key.path, "/keys/me.key");
  EXPECT_EQ(config.token_file, "/home/jane/.kube/token");
  EXPECT_EQ(config.exec->command, "/home/jane/.kube/bin/login");
}

TEST(Kubeconfig, DataWinsOverAFile) {
  const Kubeconfig config = Parsed(Config(
      std::string(kServer) + ", certificate-authority: ca.crt, certificate-authority-data: Q0E=",
      ""));
  EXPECT_EQ(config.ca.data, "CA");
  EXPECT_EQ(config.ca.path, "");
}

TEST(Kubeconfig, AnExecCredentialIsReadWhole) {
  const Kubeconfig config = Parsed(R"(
current-context: eks
contexts: [{name: eks, context: {cluster: eks, user: me}}]
clusters:
- name: eks
  cluster:
    server: https://eks:443
    extensions:
    - name: client.authentication.k8s.io/exec
      extension: {audience: "06e3", port: 443, strict: true, roles: [a, ~]}
users:
- name: me
  user:
    exec:
      apiVersion: client.authentication.k8s.io/v1
      command: aws
      args: [eks, get-token]
      env: [{name: AWS_PROFILE, value: prod}, {name: EMPTY}]
      installHint: "see https://aws.example"
      interactiveMode: IfAvailable
      provideClusterInfo: true
)");
  ASSERT_TRUE(config.exec.has_value());
  EXPECT_EQ(config.exec->command, "aws");
  EXPECT_THAT(config.exec->args, ElementsAre("eks", "get-token"));
  EXPECT_THAT(config.exec->env, ElementsAre(Pair("AWS_PROFILE", "prod"), Pair("EMPTY", "")));
  EXPECT_EQ(config.exec->install_hint, "see https://aws.example");
  EXPECT_TRUE(config.exec->provide_cluster_info);
  EXPECT_EQ(config.exec->cluster_config,
            R"({"audience":"06e3","port":443,"roles":["a",null],"strict":true})");
}

TEST(Kubeconfig, AContextWithoutAUserIsNobody) {
  EXPECT_EQ(Parsed("current-context: c\ncontexts: [{name: c, context: {cluster: k}}]\n"
                   "clusters: [{name: k, cluster: {server: 'http://127.0.0.1:8001'}}]\n")
                .server,
            "http://127.0.0.1:8001");
}

TEST(Kubeconfig, OfSeveralFilesTheFirstToSayAThingCounts) {
  const auto config =
      ParseKubeconfig({{"/a/config",
                        "current-context: dev\nclusters: [{name: here, cluster: {server: "
                        "'https://a', certificate-authority: ca}}]\n"},
                       {"/b/config", Config("server: 'https://b'", "token: t")}});
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->server, "https://a");
  EXPECT_EQ(config->ca.path, "/a/ca");
  EXPECT_EQ(config->token, "t");
}

TEST(Kubeconfig, WhatIsNotThereIsNamedBesideWhatIs) {
  EXPECT_EQ(Fault("contexts: [{name: dev}, {name: prod}]"),
            "/home/jane/.kube/config: current-context is not set; there are: dev, prod");
  EXPECT_EQ(Fault("current-context: pord\ncontexts: [{name: dev}, {name: prod}]"),
            "/home/jane/.kube/config: no context 'pord'; there are: dev, prod");
  EXPECT_EQ(Fault("current-context: c\ncontexts: [{name: c, context: {cluster: k}}]"),
            "/home/jane/.kube/config: no cluster 'k'; there are no clusters");
  EXPECT_EQ(Fault(""),
            "/home/jane/.kube/config: current-context is not set; there are no contexts");
}

TEST(Kubeconfig, AnErrorNamesLineFieldAndEntry) {
  EXPECT_EQ(FaultOfCluster(""),
            "/home/jane/.kube/config:7: clusters[0].cluster.server: is missing (cluster 'here')");
  EXPECT_EQ(FaultOfUser("token: [a]"),
            "/home/jane/.kube/config:10: users[0].user.token: is not a string (user 'me')");
  EXPECT_EQ(Fault("contexts: {"), "/home/jane/.kube/config:1: end of map flow not found");
  EXPECT_EQ(Fault("[]"), "/home/jane/.kube/config:1: the file: is not a map");
  EXPECT_EQ(Fault("a: b\n---\nc: d\n"), "/home/jane/.kube/config:3: a second document");
}

TEST(Kubeconfig, WhatCannotBeMeantIsRefused) {
  for (const auto& [cluster, what] : std::vector<std::pair<std::string, std::string>>{
           {"server: 'ftp://a'",
            "server: 'ftp://a' is no URL that begins with https:// or http://"},
           {"server: 'https://u:p@a'", "server: holds more than the address of a server"},
           {"server: 'https://a', proxy-url: 'p:3128'", "proxy-url: 'p:3128' begins with none of"},
           {"server: 'https://a', certificate-authority-data: '*'",
            "certificate-authority-data: is not base64"},
           {"server: 'https://a', certificate-authority: a, insecure-skip-tls-verify: true",
            "exclude each other"}}) {
    EXPECT_THAT(FaultOfCluster(cluster), HasSubstr(what));
  }
  const std::string exec = "apiVersion: client.authentication.k8s.io/v1, command: a";
  for (const auto& [user, what] : std::vector<std::pair<std::string, std::string>>{
           {"as: root", "user.as: is not supported"},
           {"auth-provider: {name: gcp}",
            "user.auth-provider: was taken out of Kubernetes in 1.26"},
           {"client-key-data: S0VZ", "one is of no use without the other"},
           {"token: t, username: u", "only one of them"},
           {"token: \"a\\nb\"", "user.token: holds a blank or control character"},
           {"exec: {command: a}", "exec.apiVersion: '' is neither"},
           {"exec: {" + exec + "}", "exec.interactiveMode: is missing"},
           {"exec: {" + exec + ", interactiveMode: Always}", "has no terminal to ask at"},
           {"exec: {" + exec + ", interactiveMode: Somtimes}", "'Somtimes' is none of"},
           {"exec: {apiVersion: client.authentication.k8s.io/v1beta1}",
            "exec.command: is missing"}}) {
    EXPECT_THAT(FaultOfUser(user), HasSubstr(what));
  }
}

TEST(Kubeconfig, AFileThatIsMissingIsLeftOutWhereAnotherIsThere) {
  PemFiles files;
  const std::string there = files.WriteText("config", Config(kServer, ""));
  EXPECT_TRUE(LoadKubeconfig("/none:" + there).ok());
  EXPECT_EQ(Message(LoadKubeconfig("/none").status()), "/none: No such file or directory");
}

class KubeconfigAccess : public ::testing::Test {
 protected:
  void Use(const std::string& cluster, const std::string& user) {
    auto config = LoadKubeconfig(files.WriteText("config", Config(cluster, user)));
    ASSERT_TRUE(config.ok()) << config.status();
    source = MakeAccessSource(loop, *std::move(config));
  }
  absl::StatusOr<AccessPtr> Get() {
    absl::StatusOr<AccessPtr> got;
    source->Get([&](const auto& access) {
      got = access;
      loop.Stop();
    });
    loop.Run();
    return got;
  }
  std::string Authorization() {
    const auto access = Get();
    return access.ok() ? (*access)->authorization : std::string(Message(access.status()));
  }
  // A credential plugin that counts how often it ran, and the user who has it.
  std::string Plugin(const std::string& status) {
    const std::string script =
        files.WriteText("plugin", "#!/bin/sh\necho run >> " + files.folder() +
                                      "/runs\nprintf '{\"kind\":\"ExecCredential\",\"apiVersion\":"
                                      "\"client.authentication.k8s.io/v1\",\"status\":{" +
                                      status + "}}'\nprintf \"$KUBERNETES_EXEC_INFO\" > " +
                                      files.folder() + "/info\n");
    std::filesystem::permissions(script, std::filesystem::perms::owner_all);
    return "exec: {apiVersion: client.authentication.k8s.io/v1, command: ./plugin, "
           "interactiveMode: Never, provideClusterInfo: true, installHint: get it}";
  }
  size_t runs() const { return ReadFile(files.folder() + "/runs", 1000)->size() / 4; }

  EventLoop loop;
  PemFiles files;
  std::unique_ptr<AccessSource> source;
};

TEST_F(KubeconfigAccess, FilesAreReadAtEachUse) {
  const Identity ca = MakeIdentity("ca", nullptr);
  const Identity me = MakeIdentity("me", &ca);
  files.Write("ca.crt", ca);
  files.Write("me.crt", me);
  files.WriteKey("me.key", me);
  files.WriteText("token", "first");
  Use(std::string(kServer) + ", certificate-authority: ca.crt",
      "tokenFile: token, client-certificate: me.crt, client-key: me.key");
  auto access = Get();
  ASSERT_TRUE(access.ok()) << access.status();
  EXPECT_EQ((*access)->ca, CertificatePem(ca));
  EXPECT_EQ((*access)->client_certificate, CertificatePem(me));
  EXPECT_EQ((*access)->client_key, KeyPem(me));
  EXPECT_EQ((*access)->authorization, "Bearer first");
  files.WriteText("token", "second");
  EXPECT_EQ(Authorization(), "Bearer second");
  std::filesystem::remove(files.folder() + "/token");
  EXPECT_EQ(Authorization(), files.folder() + "/token: No such file or directory");
}

TEST_F(KubeconfigAccess, APasswordIsSentAsBasic) {
  Use(kServer, "username: jane, password: 'a:b'");
  EXPECT_EQ(Authorization(), "Basic amFuZTphOmI=");
}

TEST_F(KubeconfigAccess, OverPlainHttpNobodyIsTold) {
  Use("server: 'http://127.0.0.1:8001'", "token: secret");
  EXPECT_EQ(Authorization(), "");
}

TEST_F(KubeconfigAccess, AnExecCredentialIsKeptUntilItIsRefused) {
  Use(kServer, Plugin("\"token\":\"abc\""));
  for (int i = 0; i < 3; ++i) EXPECT_EQ(Authorization(), "Bearer abc");
  EXPECT_EQ(runs(), 1u);
  Access other;
  other.authorization = "Bearer earlier";
  source->OnUnauthorized(other);
  EXPECT_EQ(Authorization(), "Bearer abc");
  EXPECT_EQ(runs(), 1u);
  source->OnUnauthorized(**Get());
  EXPECT_EQ(Authorization(), "Bearer abc");
  EXPECT_EQ(runs(), 2u);
}

TEST_F(KubeconfigAccess, AnExpiredExecCredentialIsAskedForAgain) {
  Use(kServer, Plugin("\"token\":\"abc\",\"expirationTimestamp\":\"2020-01-01T00:00:00Z\""));
  EXPECT_EQ(Authorization(), "Bearer abc");
  EXPECT_EQ(Authorization(), "Bearer abc");
  EXPECT_EQ(runs(), 2u);
}

TEST_F(KubeconfigAccess, RequestsAtOnceRunTheCommandOnce) {
  Use(kServer, Plugin("\"clientCertificateData\":\"CERT\",\"clientKeyData\":\"KEY\""));
  std::vector<std::string> keys;
  const auto take = [&](const absl::StatusOr<AccessPtr>& access) {
    keys.push_back((*access)->client_certificate + (*access)->client_key);
    if (keys.size() == 2) loop.Stop();
  };
  source->Get(take);
  source->Get(take);
  loop.Run();
  EXPECT_THAT(keys, ElementsAre("CERTKEY", "CERTKEY"));
  EXPECT_EQ(runs(), 1u);
}

TEST_F(KubeconfigAccess, TheCommandIsToldOfTheCluster) {
  Use(kServer, Plugin("\"token\":\"abc\""));
  Authorization();
  EXPECT_EQ(*ReadFile(files.folder() + "/info", 10000),
            R"({"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential",)"
            R"("spec":{"cluster":{"server":"https://10.0.0.1:6443"},"interactive":false}})");
}

TEST_F(KubeconfigAccess, ACommandThatFailsIsNamedWithItsUser) {
  const std::string of = "exec credentials of user 'me' in " + files.folder() + "/config: ";
  Use(kServer, Plugin("\"token\":\"a b\""));
  EXPECT_EQ(Authorization(), of + files.folder() +
                                 "/plugin printed no ExecCredential: 1: status.token: holds a "
                                 "blank or control character");
  std::filesystem::remove(files.folder() + "/plugin");
  EXPECT_EQ(Authorization(), of + files.folder() + "/plugin: no such program: get it");
}

TEST(ExecCredential, WhatIsNoneIsAnErrorThatSaysWhy) {
  const std::string v1 = "client.authentication.k8s.io/v1";
  const auto fault = [&](const std::string& text) {
    return std::string(Message(ParseExecCredential(text, v1).status()));
  };
  const std::string head = "{\"apiVersion\":\"" + v1 + "\",\"kind\":\"ExecCredential\"";
  EXPECT_EQ(fault(""), "nothing");
  EXPECT_THAT(fault("{"), HasSubstr("end of map flow not found"));
  EXPECT_THAT(fault("{\"apiVersion\":\"x\"}"), HasSubstr("apiVersion: 'x' is not " + v1));
  EXPECT_EQ(fault(head + "}"), "1: status: holds neither a token nor a client certificate");
  EXPECT_THAT(fault(head + ",\"status\":{\"clientKeyData\":\"x\"}}"),
              HasSubstr("one is of no use without the other"));
  EXPECT_THAT(fault(head + ",\"status\":{\"token\":\"x\",\"expirationTimestamp\":\"soon\"}}"),
              HasSubstr("'soon' is no time"));
}

}  // namespace
}  // namespace portolan

#include "xds/settings.h"

#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>

#include "common/flags.h"

namespace portolan::xds {
namespace {

using ::testing::ElementsAre;

std::optional<int> Parse(std::vector<const char*> arguments, Settings& out,
                         const char* source = "files:/cluster") {
  arguments.insert(arguments.begin(), {"portolan-control", "--source", source});
  return ParseSettings(static_cast<int>(arguments.size()), arguments.data(), out);
}

std::vector<std::string> Text(const std::vector<SocketAddress>& addresses) {
  std::vector<std::string> all;
  for (const SocketAddress& address : addresses) all.push_back(address.ToString());
  return all;
}

std::vector<std::string> Listening(const Settings& settings) { return Text(settings.xds_listen); }

TEST(ControlSettings, OverTlsEverySidecarMayConnect) {
  Settings settings;
  EXPECT_EQ(Parse({"--tls-cert", "/tls/tls.crt", "--tls-key", "/tls/tls.key", "--xds-auth", "none"},
                  settings),
            std::nullopt);
  EXPECT_THAT(Listening(settings), ElementsAre("0.0.0.0:15012"));
  EXPECT_EQ(settings.source_path(), "/cluster");
}

TEST(ControlSettings, ProbesComeByEitherFamilyUnlessOneAddressIsSaid) {
  Settings settings;
  EXPECT_EQ(Parse({"--xds-insecure"}, settings), std::nullopt);
  EXPECT_THAT(Text(settings.status_listen), ElementsAre("0.0.0.0:15014", "[::]:15014"));
  EXPECT_EQ(Parse({"--xds-insecure", "--status-listen", "10.0.0.1:1"}, settings), std::nullopt);
  EXPECT_THAT(Text(settings.status_listen), ElementsAre("10.0.0.1:1"));
}

TEST(ControlSettings, PlaintextStaysOnLoopback) {
  Settings settings;
  EXPECT_EQ(Parse({"--xds-insecure"}, settings), std::nullopt);
  EXPECT_THAT(Listening(settings), ElementsAre("127.0.0.1:15010"));
  Settings both;
  EXPECT_EQ(
      Parse({"--xds-insecure", "--xds-listen", "127.0.0.2:1", "--xds-listen", "[::1]:1"}, both),
      std::nullopt);
  for (const char* open : {"0.0.0.0:15010", "[::]:15010", "10.0.0.1:15010"}) {
    Settings refused;
    EXPECT_EQ(
        Parse({"--xds-insecure", "--xds-listen", "127.0.0.1:1", "--xds-listen", open}, refused),
        kExitUsage)
        << open;
  }
}

TEST(ControlSettings, PlaintextMayGoThroughAUnixSocket) {
  Settings settings;
  EXPECT_EQ(Parse({"--xds-insecure", "--xds-listen", "unix:/run/portolan/xds"}, settings),
            std::nullopt);
  EXPECT_THAT(settings.xds_sockets, ElementsAre("/run/portolan/xds"));
  EXPECT_TRUE(settings.xds_listen.empty());
  for (const char* wrong : {"unix:", "unix:xds"}) {
    Settings refused;
    EXPECT_EQ(Parse({"--xds-insecure", "--xds-listen", wrong}, refused), kExitUsage) << wrong;
  }
  Settings over_tls;
  EXPECT_EQ(Parse({"--tls-cert", "/c", "--tls-key", "/k", "--xds-auth", "none", "--xds-listen",
                   "unix:/run/xds"},
                  over_tls),
            kExitUsage);
}

TEST(ControlSettings, ASourceIsAFolderTheClusterWeAreInOrAKubeconfig) {
  for (const auto& [source, kubernetes, path] :
       {std::tuple{"files:/a:b", false, "/a:b"},
        {"kubernetes", true, ""},
        {"kubernetes:/home/me/.kube/config", true, "/home/me/.kube/config"},
        {"kubernetes:a:b", true, "a:b"}}) {
    Settings settings;
    EXPECT_EQ(Parse({"--xds-insecure"}, settings, source), std::nullopt) << source;
    EXPECT_EQ(settings.from_kubernetes(), kubernetes);
    EXPECT_EQ(settings.source_path(), path);
  }
  for (const char* source :
       {"files:", "files", "kubernetes:", "kubernetesx", "etcd:x", ":", "/a"}) {
    Settings settings;
    EXPECT_EQ(Parse({"--xds-insecure"}, settings, source), kExitUsage) << source;
  }
}

TEST(ControlSettings, OverTlsClientsShowTokensUnlessItIsSaidThatTheyNeedNot) {
  const auto with = [](std::vector<const char*> more, const char* source, Settings& settings) {
    more.insert(more.end(), {"--tls-cert", "/c", "--tls-key", "/k"});
    return Parse(std::move(more), settings, source);
  };
  Settings reviewed;
  EXPECT_EQ(with({}, "kubernetes", reviewed), std::nullopt);
  EXPECT_EQ(reviewed.xds_auth, "kubernetes");
  EXPECT_EQ(reviewed.issuer_keys(), "");
  Settings keys;
  EXPECT_EQ(with({"--xds-auth", "keys:/sa.pub"}, "files:/a", keys), std::nullopt);
  EXPECT_EQ(keys.issuer_keys(), "/sa.pub");
  for (const char* auth : {"", "kubernetes", "keys:", "nobody", "none:x"}) {
    Settings refused;
    EXPECT_EQ(with({"--xds-auth", auth}, "files:/a", refused), kExitUsage) << auth;
  }
  Settings plaintext;
  EXPECT_EQ(Parse({"--xds-insecure", "--xds-auth", "none"}, plaintext), kExitUsage);
}

TEST(ControlSettings, BeyondLoopbackTheApiIsForWhoMayReadItAndOverTls) {
  const auto parse = [](std::vector<const char*> more, const char* source = "kubernetes") {
    Settings settings;
    std::vector<const char*> all = {"--tls-cert", "c", "--tls-key", "k"};
    if (std::string_view(source) != "kubernetes") all.insert(all.end(), {"--xds-auth", "none"});
    all.insert(all.end(), more.begin(), more.end());
    return Parse(all, settings, source);
  };
  EXPECT_EQ(parse({"--http-auth", "kubernetes"}), std::nullopt);
  EXPECT_EQ(parse({"--http-listen", "[::]:15080", "--http-auth", "kubernetes"}), std::nullopt);
  EXPECT_EQ(parse({"--http-listen", "[::]:15080"}), kExitUsage);
  EXPECT_EQ(parse({"--http-listen", "0.0.0.0:1", "--http-auth", "none"}), kExitUsage);
  EXPECT_EQ(parse({"--http-auth", "basic"}), kExitUsage);
  EXPECT_EQ(parse({"--http-auth", "kubernetes"}, "files:/cluster"), kExitUsage);
  Settings plain;
  EXPECT_EQ(Parse({"--xds-insecure", "--http-listen", "0.0.0.0:1", "--http-auth", "kubernetes"},
                  plain, "kubernetes"),
            kExitUsage);
}

TEST(ControlSettings, OtherReplicasAreKnownByTheirCertificateAndThemselvesByTheirToken) {
  Settings settings;
  EXPECT_EQ(Parse({"--tls-cert", "c", "--tls-key", "k", "--peer-listen", "[::]:15081",
                   "--http-peers", "peers.ns.svc:15081", "--peer-ca", "ca.crt"},
                  settings, "kubernetes"),
            std::nullopt);
  EXPECT_EQ(settings.http_peers, (HostAndPort{"peers.ns.svc", 15081}));
  EXPECT_EQ(settings.peer_server_name, "peers.ns.svc");
  EXPECT_THAT(Text(settings.peer_listen), ElementsAre("[::]:15081"));
  const auto refused = [](std::vector<const char*> more, const char* source = "files:/cluster") {
    Settings out;
    more.insert(more.begin(), "--xds-insecure");
    return Parse(more, out, source) == kExitUsage;
  };
  EXPECT_TRUE(refused({"--http-peers", "peers:15081"}));
  EXPECT_TRUE(refused({"--http-peers", "peers", "--peer-ca", "c"}));
  EXPECT_TRUE(refused({"--peer-listen", "127.0.0.1:1"}, "kubernetes"));
  Settings files;
  EXPECT_EQ(Parse({"--tls-cert", "c", "--tls-key", "k", "--xds-auth", "none", "--peer-listen",
                   "127.0.0.1:1"},
                  files),
            kExitUsage);
}

TEST(ControlSettings, TheHistoryIsBoundedInAgeAndSize) {
  Settings settings;
  EXPECT_EQ(Parse({"--xds-insecure"}, settings), std::nullopt);
  EXPECT_EQ(settings.history_db, "");
  EXPECT_EQ(settings.history_age, absl::Hours(24));
  EXPECT_EQ(settings.history_size, 256'000'000);
  EXPECT_EQ(Parse({"--xds-insecure", "--history-db", "/h.db", "--history-age", "1h30m",
                   "--history-size", "1GiB"},
                  settings),
            std::nullopt);
  EXPECT_EQ(settings.history_db, "/h.db");
  EXPECT_EQ(settings.history_age, absl::Minutes(90));
  EXPECT_EQ(settings.history_size, 1u << 30);
  for (const auto& [flag, value] : {std::pair{"--history-age", "30s"},
                                    {"--history-age", "long"},
                                    {"--history-size", "1MB"},
                                    {"--history-size", "-1"},
                                    {"--history-size", "64 fish"}}) {
    Settings refused;
    EXPECT_EQ(Parse({"--xds-insecure", flag, value}, refused), kExitUsage) << flag << value;
  }
}

TEST(ControlSettings, TheDefaultCorefileIsOneOfTwo) {
  const std::string folder = testing::TempDir() + "/portolan_corefiles";
  std::filesystem::create_directory(folder);
  Settings settings;
  EXPECT_EQ(
      Parse({"--xds-insecure", "--corefile", "/Corefile", "--corefiles", folder.c_str()}, settings),
      std::nullopt);
  EXPECT_EQ(settings.corefiles, folder);
  std::ofstream(folder + "/default") << ".:53 {\n}\n";
  Settings refused;
  EXPECT_EQ(
      Parse({"--xds-insecure", "--corefile", "/Corefile", "--corefiles", folder.c_str()}, refused),
      kExitUsage);
  Settings folder_alone;
  EXPECT_EQ(Parse({"--xds-insecure", "--corefiles", folder.c_str()}, folder_alone), std::nullopt);
  std::filesystem::remove_all(folder);
}

TEST(ControlSettings, WhatCannotWorkIsWrongUsage) {
  const std::vector<std::vector<const char*>> wrong = {
      {},
      {"--tls-cert", "/c"},
      {"--tls-key", "/k"},
      {"--xds-insecure", "--tls-cert", "/c", "--tls-key", "/k"},
      {"--xds-insecure", "--tls-key", "/k"},
      {"--xds-insecure", "--log-level", "loud"},
      {"--xds-insecure", "--log-format", "xml"},
      {"--xds-insecure", "--cluster-domain", "Cluster.Local"},
      {"--xds-insecure", "--cluster-domain", "cluster.local."},
  };
  for (const auto& arguments : wrong) {
    Settings settings;
    EXPECT_EQ(Parse(arguments, settings), kExitUsage) << testing::PrintToString(arguments.size());
  }
}

}  // namespace
}  // namespace portolan::xds

// Corefiles that other projects write: each must load as it is, with what is not done here noted.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "tests/dns/plugins/corefile_server.h"

namespace portolan::dns {
namespace {

using test::CorefileServer;
using test::LoadText;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;

// kubeadm 1.36: cmd/kubeadm/app/phases/addons/dns/manifests.go
constexpr std::string_view kKubeadm = R"(.:53 {
    errors
    health {
       lameduck 5s
    }
    ready
    kubernetes cluster.local in-addr.arpa ip6.arpa {
       pods insecure
       fallthrough in-addr.arpa ip6.arpa
       ttl 30
    }
    prometheus :9153
    forward . /etc/resolv.conf {
       max_concurrent 1000
    }
    cache 30 {
       disable success cluster.local
       disable denial cluster.local
    }
    loop
    reload
    loadbalance
}
)";

// kubernetes/kubernetes cluster/addons/dns/nodelocaldns/nodelocaldns.yaml, its placeholders filled
// in as the manifest's instructions and node-cache do.
constexpr std::string_view kNodeLocal = R"(cluster.local:53 {
    errors
    cache {
            success 9984 30
            denial 9984 5
    }
    reload
    loop
    bind 169.254.20.10 10.96.0.10
    forward . 10.96.188.12 {
            force_tcp
    }
    prometheus :9253
    health 169.254.20.10:8080
    }
in-addr.arpa:53 {
    errors
    cache 30
    reload
    loop
    bind 169.254.20.10 10.96.0.10
    forward . 10.96.188.12 {
            force_tcp
    }
    prometheus :9253
    }
ip6.arpa:53 {
    errors
    cache 30
    reload
    loop
    bind 169.254.20.10 10.96.0.10
    forward . 10.96.188.12 {
            force_tcp
    }
    prometheus :9253
    }
.:53 {
    errors
    cache 30
    reload
    loop
    bind 169.254.20.10 10.96.0.10
    forward . /etc/resolv.conf
    prometheus :9253
    }
)";

TEST(KnownCorefiles, KubeadmsLoads) {
  const auto config = LoadText(kKubeadm);
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ((*config)->health()->lameduck, absl::Seconds(5));
  EXPECT_TRUE((*config)->ready().has_value());
  EXPECT_EQ((*config)->prometheus()->address->ToString(), ":9153");
  EXPECT_THAT((*config)->notes(), Contains(HasSubstr("Corefile:1:1: .:53: port 53 is not opened")));
  for (const char* active : {"errors:", "kubernetes:", "loadbalance:"}) {
    EXPECT_THAT((*config)->notes(), Not(Contains(HasSubstr(active))));
  }
}

TEST(KnownCorefiles, NodeLocalDnsCachesLoads) {
  const auto config = LoadText(kNodeLocal);
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ((*config)->health()->address->ToString(), "169.254.20.10:8080");
  EXPECT_EQ((*config)->prometheus()->address->ToString(), ":9253");
  for (int line : {9, 21, 32, 43}) {
    EXPECT_THAT((*config)->notes(), Contains(fmt::format("Corefile:{}:5: bind: accepted, not yet "
                                                         "active: the sidecar's own listen address "
                                                         "holds",
                                                         line)));
  }
}

// Without the probes of `loop`, which are for HINFO.
size_t Questions(const std::vector<test::Bytes>& queries) {
  return static_cast<size_t>(std::count_if(queries.begin(), queries.end(), [](const auto& bytes) {
    wire::Query query;
    return wire::ParseQuery(bytes, query) == wire::ParseOutcome::kQuery && query.type != 13;
  }));
}

TEST(KnownCorefiles, NodeLocalDnsCachesAsksTheClusterDnsOverTcpAndTheRestOfThePodsServers) {
  std::string text(kNodeLocal);
  for (size_t at; (at = text.find("10.96.188.12")) != std::string::npos;) {
    text.replace(at, 12, "UPSTREAM");
  }
  CorefileServer server(text);
  server.Ask("kubernetes.default.svc.cluster.local", wire::type::kA);
  server.Ask("1.0.96.10.in-addr.arpa", wire::type::kPtr);
  EXPECT_EQ(Questions(server.upstream().tcp_queries), 2u);
  EXPECT_EQ(Questions(server.upstream().udp_queries), 0u);
  server.Ask("example.org", wire::type::kA);
  EXPECT_EQ(Questions(server.upstream().udp_queries), 1u);
}

}  // namespace
}  // namespace portolan::dns

#include "common/kubernetes/in_cluster.h"

#include <gmock/gmock.h>

#include <cstdlib>

#include "common/status.h"
#include "tests/common/certificates.h"

namespace portolan {
namespace {

using portolan::test::CertificatePem;
using portolan::test::Identity;
using portolan::test::MakeIdentity;
using ::testing::HasSubstr;

class InClusterTest : public ::testing::Test {
 protected:
  InClusterTest() {
    setenv("KUBERNETES_SERVICE_HOST", "10.96.0.1", 1);
    setenv("KUBERNETES_SERVICE_PORT", "443", 1);
    files.Write("ca.crt", ca);
    files.WriteText("token", "first\n");
  }
  ~InClusterTest() override {
    unsetenv("KUBERNETES_SERVICE_HOST");
    unsetenv("KUBERNETES_SERVICE_PORT");
  }
  Access Now(InCluster& cluster) {
    Access now;
    cluster.Get([&](const absl::StatusOr<AccessPtr>& access) {
      ASSERT_TRUE(access.ok()) << access.status();
      now = **access;
    });
    return now;
  }
  std::string Fault() { return std::string(Message(InCluster::Find(files.folder()).status())); }

  portolan::test::PemFiles files;
  const Identity ca = MakeIdentity("ca", nullptr);
};

TEST_F(InClusterTest, IsWhatTheKubeletGives) {
  const auto cluster = InCluster::Find(files.folder());
  ASSERT_TRUE(cluster.ok()) << cluster.status();
  const Access access = Now(**cluster);
  EXPECT_EQ(access.server, "https://10.96.0.1:443");
  EXPECT_EQ(access.ca, CertificatePem(ca));
  EXPECT_EQ(access.authorization, "Bearer first");
  EXPECT_TRUE(access.verified);
}

TEST_F(InClusterTest, AnIpv6AddressStandsInBrackets) {
  setenv("KUBERNETES_SERVICE_HOST", "fd00:10:96::1", 1);
  EXPECT_EQ(Now(**InCluster::Find(files.folder())).server, "https://[fd00:10:96::1]:443");
}

TEST_F(InClusterTest, ARotatedTokenAndCaCountFromTheNextRequestOn) {
  const auto cluster = InCluster::Find(files.folder());
  const Identity next = MakeIdentity("next", nullptr);
  files.WriteText("token", "second");
  files.Write("ca.crt", next);
  EXPECT_EQ(Now(**cluster).authorization, "Bearer second");
  EXPECT_EQ(Now(**cluster).ca, CertificatePem(next));
}

TEST_F(InClusterTest, WhatIsMissingIsNamed) {
  files.WriteText("ca.crt", "rubbish");
  EXPECT_EQ(Fault(), files.folder() + "/ca.crt: no certificate in PEM");
  files.Write("ca.crt", ca);
  files.WriteText("token", "");
  EXPECT_EQ(Fault(), files.folder() + "/token: is empty, not a token");
  unsetenv("KUBERNETES_SERVICE_HOST");
  EXPECT_THAT(Fault(), HasSubstr("KUBERNETES_SERVICE_HOST"));
}

}  // namespace
}  // namespace portolan

// The feed and the control plane's own server over TLS.
#include <gmock/gmock.h>

#include "tests/common/certificates.h"
#include "tests/proxy/feed/feed_fixture.h"
#include "tests/xds/authentication/tokens.h"
#include "xds/authentication/issuer_keys.h"
#include "xds/authentication/token_gate.h"
#include "xds/serving/server.h"

namespace portolan::proxy {
namespace {

using test::Identity;
using test::MakeIdentity;
using ::testing::HasSubstr;

class FeedOverTls : public FeedTest {
 protected:
  void StartServer(const Identity& identity, const std::string& address = "127.0.0.1:0") {
    auto started = xds::Server::Start({.listen = {*SocketAddress::Parse(address)},
                                       .identifier = "test",
                                       .identity = test::Unchecked(identity),
                                       .gate = gate.get()},
                                      cache.current());
    ASSERT_TRUE(started.ok()) << started.status();
    control = *std::move(started);
  }
  std::string address() const { return control->listening()[0].ToString(); }

  void StartFeedTrusting(const Identity& root, const std::string& server_name = {}) {
    FeedOptions options = Options(server);
    options.control_planes = {address()};
    options.trust = *ControlTrust::Load(files.Write("ca", root));
    options.server_name = server_name;
    StartFeed(options);
  }
  bool UntilFailed(const std::string& reason) {
    return Until([&] { return feed->status().last_failure.find(reason) != std::string::npos; });
  }

  const Identity ca = MakeIdentity("ca", nullptr);
  const Identity other_ca = MakeIdentity("other", nullptr);
  const Identity by_ip = MakeIdentity("control", &ca, "IP:127.0.0.1");
  const Identity by_name = MakeIdentity("control", &ca, "DNS:control.portolan.svc");
  test::PemFiles files;
  xds::ResourceCache cache;
  std::unique_ptr<xds::TokenGate> gate;  // null: all are let in
  std::unique_ptr<xds::Server> control;
};

// The control plane lets in who shows a token that `issuer` signed for that pod.
class FeedWithToken : public FeedOverTls {
 protected:
  void SetUp() override {
    gate = std::make_unique<xds::TokenGate>(
        loop, *xds::IssuerKeys::Load(files.WriteText("keys", issuer.Pem())));
    StartServer(by_ip);
  }
  void TearDown() override {
    feed = nullptr;
    control = nullptr;  // before the gate
  }
  void StartFeedShowing(const std::string& token_file) {
    FeedOptions options = Options(server);
    options.control_planes = {address()};
    options.trust = *ControlTrust::Load(files.Write("ca", ca));
    options.token_file = token_file;
    StartFeed(options);
  }

  const xds::test::Issuer issuer{xds::test::Issuer::kEc};
  const std::string ours = issuer.Token("default", "frontend-1");
};

TEST_F(FeedWithToken, IsLetInByItsOwn) {
  StartFeedShowing(files.WriteText("token", ours + "\n"));
  EXPECT_TRUE(UntilInSync());
}

TEST_F(FeedWithToken, ReadsTheFileAgainForEachAttempt) {
  const std::string path = files.folder() + "/token";
  StartFeedShowing(path);
  ASSERT_TRUE(UntilFailed(path + ": No such file or directory"));
  files.WriteText("token", xds::test::Issuer(xds::test::Issuer::kEc).Token());
  ASSERT_TRUE(UntilFailed("it does not let us in: the token is signed by no known issuer"));
  EXPECT_FALSE(delegate.WasEverInSync());
  files.WriteText("token", ours);
  EXPECT_TRUE(UntilInSync());
}

TEST_F(FeedWithToken, OfAnotherPodIsNotLetInAndSaysWhy) {
  StartFeedShowing(files.WriteText("token", issuer.Token("default", "frontend-2")));
  EXPECT_TRUE(
      UntilFailed("it does not let us in: Node.id is 'default/frontend-1', but the token "
                  "is default/frontend-2's"));
  StartFeedShowing("");
  EXPECT_TRUE(UntilFailed("it does not let us in: no token"));
  EXPECT_FALSE(delegate.WasEverInSync());
}

TEST_F(FeedOverTls, AControlPlaneOfTheCaIsFollowed) {
  StartServer(by_ip);
  StartFeedTrusting(ca);
  ASSERT_TRUE(UntilInSync());
  EXPECT_EQ(feed->status().last_failure, "");
}

TEST_F(FeedOverTls, AnotherCaIsNotTrustedUntilTheFileSaysSo) {
  StartServer(by_ip);
  StartFeedTrusting(other_ca);
  ASSERT_TRUE(UntilFailed("certificate verify failed"));
  EXPECT_THAT(feed->status().last_failure, HasSubstr("signed by none of the CAs"));
  EXPECT_TRUE(control->Clients().empty());
  EXPECT_FALSE(delegate.WasEverInSync());
  files.Write("ca", ca);
  EXPECT_TRUE(UntilInSync());
}

TEST_F(FeedOverTls, ACaFileThatTurnsBadKeepsItsLastContent) {
  StartServer(by_ip);
  StartFeedTrusting(ca);
  ASSERT_TRUE(UntilInSync());
  files.WriteText("ca", "half written");
  const std::string same = address();
  control.reset();
  ASSERT_TRUE(Until([&] { return !feed->status().connected; }));
  StartServer(by_ip, same);
  EXPECT_TRUE(UntilInSync());
}

TEST_F(FeedOverTls, TheCertificateHasToBeForTheAddressDialled) {
  StartServer(by_name);
  StartFeedTrusting(ca);
  EXPECT_TRUE(UntilFailed("127.0.0.1 is not in peer certificate"));
  EXPECT_FALSE(delegate.WasEverInSync());
}

TEST_F(FeedOverTls, OrForTheNameThatIsGiven) {
  StartServer(by_name);
  StartFeedTrusting(ca, "control.portolan.svc");
  EXPECT_TRUE(UntilInSync());
}

TEST_F(FeedOverTls, AnotherNameThanTheOneGivenIsRefusedThoughTheAddressFits) {
  StartServer(by_ip);
  StartFeedTrusting(ca, "control.portolan.svc");
  EXPECT_TRUE(UntilFailed("control.portolan.svc is not in peer certificate"));
  EXPECT_FALSE(delegate.WasEverInSync());
}

TEST_F(FeedOverTls, AnExpiredCertificateIsRefused) {
  StartServer(MakeIdentity("control", &ca, "IP:127.0.0.1", 0));
  StartFeedTrusting(ca);
  EXPECT_TRUE(UntilFailed("certificate verify failed"));
  EXPECT_FALSE(delegate.WasEverInSync());
}

TEST_F(FeedOverTls, PlaintextIsNotServed) {
  StartServer(by_ip);
  FeedOptions options = Options(server);
  options.control_planes = {address()};
  StartFeed(options);
  EXPECT_TRUE(Until([&] { return !feed->status().last_failure.empty(); }));
  EXPECT_TRUE(control->Clients().empty());
}

TEST_F(FeedOverTls, AControlPlaneInPlaintextIsNotFollowed) {
  FeedOptions options = Options(server);
  options.trust = *ControlTrust::Load(files.Write("ca", ca));
  StartFeed(options);
  EXPECT_TRUE(UntilFailed("not TLS"));
  EXPECT_EQ(server.streams_opened(), 0);
}

TEST_F(FeedOverTls, ANewCertificateLeavesTheStreamUpAndIsShownToTheNext) {
  StartServer(by_ip);
  StartFeedTrusting(ca);
  ASSERT_TRUE(UntilInSync());
  // Of a CA that the sidecar does not know yet: who connects now fails, who is connected stays.
  control->SetIdentity(test::Unchecked(MakeIdentity("control", &other_ca, "IP:127.0.0.1")));
  TurnFor(std::chrono::milliseconds(100));
  EXPECT_TRUE(feed->status().in_sync);
  ASSERT_EQ(control->Clients().size(), 1u);

  feed = nullptr;
  StartFeedTrusting(ca);
  ASSERT_TRUE(UntilFailed("certificate verify failed"));
  files.Write("ca", other_ca);
  EXPECT_TRUE(UntilInSync());
}

}  // namespace
}  // namespace portolan::proxy

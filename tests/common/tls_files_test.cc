#include "common/tls_files.h"

#include <gmock/gmock.h>

#include <filesystem>

#include "common/status.h"
#include "tests/common/certificates.h"

namespace portolan {
namespace {

using test::CertificatePem;
using test::Identity;
using test::KeyPem;
using test::MakeIdentity;
using ::testing::HasSubstr;

class TlsFiles : public testing::Test {
 protected:
  std::string Fault(const std::string& certificate, const std::string& key) {
    return std::string(Message(LoadTlsIdentity({certificate, key}).status()));
  }

  test::PemFiles files;
  const Identity ca = MakeIdentity("ca", nullptr);
  const Identity server = MakeIdentity("server", &ca, "DNS:control.example");
};

TEST_F(TlsFiles, AChainAndItsKeyAreRead) {
  const auto chain =
      files.WriteText("chain", "a comment\n" + CertificatePem(server) + CertificatePem(ca));
  const auto read = LoadTlsIdentity({chain, files.WriteKey("key", server)});
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->key, KeyPem(server));
  EXPECT_THAT(read->certificates, HasSubstr(CertificatePem(ca)));
  EXPECT_GT(read->expires, absl::Now());
  EXPECT_LT(read->expires, absl::Now() + absl::Hours(48));
}

TEST_F(TlsFiles, WhatCannotBeUsedIsAnErrorThatNamesTheFileAndTheReason) {
  const std::string good = files.Write("good", server);
  const std::string key = files.WriteKey("key", server);
  const std::string text = files.WriteText("text", "no PEM at all");
  const std::string folder = files.folder();
  EXPECT_THAT(Fault(folder + "/none", key), HasSubstr(folder + "/none: No such file"));
  EXPECT_THAT(Fault(good, folder + "/none"), HasSubstr(folder + "/none: No such file"));
  EXPECT_EQ(Fault(text, key), text + ": no certificate in PEM");
  EXPECT_THAT(Fault(good, text), HasSubstr(text + ": no key in PEM"));
  EXPECT_THAT(Fault(key, key), HasSubstr(key + ": no certificate in PEM"));

  const std::string others = files.WriteKey("others", ca);
  EXPECT_EQ(Fault(good, others), others + ": not the key of the certificate in " + good);

  const std::string expired = files.Write("expired", MakeIdentity("server", &ca, "", 0));
  EXPECT_THAT(Fault(expired, others), HasSubstr("not the key"));
  const Identity late = MakeIdentity("server", &ca, "", 0);
  EXPECT_THAT(Fault(files.Write("late", late), files.WriteKey("late.key", late)),
              HasSubstr("/late: the certificate expired at 20"));
}

TEST_F(TlsFiles, ACertificateCutShortIsAnErrorEvenBehindAGoodOne) {
  std::string half = CertificatePem(ca);
  half.erase(half.size() / 2, 40);
  const auto path = files.WriteText("half", CertificatePem(server) + half);
  EXPECT_THAT(Fault(path, files.WriteKey("key", server)), HasSubstr(path + ": certificate 2: "));
}

TEST_F(TlsFiles, AKeyWithAPassphraseIsRefusedAndNobodyIsAsked) {
  BIO* out = BIO_new(BIO_s_mem());
  unsigned char word[] = "word";
  PEM_write_bio_PrivateKey(out, server.key.get(), EVP_aes_128_cbc(), word, 4, nullptr, nullptr);
  const auto key = files.WriteText("locked", test::TakeText(out));
  EXPECT_THAT(Fault(files.Write("certificate", server), key), HasSubstr("without a passphrase"));
}

TEST_F(TlsFiles, RootsAreOneCertificateOrMore) {
  const auto both = files.WriteText("both", CertificatePem(ca) + CertificatePem(server));
  EXPECT_EQ(*LoadTlsRoots(both), CertificatePem(ca) + CertificatePem(server));
  const auto key = files.WriteKey("key", ca);
  EXPECT_EQ(Message(LoadTlsRoots(key).status()), key + ": no certificate in PEM");
}

class FollowedFiles : public TlsFiles {
 protected:
  // A Secret as a kubelet mounts it: the files are links through ..data, which is swapped.
  void Mount(const std::string& version, const Identity& certificate, const Identity& key) {
    namespace fs = std::filesystem;
    const fs::path folder = files.folder();
    fs::create_directory(folder / version);
    files.Write(version + "/tls.crt", certificate);
    files.WriteKey(version + "/tls.key", key);
    fs::create_symlink(version, folder / "..data_tmp");
    fs::rename(folder / "..data_tmp", folder / "..data");
    for (const char* name : {"tls.crt", "tls.key"}) {
      if (!fs::is_symlink(folder / name)) {
        fs::create_symlink(fs::path("..data") / name, folder / name);
      }
    }
  }

  TlsIdentityFiles Mounted() const {
    return {files.folder() + "/tls.crt", files.folder() + "/tls.key"};
  }

  // The loop turns until a pair came in or a bad one was counted.
  void TurnUntil(const FollowedTlsIdentity& followed, const std::string& sample) {
    EventLoop::Timer timer;
    timer = loop.AddTimer([&] {
      MetricsPage page;
      page.AddSource([&](MetricFamilies& families) { followed.AddMetrics(families); });
      if (page.Render().find(sample) != std::string::npos) return loop.Stop();
      timer.Start(absl::Milliseconds(5));
    });
    timer.Start(absl::ZeroDuration());
    loop.Run();
  }

  EventLoop loop;
  std::vector<TlsIdentity> changes;
};

TEST_F(FollowedFiles, ASwappedSecretIsReadAndABadOneLeavesTheOldInForce) {
  Mount("1", server, server);
  FollowedTlsIdentity followed(loop, Mounted(),
                               [&](const TlsIdentity& now) { changes.push_back(now); });
  ASSERT_TRUE(followed.Start().ok());
  EXPECT_EQ(followed.current().key, KeyPem(server));
  EXPECT_TRUE(changes.empty());

  const Identity next = MakeIdentity("server", &ca, "DNS:control.example");
  Mount("2", next, server);
  TurnUntil(followed, "portolan_tls_reloads_total{result=\"failed\"} 1");
  EXPECT_TRUE(changes.empty());
  EXPECT_EQ(followed.current().key, KeyPem(server));

  Mount("3", next, next);
  TurnUntil(followed, "portolan_tls_reloads_total{result=\"ok\"} 1");
  ASSERT_EQ(changes.size(), 1u);
  EXPECT_EQ(changes[0].key, KeyPem(next));
}

TEST_F(FollowedFiles, AtTheStartABadPairIsAnError) {
  Mount("1", server, ca);
  FollowedTlsIdentity followed(loop, Mounted(), [](const TlsIdentity&) {});
  EXPECT_THAT(std::string(Message(followed.Start())), HasSubstr("not the key"));
}

}  // namespace
}  // namespace portolan

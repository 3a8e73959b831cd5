#include "injector/certificates/keeper.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "tests/injector/object_store.h"
#include "tests/kubernetes/scripted_api.h"

namespace portolan::injector {
namespace {

using test::ObjectStore;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using Json = nlohmann::json;

constexpr char kCa[] = "/api/v1/namespaces/portolan-system/secrets/portolan-ca";
constexpr char kInjector[] = "/api/v1/namespaces/portolan-system/secrets/portolan-injector-tls";
constexpr char kControl[] = "/api/v1/namespaces/portolan-system/secrets/portolan-control-tls";
constexpr char kWebhooks[] =
    "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/portolan-injector";
const absl::Duration kDay = absl::Hours(24);

Json Configuration() {
  Json webhooks = Json::array();
  for (const char* name : {"namespace.inject.portolan.dev", "pod.inject.portolan.dev"}) {
    webhooks.push_back({{"name", name}, {"clientConfig", {{"service", {{"name", "i"}}}}}});
  }
  return {{"kind", "MutatingWebhookConfiguration"},
          {"metadata", {{"name", "portolan-injector"}}},
          {"webhooks", webhooks}};
}

// A replica: what it shows, what its pods would trust.
struct Replica {
  Replica(EventLoop& loop, ApiClient& api, std::function<absl::Time()> now,
          absl::Duration between_looks = absl::ZeroDuration())
      : keeper(loop, api,
               {.name_space = "portolan-system",
                .between_looks = between_looks,
                .now = std::move(now)},
               {[this](const TlsIdentity& identity) { shown.push_back(identity.certificates); },
                [this](const std::string& pem) { bundle = pem; }}) {}

  std::vector<std::string> shown;
  std::string bundle;
  CertificateKeeper keeper;
};

class Keeper : public ::testing::Test {
 protected:
  Keeper() { store_.Put(kWebhooks, Configuration()); }

  std::unique_ptr<Replica> Start() {
    auto replica = std::make_unique<Replica>(loop_, store_, [this] { return now_; });
    replica->keeper.Start();
    return replica;
  }
  void Run(const std::function<bool()>& done) { ASSERT_TRUE(test::Until(loop_, done)); }
  // A look from its beginning to its end: the first to end may have begun before.
  void Look(Replica& replica) {
    for (int i = 0; i < 2; ++i) {
      const uint64_t before = Looks(replica);
      replica.keeper.LookSoon();
      Run([&] { return Looks(replica) > before; });
    }
  }
  static uint64_t Looks(const Replica& replica) {
    MetricFamilies families;
    replica.keeper.AddMetrics(families);
    double looks = 0;
    for (const auto& family : families) {
      if (family.name != "portolan_injector_certificate_looks_total") continue;
      for (const auto& metric : family.metric) looks += metric.counter.value;
    }
    return static_cast<uint64_t>(looks);
  }
  // As the API server would verify what is shown now.
  bool Trusted(const Replica& replica) {
    const auto webhooks = ReadWebhookBundles(store_.objects[kWebhooks].dump());
    return webhooks.ok() && TrustedByAll(*webhooks, replica.shown.back());
  }

  EventLoop loop_;
  ObjectStore store_{loop_};
  absl::Time now_ = absl::FromUnixSeconds(1'800'000'000);
};

TEST_F(Keeper, MakesAllThatIsMissingAndIsTrusted) {
  const auto replica = Start();
  Run([&] { return store_.objects.contains(kControl); });
  EXPECT_TRUE(replica->keeper.trusted());
  EXPECT_THAT(replica->keeper.state(), IsEmpty());
  EXPECT_EQ(replica->shown, std::vector{store_.Secret(kInjector, "tls.crt")});
  EXPECT_EQ(replica->bundle, store_.Secret(kCa, "bundle.crt"));
  EXPECT_EQ(store_.objects[kInjector]["type"], "kubernetes.io/tls");
  for (const Json& webhook : store_.objects[kWebhooks]["webhooks"]) {
    EXPECT_EQ(webhook["clientConfig"]["caBundle"], store_.objects[kCa]["data"]["bundle.crt"]);
    EXPECT_EQ(webhook["clientConfig"]["service"]["name"], "i");
  }
  const auto control = Certificate::ReadAll(store_.Secret(kControl, "tls.crt"));
  EXPECT_TRUE(control->front().IsFor("portolan-control.portolan-system.svc"));
  // And then nothing is written any more.
  const int writes = store_.writes();
  Look(*replica);
  EXPECT_EQ(store_.writes(), writes);
}

TEST_F(Keeper, ReplicasThatStartTogetherAgree) {
  std::vector<std::unique_ptr<Replica>> replicas;
  for (int i = 0; i < 4; ++i) replicas.push_back(Start());
  Run([&] {
    return std::all_of(replicas.begin(), replicas.end(),
                       [](const auto& each) { return each->keeper.trusted(); });
  });
  for (const auto& each : replicas) {
    EXPECT_EQ(each->shown.back(), store_.Secret(kInjector, "tls.crt"));
    EXPECT_EQ(each->bundle, store_.Secret(kCa, "bundle.crt"));
  }
  EXPECT_EQ(Certificate::Salvage(store_.Secret(kCa, "bundle.crt")).size(), 1u);
}

TEST_F(Keeper, ThroughTwoYearsOfRotationWhatIsShownIsAlwaysTrusted) {
  const auto one = Start(), other = Start();
  Run([&] { return one->keeper.trusted() && other->keeper.trusted(); });
  std::set<std::string> signers;
  for (int day = 0; day < 2 * 365; day += 8) {
    now_ += 8 * kDay;
    // The one that looks first changes what the other shows and has not looked at yet.
    Look(day % 16 == 0 ? *one : *other);
    ASSERT_TRUE(Trusted(*one) && Trusted(*other)) << "on day " << day;
    Look(day % 16 == 0 ? *other : *one);
    for (const Replica* each : {one.get(), other.get()}) {
      ASSERT_TRUE(Trusted(*each)) << "on day " << day;
      const auto own = Certificate::ReadAll(each->shown.back());
      ASSERT_GT(own->front().expires(), now_) << "on day " << day;
    }
    signers.insert(store_.Secret(kCa, "ca.crt"));
    ASSERT_LE(Certificate::Salvage(store_.Secret(kCa, "bundle.crt")).size(), 3u);
  }
  EXPECT_GE(signers.size(), 3u);
  EXPECT_GE(one->shown.size(), 25u);
}

TEST_F(Keeper, ANewCertificateIsShownOnlyOnceItsCaHasBeenTrustedForAWhile) {
  const auto replica = Start();
  Run([&] { return replica->keeper.trusted(); });
  // Somebody deletes both: another CA, at once.
  store_.objects.erase(kCa);
  store_.objects.erase(kInjector);
  Look(*replica);
  EXPECT_EQ(Certificate::Salvage(replica->bundle).size(), 2u) << "what is shown stays trusted";
  EXPECT_EQ(replica->shown.size(), 1u);
  EXPECT_TRUE(Trusted(*replica));
  now_ += absl::Seconds(4);
  Look(*replica);
  EXPECT_EQ(replica->shown.size(), 1u);
  now_ += absl::Seconds(2);
  Look(*replica);
  EXPECT_EQ(replica->shown.size(), 2u);
  EXPECT_TRUE(Trusted(*replica));
}

TEST_F(Keeper, ABundleThatSomebodyRemovesOrReplacesIsPutBack) {
  const auto replica = Start();
  Run([&] { return replica->keeper.trusted(); });
  store_.Put(kWebhooks, Configuration());
  Look(*replica);
  EXPECT_TRUE(Trusted(*replica));
  Json spoilt = Configuration();
  spoilt["webhooks"][1]["clientConfig"]["caBundle"] = "cnViYmlzaA==";
  store_.Put(kWebhooks, spoilt);
  Look(*replica);
  EXPECT_TRUE(Trusted(*replica));
}

TEST_F(Keeper, WhoKeepsChangingTheConfigurationIsNotAnsweredWithoutEnd) {
  Replica replica(
      loop_, store_, [this] { return now_; }, absl::Hours(1));
  replica.keeper.Start();
  Run([&] { return Looks(replica) == 1; });
  const int asked = store_.asked[std::string("GET ") + kCa];
  for (int i = 0; i < 5; ++i) {
    store_.Put(kWebhooks, Configuration());
    replica.keeper.LookSoon();
    test::RunFor(loop_, absl::Milliseconds(2));
  }
  EXPECT_EQ(store_.asked[std::string("GET ") + kCa], asked);
}

TEST_F(Keeper, WithoutAWebhookConfigurationNothingIsReady) {
  store_.objects.erase(kWebhooks);
  const auto replica = Start();
  Run([&] { return !replica->shown.empty() && store_.objects.contains(kControl); });
  EXPECT_FALSE(replica->keeper.trusted());
  EXPECT_THAT(replica->keeper.state(), HasSubstr("webhook configuration: get mutatingwebhookcon"));
  store_.Put(kWebhooks, Configuration());
  Look(*replica);
  EXPECT_TRUE(replica->keeper.trusted());
}

TEST_F(Keeper, AnApiServerThatIsAwayChangesNothing) {
  const auto replica = Start();
  Run([&] { return replica->keeper.trusted(); });
  store_.refuse = [](const ApiRequest&) { return 0; };
  Look(*replica);
  EXPECT_TRUE(replica->keeper.trusted());
  EXPECT_EQ(replica->shown.size(), 1u);
  EXPECT_THAT(replica->keeper.state(), HasSubstr("CA: get secrets portolan-ca"));
  store_.refuse = nullptr;
  Look(*replica);
  EXPECT_THAT(replica->keeper.state(), IsEmpty());
}

TEST_F(Keeper, ADamagedSecretIsReplacedAndNeverShown) {
  const auto replica = Start();
  Run([&] { return replica->keeper.trusted() && store_.objects.contains(kControl); });
  for (const char* path : {kCa, kInjector, kControl}) {
    Json damaged = store_.objects[path];
    damaged["metadata"]["labels"]["kept"] = "yes";
    for (auto& [key, value] : damaged["data"].items()) value = "cnViYmlzaA==";
    store_.Put(path, damaged);
    Look(*replica);
    EXPECT_EQ(store_.objects[path]["metadata"]["labels"]["kept"], "yes");
    now_ += absl::Seconds(10);
    Look(*replica);
    EXPECT_TRUE(Trusted(*replica));
    EXPECT_TRUE(replica->keeper.trusted());
  }
  for (const std::string& shown : replica->shown) {
    EXPECT_EQ(Certificate::Salvage(shown).size(), 1u);
  }
  EXPECT_EQ(Certificate::Salvage(store_.Secret(kControl, "tls.crt")).size(), 1u);
}

TEST_F(Keeper, WhatOneStepIsRefusedDoesNotKeepTheOthersFromTheirs) {
  store_.refuse = [](const ApiRequest& request) -> std::optional<int> {
    if (request.method == "PATCH") return 403;
    return std::nullopt;
  };
  const auto replica = Start();
  Run([&] { return store_.objects.contains(kControl); });
  EXPECT_FALSE(replica->keeper.trusted());
  EXPECT_THAT(replica->keeper.state(), HasSubstr("403"));
  EXPECT_GT(Looks(*replica), 0u);
}

TEST(WebhookTrust, APatchTestsNamesAndLeavesWhatIsRight) {
  const std::vector<WebhookBundle> webhooks = {{"a", "right"}, {"b", "wrong"}, {"c", ""}};
  EXPECT_EQ(PatchOfBundles(webhooks, "right"),
            R"([{"op":"test","path":"/webhooks/1/name","value":"b"},)"
            R"({"op":"add","path":"/webhooks/1/clientConfig/caBundle","value":"cmlnaHQ="},)"
            R"({"op":"test","path":"/webhooks/2/name","value":"c"},)"
            R"({"op":"add","path":"/webhooks/2/clientConfig/caBundle","value":"cmlnaHQ="}])");
  EXPECT_THAT(PatchOfBundles({{"a", "right"}}, "right"), IsEmpty());
}

TEST(WebhookTrust, WhatIsNoConfigurationIsAnError) {
  for (const char* text : {"", "rubbish", "[]", "7", R"({"kind":"Status"})"}) {
    EXPECT_FALSE(ReadWebhookBundles(text).ok()) << text;
  }
  const auto odd = ReadWebhookBundles(
      R"({"kind":"MutatingWebhookConfiguration","webhooks":[7,{"name":3},{"clientConfig":4}]})");
  ASSERT_TRUE(odd.ok());
  EXPECT_EQ(odd->size(), 3u);
  EXPECT_FALSE(TrustedByAll(*odd, "rubbish"));
}

}  // namespace
}  // namespace portolan::injector

#include "xds/policy_status/status_writer.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "common/document/json.h"
#include "tests/kubernetes/scripted_api.h"
#include "xds/sources/dns_egress_policy.h"
#include "xds/sources/kubernetes/object_fields.h"

namespace portolan::xds {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

// Objects with a status of its own, as the API server keeps them: optimistic locking, and a watch
// that tells everybody of each write.
class Cluster : public ApiClient {
 public:
  explicit Cluster(EventLoop& loop) : loop_(loop) {}

  void Follow(PolicyStatusWriter& writer) {
    writers_.push_back(&writer);
    for (const auto& [key, object] : objects_) Tell(writer, object);
  }
  void Unfollow() { writers_.clear(); }
  void Apply(const std::string& name, json spec) {
    json& object = objects_[name];
    const int64_t generation =
        object.is_null() ? 0 : object["metadata"]["generation"].get<int64_t>();
    object["metadata"] = {{"name", name}, {"namespace", "shop"}, {"generation", generation + 1}};
    object["spec"] = std::move(spec);
    Changed(name);
  }
  void Delete(const std::string& name) { objects_.erase(name); }
  // Of the object "apis".
  json status() const { return objects_.at("apis").value("status", json::object()); }
  std::string condition(const std::string& type) const {
    for (const json& one : status().value("conditions", json::array())) {
      if (one["type"] == type) return one["reason"];
    }
    return "";
  }

  std::unique_ptr<Exchange> Start(ApiRequest request, Listener& listener) override {
    requests.push_back(request);
    auto open = std::make_shared<Listener*>(&listener);
    loop_.Post([this, request = std::move(request), open] {
      if (*open == nullptr) return;
      Listener& to = **open;
      const auto [status, body] = Answer(request);
      to.OnHead({status, {}, "application/json"});
      to.OnBytes(body);
      to.OnEnd(absl::OkStatus());
    });
    return std::make_unique<Open>(open);
  }

  std::vector<ApiRequest> requests;
  std::optional<int> refusal;              // of every write
  std::string denied = "-";                // objects whose names begin so: 403
  std::function<void()> before_each = {};  // just before a write is looked at

 private:
  struct Open : Exchange {
    explicit Open(std::shared_ptr<Listener*> to) : listener(std::move(to)) {}
    ~Open() override { *listener = nullptr; }
    std::shared_ptr<Listener*> listener;
  };

  std::pair<int, std::string> Answer(const ApiRequest& request) {
    if (before_each != nullptr) std::exchange(before_each, nullptr)();
    if (refusal.has_value()) return {*refusal, R"({"kind":"Status","message":"no"})"};
    const std::string path = request.target.substr(0, request.target.find('?'));
    constexpr std::string_view kBefore =
        "/apis/portolan.dev/v1alpha1/namespaces/shop/dnsegresspolicies/";
    EXPECT_TRUE(path.starts_with(kBefore) && path.ends_with("/status")) << path;
    const std::string name = path.substr(kBefore.size(), path.rfind('/') - kBefore.size());
    if (name.starts_with(denied)) return {403, R"({"kind":"Status","message":"no"})"};
    const auto found = objects_.find(name);
    if (found == objects_.end()) return {404, "{}"};
    const json patch = json::parse(request.body);
    if (patch["metadata"]["resourceVersion"] != found->second["metadata"]["resourceVersion"]) {
      return {409, R"({"kind":"Status","reason":"Conflict"})"};
    }
    found->second["status"].merge_patch(patch["status"]);
    Changed(name);
    return {200, found->second.dump()};
  }
  void Changed(const std::string& name) {
    json& object = objects_.at(name);
    object["metadata"]["resourceVersion"] = std::to_string(++version_);
    for (PolicyStatusWriter* writer : writers_) Tell(*writer, object);
  }
  static void Tell(PolicyStatusWriter& writer, const json& object) {
    JsonReader reader;
    std::string text = object.dump();
    const auto value = reader.Read(text, ObjectFields());
    ASSERT_TRUE(value.ok());
    FieldErrors errors;
    const Field field(**value, errors);
    ReadDnsEgressPolicy(field, {});
    writer.OnRead(field, errors);
  }

  EventLoop& loop_;
  std::map<std::string, json> objects_;
  int64_t version_ = 100;
  std::vector<PolicyStatusWriter*> writers_;
};

class PolicyStatusWriterTest : public ::testing::Test {
 protected:
  PolicyStatusWriterTest() {
    // As fast as it goes; who is first is a matter of luck.
    options_.min_delay = options_.max_delay = absl::ZeroDuration();
    options_.between_writes = absl::ZeroDuration();
    options_.min_idle = options_.max_idle = absl::Milliseconds(2);
    counts_.emplace();
    (*counts_)["DNSEgressPolicy/shop/apis"] = {2, 1, 0};
  }

  std::unique_ptr<PolicyStatusWriter> Make() {
    auto writer = std::make_unique<PolicyStatusWriter>(
        loop_, cluster_, options_, [this](const PolicyStatusWriter::Counted& done) {
          ++looks_;
          done(counts_);
        });
    cluster_.Follow(*writer);
    return writer;
  }
  // Until everybody looked several times, and nobody wrote.
  void Settle() {
    for (size_t quiet = 0; quiet < 3;) {
      const size_t before = cluster_.requests.size();
      const int looks = looks_;
      ASSERT_TRUE(test::Until(loop_, [&] { return looks_ >= looks + 8; }));
      quiet = cluster_.requests.size() == before ? quiet + 1 : 0;
      ASSERT_LT(cluster_.requests.size(), 200u) << "they do not stop";
    }
  }
  double Writes(const PolicyStatusWriter& writer, const std::string& outcome) {
    MetricFamilies families;
    writer.AddMetrics(families);
    for (const auto& metric : families.at(0).metric) {
      if (metric.label.at(0).value == outcome) return metric.counter.value;
    }
    ADD_FAILURE() << "no sample of " << outcome;
    return -1;
  }

  EventLoop loop_;
  Cluster cluster_{loop_};
  PolicyStatusWriter::Options options_;
  std::optional<EnforcementByPolicy> counts_;
  int looks_ = 0;
};

const json kSpec = {{"rules", {{{"names", {"a.example"}}}}}};

TEST_F(PolicyStatusWriterTest, WritesOnceWhatIsToBeSaid) {
  cluster_.Apply("apis", kSpec);
  const auto writer = Make();
  Settle();
  ASSERT_THAT(cluster_.requests, SizeIs(1));
  EXPECT_EQ(cluster_.requests[0].method, "PATCH");
  EXPECT_EQ(cluster_.requests[0].content_type, "application/merge-patch+json");
  EXPECT_THAT(cluster_.requests[0].target, HasSubstr("/status?fieldManager=portolan-control"));
  EXPECT_EQ(cluster_.condition("Accepted"), "Accepted");
  EXPECT_EQ(cluster_.condition("Enforced"), "Pending");
  EXPECT_EQ(cluster_.status()["selectedPods"], 2);
  EXPECT_EQ(Writes(*writer, "written"), 1);
}

TEST_F(PolicyStatusWriterTest, FollowsSidecarsAndSpecs) {
  cluster_.Apply("apis", kSpec);
  const auto writer = Make();
  Settle();
  (*counts_)["DNSEgressPolicy/shop/apis"] = {2, 2, 0};
  Settle();
  EXPECT_EQ(cluster_.condition("Enforced"), "Enforced");
  cluster_.Apply("apis", {{"rules", {{{"names", {"a b"}}}}}});
  Settle();
  EXPECT_EQ(cluster_.condition("Accepted"), "Invalid");
  EXPECT_EQ(cluster_.status()["observedGeneration"], 2);
}

TEST_F(PolicyStatusWriterTest, SeveralReplicasAgreeAndStop) {
  cluster_.Apply("apis", kSpec);
  cluster_.Apply("other", kSpec);
  const auto one = Make(), two = Make(), three = Make();
  Settle();
  EXPECT_EQ(cluster_.condition("Enforced"), "Pending");
  (*counts_)["DNSEgressPolicy/shop/apis"] = {2, 2, 0};
  Settle();
  EXPECT_EQ(cluster_.condition("Enforced"), "Enforced");
  double written = 0, conflicts = 0;
  for (const auto* writer : {one.get(), two.get(), three.get()}) {
    written += Writes(*writer, "written");
    conflicts += Writes(*writer, "conflict");
  }
  EXPECT_EQ(written, 3) << "each status once, whoever it was";
  EXPECT_EQ(written + conflicts, cluster_.requests.size());
}

TEST_F(PolicyStatusWriterTest, ARestartWritesNothing) {
  cluster_.Apply("apis", kSpec);
  auto writer = Make();
  Settle();
  cluster_.Unfollow();
  writer.reset();
  writer = Make();
  Settle();
  EXPECT_THAT(cluster_.requests, SizeIs(1));
}

TEST_F(PolicyStatusWriterTest, AnOvertakenWriteIsLeftUntilTheWatchTells) {
  cluster_.Apply("apis", kSpec);
  const auto writer = Make();
  // The object changes under the first write, and the watch is late.
  cluster_.before_each = [&] {
    cluster_.Unfollow();
    cluster_.Apply("apis", {{"audit", true}});
  };
  Settle();
  EXPECT_THAT(cluster_.requests, SizeIs(1));
  EXPECT_EQ(Writes(*writer, "conflict"), 1);
  EXPECT_TRUE(cluster_.status().empty());
  cluster_.Follow(*writer);
  Settle();
  EXPECT_EQ(cluster_.condition("Enforced"), "Audit");
}

TEST_F(PolicyStatusWriterTest, WhatTheRoleDoesNotAllowIsNotAskedForAgainAtOnce) {
  cluster_.Apply("apis", kSpec);
  cluster_.Apply("other", kSpec);
  cluster_.refusal = 403;
  const auto writer = Make();
  ASSERT_TRUE(test::Until(loop_, [&] { return cluster_.requests.size() >= 2; }));
  test::RunFor(loop_, absl::Milliseconds(50));
  EXPECT_THAT(cluster_.requests, SizeIs(2)) << "those that were under way";
  EXPECT_EQ(Writes(*writer, "forbidden"), 2);
}

// As an admission webhook has it, in one namespace.
TEST_F(PolicyStatusWriterTest, ADenialOfOneObjectHoldsUpNoOthers) {
  cluster_.denied = "denied";
  for (int i = 0; i < 3; ++i) cluster_.Apply(fmt::format("denied-{}", i), kSpec);
  for (int i = 0; i < 20; ++i) cluster_.Apply(fmt::format("p{}", i), kSpec);
  const auto writer = Make();
  Settle();
  EXPECT_EQ(Writes(*writer, "written"), 20);
  EXPECT_EQ(Writes(*writer, "forbidden"), 3) << "once each, for now";
}

TEST_F(PolicyStatusWriterTest, AfterSeveralDenialsInARowNothingIsWrittenForAWhile) {
  options_.min_idle = options_.max_idle = absl::Minutes(1);  // all in one look
  cluster_.refusal = 403;
  for (int i = 0; i < 50; ++i) cluster_.Apply(fmt::format("p{}", i), kSpec);
  const auto writer = Make();
  constexpr size_t kMost = PolicyStatusWriter::kDenialsUntilPause;
  ASSERT_TRUE(test::Until(loop_, [&] { return cluster_.requests.size() >= kMost; }));
  test::RunFor(loop_, absl::Milliseconds(50));
  EXPECT_LT(cluster_.requests.size(), kMost + PolicyStatusWriter::kMostWrites);
}

TEST_F(PolicyStatusWriterTest, OneThatIsAlwaysDeniedHoldsUpNoOthers) {
  options_.denied_for = absl::Milliseconds(100);
  cluster_.denied = "denied";
  cluster_.Apply("denied", kSpec);
  const auto writer = Make();
  const auto denied = [&](int times) {
    return test::Until(loop_, [&] { return Writes(*writer, "forbidden") == times; });
  };
  ASSERT_TRUE(denied(PolicyStatusWriter::kDenialsUntilPause));
  const int looks = looks_;
  ASSERT_TRUE(denied(PolicyStatusWriter::kDenialsUntilPause + 1));
  EXPECT_GT(looks_, looks + 1) << "nobody looks in a pause";
}

TEST_F(PolicyStatusWriterTest, ManyThatAreDeniedLetTheOthersHaveTheirTurn) {
  options_.denied_for = absl::Milliseconds(10);
  cluster_.denied = "denied";
  for (int i = 0; i < 40; ++i) cluster_.Apply(fmt::format("denied-{}", i), kSpec);
  for (int i = 0; i < 10; ++i) cluster_.Apply(fmt::format("p{}", i), kSpec);
  const auto writer = Make();
  EXPECT_TRUE(test::Until(loop_, [&] { return Writes(*writer, "written") == 10; }));
}

TEST_F(PolicyStatusWriterTest, OfAnObjectThatIsGoneNothingMoreIsWritten) {
  cluster_.Apply("apis", kSpec);
  const auto writer = Make();
  cluster_.before_each = [&] {
    cluster_.Delete("apis");
    writer->OnGone("shop/apis");
  };
  test::Until(loop_, [&] { return Writes(*writer, "gone") == 1; });
  test::RunFor(loop_, absl::Milliseconds(20));
  EXPECT_THAT(cluster_.requests, SizeIs(1));
}

TEST_F(PolicyStatusWriterTest, WhileAReplicaDoesNotAnswerNumbersStay) {
  cluster_.Apply("apis", kSpec);
  counts_.reset();
  const auto writer = Make();
  Settle();
  EXPECT_EQ(cluster_.condition("Accepted"), "Accepted");
  EXPECT_EQ(cluster_.condition("Enforced"), "");
  EXPECT_FALSE(cluster_.status().contains("selectedPods"));
}

TEST_F(PolicyStatusWriterTest, OfOneObjectWritesAreApart) {
  options_.between_writes = absl::Hours(1);
  cluster_.Apply("apis", kSpec);
  const auto writer = Make();
  Settle();
  (*counts_)["DNSEgressPolicy/shop/apis"] = {2, 2, 0};
  Settle();
  EXPECT_THAT(cluster_.requests, SizeIs(1));
}

TEST_F(PolicyStatusWriterTest, ManyObjectsAreWrittenAFewAtATime) {
  for (int i = 0; i < 50; ++i) cluster_.Apply(fmt::format("p{}", i), kSpec);
  const auto writer = Make();
  Settle();
  EXPECT_THAT(cluster_.requests, SizeIs(50));
  EXPECT_EQ(Writes(*writer, "written"), 50);
}

TEST_F(PolicyStatusWriterTest, WithoutPoliciesNobodyIsAsked) {
  const auto writer = Make();
  test::RunFor(loop_, absl::Milliseconds(20));
  EXPECT_EQ(looks_, 0);
  EXPECT_THAT(cluster_.requests, IsEmpty());
}

}  // namespace
}  // namespace portolan::xds

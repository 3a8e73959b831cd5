#include "xds/policy_status/policy_status.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "common/document/json.h"
#include "xds/sources/dns_egress_policy.h"
#include "xds/sources/kubernetes/object_fields.h"

namespace portolan::xds {
namespace {

using ::testing::HasSubstr;
using ::testing::SizeIs;

const absl::Time kNow = absl::FromUnixSeconds(1'700'000'000);
constexpr char kNowText[] = "2023-11-14T22:13:20Z";

// As the control plane reads it from the API server.
WatchedPolicy Read(std::string text) {
  JsonReader reader;
  const auto value = reader.Read(text, ObjectFields());
  EXPECT_TRUE(value.ok()) << value.status();
  FieldErrors errors;
  const Field object(**value, errors);
  ReadDnsEgressPolicy(object, {});
  return ReadWatchedPolicy(object, errors);
}

const PolicyCondition& Condition(const PolicyStatus& status, const std::string& type) {
  for (const PolicyCondition& condition : status.conditions) {
    if (condition.type == type) return condition;
  }
  ADD_FAILURE() << "no condition " << type;
  static const PolicyCondition kNone;
  return kNone;
}

constexpr char kFresh[] =
    R"({"metadata":{"name":"apis","namespace":"shop","resourceVersion":"7","generation":2},
        "spec":{"rules":[{"names":["a.example"]}]}})";

TEST(PolicyStatuses, OfAPolicyThatIsEnforcedEverywhere) {
  const PolicyStatus status = StatusOf(Read(kFresh), Enforcement{3, 3, 0}, kNow);
  EXPECT_EQ(status.observed_generation, 2);
  EXPECT_EQ(status.selected_pods, 3);
  EXPECT_EQ(status.enforcing_sidecars, 3);
  EXPECT_EQ(status.partly_enforced, 0);
  EXPECT_EQ(
      Condition(status, "Accepted"),
      (PolicyCondition{"Accepted", "True", 2, kNowText, "Accepted", "it is as the API has it"}));
  EXPECT_EQ(Condition(status, "Enforced"), (PolicyCondition{"Enforced", "True", 2, kNowText,
                                                            "Enforced", "enforced at all 3 pods"}));
}

TEST(PolicyStatuses, SayHowManyAreMissingOrPartly) {
  const auto enforced = [](const Enforcement& counts) {
    return Condition(StatusOf(Read(kFresh), counts, kNow), "Enforced");
  };
  EXPECT_EQ(enforced({3, 1, 0}).status, "False");
  EXPECT_EQ(enforced({3, 1, 0}).reason, "Pending");
  EXPECT_THAT(enforced({3, 1, 0}).message, HasSubstr("2 of 3 pods"));
  EXPECT_EQ(enforced({4, 1, 2}).reason, "PartlyEnforced");
  EXPECT_THAT(enforced({4, 1, 2}).message,
              HasSubstr("at 2 of 4 pods not all that they send is captured by the sidecar; "
                        "enforced in full at 1, pending at 1"));
  EXPECT_EQ(enforced({0, 0, 0}).status, "Unknown");
  EXPECT_EQ(enforced({0, 0, 0}).reason, "NoPods");
  // As pods change over from one replica to another.
  EXPECT_EQ(enforced({2, 3, 0}).reason, "Enforced");
}

TEST(PolicyStatuses, OfAnAuditSayThatNothingIsDenied) {
  const PolicyStatus status =
      StatusOf(Read(R"({"metadata":{"name":"a","namespace":"b"},"spec":{"audit":true}})"),
               Enforcement{2, 2, 0}, kNow);
  EXPECT_EQ(Condition(status, "Enforced").status, "False");
  EXPECT_EQ(Condition(status, "Enforced").reason, "Audit");
}

TEST(PolicyStatuses, NameTheFieldThatIsWrong) {
  const WatchedPolicy policy = Read(
      R"({"metadata":{"name":"a","namespace":"b","generation":1},"spec":{"rules":[{"names":["a b"]}]}})");
  const PolicyStatus status = StatusOf(policy, Enforcement{2, 1, 0}, kNow);
  EXPECT_EQ(Condition(status, "Accepted").status, "False");
  EXPECT_EQ(Condition(status, "Accepted").reason, "Invalid");
  EXPECT_THAT(Condition(status, "Accepted").message,
              HasSubstr("spec.rules[0].names[0]: 'a b' is neither"));
  EXPECT_EQ(Condition(status, "Enforced").status, "False");
  EXPECT_EQ(Condition(status, "Enforced").reason, "NotAccepted");
}

// What is written is read back as the same, so nobody writes it again.
TEST(PolicyStatuses, AreTheSameOnceWritten) {
  const PolicyStatus status = StatusOf(Read(kFresh), Enforcement{3, 1, 1}, kNow);
  nlohmann::json object = nlohmann::json::parse(kFresh);
  object.merge_patch(StatusPatch(Read(kFresh), status));
  const WatchedPolicy again = Read(object.dump());
  EXPECT_EQ(again.status, status);
  EXPECT_EQ(StatusOf(again, Enforcement{3, 1, 1}, kNow + absl::Hours(1)), status);
}

TEST(PolicyStatuses, ATimeOfTransitionIsThatOfAChangedStatus) {
  WatchedPolicy policy = Read(kFresh);
  policy.status = StatusOf(policy, Enforcement{3, 1, 0}, kNow);
  const absl::Time later = kNow + absl::Hours(1);
  const PolicyStatus other_numbers = StatusOf(policy, Enforcement{3, 2, 0}, later);
  EXPECT_NE(other_numbers, policy.status);
  EXPECT_EQ(Condition(other_numbers, "Enforced").last_transition, kNowText);
  const PolicyStatus enforced = StatusOf(policy, Enforcement{3, 3, 0}, later);
  EXPECT_EQ(Condition(enforced, "Enforced").last_transition, "2023-11-14T23:13:20Z");
  EXPECT_EQ(Condition(enforced, "Accepted").last_transition, kNowText);
}

TEST(PolicyStatuses, WithoutAFullCountKeepWhatWasCounted) {
  WatchedPolicy policy = Read(kFresh);
  policy.status = StatusOf(policy, Enforcement{3, 3, 0}, kNow);
  policy.generation = 3;
  const PolicyStatus status = StatusOf(policy, std::nullopt, kNow);
  EXPECT_EQ(status.observed_generation, 3);
  EXPECT_EQ(status.enforcing_sidecars, 3);
  EXPECT_EQ(Condition(status, "Accepted").observed_generation, 3);
  EXPECT_EQ(Condition(status, "Enforced").observed_generation, 2);
  EXPECT_THAT(StatusOf(Read(kFresh), std::nullopt, kNow).conditions, SizeIs(1));
}

TEST(PolicyStatuses, KeepConditionsOfOthers) {
  WatchedPolicy policy = Read(kFresh);
  const PolicyCondition other{"Reviewed", "True", 1, "2020-01-01T00:00:00Z", "Seen", "by me"};
  policy.status.conditions = {other};
  const nlohmann::json patch = StatusPatch(policy, StatusOf(policy, Enforcement{1, 1, 0}, kNow));
  EXPECT_EQ(patch["metadata"], nlohmann::json({{"resourceVersion", "7"}}));
  ASSERT_THAT(patch["status"]["conditions"], SizeIs(3));
  EXPECT_EQ(patch["status"]["conditions"][0]["reason"], "Seen");
}

TEST(PolicyStatuses, AddNothingToConditionsOfOthers) {
  nlohmann::json object = nlohmann::json::parse(kFresh);
  const nlohmann::json other = {{"type", "Reviewed"}, {"status", "True"}};
  object["status"]["conditions"] = {other};
  const WatchedPolicy policy = Read(object.dump());
  const nlohmann::json patch = StatusPatch(policy, StatusOf(policy, Enforcement{1, 1, 0}, kNow));
  ASSERT_THAT(patch["status"]["conditions"], SizeIs(3));
  EXPECT_EQ(patch["status"]["conditions"][0], other);
}

}  // namespace
}  // namespace portolan::xds

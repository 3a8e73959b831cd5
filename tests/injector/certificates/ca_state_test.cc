#include "injector/certificates/ca_state.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace portolan::injector {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

const absl::Time kNow = absl::FromUnixSeconds(1'800'000'000);
const absl::Duration kDay = absl::Hours(24);
const absl::Duration kLife = 300 * kDay;

CaDecision Decide(const std::optional<CaState>& stored, absl::Time now, bool in_force = true,
                  const std::string& trusted = "") {
  auto decision = DecideCa(stored, trusted, in_force, kLife, now);
  EXPECT_TRUE(decision.ok()) << decision.status();
  return *std::move(decision);
}

CaState Fresh() { return Decide(std::nullopt, kNow).state; }

TEST(CaState, WithoutASecretACaIsMadeThatIsTrusted) {
  const CaDecision made = Decide(std::nullopt, kNow);
  EXPECT_THAT(made.why, HasSubstr("there is none"));
  EXPECT_TRUE(CheckPair(made.state.signing, kNow).ok());
  EXPECT_EQ(made.state.bundle, made.state.signing.certificate);
  EXPECT_FALSE(made.state.next.has_value());
}

TEST(CaState, WhatIsGoodStaysAsItIs) {
  const CaState state = Fresh();
  const CaDecision later = Decide(state, kNow + 199 * kDay);
  EXPECT_THAT(later.why, IsEmpty());
  EXPECT_EQ(later.state, state);
}

TEST(CaState, TheSecretsDataHoldsAllOfIt) {
  const CaState state = Decide(Fresh(), kNow + 201 * kDay).state;
  ASSERT_TRUE(state.next.has_value());
  EXPECT_EQ(CaState::FromData(state.ToData()), state);
  EXPECT_EQ(CaState::FromData(Fresh().ToData()).next, std::nullopt);
  EXPECT_EQ(CaState::FromData({}), CaState());
}

TEST(CaState, TheNextCaIsTrustedLongBeforeItSigns) {
  const CaState first = Fresh();
  const CaDecision renewed = Decide(first, kNow + 201 * kDay);
  EXPECT_THAT(renewed.why, HasSubstr("the next one is made"));
  EXPECT_EQ(renewed.state.signing, first.signing);
  ASSERT_TRUE(renewed.state.next.has_value());
  EXPECT_EQ(renewed.state.bundle, first.signing.certificate + renewed.state.next->certificate);
  EXPECT_THAT(Decide(renewed.state, kNow + 210 * kDay).why, IsEmpty());

  const CaDecision signing = Decide(renewed.state, kNow + 212 * kDay);
  EXPECT_THAT(signing.why, HasSubstr("signs now"));
  EXPECT_EQ(signing.state.signing, *renewed.state.next);
  EXPECT_FALSE(signing.state.next.has_value());
  // What the old one signed is good for a while.
  EXPECT_THAT(signing.state.bundle, HasSubstr(first.signing.certificate));
  EXPECT_THAT(signing.state.bundle, HasSubstr(renewed.state.next->certificate));
}

TEST(CaState, TheNextCaDoesNotSignWhereTheWebhookConfigurationDoesNotTrustIt) {
  const CaState renewed = Decide(Fresh(), kNow + 201 * kDay).state;
  const CaDecision waiting = Decide(renewed, kNow + 250 * kDay, /*in_force=*/false);
  EXPECT_EQ(waiting.state, renewed);
  EXPECT_THAT(waiting.why, IsEmpty());
}

TEST(CaState, AnOldCaIsForgottenOnceItExpires) {
  const CaState first = Fresh();
  const CaState renewed = Decide(first, kNow + 201 * kDay).state;
  const CaState signing = Decide(renewed, kNow + 212 * kDay).state;
  EXPECT_THAT(Decide(signing, kNow + 299 * kDay).why, IsEmpty());
  const CaDecision after = Decide(signing, kNow + 301 * kDay);
  EXPECT_THAT(after.why, HasSubstr("trusted changes"));
  EXPECT_EQ(after.state.bundle, signing.signing.certificate);
}

TEST(CaState, ADamagedSecretIsMadeAnewAndWhatWasTrustedStaysSo) {
  const CaState good = Fresh();
  CaState damaged = good;
  damaged.signing.key = "rubbish";
  const CaDecision made = Decide(damaged, kNow);
  EXPECT_THAT(made.why, HasSubstr("cannot be used: its key"));
  EXPECT_NE(made.state.signing, good.signing);
  EXPECT_EQ(made.state.bundle, made.state.signing.certificate + good.signing.certificate);

  damaged.bundle = "rubbish";
  EXPECT_EQ(Decide(damaged, kNow, true, good.bundle).state.bundle.size(), made.state.bundle.size());
}

TEST(CaState, EachKindOfDamageIsNamed) {
  const CaState good = Fresh();
  const auto why = [&](KeyPair signing, absl::Time now = kNow) {
    CaState damaged = good;
    damaged.signing = std::move(signing);
    return Decide(damaged, now).why;
  };
  const KeyPair server = *SignServer(good.signing, {"a", {"a"}}, kDay, kNow);
  EXPECT_THAT(why({}), HasSubstr("no certificate in PEM"));
  EXPECT_THAT(why({good.signing.certificate, server.key}), HasSubstr("another certificate's"));
  EXPECT_THAT(why(server), HasSubstr("no CA's certificate"));
  EXPECT_THAT(why(good.signing, kNow + 301 * kDay), HasSubstr("expired"));
}

TEST(CaState, ANextCaThatCannotBeUsedIsMadeAnew) {
  CaState renewed = Decide(Fresh(), kNow + 201 * kDay).state;
  renewed.next->key = "rubbish";
  const CaDecision dropped = Decide(renewed, kNow + 202 * kDay);
  EXPECT_THAT(dropped.why, HasSubstr("the next CA cannot be used"));
  EXPECT_FALSE(dropped.state.next.has_value());
  EXPECT_TRUE(Decide(dropped.state, kNow + 202 * kDay).state.next.has_value());
}

TEST(CaState, ACaOfTheOperatorsIsTakenAndItsBundleAdded) {
  CaState own{*MakeAuthority(kLife, kNow), std::nullopt, ""};
  const CaDecision taken = Decide(own, kNow);
  EXPECT_EQ(taken.state.signing, own.signing);
  EXPECT_EQ(taken.state.bundle, own.signing.certificate);
  EXPECT_THAT(taken.why, HasSubstr("trusted changes"));
}

TEST(CaState, ABundleHoldsCasAloneAndNotWithoutEnd) {
  CaState state = Fresh();
  state.bundle += SignServer(state.signing, {"a", {"a"}}, kDay, kNow)->certificate;
  EXPECT_EQ(Decide(state, kNow).state.bundle, state.signing.certificate);
  for (int i = 0; i < 40; ++i) state.bundle += MakeAuthority(kLife, kNow)->certificate;
  EXPECT_EQ(Certificate::Salvage(Decide(state, kNow).state.bundle).size(), 16u);
}

}  // namespace
}  // namespace portolan::injector

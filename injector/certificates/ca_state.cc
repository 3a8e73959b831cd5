#include "injector/certificates/ca_state.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "common/status.h"

namespace portolan::injector {
namespace {

// A Secret holds 1 MB, and somebody may put many into it.
constexpr size_t kMostTrusted = 16;
// Of its life a CA is trusted before it signs.
constexpr int kTrustedBefore = 30;

absl::StatusOr<Certificate> CheckAuthority(const KeyPair& pair, absl::Time now) {
  auto own = CheckPair(pair, now);
  if (own.ok() && !own->is_authority()) return InvalidArgument("it is no CA's certificate");
  return own;
}

// The CA that signs first, then the next, then what else was trusted and is still good.
std::string BundleOf(const CaState& state, const std::string& trusted, absl::Time now) {
  std::vector<Certificate> bundle;
  const auto add = [&](const std::string& pem) {
    for (const Certificate& each : Certificate::Salvage(pem)) {
      const bool held = std::find(bundle.begin(), bundle.end(), each) != bundle.end();
      if (held || !each.is_authority() || each.expires() <= now) continue;
      if (bundle.size() < kMostTrusted) bundle.push_back(each);
    }
  };
  add(state.signing.certificate);
  if (state.next.has_value()) add(state.next->certificate);
  add(state.bundle);
  add(trusted);
  std::string text;
  for (const Certificate& each : bundle) text += each.Pem();
  return text;
}

// Nothing: it need not be made anew.
std::optional<std::string> WhyNew(const std::optional<CaState>& stored, absl::Time now) {
  if (!stored.has_value()) return "there is none";
  const auto own = CheckAuthority(stored->signing, now);
  if (own.ok()) return std::nullopt;
  return fmt::format("what is there cannot be used: {}", Message(own.status()));
}

// What time does to a CA that is good. Empty: nothing.
absl::StatusOr<std::string> Rotate(CaState& state, bool bundle_in_force, absl::Duration lifetime,
                                   absl::Time now) {
  if (state.next.has_value()) {
    const auto next = CheckAuthority(*state.next, now);
    if (!next.ok()) {
      state.next.reset();
      return fmt::format("the next CA cannot be used: {}", Message(next.status()));
    }
    const absl::Time made = next->begins() + kClockSkew;
    const absl::Duration life = next->expires() - made;
    if (!bundle_in_force || now < made + life / kTrustedBefore) return std::string();
    state.signing = *std::exchange(state.next, std::nullopt);
    return std::string("the next CA signs now");
  }
  const auto own = Certificate::ReadAll(state.signing.certificate);
  if (!own.ok() || now < RenewalOf(own->front())) return std::string();
  auto next = MakeAuthority(lifetime, now);
  if (!next.ok()) return next.status();
  state.next = *std::move(next);
  return fmt::format("it expires at {}: the next one is made", Written(own->front().expires()));
}

}  // namespace

CaState CaState::FromData(const SecretData& data) {
  const auto at = [&](const char* key) {
    const auto found = data.find(key);
    return found == data.end() ? std::string() : found->second;
  };
  CaState state{{at("ca.crt"), at("ca.key")}, std::nullopt, at("bundle.crt")};
  if (KeyPair next{at("next.crt"), at("next.key")}; !next.certificate.empty()) {
    state.next = std::move(next);
  }
  return state;
}

SecretData CaState::ToData() const {
  SecretData data = {
      {"ca.crt", signing.certificate}, {"ca.key", signing.key}, {"bundle.crt", bundle}};
  if (next.has_value()) {
    data["next.crt"] = next->certificate;
    data["next.key"] = next->key;
  }
  return data;
}

absl::StatusOr<CaDecision> DecideCa(const std::optional<CaState>& stored,
                                    const std::string& trusted, bool bundle_in_force,
                                    absl::Duration lifetime, absl::Time now) {
  if (const auto why = WhyNew(stored, now)) {
    auto made = MakeAuthority(lifetime, now);
    if (!made.ok()) return made.status();
    CaState state{*std::move(made), std::nullopt, stored.has_value() ? stored->bundle : ""};
    state.bundle = BundleOf(state, trusted, now);
    return CaDecision{std::move(state), *why};
  }
  CaState state = *stored;
  auto why = Rotate(state, bundle_in_force, lifetime, now);
  if (!why.ok()) return why.status();
  state.bundle = BundleOf(state, "", now);
  if (why->empty() && state.bundle != stored->bundle) *why = "what is trusted changes";
  return CaDecision{std::move(state), *std::move(why)};
}

}  // namespace portolan::injector

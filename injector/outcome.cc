#include "injector/outcome.h"

namespace portolan::injector {
namespace {

constexpr std::array<std::string_view, kOutcomes.size()> kNames = {
    "injected",          "already-injected", "opted-out",   "host-network",
    "kube-namespace",    "own-namespace",    "windows",     "istio",
    "linkerd",           "ambient",          "mirror-pod",  "no-native-sidecars",
    "not-a-pod",         "denied-uid",       "denied-port", "denied-name",
    "denied-annotation", "denied-capture",   "bad-review",
};

}  // namespace

std::string_view Name(Outcome outcome) { return kNames[static_cast<size_t>(outcome)]; }

bool Denied(Outcome outcome) { return outcome >= Outcome::kDeniedUid; }

bool Skipped(Outcome outcome) {
  return outcome >= Outcome::kOptedOut && outcome <= Outcome::kNotAPod;
}

}  // namespace portolan::injector

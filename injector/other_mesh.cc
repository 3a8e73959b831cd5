#include "injector/other_mesh.h"

#include <fmt/format.h>

namespace portolan::injector {
namespace {

struct Sign {
  enum class Kind { kContainer, kAnnotation, kLabel };
  Outcome outcome;
  Kind kind;
  std::string_view name;
  std::string_view value = {};  // empty: any
};

using Kind = Sign::Kind;

constexpr Sign kSigns[] = {
    {Outcome::kIstio, Kind::kContainer, "istio-proxy"},
    {Outcome::kIstio, Kind::kContainer, "istio-init"},
    {Outcome::kIstio, Kind::kContainer, "istio-validation"},
    {Outcome::kIstio, Kind::kAnnotation, "sidecar.istio.io/status"},
    {Outcome::kIstio, Kind::kLabel, "sidecar.istio.io/inject", "true"},
    {Outcome::kIstio, Kind::kAnnotation, "sidecar.istio.io/inject", "true"},
    {Outcome::kLinkerd, Kind::kContainer, "linkerd-proxy"},
    {Outcome::kLinkerd, Kind::kContainer, "linkerd-init"},
    {Outcome::kLinkerd, Kind::kContainer, "linkerd-network-validator"},
    {Outcome::kLinkerd, Kind::kAnnotation, "linkerd.io/proxy-version"},
    {Outcome::kLinkerd, Kind::kAnnotation, "linkerd.io/inject", "enabled"},
    {Outcome::kLinkerd, Kind::kAnnotation, "linkerd.io/inject", "ingress"},
    {Outcome::kAmbient, Kind::kLabel, "istio.io/dataplane-mode", "ambient"},
    {Outcome::kAmbient, Kind::kAnnotation, "ambient.istio.io/redirection", "enabled"},
};

bool HasContainer(const Pod& pod, std::string_view name) {
  for (const Container& container : pod.containers()) {
    if (container.name == name) return true;
  }
  return false;
}

bool Matches(const std::string* found, std::string_view wanted) {
  return found != nullptr && (wanted.empty() || *found == wanted);
}

std::string Words(std::string_view kind, const Sign& sign) {
  return fmt::format("{} {}{}{}", kind, sign.name, sign.value.empty() ? "" : ": ", sign.value);
}

}  // namespace

std::optional<OtherMesh> FindOtherMesh(const Pod& pod) {
  for (const Sign& sign : kSigns) {
    if (sign.kind == Kind::kContainer && HasContainer(pod, sign.name)) {
      return OtherMesh{sign.outcome, Words("container", sign)};
    }
    if (sign.kind == Kind::kAnnotation && Matches(pod.Annotation(sign.name), sign.value)) {
      return OtherMesh{sign.outcome, Words("annotation", sign)};
    }
    if (sign.kind == Kind::kLabel && Matches(pod.Label(sign.name), sign.value)) {
      return OtherMesh{sign.outcome, Words("label", sign)};
    }
  }
  return std::nullopt;
}

}  // namespace portolan::injector

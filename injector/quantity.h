// Kubernetes quantities: "100m", "1.5Gi". Any thread.
// https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/
#pragma once

#include <optional>
#include <string_view>

namespace portolan::injector {

// Its value in whole units (cores, bytes). Nothing where it is not one, below zero, in exponent
// form, or finer than a thousandth.
std::optional<double> ParseQuantity(std::string_view text);

}  // namespace portolan::injector

// The shapes of names that the Kubernetes API accepts:
// https://kubernetes.io/docs/concepts/overview/working-with-objects/names/. Any thread.
#pragma once

#include <string_view>

namespace portolan::xds {

// RFC 1123 label: at most 63 lower-case letters, digits and '-', neither first nor last a '-'.
bool IsLabel(std::string_view name);
// RFC 1123 subdomain: labels joined by dots, at most 253 characters.
bool IsSubdomain(std::string_view name);

}  // namespace portolan::xds

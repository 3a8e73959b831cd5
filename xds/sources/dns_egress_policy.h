// A DNSEgressPolicy (portolan.dev/v1alpha1) as a value of the directory's model: what the resource
// definition in manifests/base/crds lets through, checked again, since manifests do not pass an API
// server. Any thread.
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>
#include <vector>

#include "common/document/value.h"
#include "directory/dns_egress_policy.h"

namespace portolan::xds {

inline constexpr size_t kMostDnsRules = 1000;
inline constexpr size_t kMostNamesPerRule = 100;

// Errors go to the Field's FieldErrors, and the value is then not to be used.
DnsEgressPolicy ReadDnsEgressPolicy(const Field& object, const Origin& origin);

// "example.com", "*.Example.com."; nothing for what is no such name: labels of letters, digits, '-'
// and '_', 63 bytes each and 253 in all, with '*' for the first one alone.
std::optional<NamePattern> ParseNamePattern(std::string_view text);

// 1 to `most` of them; else, and for what is no name, an error.
std::vector<NamePattern> ReadNamePatterns(const Field& list, size_t most);

}  // namespace portolan::xds

// The arguments of the directive `kubernetes`. Values; any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "dns/corefile/ast.h"
#include "dns/plugins/endpoint_records.h"
#include "dns/plugins/label_selector.h"
#include "dns/wire/name.h"

namespace portolan::dns {

class LoadContext;

struct KubernetesConfig {
  enum class Pods : uint8_t { kDisabled, kInsecure, kVerified };

  std::vector<wire::Zone> zones;  // most labels first
  // The first forward zone as written: PTR targets are in it.
  std::optional<wire::Zone> primary;
  uint32_t ttl = 5;  // seconds
  Pods pods = Pods::kDisabled;
  // Unknown names in these go on to the next link.
  std::vector<wire::Zone> fallthrough;

  std::vector<std::string> namespaces;  // empty: all
  std::optional<LabelSelector> labels;
  std::optional<LabelSelector> namespace_labels;
  bool ignore_empty_service = false;
  bool endpoints = true;  // false: `noendpoints`
  EndpointNaming naming = EndpointNaming::kAddress;
  bool zonal = false;
  std::vector<wire::Zone> multicluster;  // zones of ServiceImports

  // False: every Service there is has its name.
  bool hides_services() const {
    return !namespaces.empty() || labels.has_value() || namespace_labels.has_value() ||
           ignore_empty_service;
  }
};

// A zone of reverse lookups.
bool IsReverse(const wire::Zone& zone);

// `block_zones` are used when the directive names none. What is accepted but has no effect here is
// added to `notes`, one sentence each, with its place. Errors are Token::Error.
absl::StatusOr<KubernetesConfig> ParseKubernetes(const corefile::Directive& directive,
                                                 const std::vector<wire::Zone>& block_zones,
                                                 std::vector<std::string>* notes);

absl::Status LoadKubernetes(const corefile::Directive& directive, LoadContext& context);

}  // namespace portolan::dns

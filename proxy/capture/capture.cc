#include "proxy/capture/capture.h"

#include <fmt/format.h>

#include <array>

#include "common/log.h"
#include "common/status.h"
#include "proxy/capture/rules.h"
#include "proxy/capture/ruleset.h"

namespace portolan::proxy {
namespace {

constexpr std::array kFamilies = {IpFamily::kIpv4, IpFamily::kIpv6};
constexpr std::array kBackends = {Backend::kNft, Backend::kLegacy};

// What one back end holds in the families that can be used, or why it does not work.
struct Holding {
  absl::Status status;       // of IPv4
  absl::Status ipv6_status;  // ok also where the pod has no IPv6
  bool any_rules = false;
  std::vector<std::pair<IpFamily, std::vector<Table>>> own;

  bool holds_own() const {
    for (const auto& [family, tables] : own) {
      if (!tables.empty()) return true;
    }
    return false;
  }
};

struct Survey {
  Holding nft;
  Holding legacy;
  const Holding& of(Backend backend) const { return backend == Backend::kNft ? nft : legacy; }
};

Holding Look(Netfilter& netfilter, Backend backend, bool ipv6) {
  Holding holding;
  for (IpFamily family : kFamilies) {
    if (family == IpFamily::kIpv6 && !ipv6) continue;
    auto saved = netfilter.Save(backend, family);
    (family == IpFamily::kIpv4 ? holding.status : holding.ipv6_status) = saved.status();
    if (!saved.ok()) continue;
    holding.any_rules = holding.any_rules || HoldsRules(*saved);
    holding.own.emplace_back(family, OwnTables(*saved));
  }
  return holding;
}

Survey LookEverywhere(Netfilter& netfilter) {
  const bool ipv6 = netfilter.HasIpv6();
  if (!ipv6) log::info("the pod has no IPv6: IPv4 rules only");
  return {.nft = Look(netfilter, Backend::kNft, ipv6),
          .legacy = Look(netfilter, Backend::kLegacy, ipv6)};
}

Backend Choose(BackendChoice choice, const Survey& survey) {
  if (choice == BackendChoice::kNft) return Backend::kNft;
  if (choice == BackendChoice::kLegacy) return Backend::kLegacy;
  if (survey.nft.holds_own()) return Backend::kNft;
  if (survey.legacy.holds_own()) return Backend::kLegacy;
  if (absl::IsNotFound(survey.nft.status) && survey.legacy.status.ok()) return Backend::kLegacy;
  return survey.legacy.any_rules && !survey.nft.any_rules ? Backend::kLegacy : Backend::kNft;
}

Backend Other(Backend backend) {
  return backend == Backend::kNft ? Backend::kLegacy : Backend::kNft;
}

absl::Status RemoveOwn(Netfilter& netfilter, Backend backend, const Holding& holding) {
  for (const auto& [family, own] : holding.own) {
    const std::string input = RestoreInput({}, own);
    if (input.empty()) continue;
    if (auto status = netfilter.Restore(backend, family, input); !status.ok()) return status;
    log::info("{} rules removed from the {} back end", Name(family), Name(backend));
  }
  return absl::OkStatus();
}

// An IPv6 that the tools or the kernel cannot filter is left alone.
bool IsIpv6Unusable(IpFamily family, const absl::Status& status) {
  return family == IpFamily::kIpv6 && (absl::IsUnavailable(status) || absl::IsNotFound(status));
}

// A pod of which nothing may pass by the sidecar, either way, must not start with a family open.
bool MayBeWithoutIpv6(Netfilter& netfilter, const CaptureSettings& settings) {
  const bool is_wall =
      settings.forward == ForwardCapture::kAll || settings.inbound == InboundCapture::kTproxy;
  return !is_wall || !netfilter.HasGlobalIpv6();
}

// What could not be done for IPv6: a warning where the pod may be without, else an error.
absl::Status WarnOrFail(const absl::Status& status, bool may_be_without) {
  if (may_be_without) {
    log::warn("IPv6 is not captured: {}", Message(status));
    return absl::OkStatus();
  }
  return absl::Status(
      status.code(),
      fmt::format("IPv6, of which the pod has an address, would pass by the sidecar: {}",
                  Message(status)));
}

// That its rules can be read.
absl::Status CheckIpv6(Netfilter& netfilter, const Holding& holding,
                       const CaptureSettings& settings) {
  if (holding.ipv6_status.ok()) return absl::OkStatus();
  return WarnOrFail(holding.ipv6_status, MayBeWithoutIpv6(netfilter, settings));
}

// Where it cannot be read (no `ip`, no policy routing) nothing of ours was written, and whoever
// wants none needs none.
absl::StatusOr<PolicyRoute> Found(PolicyRouting& routing, IpFamily family,
                                  const PolicyRoute& wanted) {
  auto found = ReadPolicyRoute(routing, family);
  if (!found.ok() && wanted.rules.empty()) return PolicyRoute();
  return found;
}

absl::StatusOr<Applied> ApplyPolicyRoute(PolicyRouting& routing, IpFamily family,
                                         const PolicyRoute& wanted) {
  auto found = Found(routing, family, wanted);
  if (!found.ok()) return found.status();
  const std::vector<std::string> commands = Commands(wanted, *found);
  for (const std::string& command : commands) {
    if (auto status = routing.Change(family, command); !status.ok()) return status;
  }
  if (commands.empty()) return Applied::kAlreadyThere;
  log::info("{} policy route {}", Name(family), wanted.rules.empty() ? "removed" : "written");
  return Applied::kWritten;
}

}  // namespace

absl::StatusOr<Applied> Apply(Netfilter& netfilter, PolicyRouting& routing, BackendChoice choice,
                              const CaptureSettings& settings) {
  const Survey survey = LookEverywhere(netfilter);
  const Backend backend = Choose(choice, survey);
  const Holding& holding = survey.of(backend);
  if (!holding.status.ok()) return holding.status;
  if (auto status = CheckIpv6(netfilter, holding, settings); !status.ok()) return status;

  const bool may_be_without = MayBeWithoutIpv6(netfilter, settings);
  Applied applied = Applied::kAlreadyThere;
  for (const auto& [family, own] : holding.own) {
    // Before the rules, which mark for it.
    const auto routed = ApplyPolicyRoute(routing, family, WantedPolicyRoute(settings));
    if (may_be_without && IsIpv6Unusable(family, routed.status())) {
      log::warn("UDP over IPv6 is not captured: {}", Message(routed.status()));
    } else if (!routed.ok()) {
      return routed.status();
    }
    if (routed.ok() && *routed == Applied::kWritten) applied = Applied::kWritten;
    const std::string input = RestoreInput(WantedTables(settings, family), own);
    if (input.empty()) continue;
    absl::Status status = netfilter.Restore(backend, family, input);
    if (IsIpv6Unusable(family, status)) {
      if (status = WarnOrFail(status, may_be_without); !status.ok()) return status;
      continue;
    }
    if (!status.ok()) return status;
    applied = Applied::kWritten;
    log::info("{} rules written ({} back end)", Name(family), Name(backend));
  }
  if (applied == Applied::kAlreadyThere) {
    log::info("all rules are there already ({} back end)", Name(backend));
  }
  const Backend other = Other(backend);
  if (survey.of(other).holds_own()) applied = Applied::kWritten;
  if (auto status = RemoveOwn(netfilter, other, survey.of(other)); !status.ok()) return status;
  return applied;
}

absl::StatusOr<std::vector<std::string>> Verify(Netfilter& netfilter, PolicyRouting& routing,
                                                BackendChoice choice,
                                                const CaptureSettings& settings) {
  const Survey survey = LookEverywhere(netfilter);
  const Backend backend = Choose(choice, survey);
  const Holding& holding = survey.of(backend);
  if (!holding.status.ok()) return holding.status;
  if (auto status = CheckIpv6(netfilter, holding, settings); !status.ok()) return status;

  std::vector<std::string> differences;
  auto compare = [&](Backend in, IpFamily family, const std::vector<Table>& wanted,
                     const std::vector<Table>& own) {
    for (const std::string& difference : Differences(wanted, own)) {
      differences.push_back(fmt::format("{} {} {}", Name(in), Name(family), difference));
    }
  };
  for (const auto& [family, own] : holding.own) {
    compare(backend, family, WantedTables(settings, family), own);
    const PolicyRoute wanted = WantedPolicyRoute(settings);
    auto found = Found(routing, family, wanted);
    if (!found.ok()) return found.status();
    for (const std::string& difference : Differences(wanted, *found)) {
      differences.push_back(fmt::format("{} {}", Name(family), difference));
    }
  }
  for (const auto& [family, own] : survey.of(Other(backend)).own) {
    compare(Other(backend), family, {}, own);
  }
  return differences;
}

absl::Status Clean(Netfilter& netfilter, PolicyRouting& routing) {
  bool any_works = false;
  absl::Status problem;
  for (Backend backend : kBackends) {
    // IPv6 may have been switched off since the rules were written.
    const Holding holding = Look(netfilter, backend, true);
    if (absl::IsPermissionDenied(holding.status)) return holding.status;
    if (!holding.status.ok()) {
      // Where the tool or the kernel's part is missing, nothing of ours can be.
      problem = holding.status;
      continue;
    }
    any_works = true;
    if (auto status = RemoveOwn(netfilter, backend, holding); !status.ok()) return status;
  }
  if (!any_works) return problem;
  for (IpFamily family : kFamilies) {
    absl::Status status = ApplyPolicyRoute(routing, family, {}).status();
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

std::string Print(const CaptureSettings& settings, Printed what) {
  std::string text;
  for (IpFamily family : kFamilies) {
    const std::vector<Table> tables = WantedTables(settings, family);
    text += fmt::format("# {}: {}-restore --noflush\n", Name(family),
                        family == IpFamily::kIpv4 ? "iptables" : "ip6tables");
    text += what == Printed::kApply ? RestoreInput(tables, {}) : RestoreInput({}, tables);
    const PolicyRoute route = WantedPolicyRoute(settings);
    const auto commands = what == Printed::kApply ? Commands(route, {}) : Commands({}, route);
    for (const std::string& command : commands) {
      text += fmt::format("# ip {} {}\n", family == IpFamily::kIpv4 ? "-4" : "-6", command);
    }
  }
  return text;
}

}  // namespace portolan::proxy

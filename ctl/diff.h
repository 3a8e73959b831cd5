// portolanctl diff POD: what a sidecar holds against what the control plane serves it, resource by
// resource.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "ctl/command.h"
#include "ctl/terminal.h"

namespace portolan::ctl {

Run AddDiff(CLI::App& command);

using Versions = std::map<std::string, std::string>;  // of resources, by name

struct TypeDiff {
  std::string type;  // "Service"
  size_t served = 0;
  size_t held = 0;
  std::vector<std::string> missing;  // in the sidecar
  std::vector<std::string> extra;
  std::vector<std::string> stale;  // held in another version

  bool empty() const { return missing.empty() && extra.empty() && stale.empty(); }
};
TypeDiff Compare(std::string_view type, const Versions& served, const Versions& held);

// Of `served` Endpoints those of the Services that are in `held`: a sidecar that takes endpoints on
// demand has no others.
Versions OfHeldServices(const Versions& served, const Versions& held);

// What is in both, so that a change which was on its way at one look is no difference. The counts
// are `now`'s.
TypeDiff InBoth(const TypeDiff& before, TypeDiff now);

// {"pod", "feed", "types": [{"type", "served", "held", "missing": [...], "extra", "stale"}]}; a
// list has at most kMostNames names, and "more" says of how many more.
inline constexpr size_t kMostNames = 100;
nlohmann::json DiffJson(const std::string& pod, const nlohmann::json& feed,
                        const std::vector<TypeDiff>& types);

// The same as a table, with a line for each name below it.
std::string DiffText(const nlohmann::json& diff, const Look& look);

}  // namespace portolan::ctl

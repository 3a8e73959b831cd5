#include "policy/name_patterns.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

namespace portolan {
namespace {

// A name in lower case, and where its labels begin.
struct Folded {
  std::array<uint8_t, dns::wire::kMaxNameBytes> bytes;
  std::array<uint8_t, dns::wire::kMaxLabels + 1> label_at;  // the last is the root's
  size_t size = 0;
  size_t labels = 0;

  // False where it is no name.
  bool Fold(std::span<const uint8_t> name) {
    if (name.size() > bytes.size()) return false;
    size_t at = 0;
    for (; at < name.size() && name[at] != 0; at += 1u + name[at]) {
      if (name[at] > dns::wire::kMaxLabelBytes) return false;
      label_at[labels++] = static_cast<uint8_t>(at);
    }
    if (at + 1 != name.size()) return false;
    label_at[labels] = static_cast<uint8_t>(at);
    size = name.size();
    std::copy(name.begin(), name.end(), bytes.begin());
    dns::wire::LowerName(std::span(bytes).first(size));
    return true;
  }

  // Without its first `labels_off` labels.
  std::string_view End(size_t labels_off) const {
    const size_t at = label_at[labels_off];
    return {reinterpret_cast<const char*>(bytes.data()) + at, size - at};
  }
};

size_t LabelsOf(std::string_view wire) {
  size_t labels = 0;
  for (size_t at = 0; wire[at] != 0; at += 1u + static_cast<uint8_t>(wire[at])) ++labels;
  return labels;
}

}  // namespace

NamePatterns::NamePatterns(std::span<const NumberedRule> rules, SharedAllowedPorts& ports) {
  StringMap<std::vector<RuleAt>> exact, below;
  for (uint32_t rule = 0; rule < rules.size(); ++rule) {
    for (const NamePattern& pattern : rules[rule].input->names) {
      auto wire = dns::wire::NameToWire(pattern.name);
      if (!wire.ok()) continue;
      dns::wire::LowerName(*wire);
      if (pattern.below) below_labels_.set(LabelsOf(*wire));
      std::vector<RuleAt>& list = (pattern.below ? below : exact)[*wire];
      if (list.empty() || list.back().rule != rule) list.push_back({rule});
    }
  }
  const auto compile = [&](const StringMap<std::vector<RuleAt>>& lists, Entries& entries) {
    for (const auto& [name, list] : lists) {
      Entry& entry = entries[name];
      entry.ports = ports.Of(list);
      for (const RuleAt& at : list) {
        uint32_t& first = entry.first[static_cast<size_t>(rules[at.rule].side())];
        first = std::min(first, at.rule);
      }
    }
  };
  compile(exact, exact_);
  compile(below, below_);
}

template <typename F>
void NamePatterns::ForEach(std::span<const uint8_t> wire_name, F&& visit) const {
  Folded name;
  if (!name.Fold(wire_name)) return;
  if (const auto found = exact_.find(name.End(0)); found != exact_.end()) visit(found->second);
  for (size_t off = 1; off <= name.labels; ++off) {
    if (!below_labels_[name.labels - off]) continue;
    if (const auto found = below_.find(name.End(off)); found != below_.end()) visit(found->second);
  }
}

NamePatterns::Rules NamePatterns::Find(std::span<const uint8_t> wire_name) const {
  Rules rules = {kNoRule, kNoRule};
  ForEach(wire_name, [&](const Entry& entry) {
    for (size_t side = 0; side < rules.size(); ++side) {
      rules[side] = std::min(rules[side], entry.first[side]);
    }
  });
  return rules;
}

uint32_t NamePatterns::Find(std::span<const uint8_t> wire_name, Side side, Protocol protocol,
                            uint16_t port) const {
  uint32_t rule = kNoRule;
  ForEach(wire_name, [&](const Entry& entry) {
    rule = std::min(rule, entry.ports->Find(side, protocol, port));
  });
  return rule;
}

}  // namespace portolan

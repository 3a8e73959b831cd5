#include "policy/name_patterns.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

namespace portolan {
namespace {

// Where the labels of a name begin.
struct Labels {
  std::array<uint8_t, dns::wire::kMaxLabels + 1> at;  // the last is the root's
  size_t count = 0;

  // False where it is no name.
  bool Read(std::span<const uint8_t> name) {
    if (name.size() > dns::wire::kMaxNameBytes) return false;
    size_t next = 0;
    for (; next < name.size() && name[next] != 0; next += 1u + name[next]) {
      if (name[next] > dns::wire::kMaxLabelBytes) return false;
      at[count++] = static_cast<uint8_t>(next);
    }
    if (next + 1 != name.size()) return false;
    at[count] = static_cast<uint8_t>(next);
    return true;
  }
};

// What is too long for a name is none.
class LowerCase {
 public:
  explicit LowerCase(std::span<const uint8_t> name)
      : size_(name.size() <= bytes_.size() ? name.size() : 0) {
    std::copy_n(name.begin(), size_, bytes_.begin());
    dns::wire::LowerName(std::span(bytes_).first(size_));
  }
  std::span<const uint8_t> view() const { return std::span(bytes_).first(size_); }

 private:
  std::array<uint8_t, dns::wire::kMaxNameBytes> bytes_;
  size_t size_;
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
void NamePatterns::ForEach(std::span<const uint8_t> lower_name, F&& visit) const {
  Labels labels;
  if (!labels.Read(lower_name)) return;
  const std::string_view name(reinterpret_cast<const char*>(lower_name.data()), lower_name.size());
  if (const auto found = exact_.find(name); found != exact_.end()) visit(found->second);
  for (size_t off = 1; off <= labels.count; ++off) {
    if (!below_labels_[labels.count - off]) continue;
    const auto found = below_.find(name.substr(labels.at[off]));
    if (found != below_.end()) visit(found->second);
  }
}

NamePatterns::Rules NamePatterns::Find(std::span<const uint8_t> wire_name) const {
  return FindLower(LowerCase(wire_name).view());
}

NamePatterns::Rules NamePatterns::FindLower(std::span<const uint8_t> lower_name) const {
  Rules rules = {kNoRule, kNoRule};
  ForEach(lower_name, [&](const Entry& entry) {
    for (size_t side = 0; side < rules.size(); ++side) {
      rules[side] = std::min(rules[side], entry.first[side]);
    }
  });
  return rules;
}

uint32_t NamePatterns::Find(std::span<const uint8_t> wire_name, Side side, Protocol protocol,
                            uint16_t port) const {
  uint32_t rule = kNoRule;
  ForEach(LowerCase(wire_name).view(), [&](const Entry& entry) {
    rule = std::min(rule, entry.ports->Find(side, protocol, port));
  });
  return rule;
}

}  // namespace portolan

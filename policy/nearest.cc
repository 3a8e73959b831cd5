#include "policy/nearest.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstdlib>
#include <string_view>
#include <vector>

#include "common/nearest.h"
#include "directory/listing.h"
#include "dns/wire/name.h"

namespace portolan {
namespace {

// Those in audit count only where no other isolates.
bool Counts(const PolicyTable& policies, Side side) {
  return side == Side::kEnforced || policies.isolating(Side::kEnforced).policies.empty();
}

std::string Text(const PolicyTable& policies, uint32_t rule) {
  const NumberedRule& numbered = policies.rules()[rule];
  return fmt::format("rule {} of {}", numbered.input->index, numbered.policy->name);
}

std::string Text(Protocol protocol, const PortTable::Range& range) {
  if (range.first == 0) return fmt::format("every {} port", ProtocolWord(protocol));
  if (range.first == range.last) return fmt::format("{} {}", ProtocolWord(protocol), range.first);
  return fmt::format("{} {}-{}", ProtocolWord(protocol), range.first, range.last);
}

// The nearest of the ports that rules have at an address; of another protocol only if there is
// none.
class NearestPort {
 public:
  NearestPort(const PolicyTable& policies, Protocol protocol, uint16_t port)
      : policies_(policies), protocol_(protocol), port_(port) {}

  void Look(const AllowedPorts& ports) {
    ports.ForEachTable([&](const PortTable& table) {
      for (const Side side : {Side::kEnforced, Side::kAudit}) {
        if (!Counts(policies_, side)) continue;
        for (const Protocol protocol : {Protocol::kTcp, Protocol::kUdp}) {
          for (const PortTable::Range& range : table.ranges(side, protocol)) {
            Look(protocol, range);
          }
        }
      }
    });
  }

  std::string Text(const IpAddress& ip) const {
    if (away_ == kNowhere) return {};
    return fmt::format("{} allows {} at {}, not {} {}", portolan::Text(policies_, range_.rule),
                       ip.ToString(), portolan::Text(range_protocol_, range_),
                       ProtocolWord(protocol_), port_);
  }

 private:
  static constexpr int kNowhere = 1 << 20;
  static constexpr int kOtherProtocol = 1 << 17;  // further than any port

  void Look(Protocol protocol, const PortTable::Range& range) {
    const int away = std::max({0, range.first - port_, port_ - range.last}) +
                     (protocol == protocol_ ? 0 : kOtherProtocol);
    if (away >= away_) return;
    away_ = away;
    range_ = range;
    range_protocol_ = protocol;
  }

  const PolicyTable& policies_;
  const Protocol protocol_;
  const uint16_t port_;
  int away_ = kNowhere;
  PortTable::Range range_{};
  Protocol range_protocol_ = Protocol::kTcp;
};

int CommonBits(const IpAddress& a, const IpAddress& b) {
  if (a.family() != b.family()) return 0;
  for (size_t i = 0; i < a.bytes().size(); ++i) {
    const auto differ = static_cast<uint8_t>(a.bytes()[i] ^ b.bytes()[i]);
    if (differ != 0) return static_cast<int>(8 * i) + std::countl_zero(differ);
  }
  return static_cast<int>(8 * a.bytes().size());
}

enum class PortFit : uint8_t { kNone, kAny, kNamed };  // kNamed: the rule has the port by number

PortFit FitOf(const RuleInput& rule, Protocol protocol, uint16_t port) {
  if (rule.ports.empty()) return PortFit::kAny;
  PortFit fit = PortFit::kNone;
  for (const PortInput& ports : rule.ports) {
    if (ports.protocol != protocol) continue;
    if (ports.port == 0) fit = std::max(fit, PortFit::kAny);
    if (ports.port != 0 && port >= ports.port && port <= std::max(ports.port, ports.end_port)) {
      return PortFit::kNamed;
    }
  }
  return fit;
}

std::string ExceptionText(const IpBlock& block, const IpAddress& ip) {
  for (const Cidr& except : block.except) {
    if (!except.Contains(ip)) continue;
    return fmt::format("allows {} except {}, which has {}", block.cidr.ToString(),
                       except.ToString(), ip.ToString());
  }
  return {};
}

// Rules that have the port, but not the address.
std::string NearestAddress(const PolicyTable& policies, const SocketAddress& to,
                           Protocol protocol) {
  int common = to.ip.is_v4() ? 7 : 15;  // fewer bits are chance
  std::string at_block, for_pods;
  const std::string port = fmt::format("{} {}", ProtocolWord(protocol), to.port);
  for (uint32_t number = 0; number < policies.rules().size(); ++number) {
    const NumberedRule& rule = policies.rules()[number];
    if (!Counts(policies, rule.side())) continue;
    const PortFit fit = FitOf(*rule.input, protocol, to.port);
    if (fit == PortFit::kNone) continue;
    for (const IpBlock& block : rule.input->blocks) {
      if (block.cidr.Contains(to.ip)) {
        return fmt::format("{} {}", Text(policies, number), ExceptionText(block, to.ip));
      }
      const int bits = std::min<int>(CommonBits(block.cidr.base, to.ip), block.cidr.prefix_bits);
      if (bits <= common) continue;
      common = bits;
      at_block = fmt::format("{} allows {} at {}, not {}", Text(policies, number), port,
                             block.cidr.ToString(), to.ip.ToString());
    }
    if (fit == PortFit::kNamed && for_pods.empty() && !rule.input->peer_sets.empty()) {
      for_pods = fmt::format("{} allows {} at pods, of which {} is none", Text(policies, number),
                             port, to.ip.ToString());
    }
  }
  return at_block.empty() ? for_pods : at_block;
}

// How many labels two names have in common at their ends: "a.example.com", "b.example.com": 2.
size_t CommonLabels(std::string_view a, std::string_view b) {
  size_t labels = 0;
  while (!a.empty() && !b.empty()) {
    const size_t dot_a = a.rfind('.'), dot_b = b.rfind('.');
    if (a.substr(dot_a + 1) != b.substr(dot_b + 1)) break;
    ++labels;
    a = dot_a == std::string_view::npos ? std::string_view() : a.substr(0, dot_a);
    b = dot_b == std::string_view::npos ? std::string_view() : b.substr(0, dot_b);
  }
  return labels;
}

struct NamedRule {
  uint32_t rule = kNoRule;
  const NamePattern* pattern = nullptr;

  std::string Text(const PolicyTable& policies, std::string_view name) const {
    return fmt::format("{} has {}, which {} is not", portolan::Text(policies, rule),
                       pattern->ToString(), name);
  }
};

}  // namespace

std::string NearestRule(const PolicyTable& policies, const AllowedPorts* as_peer,
                        const SocketAddress& to, Protocol protocol) {
  NearestPort nearest(policies, protocol, to.port);
  if (as_peer != nullptr) nearest.Look(*as_peer);
  policies.blocks().ForEachAround(to.ip, [&](const AllowedPorts& ports) { nearest.Look(ports); });
  std::string text = nearest.Text(to.ip);
  return text.empty() ? NearestAddress(policies, to, protocol) : text;
}

std::string NearestNamedRule(const PolicyTable& policies, std::span<const uint8_t> wire_name) {
  // Typing errors are looked for in so many names: some milliseconds.
  constexpr size_t kMostCompared = 200;
  std::string name = dns::wire::NameToText(wire_name);
  std::transform(name.begin(), name.end(), name.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  if (name.size() > 1 && name.back() == '.') name.pop_back();
  size_t common = 1;  // a top-level domain is nothing in common
  NamedRule nearest;
  std::vector<NamedRule> compared;
  std::vector<std::string_view> words;
  for (uint32_t number = 0; number < policies.rules().size(); ++number) {
    const NumberedRule& rule = policies.rules()[number];
    if (rule.side() == Side::kAudit &&
        !policies.isolating_names(Side::kEnforced).policies.empty()) {
      continue;
    }
    for (const NamePattern& pattern : rule.input->names) {
      const NamedRule named{number, &pattern};
      if (pattern.below && pattern.name == name) return named.Text(policies, name);
      const size_t labels = CommonLabels(pattern.name, name);
      if (labels > common) {
        common = labels;
        nearest = named;
      }
      if (words.size() < kMostCompared) {
        words.push_back(pattern.name);
        compared.push_back(named);
      }
    }
  }
  if (nearest.pattern != nullptr) return nearest.Text(policies, name);
  const std::string_view word = NearestWord(name, words);
  const auto found = std::find(words.begin(), words.end(), word);
  if (found == words.end()) return {};
  return compared[static_cast<size_t>(found - words.begin())].Text(policies, name);
}

}  // namespace portolan

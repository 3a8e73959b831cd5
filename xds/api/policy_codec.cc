#include "xds/api/policy_codec.h"

#include <algorithm>
#include <utility>

#include "common/status.h"
#include "xds/api/checked_fields.h"
#include "xds/api/codec.h"

namespace portolan::api {
namespace {

using envoy::service::discovery::v3::Resource;

constexpr size_t kPeerSetDigits = 16;
constexpr size_t kMaxVersionBytes = 256;
constexpr size_t kV4Bytes = 4;
constexpr size_t kV6Bytes = 16;
constexpr std::string_view kIngress = "ingress";

bool IsText(std::string_view text, size_t max) {
  return CheckText("", text, max, Presence::kRequired).ok();
}

// The error with "FIELD[INDEX]: " in front.
absl::Status At(std::string_view field, int index, const absl::Status& error) {
  return InvalidArgument("{}[{}]: {}", field, index, Message(error));
}

bool IsEgressRulesName(std::string_view name) {
  return IsPolicyRulesName(name) && !IsIngressRulesName(name);
}

absl::Status CheckNames(std::string_view field,
                        const google::protobuf::RepeatedPtrField<std::string>& names,
                        bool (*is_name)(std::string_view), std::string_view shape) {
  if (names.size() > kMaxPoliciesOfPod) {
    return InvalidArgument("{}: more than {}", field, kMaxPoliciesOfPod);
  }
  for (int i = 0; i < names.size(); ++i) {
    if (!is_name(names[i])) return InvalidArgument("{}[{}]: not {}", field, i, shape);
    if (i > 0 && names[i - 1] >= names[i]) {
      return InvalidArgument("{}[{}]: not in order", field, i);
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<ContainerPort> Convert(const v1::NamedPort& proto) {
  const auto protocol = ParseProtocol(proto.protocol());
  if (!protocol.ok()) return protocol.status();
  absl::Status status = CheckText("name", proto.name(), kMaxLabel, Presence::kRequired);
  if (!status.ok()) return status;
  if (proto.port() == 0 || proto.port() > kMaxPort) {
    return InvalidArgument("port: {} is no port", proto.port());
  }
  return ContainerPort{proto.name(), *protocol, static_cast<uint16_t>(proto.port())};
}

absl::StatusOr<Cidr> ParseBlock(std::string_view address, uint32_t prefix) {
  const auto base = ParseAddress(address);
  if (!base.ok()) return InvalidArgument("address: {}", Message(base.status()));
  if (prefix > 8 * base->bytes().size()) return InvalidArgument("prefix: {} bits", prefix);
  const Cidr block = Cidr::Around(*base, static_cast<int>(prefix));
  if (block.base != *base) return InvalidArgument("address: has bits beyond the prefix");
  return block;
}

absl::StatusOr<IpBlock> Convert(const v1::PolicyBlock& proto) {
  const auto cidr = ParseBlock(proto.address(), proto.prefix());
  if (!cidr.ok()) return cidr.status();
  IpBlock block{*cidr, {}};
  block.except.reserve(static_cast<size_t>(proto.except_size()));
  for (int i = 0; i < proto.except_size(); ++i) {
    auto hole = ParseBlock(proto.except(i).address(), proto.except(i).prefix());
    if (hole.ok() && (hole->prefix_bits < cidr->prefix_bits || !cidr->Contains(hole->base))) {
      hole = InvalidArgument("no part of the block");
    }
    if (!hole.ok()) return At("except", i, hole.status());
    block.except.push_back(*hole);
  }
  return block;
}

// https://datatracker.ietf.org/doc/html/rfc1035#section-2.3.4, as text.
absl::StatusOr<NamePattern> ParsePattern(std::string_view text) {
  NamePattern pattern;
  pattern.below = text.starts_with("*.");
  const std::string_view name = pattern.below ? text.substr(2) : text;
  if (name.empty() || text.size() > kMaxName) return InvalidArgument("no DNS name");
  size_t label = 0;
  for (const char c : name) {
    if (c <= ' ' || c >= 0x7f || c == '*' || c == '\\' || (c >= 'A' && c <= 'Z')) {
      return InvalidArgument("a character that no name in lower case has");
    }
    if (c == '.' && label == 0) return InvalidArgument("an empty label");
    label = c == '.' ? 0 : label + 1;
    if (label > kMaxLabel) return InvalidArgument("a label longer than {} bytes", kMaxLabel);
  }
  if (label == 0) return InvalidArgument("a dot at the end");
  pattern.name = name;
  return pattern;
}

absl::StatusOr<PortInput> Convert(const v1::PolicyPort& proto) {
  const auto protocol = ParseProtocol(proto.protocol());
  if (!protocol.ok()) return protocol.status();
  if (proto.port() > kMaxPort) return InvalidArgument("port: {} is no port", proto.port());
  if (proto.end_port() > kMaxPort) {
    return InvalidArgument("end_port: {} is no port", proto.end_port());
  }
  if (proto.end_port() != 0 && (proto.port() == 0 || proto.end_port() < proto.port())) {
    return InvalidArgument("end_port: {} ends no range from {}", proto.end_port(), proto.port());
  }
  if (proto.name().empty()) {
    return PortInput{*protocol, static_cast<uint16_t>(proto.port()),
                     static_cast<uint16_t>(proto.end_port())};
  }
  absl::Status status = CheckText("name", proto.name(), kMaxLabel, Presence::kRequired);
  if (!status.ok()) return status;
  if (proto.port() != 0) return InvalidArgument("port: {} beside a name", proto.port());
  return PortInput{*protocol, 0, 0, proto.name()};
}

// How many of each there are in the rules of a policy up to now.
struct PartsCount {
  size_t peer_sets = 0;
  size_t blocks = 0;
  size_t holes = 0;
  size_t names = 0;
  size_t ports = 0;
};

absl::Status Count(std::string_view field, int more, size_t& count) {
  count += static_cast<size_t>(more);
  if (count <= kMaxPartsOfPolicy) return absl::OkStatus();
  return InvalidArgument("{}: more than {} in all rules", field, kMaxPartsOfPolicy);
}

absl::Status CountParts(const v1::PolicyRule& rule, PartsCount& count) {
  absl::Status status = Count("peer_sets", rule.peer_sets_size(), count.peer_sets);
  status.Update(Count("blocks", rule.blocks_size(), count.blocks));
  for (const v1::PolicyBlock& block : rule.blocks()) {
    status.Update(Count("blocks.except", block.except_size(), count.holes));
  }
  status.Update(Count("names", rule.names_size(), count.names));
  status.Update(Count("ports", rule.ports_size(), count.ports));
  return status;
}

// Converts each of `from` with `convert`, which returns a StatusOr<T>.
template <typename T, typename Repeated, typename F>
absl::Status ConvertEach(std::string_view field, const Repeated& from, F&& convert,
                         std::vector<T>& to) {
  to.reserve(static_cast<size_t>(from.size()));
  for (const auto& one : from) {
    auto converted = convert(one);
    if (!converted.ok()) return At(field, static_cast<int>(to.size()), converted.status());
    to.push_back(*std::move(converted));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> CheckedPeerSetName(const std::string& name) {
  if (!IsPeerSetName(name)) return InvalidArgument("not 16 hexadecimal digits");
  return name;
}

absl::StatusOr<RuleInput> Convert(const v1::PolicyRule& proto) {
  RuleInput rule;
  rule.index = proto.index();
  rule.any_peer = proto.any_peer();
  if (rule.any_peer && proto.peer_sets_size() + proto.blocks_size() + proto.names_size() > 0) {
    return InvalidArgument("any_peer: there are other peers");
  }
  absl::Status status =
      ConvertEach("peer_sets", proto.peer_sets(), CheckedPeerSetName, rule.peer_sets);
  const auto convert = [](const auto& one) { return Convert(one); };
  status.Update(ConvertEach("blocks", proto.blocks(), convert, rule.blocks));
  status.Update(ConvertEach("names", proto.names(), ParsePattern, rule.names));
  status.Update(ConvertEach("ports", proto.ports(), convert, rule.ports));
  if (!status.ok()) return status;
  return rule;
}

absl::StatusOr<EgressPolicy> Convert(const std::string&, const v1::EgressPolicy& proto) {
  absl::Status status = CheckNames("policies", proto.policies(), IsEgressRulesName,
                                   "KIND/NAMESPACE/NAME or KIND/NAME");
  status.Update(
      CheckNames("ingress", proto.ingress(), IsIngressRulesName, "KIND/NAMESPACE/NAME/ingress"));
  if (proto.node_addresses_size() > kMaxNodeAddresses) {
    status.Update(InvalidArgument("node_addresses: more than {}", kMaxNodeAddresses));
  }
  if (proto.ports_size() > kMaxPortsOfPod) {
    status.Update(InvalidArgument("ports: more than {}", kMaxPortsOfPod));
  }
  if (proto.ports_size() > 0 && proto.ingress().empty()) {
    status.Update(InvalidArgument("ports: no rules of ingress name any"));
  }
  if (!status.ok()) return status;
  EgressPolicy policy;
  auto addresses = ParseAddresses("node_addresses", proto.node_addresses());
  if (!addresses.ok()) return addresses.status();
  policy.node_addresses = *std::move(addresses);
  const auto convert = [](const v1::NamedPort& one) { return Convert(one); };
  status = ConvertEach("ports", proto.ports(), convert, policy.ports);
  if (!status.ok()) return status;
  policy.policies = {proto.policies().begin(), proto.policies().end()};
  policy.ingress = {proto.ingress().begin(), proto.ingress().end()};
  return policy;
}

// Ports by name are the workload's own, so of ingress alone: at peers they are sets.
absl::Status CheckNoNames(const std::vector<RuleInput>& rules) {
  for (size_t i = 0; i < rules.size(); ++i) {
    for (size_t j = 0; j < rules[i].ports.size(); ++j) {
      if (rules[i].ports[j].name.empty()) continue;
      return InvalidArgument("rules[{}]: ports[{}]: name: not of ingress", i, j);
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<PolicyInput> Convert(const std::string& name, const v1::PolicyRules& proto) {
  PolicyInput policy{name, proto.isolates(), proto.isolates_names(), proto.audit(), {}};
  if (proto.rules_size() > kMaxRulesOfPolicy) {
    return InvalidArgument("rules: more than {}", kMaxRulesOfPolicy);
  }
  PartsCount count;
  for (int i = 0; i < proto.rules_size(); ++i) {
    if (absl::Status status = CountParts(proto.rules(i), count); !status.ok()) {
      return At("rules", i, status);
    }
  }
  const auto convert = [](const v1::PolicyRule& one) { return Convert(one); };
  absl::Status status = ConvertEach("rules", proto.rules(), convert, policy.rules);
  if (status.ok() && !IsIngressRulesName(name)) status = CheckNoNames(policy.rules);
  if (!status.ok()) return status;
  return policy;
}

// Appends the addresses of a group's one family, which have to ascend.
absl::Status AddAddresses(std::string_view bytes, size_t each, uint16_t port, Peers& peers) {
  if (bytes.size() % each != 0) {
    return InvalidArgument("{} bytes are no addresses of {}", bytes.size(), each);
  }
  for (size_t at = 0; at < bytes.size(); at += each) {
    const std::string_view member = bytes.substr(at, each);
    if (at > 0 && bytes.substr(at - each, each) >= member) {
      return InvalidArgument("not in order at byte {}", at);
    }
    const auto address = ParseAddress(member);
    if (!address.ok()) return address.status();
    // One address has one form.
    if (address->bytes().size() != each) {
      return InvalidArgument("{} is not of IPv6", address->ToString());
    }
    peers.push_back({*address, port});
  }
  return absl::OkStatus();
}

absl::Status AddGroup(const v1::PeerGroup& group, Peers& peers) {
  if (group.port() > kMaxPort) return InvalidArgument("port: {} is no port", group.port());
  if (peers.size() + group.v4().size() / kV4Bytes + group.v6().size() / kV6Bytes > kMaxPeersOfSet) {
    return InvalidArgument("more than {} peers", kMaxPeersOfSet);
  }
  const auto port = static_cast<uint16_t>(group.port());
  if (absl::Status status = AddAddresses(group.v4(), kV4Bytes, port, peers); !status.ok()) {
    return InvalidArgument("v4: {}", Message(status));
  }
  if (absl::Status status = AddAddresses(group.v6(), kV6Bytes, port, peers); !status.ok()) {
    return InvalidArgument("v6: {}", Message(status));
  }
  return absl::OkStatus();
}

absl::StatusOr<Peers> ConvertGroups(
    std::string_view field, const google::protobuf::RepeatedPtrField<v1::PeerGroup>& groups) {
  Peers peers;
  for (int i = 0; i < groups.size(); ++i) {
    if (i > 0 && groups[i - 1].port() >= groups[i].port()) {
      return InvalidArgument("{}[{}].port: not in order", field, i);
    }
    if (absl::Status status = AddGroup(groups[i], peers); !status.ok()) {
      return At(field, i, status);
    }
  }
  if (groups.size() > 1) std::sort(peers.begin(), peers.end());
  return peers;
}

absl::StatusOr<PeerSet> Convert(const std::string&, const v1::PeerSet& proto) {
  if (proto.describes().size() > kMaxDescribesBytes) {
    return InvalidArgument("describes: longer than {} bytes", kMaxDescribesBytes);
  }
  absl::Status status = CheckText("base", proto.base(), kMaxVersionBytes, Presence::kOptional);
  if (proto.base().empty() && proto.removed_size() > 0) {
    status.Update(InvalidArgument("removed: of a whole set"));
  }
  auto added = ConvertGroups("added", proto.added());
  auto removed = ConvertGroups("removed", proto.removed());
  status.Update(added.status());
  status.Update(removed.status());
  if (!status.ok()) return status;
  return PeerSet{proto.describes(), proto.base(), *std::move(added), *std::move(removed)};
}

std::vector<std::string_view> SplitName(std::string_view name) {
  std::vector<std::string_view> parts;
  for (size_t slash; (slash = name.find('/')) != std::string_view::npos && parts.size() < 3;) {
    parts.push_back(name.substr(0, slash));
    name.remove_prefix(slash + 1);
  }
  parts.push_back(name);
  return parts;
}

// The value in a resource of `Proto`, whose name is `shape`.
template <typename Value, typename Proto>
absl::StatusOr<Value> ParseResource(std::string_view type_url, const Resource& resource,
                                    bool is_name, std::string_view shape) {
  absl::Status status;
  if (!is_name) status = InvalidArgument("name: not {}", shape);
  const auto proto = Unpack<Proto>(resource);
  status.Update(proto.status());
  if (!status.ok()) return Named(type_url, resource.name(), status);
  auto value = Convert(resource.name(), *proto);
  if (!value.ok()) return Named(type_url, resource.name(), value.status());
  return value;
}

}  // namespace

bool IsEgressPolicyName(std::string_view name) {
  const auto parts = SplitName(name);
  return parts.size() == 2 && IsText(parts[0], kMaxLabel) && IsText(parts[1], kMaxName);
}

bool IsPolicyRulesName(std::string_view name) {
  const auto parts = SplitName(name);
  if (parts.size() < 2 || !IsText(parts[0], kMaxLabel)) return false;
  if (parts.size() == 2) return IsText(parts[1], kMaxName);
  if (parts.size() == 4 && parts[3] != kIngress) return false;
  return IsText(parts[1], kMaxLabel) && IsText(parts[2], kMaxName);
}

bool IsIngressRulesName(std::string_view name) {
  return std::count(name.begin(), name.end(), '/') == 3 && IsPolicyRulesName(name);
}

bool IsPeerSetName(std::string_view name) {
  return name.size() == kPeerSetDigits && std::all_of(name.begin(), name.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

absl::StatusOr<EgressPolicy> ParseEgressPolicy(const Resource& resource) {
  return ParseResource<EgressPolicy, v1::EgressPolicy>(
      kEgressPolicyType, resource, IsEgressPolicyName(resource.name()), "NAMESPACE/POD");
}

absl::StatusOr<PolicyInput> ParsePolicyRules(const Resource& resource) {
  return ParseResource<PolicyInput, v1::PolicyRules>(kPolicyRulesType, resource,
                                                     IsPolicyRulesName(resource.name()),
                                                     "KIND/NAMESPACE/NAME or KIND/NAME");
}

absl::StatusOr<PeerSet> ParsePeerSet(const Resource& resource) {
  return ParseResource<PeerSet, v1::PeerSet>(kPeerSetType, resource, IsPeerSetName(resource.name()),
                                             "16 hexadecimal digits");
}

}  // namespace portolan::api

#include "xds/sources/network_policy.h"

#include <algorithm>
#include <string>

#include "absl/strings/ascii.h"
#include "common/log.h"
#include "xds/sources/objects.h"
#include "xds/sources/read_fields.h"

namespace portolan::xds {
namespace {

using Operator = LabelRequirement::Operator;

LabelRequirement ReadRequirement(const Field& item) {
  const Field key = item["key"];
  const Field op = item["operator"];
  const Field values = item["values"];
  LabelRequirement requirement;
  requirement.key = key.String();
  if (requirement.key.empty()) key.Fail("is missing");
  if (!op.present()) op.Fail("is missing");
  requirement.op = ReadWord<Operator>(op, {{"In", Operator::kIn},
                                           {"NotIn", Operator::kNotIn},
                                           {"Exists", Operator::kExists},
                                           {"DoesNotExist", Operator::kDoesNotExist}});
  values.ForEachItem([&](const Field& value) { requirement.values.push_back(value.String()); });
  const bool wants = requirement.op == Operator::kIn || requirement.op == Operator::kNotIn;
  if (wants == requirement.values.empty()) {
    values.Fail(wants ? "is missing" : fmt::format("stands beside {}", op.String()));
  }
  return requirement;
}

// The API server takes leading zeros in an ipBlock, means decimal by them, and keeps them.
std::string WithoutLeadingZeros(std::string_view address) {
  std::string without;
  for (size_t i = 0; i < address.size(); ++i) {
    const bool begins = without.empty() || without.back() == '.' || without.back() == ':';
    const bool goes_on = i + 1 < address.size() && absl::ascii_isxdigit(address[i + 1]);
    if (address[i] == '0' && begins && goes_on) continue;
    without += address[i];
  }
  return without;
}

Cidr ReadBlockCidr(const Field& field) {
  const auto cidr = Cidr::Parse(WithoutLeadingZeros(field.String()));
  if (cidr.ok()) return *cidr;
  field.Fail(fmt::format("'{}' is not a block of addresses", field.String()));
  return {};
}

// The server compares the lengths of prefixes as they are written: 10.0.0.0/8 may have the whole of
// itself as a hole, ::ffff:10.0.0.0/104.
bool IsMappedAndHolds(const Field& field, const Cidr& hole, const Cidr& block) {
  return hole.base.is_v4() && field.String().find(':') != std::string::npos &&
         hole.prefix_bits <= block.prefix_bits && hole.Contains(block.base);
}

IpBlock ReadIpBlock(const Field& field) {
  const Field cidr = field["cidr"];
  const Field except = field["except"];
  IpBlock block{ReadBlockCidr(cidr), {}};
  except.ForEachItem([&](const Field& item) {
    const Cidr hole = ReadBlockCidr(item);
    if (IsMappedAndHolds(item, hole, block.cidr)) return block.except.push_back(block.cidr);
    block.except.push_back(hole);
    if (hole.prefix_bits <= block.cidr.prefix_bits || !block.cidr.Contains(hole.base)) {
      item.Fail(fmt::format("{} is no part of {}", item.String(), cidr.String()));
    }
  });
  return block;
}

NetworkPolicyPeer ReadPeer(const Field& item) {
  NetworkPolicyPeer peer;
  const Field pods = item["podSelector"];
  const Field namespaces = item["namespaceSelector"];
  const Field block = item["ipBlock"];
  if (pods.present()) peer.pods = ReadSelector(pods);
  if (namespaces.present()) peer.namespaces = ReadSelector(namespaces);
  if (block.present()) peer.block = ReadIpBlock(block);
  if (peer.block.has_value() == (pods.present() || namespaces.present())) {
    item.Fail("is neither an ipBlock nor selectors, or both");
  }
  return peer;
}

// RFC 6335: a name may begin with a digit, and has a letter somewhere.
bool IsPortName(std::string_view text) {
  return std::any_of(text.begin(), text.end(),
                     [](unsigned char c) { return absl::ascii_isalpha(c); });
}

NetworkPolicyPort ReadPolicyPort(const Field& item) {
  NetworkPolicyPort result;
  const Field protocol = item["protocol"];
  const Field port = item["port"];
  const Field end = item["endPort"];
  result.protocol = ReadProtocol(protocol);
  const std::string text = port.String();
  const bool may_be_number = !text.empty() && port.value()->kind == Value::Kind::kPlain;
  if (may_be_number && !IsPortName(text)) {
    result.port = ReadPort(port);
  } else {
    result.name = text;
  }
  result.end_port = ReadEndPort(end, result.port);
  return result;
}

std::vector<NetworkPolicyRule> ReadRules(const Field& rules, std::string_view peers_key) {
  std::vector<NetworkPolicyRule> result;
  rules.ForEachItem([&](const Field& item) {
    const Field peers = item[peers_key];
    const Field ports = item["ports"];
    NetworkPolicyRule rule;
    peers.ForEachItem([&](const Field& peer) { rule.peers.push_back(ReadPeer(peer)); });
    ports.ForEachItem([&](const Field& port) { rule.ports.push_back(ReadPolicyPort(port)); });
    result.push_back(std::move(rule));
  });
  return result;
}

// Enforced unless it says so in the one word for it: who writes another does not get less of a
// policy than without.
bool ReadAudit(const Field& annotation, const ObjectName& policy) {
  const std::string word = annotation.String();
  if (word == "true") return true;
  if (!word.empty() && word != "false") {
    log::warn("NetworkPolicy {}: it is enforced, as its annotation portolan.dev/audit is not true",
              policy.ToString());
  }
  return false;
}

}  // namespace

ObjectSelector ReadSelector(const Field& field) {
  ObjectSelector selector;
  const Field labels = field["matchLabels"];
  const Field expressions = field["matchExpressions"];
  selector.match_labels = ReadLabels(labels);
  expressions.ForEachItem(
      [&](const Field& item) { selector.match_expressions.push_back(ReadRequirement(item)); });
  return selector;
}

uint16_t ReadEndPort(const Field& end, uint16_t port) {
  if (!end.present()) return 0;
  const uint16_t last = ReadPort(end);
  if (port == 0 || last < port) end.Fail("is not the end of a range that begins with port");
  return last;
}

NetworkPolicy ReadNetworkPolicy(const Field& object, const Origin& origin) {
  NetworkPolicy policy;
  policy.name = NameOf(object);
  policy.origin = origin;
  const Field metadata = object["metadata"];
  const Field annotations = metadata["annotations"];
  const Field audit = annotations["portolan.dev/audit"];
  policy.audit = ReadAudit(audit, policy.name);
  const Field spec = object["spec"];
  const Field pods = spec["podSelector"];
  const Field ingress = spec["ingress"];
  const Field egress = spec["egress"];
  const Field types = spec["policyTypes"];
  policy.pods = ReadSelector(pods);
  policy.ingress = ReadRules(ingress, "from");
  policy.egress = ReadRules(egress, "to");
  // Where it does not say which: ingress always, egress if there are rules for it.
  policy.for_egress = !policy.egress.empty();
  if (types.present() && !(types.value()->items.empty())) {
    policy.for_ingress = policy.for_egress = false;
    types.ForEachItem([&](const Field& item) {
      const bool egress_type = ReadWord<bool>(item, {{"Ingress", false}, {"Egress", true}});
      (egress_type ? policy.for_egress : policy.for_ingress) = true;
    });
  }
  return policy;
}

}  // namespace portolan::xds

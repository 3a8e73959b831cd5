#include "xds/policy/selector.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <openssl/evp.h>

#include <algorithm>
#include <set>
#include <string_view>
#include <vector>

#include "directory/listing.h"

namespace portolan::xds {
namespace {

using Operator = LabelRequirement::Operator;

// Null: it has no such label.
const std::string* Find(const LabelMap& labels, std::string_view key) {
  const auto found = std::lower_bound(
      labels.begin(), labels.end(), key,
      [](const auto& label, std::string_view wanted) { return label.first < wanted; });
  return found != labels.end() && found->first == key ? &found->second : nullptr;
}

bool Holds(const LabelRequirement& requirement, const LabelMap& labels) {
  const std::string* value = Find(labels, requirement.key);
  const auto listed = [&] {
    const auto& values = requirement.values;
    return value != nullptr && std::find(values.begin(), values.end(), *value) != values.end();
  };
  switch (requirement.op) {
    case Operator::kIn:
      return listed();
    case Operator::kNotIn:
      return !listed();
    case Operator::kExists:
      return value != nullptr;
    case Operator::kDoesNotExist:
      return value == nullptr;
  }
  return false;
}

bool IsLabelCharacter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
         c == '-' || c == '_' || c == '/';
}

// As it is where it is what a label may be, else in quotes: manifests and fields of our own CRD may
// hold anything, and no word must look like two.
std::string Word(std::string_view text) {
  const bool plain = std::all_of(text.begin(), text.end(), IsLabelCharacter);
  if (plain && !text.empty()) return std::string(text);
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') quoted += '\\';
    quoted += c;
  }
  return quoted + "\"";
}

std::string ToText(const LabelRequirement& requirement) {
  std::set<std::string> values;
  for (const std::string& value : requirement.values) values.insert(Word(value));
  std::string key = Word(requirement.key);
  switch (requirement.op) {
    case Operator::kIn:
      if (values.size() == 1) return fmt::format("{}={}", key, *values.begin());
      return fmt::format("{} in ({})", key, fmt::join(values, ","));
    case Operator::kNotIn:
      return fmt::format("{} notin ({})", key, fmt::join(values, ","));
    case Operator::kExists:
      return key;
    case Operator::kDoesNotExist:
      return "!" + key;
  }
  return "";
}

}  // namespace

bool Matches(const ObjectSelector& selector, const LabelMap& labels) {
  for (const auto& [key, wanted] : selector.match_labels) {
    const std::string* value = Find(labels, key);
    if (value == nullptr || *value != wanted) return false;
  }
  return std::all_of(selector.match_expressions.begin(), selector.match_expressions.end(),
                     [&](const LabelRequirement& one) { return Holds(one, labels); });
}

std::string ToText(const ObjectSelector& selector) {
  std::set<std::string> parts;
  for (const auto& [key, value] : selector.match_labels) {
    parts.insert(fmt::format("{}={}", Word(key), Word(value)));
  }
  for (const LabelRequirement& requirement : selector.match_expressions) {
    parts.insert(ToText(requirement));
  }
  return fmt::format("{}", fmt::join(parts, ","));
}

std::string ScopeText(const PodSelector& selector) {
  if (!selector.ns.empty()) return "ns=" + Word(selector.ns);
  return "namespaces: " + ToText(selector.namespaces);
}

std::string ToText(const PodSelector& selector) {
  return fmt::format("{}; pods: {}", ScopeText(selector), ToText(selector.pods));
}

std::string PeerSelector::SetName() const {
  std::string text = ToText(of);
  if (!port_name.empty()) text += fmt::format("; {} {}", ProtocolWord(protocol), Word(port_name));
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  EVP_Digest(text.data(), text.size(), digest, &size, EVP_sha256(), nullptr);
  return fmt::format("{:02x}", fmt::join(digest, digest + 8, ""));
}

std::string PeerSelector::Describe() const {
  const std::string labels = ToText(of.pods);
  std::string text = labels.empty() ? "all pods" : "pods with " + labels;
  const std::string namespaces = ToText(of.namespaces);
  if (!of.ns.empty()) {
    text += " in namespace " + of.ns;
  } else {
    text += namespaces.empty() ? " in all namespaces" : " in namespaces with " + namespaces;
  }
  if (!port_name.empty())
    text += fmt::format(", at their {} port {}", ProtocolWord(protocol), port_name);
  return text;
}

}  // namespace portolan::xds

#include "dns/plugins/kubernetes_names.h"

#include <arpa/inet.h>

#include <algorithm>
#include <cstring>

namespace portolan::dns {
namespace {

using Kind = ClusterName::Kind;

// "namespace/service" on the stack: two labels and a slash.
class ServiceKey {
 public:
  ServiceKey(std::string_view ns, std::string_view service) {
    char* end = std::copy(ns.begin(), ns.end(), text_.data());
    *end++ = '/';
    end = std::copy(service.begin(), service.end(), end);
    size_ = static_cast<size_t>(end - text_.data());
  }
  std::string_view view() const { return {text_.data(), size_}; }

 private:
  std::array<char, 2 * 63 + 1> text_;
  size_t size_;
};

bool NamespaceExists(std::string_view ns, const Snapshot& snapshot, const ServiceRecords* records) {
  return snapshot.FindNamespace(ns) != nullptr ||
         (records != nullptr && records->NamespaceHasService(ns));
}

// The Service's own name.
ClusterName OfService(const Service& service, const EndpointRecords* records) {
  if (service.type == ServiceType::kExternalName)
    return {Kind::kExternalName, &service, {}, {}, {}};
  if (!service.headless) return {Kind::kClusterIps, &service, nullptr, {}, {}};
  // CoreDNS: a headless Service that publishes no endpoint does not exist.
  if (records == nullptr) return {};
  return {Kind::kHeadless, &service, records, {}, {}};
}

// A name with one label or more in front of the Service's.
ClusterName BelowService(const LabelledName& name, size_t in_front, const Service& service,
                         const EndpointRecords* records) {
  if (service.type == ServiceType::kExternalName) return {};
  if (in_front == 1) {
    const std::string_view label = name.label(0);
    if (records == nullptr || records->Named(label).empty()) return {};
    return {Kind::kEndpoint, &service, records, label, {}};
  }
  // _port._protocol, for SRV; more labels are nobody's name.
  return in_front == 2 ? ClusterName{Kind::kElsewhere, &service, {}, {}, {}} : ClusterName{};
}

ClusterName FindPod(const LabelledName& name, size_t left, PodNames pods, const Snapshot& snapshot,
                    const ServiceRecords* records) {
  if (pods == PodNames::kDisabled || left > 2) return {};
  if (!NamespaceExists(name.label(left - 1), snapshot, records)) return {};
  if (left == 1) return {Kind::kEmpty, nullptr, nullptr, {}, {}};
  ClusterName pod;
  if (!ParseDashedAddress(name.label(0), &pod.address)) return {};
  pod.kind = pods == PodNames::kInsecure ? Kind::kPod : Kind::kElsewhere;
  return pod;
}

ClusterName FindService(const LabelledName& name, size_t left, const Snapshot& snapshot,
                        const ServiceRecords* records) {
  const std::string_view ns = name.label(left - 1);
  if (left == 1) {
    return {NamespaceExists(ns, snapshot, records) ? Kind::kEmpty : Kind::kUnknown, {}, {}, {}, {}};
  }
  const ServiceKey key(ns, name.label(left - 2));
  const Service* service = snapshot.FindService(key.view());
  if (service == nullptr) return {};
  const size_t in_front = left - 2;
  if (in_front == 0 && !service->headless) return OfService(*service, nullptr);
  const EndpointRecords* endpoints = records == nullptr ? nullptr : records->Find(key.view());
  if (in_front == 0) return OfService(*service, endpoints);
  return BelowService(name, in_front, *service, endpoints);
}

int HexDigit(std::string_view label) {
  if (label.size() != 1) return -1;
  const char c = label[0];
  if (c >= '0' && c <= '9') return c - '0';
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int DecimalByte(std::string_view label) {
  if (label.empty() || label.size() > 3 || (label.size() > 1 && label[0] == '0')) return -1;
  int value = 0;
  for (const char c : label) {
    if (c < '0' || c > '9') return -1;
    value = value * 10 + (c - '0');
  }
  return value <= 255 ? value : -1;
}

bool ParseReverseV4(const LabelledName& name, IpAddress* address) {
  std::array<uint8_t, 4> bytes;
  for (size_t i = 0; i < bytes.size(); ++i) {
    const int byte = DecimalByte(name.label(bytes.size() - 1 - i));
    if (byte < 0) return false;
    bytes[i] = static_cast<uint8_t>(byte);
  }
  *address = IpAddress::V4(bytes);
  return true;
}

bool ParseReverseV6(const LabelledName& name, IpAddress* address) {
  std::array<uint8_t, 16> bytes{};
  for (size_t i = 0; i < 32; ++i) {
    const int nibble = HexDigit(name.label(31 - i));
    if (nibble < 0) return false;
    bytes[i / 2] = static_cast<uint8_t>(bytes[i / 2] << 4 | nibble);
  }
  *address = IpAddress::V6(bytes);
  return true;
}

}  // namespace

ClusterName FindClusterName(const LabelledName& name, size_t zone_labels, PodNames pods,
                            const Snapshot& snapshot, const ServiceRecords* records) {
  // The labels left of "svc" or "pod".
  const size_t left = name.labels() - zone_labels - 1;
  const std::string_view kind = name.label(left);
  if (kind == "svc" || kind == "pod") {
    if (left == 0) return {Kind::kEmpty, nullptr, nullptr, {}, {}};
    return kind == "svc" ? FindService(name, left, snapshot, records)
                         : FindPod(name, left, pods, snapshot, records);
  }
  if (kind == "dns-version" && left == 0) return {Kind::kVersion, nullptr, nullptr, {}, {}};
  // ns.dns.ZONE has the addresses of the cluster's DNS servers.
  if (kind == "dns") return {Kind::kElsewhere, nullptr, nullptr, {}, {}};
  return {};
}

bool ParseDashedAddress(std::string_view label, IpAddress* address) {
  std::array<char, 64> text;
  if (label.size() >= text.size()) return false;
  const bool v4 = std::count(label.begin(), label.end(), '-') == 3 &&
                  label.find("--") == std::string_view::npos;
  char* end = std::transform(label.begin(), label.end(), text.begin(),
                             [v4](char c) { return c == '-' ? (v4 ? '.' : ':') : c; });
  *end = '\0';
  // A label may hold a zero byte or a dot of its own; what is left must be the whole.
  if (std::strlen(text.data()) != label.size() || label.find('.') != std::string_view::npos) {
    return false;
  }
  std::array<uint8_t, 16> bytes;
  if (inet_pton(v4 ? AF_INET : AF_INET6, text.data(), bytes.data()) != 1) return false;
  *address = v4 ? IpAddress::V4(std::span(bytes).first<4>()) : IpAddress::V6(bytes);
  return true;
}

bool ParseReverseName(const LabelledName& name, IpAddress* address) {
  const size_t labels = name.labels();
  if (labels < 2 || name.label(labels - 1) != "arpa") return false;
  const std::string_view tree = name.label(labels - 2);
  if (tree == "in-addr") return labels == 4 + 2 && ParseReverseV4(name, address);
  return tree == "ip6" && labels == 32 + 2 && ParseReverseV6(name, address);
}

}  // namespace portolan::dns

#include "dns/plugins/endpoint_records.h"

#include <algorithm>
#include <numeric>
#include <tuple>
#include <utility>

#include "dns/wire/name.h"

namespace portolan::dns {
namespace {

std::string Lower(std::string_view text) {
  std::string lower(text);
  wire::LowerName(lower);
  return lower;
}

bool IsLabel(std::string_view text) { return !text.empty() && text.size() <= wire::kMaxLabelBytes; }

void AppendLabel(std::string& out, std::string_view label) {
  out += static_cast<char>(label.size());
  out += Lower(label);
}

// "corp.example" -> its labels; empty if it is none that a name could hold.
std::string ZoneLabels(std::string_view text) {
  std::string labels;
  while (!text.empty()) {
    const std::string_view label = text.substr(0, text.find('.'));
    if (!IsLabel(label)) return {};
    AppendLabel(labels, label);
    text.remove_prefix(std::min(text.size(), label.size() + 1));
  }
  return labels.size() < wire::kMaxNameBytes ? labels : std::string();
}

EndpointRecords::Ports ToPorts(const EndpointSlice& slice) {
  EndpointRecords::Ports ports;
  for (const EndpointPort& port : slice.ports) {
    ports.push_back({Lower(port.name), ProtocolText(port.protocol), port.port});
  }
  // CoreDNS: an endpoint without ports has addresses and no SRV record.
  if (ports.empty()) ports.emplace_back();
  return ports;
}

// The place of `value`, which is added if it is not there.
template <typename T>
uint16_t PlaceOf(std::vector<T>& values, T value) {
  const auto found = std::find(values.begin(), values.end(), value);
  if (found != values.end()) return static_cast<uint16_t>(found - values.begin());
  // More kinds than fit are not told apart; a Service has at most a few.
  if (values.size() > UINT16_MAX) return 0;
  values.push_back(std::move(value));
  return static_cast<uint16_t>(values.size() - 1);
}

}  // namespace

std::string_view ProtocolText(Protocol protocol) {
  switch (protocol) {
    case Protocol::kTcp:
      return "tcp";
    case Protocol::kUdp:
      return "udp";
    case Protocol::kSctp:
      break;
  }
  return "sctp";
}

bool PortMatch::Takes(std::string_view port_name, std::string_view port_protocol) const {
  const auto same = [](std::string_view asked, std::string_view has) {
    return asked.empty() ||
           std::equal(asked.begin(), asked.end(), has.begin(), has.end(), [](char a, char b) {
             return a == (b >= 'A' && b <= 'Z' ? static_cast<char>(b | 0x20) : b);
           });
  };
  return same(name, port_name) && same(protocol, port_protocol);
}

std::string DashedAddress(const IpAddress& address) {
  std::string text = address.ToString();
  std::replace_if(
      text.begin(), text.end(), [](char c) { return c == '.' || c == ':'; }, '-');
  if (text.back() == '-') text += '0';
  return text;
}

class EndpointRecords::Compiler {
 public:
  explicit Compiler(EndpointRecords& records) : records_(records) {}

  void Add(const EndpointSlice& slice) {
    auto& entries = records_.entries_;
    const size_t first = entries.size();
    uint16_t ports = 0;
    for (const Endpoint& endpoint : slice.endpoints) {
      if (!endpoint.conditions.ready || endpoint.addresses.empty()) continue;
      if (entries.size() == first) ports = PlaceOf(kinds_.port_lists, ToPorts(slice));
      const uint16_t zone = PlaceOf(kinds_.zones, ZoneLabels(endpoint.zone));
      for (const IpAddress& ip : endpoint.addresses) {
        Entry entry{ip, ports, zone, 0, 0, 0};
        SetNames(slice, endpoint, entry);
        entries.push_back(entry);
      }
    }
    const auto count = static_cast<uint16_t>(std::min<size_t>(entries.size() - first, UINT16_MAX));
    for (size_t i = first; i < entries.size(); ++i) entries[i].slice_addresses = count;
  }

  void Finish(bool headless, SharedValues<EndpointKinds>& pool) {
    records_.kinds_ = pool.Share(std::move(kinds_));
    auto& entries = records_.entries_;
    std::sort(entries.begin(), entries.end(), [this](const Entry& a, const Entry& b) {
      return a.ip != b.ip ? a.ip < b.ip : Less(a.name_at, b.name_at);
    });
    records_.by_name_ = Sorted(&Entry::name_at);
    if (pod_names_) records_.by_pod_name_ = Sorted(&Entry::pod_name_at);
    entries.shrink_to_fit();
    records_.names_.shrink_to_fit();
    if (headless) SetAddresses();
  }

 private:
  void SetNames(const EndpointSlice& slice, const Endpoint& endpoint, Entry& entry) {
    const bool has_hostname = IsLabel(endpoint.hostname);
    entry.name_at = AddName(slice, has_hostname ? endpoint.hostname : DashedAddress(entry.ip));
    entry.pod_name_at = entry.name_at;
    // CoreDNS leaves out pod names that are no labels.
    if (has_hostname || !IsLabel(endpoint.pod.name)) return;
    entry.pod_name_at = AddName(slice, endpoint.pod.name);
    pod_names_ = true;
  }

  uint32_t AddName(const EndpointSlice& slice, std::string_view label) {
    std::string& names = records_.names_;
    const auto at = static_cast<uint32_t>(names.size());
    names += '\0';
    AppendLabel(names, label);
    if (IsLabel(slice.source_cluster)) AppendLabel(names, slice.source_cluster);
    names[at] = static_cast<char>(names.size() - at - 1);
    return at;
  }

  bool Less(uint32_t a, uint32_t b) const {
    const auto x = records_.Text(a), y = records_.Text(b);
    return std::lexicographical_compare(x.begin(), x.end(), y.begin(), y.end());
  }

  std::vector<uint32_t> Sorted(uint32_t Entry::*name) const {
    std::vector<uint32_t> order(records_.entries_.size());
    std::iota(order.begin(), order.end(), 0u);
    std::stable_sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) {
      return Less(records_.entries_[a].*name, records_.entries_[b].*name);
    });
    return order;
  }

  void SetAddresses() {
    const IpAddress* last = nullptr;
    for (const Entry& entry : records_.entries_) {
      if (last != nullptr && *last == entry.ip) continue;
      last = &entry.ip;
      auto& out = entry.ip.is_v4() ? records_.ipv4_ : records_.ipv6_;
      out.insert(out.end(), entry.ip.bytes().begin(), entry.ip.bytes().end());
    }
    records_.ipv4_.shrink_to_fit();
    records_.ipv6_.shrink_to_fit();
  }

  EndpointRecords& records_;
  EndpointKinds kinds_;
  bool pod_names_ = false;
};

std::shared_ptr<const EndpointRecords> EndpointRecords::Compile(
    std::shared_ptr<const std::string> service_key, bool headless, const SliceSet& slices,
    SharedValues<EndpointKinds>& pool) {
  auto records = std::make_shared<EndpointRecords>();
  records->service_key_ = std::move(service_key);
  Compiler compiler(*records);
  for (const auto& [name, slice] : slices) compiler.Add(*slice);
  if (records->entries_.empty()) return nullptr;
  compiler.Finish(headless, pool);
  return records;
}

std::span<const EndpointRecords::Entry> EndpointRecords::At(const IpAddress& ip) const {
  struct ByAddress {
    bool operator()(const Entry& a, const IpAddress& b) const { return a.ip < b; }
    bool operator()(const IpAddress& a, const Entry& b) const { return a < b.ip; }
  };
  const auto [first, last] = std::equal_range(entries_.begin(), entries_.end(), ip, ByAddress());
  return {first, last};
}

std::span<const uint32_t> EndpointRecords::Named(std::span<const uint8_t> labels,
                                                 EndpointNaming naming) const {
  const auto before = [](std::span<const uint8_t> a, std::span<const uint8_t> b) {
    return std::lexicographical_compare(a.begin(), a.end(), b.begin(), b.end());
  };
  const auto order = ByName(naming);
  const auto name = [&](uint32_t i) { return NameOf(entries_[i], naming); };
  const auto first = std::partition_point(order.begin(), order.end(),
                                          [&](uint32_t i) { return before(name(i), labels); });
  const auto last = std::partition_point(first, order.end(),
                                         [&](uint32_t i) { return !before(labels, name(i)); });
  return {first, last};
}

}  // namespace portolan::dns

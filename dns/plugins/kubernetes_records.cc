#include "dns/plugins/kubernetes_records.h"

#include <algorithm>
#include <cstring>

#include "dns/wire/bytes.h"

namespace portolan::dns {
namespace {

using wire::Section;
namespace rr = wire::type;
using Kind = ClusterName::Kind;
using Entry = EndpointRecords::Entry;

constexpr size_t kSrvFixedBytes = 6;  // priority, weight, port
// A record's owner as a pointer, type, class, TTL and length.
constexpr size_t kRecordFixedBytes = 12;

uint8_t* PutLabel(uint8_t* at, std::string_view label) {
  *at++ = static_cast<uint8_t>(label.size());
  return std::copy(label.begin(), label.end(), at);
}

uint16_t TypeOf(const IpAddress& address) { return address.is_v4() ? rr::kA : rr::kAaaa; }

bool HasPort(const EndpointRecords::Ports& ports, const PortMatch& match) {
  return std::any_of(ports.begin(), ports.end(), [&](const EndpointRecords::Port& port) {
    return match.Takes(port.name, port.protocol);
  });
}

bool IsInZone(const EndpointRecords& records, const Entry& entry, std::span<const uint8_t> zone) {
  return zone.empty() || std::ranges::equal(records.ZoneOf(entry), zone);
}

// The endpoints found, but for those of the one family, each address once: visit(address).
template <typename F>
void ForEachAddress(const ClusterName& found, F&& visit) {
  const EndpointRecords& records = *found.records;
  const IpAddress* last = nullptr;
  auto take = [&](const Entry& entry) {
    if (last != nullptr && *last == entry.ip) return;
    if (!IsInZone(records, entry, found.zone)) return;
    if (!found.ports.any() && !HasPort(records.PortsOf(entry), found.ports)) return;
    last = &entry.ip;
    visit(entry.ip);
  };
  if (found.named.empty()) {
    for (const Entry& entry : records.entries()) take(entry);
  } else {
    for (const uint32_t i : found.named) take(records.entries()[i]);
  }
}

// The ports that SRV records of one target tell apart.
class PortNumbers {
 public:
  std::span<const uint16_t> all() const { return std::span(numbers_).first(count_); }

  // False if it was there.
  bool Add(uint16_t number) {
    const auto end = numbers_.begin() + static_cast<ptrdiff_t>(count_);
    if (std::find(numbers_.begin(), end, number) != end) return false;
    // A Service has fewer; of more, some may be written twice.
    if (count_ < numbers_.size()) numbers_[count_++] = number;
    return true;
  }

 private:
  std::array<uint16_t, 128> numbers_;
  size_t count_ = 0;
};

uint16_t WeightOf(size_t items) {
  return static_cast<uint16_t>(std::max<size_t>(1, 100 / std::max<size_t>(1, items)));
}

// SRV records in the answer and, behind them all, the addresses of their targets.
class SrvWriter {
 public:
  SrvWriter(wire::ReplyWriter& reply, uint32_t ttl, const ServiceNames& names, uint16_t weight)
      : reply_(reply), ttl_(ttl), names_(names), weight_(weight) {}

  void AddRecord(std::span<const uint8_t> labels, uint16_t port) {
    const size_t target_bytes = names_.SizeOf(labels);
    if (target_bytes == 0) return;
    const auto rdata = reply_.Add(Section::kAnswer, wire::kQuestionName, rr::kSrv, ttl_,
                                  kSrvFixedBytes + target_bytes);
    if (rdata.empty()) return;
    if (target_at_ == 0) target_at_ = reply_.OffsetOf(rdata.data()) + kSrvFixedBytes;
    wire::Store16(rdata.data(), 0);
    wire::Store16(rdata.data() + 2, weight_);
    wire::Store16(rdata.data() + 4, port);
    names_.Write(labels, rdata.data() + kSrvFixedBytes);
  }

  // An address of the target at target_at_.
  void AddAddressOf(std::span<const uint8_t> labels, const IpAddress& ip) {
    constexpr size_t kMaxPointer = 0x3fff;
    if (target_at_ <= kMaxPointer) {
      AddAddress(reply_, Section::kAdditional, static_cast<uint16_t>(target_at_), ttl_, ip);
      return;
    }
    portolan::dns::AddAddressOf(reply_, ttl_, names_, labels, ip);
  }

  // Several at once, of one type.
  void AddAddresses(uint16_t type, std::span<const uint8_t> set, size_t bytes_each) {
    reply_.AddSet(Section::kAdditional, static_cast<uint16_t>(target_at_), type, ttl_, set,
                  bytes_each);
  }

  // Goes on to the target behind `records` of this one.
  void SkipRecords(std::span<const uint8_t> labels, size_t records) {
    target_at_ += records * (kRecordFixedBytes + kSrvFixedBytes + names_.SizeOf(labels));
  }

 private:
  wire::ReplyWriter& reply_;
  const uint32_t ttl_;
  const ServiceNames& names_;
  const uint16_t weight_;
  // Where the first target stands, and in the second pass the current one; 0: none yet.
  size_t target_at_ = 0;
};

// SRV records of a Service with `ips` cluster IPs, which add_addresses(SrvWriter&) adds.
// False if the Service has no such port.
template <typename F>
bool AddClusterIpSrv(wire::ReplyWriter& reply, uint32_t ttl, std::span<const ServicePort> all,
                     const PortMatch& match, size_t ips, const ServiceNames& names,
                     F&& add_addresses) {
  size_t ports = 0;
  PortNumbers numbers;
  for (const ServicePort& port : all) {
    if (!match.Takes(port.name, ProtocolText(port.protocol))) continue;
    ++ports;
    numbers.Add(port.port);
  }
  SrvWriter srv(reply, ttl, names, WeightOf(ports * ips));
  for (const uint16_t number : numbers.all()) srv.AddRecord({}, number);
  if (reply.answer_count() > 0 && !reply.truncated()) add_addresses(srv);
  return ports > 0;
}

// The endpoints found, name by name: visit(labels, indices of one name).
template <typename F>
void ForEachName(const ClusterName& found, EndpointNaming naming, F&& visit) {
  const EndpointRecords& records = *found.records;
  std::span<const uint32_t> left = found.named.empty() ? records.ByName(naming) : found.named;
  while (!left.empty()) {
    const auto labels = records.NameOf(records.entries()[left.front()], naming);
    size_t count = 1;
    while (count < left.size() &&
           std::ranges::equal(records.NameOf(records.entries()[left[count]], naming), labels)) {
      ++count;
    }
    visit(labels, left.first(count));
    left = left.subspan(count);
  }
}

// The distinct port numbers of the endpoints of one name: visit(number).
template <typename F>
void ForEachPort(const ClusterName& found, std::span<const uint32_t> same_name, F&& visit) {
  const EndpointRecords& records = *found.records;
  PortNumbers seen;
  const EndpointRecords::Ports* last = nullptr;
  for (const uint32_t i : same_name) {
    const Entry& entry = records.entries()[i];
    const auto& ports = records.PortsOf(entry);
    if (&ports == last || !IsInZone(records, entry, found.zone)) continue;
    last = &ports;
    for (const EndpointRecords::Port& port : ports) {
      if (port.number == 0 || !found.ports.Takes(port.name, port.protocol)) continue;
      if (seen.Add(port.number)) visit(port.number);
    }
  }
}

size_t CountItems(const ClusterName& found, EndpointNaming naming) {
  const EndpointRecords& records = *found.records;
  auto taken = [&](const EndpointRecords::Ports& ports) {
    return static_cast<size_t>(std::count_if(ports.begin(), ports.end(), [&](const auto& port) {
      return found.ports.Takes(port.name, port.protocol);
    }));
  };
  const auto order = found.named.empty() ? records.ByName(naming) : found.named;
  if (found.zone.empty() && records.port_lists().size() == 1) {
    return order.size() * taken(records.port_lists().front());
  }
  size_t items = 0;
  for (const uint32_t i : order) {
    const Entry& entry = records.entries()[i];
    if (IsInZone(records, entry, found.zone)) items += taken(records.PortsOf(entry));
  }
  return items;
}

void AddEndpointSrv(wire::ReplyWriter& reply, uint32_t ttl, const ClusterName& found,
                    EndpointNaming naming, const ServiceNames& names) {
  const EndpointRecords& records = *found.records;
  SrvWriter srv(reply, ttl, names, WeightOf(CountItems(found, naming)));
  ForEachName(found, naming, [&](std::span<const uint8_t> labels, auto same_name) {
    if (reply.truncated()) return;
    ForEachPort(found, same_name, [&](uint16_t port) { srv.AddRecord(labels, port); });
  });
  if (reply.answer_count() == 0 || reply.truncated()) return;
  ForEachName(found, naming, [&](std::span<const uint8_t> labels, auto same_name) {
    size_t ports = 0;
    ForEachPort(found, same_name, [&](uint16_t) { ++ports; });
    if (ports == 0 || names.SizeOf(labels) == 0) return;
    const IpAddress* last = nullptr;
    for (const uint32_t i : same_name) {
      const Entry& entry = records.entries()[i];
      if (last != nullptr && *last == entry.ip) continue;
      if (!IsInZone(records, entry, found.zone)) continue;
      if (!HasPort(records.PortsOf(entry), found.ports)) continue;
      last = &entry.ip;
      srv.AddAddressOf(labels, entry.ip);
    }
    srv.SkipRecords(labels, ports);
  });
}

}  // namespace

ServiceNames::ServiceNames(const ObjectName& service, std::span<const uint8_t> zone) {
  const std::string& name = service.name;
  const std::string& ns = service.ns;
  if (name.size() > wire::kMaxLabelBytes || ns.size() > wire::kMaxLabelBytes) return;
  if (name.empty() || ns.empty()) return;
  if (name.size() + ns.size() + 6 + zone.size() > suffix_.size()) return;
  uint8_t* at = PutLabel(PutLabel(PutLabel(suffix_.data(), name), ns), "svc");
  at = std::copy(zone.begin(), zone.end(), at);
  size_ = static_cast<size_t>(at - suffix_.data());
}

ServiceNames::ServiceNames(std::span<const uint8_t> service, std::span<const uint8_t> zone) {
  uint8_t* at = std::copy(service.begin(), service.end(), suffix_.data());
  at = PutLabel(at, "svc");
  at = std::copy(zone.begin(), zone.end(), at);
  size_ = static_cast<size_t>(at - suffix_.data());
}

ServiceNames::ServiceNames(std::span<const uint8_t> zone) : size_(zone.size()) {
  std::copy(zone.begin(), zone.end(), suffix_.begin());
}

void ServiceNames::Write(std::span<const uint8_t> labels, uint8_t* at) const {
  at = std::copy(labels.begin(), labels.end(), at);
  std::memcpy(at, suffix_.data(), size_);
}

void AddAddress(wire::ReplyWriter& reply, Section section, uint16_t owner_at, uint32_t ttl,
                const IpAddress& address) {
  const auto bytes = address.bytes();
  const auto rdata = reply.Add(section, owner_at, TypeOf(address), ttl, bytes.size());
  if (!rdata.empty()) std::copy_n(bytes.begin(), rdata.size(), rdata.begin());
}

void AddAddressOf(wire::ReplyWriter& reply, uint32_t ttl, const ServiceNames& names,
                  std::span<const uint8_t> labels, const IpAddress& address) {
  const size_t bytes = names.SizeOf(labels);
  if (bytes == 0) return;
  std::array<uint8_t, wire::kMaxNameBytes> owner;
  names.Write(labels, owner.data());
  const auto rdata = reply.Add(Section::kAdditional, std::span(owner).first(bytes), TypeOf(address),
                               ttl, address.bytes().size());
  std::copy_n(address.bytes().begin(), rdata.size(), rdata.begin());
}

void AddAddresses(wire::ReplyWriter& reply, uint16_t owner_at, uint16_t qtype, uint32_t ttl,
                  const ClusterName& found) {
  auto add = [&](const IpAddress& ip) {
    if (TypeOf(ip) == qtype) AddAddress(reply, Section::kAnswer, owner_at, ttl, ip);
  };
  switch (found.kind) {
    case Kind::kClusterIps:
      for (const IpAddress& ip : found.ips) add(ip);
      return;
    case Kind::kEndpoints:
      if (found.records == nullptr || (qtype != rr::kA && qtype != rr::kAaaa)) return;
      if (found.named.empty() && found.zone.empty() && found.ports.any()) {
        const bool v4 = qtype == rr::kA;
        reply.AddSet(Section::kAnswer, owner_at, qtype, ttl,
                     v4 ? found.records->ipv4() : found.records->ipv6(), v4 ? 4 : 16);
        return;
      }
      ForEachAddress(found, add);
      return;
    case Kind::kPod:
      add(found.address);
      return;
    default:
      return;
  }
}

void AddSrv(wire::ReplyWriter& reply, uint32_t ttl, const ClusterName& found, EndpointNaming naming,
            const ServiceNames& names) {
  if (found.kind == Kind::kClusterIps) {
    AddClusterIpSrv(reply, ttl, found.service_ports, found.ports, found.ips.size(), names,
                    [&](SrvWriter& srv) {
                      for (const IpAddress& ip : found.ips) srv.AddAddressOf({}, ip);
                    });
  } else if (found.records != nullptr) {
    AddEndpointSrv(reply, ttl, found, naming, names);
  }
}

void AddAddresses(wire::ReplyWriter& reply, uint16_t qtype, uint32_t ttl,
                  const ServiceTable::Entry& service) {
  if (qtype == rr::kA) {
    reply.AddSet(Section::kAnswer, wire::kQuestionName, qtype, ttl, service.ipv4(), 4);
  } else if (qtype == rr::kAaaa) {
    reply.AddSet(Section::kAnswer, wire::kQuestionName, qtype, ttl, service.ipv6(), 16);
  }
}

bool AddSrv(wire::ReplyWriter& reply, uint32_t ttl, const ServiceTable::Entry& service,
            const PortMatch& ports, const ServiceNames& names) {
  const auto ipv4 = service.ipv4(), ipv6 = service.ipv6();
  return AddClusterIpSrv(reply, ttl, *service.ports, ports, ipv4.size() / 4 + ipv6.size() / 16,
                         names, [&](SrvWriter& srv) {
                           srv.AddAddresses(rr::kA, ipv4, 4);
                           srv.AddAddresses(rr::kAaaa, ipv6, 16);
                         });
}

}  // namespace portolan::dns

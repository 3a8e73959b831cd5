// The published endpoints of one Service or ServiceImport in the form answers take: addresses,
// names and ports, sorted so that a name is found by its bytes as they stand in a query.
//
// Which endpoints are published: those that are ready (publishNotReadyAddresses is already in the
// slice's own ready condition). An address that stands in two slices is two entries, since the
// weight of SRV records counts both; answers show it once. Immutable; any thread.
//
// Kubernetes DNS specification 1.1.0, 2.4; CoreDNS's `endpoint_pod_names` and `zonal`.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "directory/directory.h"
#include "dns/plugins/shared_values.h"

namespace portolan::dns {

// What an endpoint without a hostname is called below its Service.
enum class EndpointNaming : uint8_t {
  kAddress,  // its address with dashes
  kPod,      // its Pod's name where it has one, else its address with dashes
};

// The port and protocol that a name asks for, in lower case; empty: any.
struct PortMatch {
  std::string_view name;
  std::string_view protocol;

  bool any() const { return name.empty() && protocol.empty(); }
  bool Takes(std::string_view port_name, std::string_view port_protocol) const;
};

// "tcp", "udp", "sctp"
std::string_view ProtocolText(Protocol protocol);

// The kinds of port lists and topology zones that the endpoints of a Service have. Services in
// their thousands have the same ones.
struct EndpointKinds {
  struct Port {
    std::string name;
    std::string_view protocol;  // empty: the slice lists no port at all
    uint16_t number = 0;        // 0: none, so no SRV record
    friend bool operator==(const Port&, const Port&) = default;
  };
  using Ports = std::vector<Port>;

  std::vector<Ports> port_lists;
  // Labels in lower case with their length bytes; the first is empty: no zone.
  std::vector<std::string> zones = {""};

  friend bool operator==(const EndpointKinds&, const EndpointKinds&) = default;
};

class EndpointRecords {
 public:
  using Port = EndpointKinds::Port;
  using Ports = EndpointKinds::Ports;

  struct Entry {
    IpAddress ip;
    uint16_t ports;  // in port_lists()
    uint16_t zone;   // in EndpointKinds::zones
    // How many addresses its slice publishes.
    uint16_t slice_addresses;
    uint32_t name_at;  // in names_
    uint32_t pod_name_at;
  };

  // Null if nothing is published.
  static std::shared_ptr<const EndpointRecords> Compile(
      std::shared_ptr<const std::string> service_key, bool headless, const SliceSet& slices,
      SharedValues<EndpointKinds>& pool);

  // "namespace/name"
  const std::shared_ptr<const std::string>& service_key() const { return service_key_; }

  // The distinct addresses, 4 and 16 bytes each; empty for Services that have a cluster IP.
  std::span<const uint8_t> ipv4() const { return ipv4_; }
  std::span<const uint8_t> ipv6() const { return ipv6_; }

  // Sorted by address.
  std::span<const Entry> entries() const { return entries_; }
  // All entries of one address, next to each other.
  std::span<const Entry> At(const IpAddress& ip) const;

  // Indices of entries(), by name and then address.
  std::span<const uint32_t> ByName(EndpointNaming naming) const {
    return naming == EndpointNaming::kPod && !by_pod_name_.empty() ? by_pod_name_ : by_name_;
  }
  // Those of one name: labels in lower case with their length bytes.
  std::span<const uint32_t> Named(std::span<const uint8_t> labels, EndpointNaming naming) const;

  // An endpoint's own name below its Service: one label with its length byte; below a ServiceImport
  // the label of its cluster follows.
  std::span<const uint8_t> NameOf(const Entry& entry, EndpointNaming naming) const {
    return Text(naming == EndpointNaming::kPod ? entry.pod_name_at : entry.name_at);
  }
  const Ports& PortsOf(const Entry& entry) const { return kinds_->port_lists[entry.ports]; }
  // What PortsOf may be: one for each kind of slice.
  std::span<const Ports> port_lists() const { return kinds_->port_lists; }
  // The topology zone: labels in lower case with their length bytes; empty if none.
  std::span<const uint8_t> ZoneOf(const Entry& entry) const {
    const std::string& zone = kinds_->zones[entry.zone];
    return {reinterpret_cast<const uint8_t*>(zone.data()), zone.size()};
  }

 private:
  class Compiler;

  std::span<const uint8_t> Text(uint32_t at) const {
    const auto* bytes = reinterpret_cast<const uint8_t*>(names_.data()) + at;
    return {bytes + 1, *bytes};
  }

  std::shared_ptr<const std::string> service_key_;
  std::vector<uint8_t> ipv4_, ipv6_;
  std::vector<Entry> entries_;
  std::vector<uint32_t> by_name_;
  std::vector<uint32_t> by_pod_name_;  // empty: as by_name_
  std::shared_ptr<const EndpointKinds> kinds_;
  // Each name behind a byte that says how long it is.
  std::string names_;
};

// "10-244-0-2"; "fd00-10-244--1"; an address that ends in "::" gets a final 0, since no label ends
// in a hyphen.
std::string DashedAddress(const IpAddress& address);

}  // namespace portolan::dns

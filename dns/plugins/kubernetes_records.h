// Writes the records of what a name of the cluster leads to: the part of the kubernetes plugin that
// knows wire form and nothing of where the name came from. Allocates nothing; one thread at a time.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "directory/model.h"
#include "dns/plugins/endpoint_records.h"
#include "dns/plugins/kubernetes_names.h"
#include "dns/plugins/service_table.h"
#include "dns/wire/name.h"
#include "dns/wire/reply.h"

namespace portolan::dns {

// Of every answer. RA too, which CoreDNS sets only where `cache` stands in front: without it
// nslookup warns.
inline constexpr uint16_t kClusterFlags =
    wire::flag::kAuthoritative | wire::flag::kRecursionAvailable;

// The names of a Service and of its endpoints: "[ENDPOINT.]SERVICE.NAMESPACE.svc.ZONE".
class ServiceNames {
 public:
  // `zone` in wire form, in the case in which it is to be written.
  ServiceNames(const ObjectName& service, std::span<const uint8_t> zone);
  // The Service's and its namespace's labels with their length bytes. They and the zone are part of
  // one name.
  ServiceNames(std::span<const uint8_t> service, std::span<const uint8_t> zone);
  // The names of the zone itself.
  explicit ServiceNames(std::span<const uint8_t> zone);

  // How long the name is with `labels` (with their length bytes) in front of the Service's; 0 if
  // such a name cannot be.
  size_t SizeOf(std::span<const uint8_t> labels) const {
    const size_t bytes = labels.size() + size_;
    return size_ == 0 || bytes > wire::kMaxNameBytes ? 0 : bytes;
  }
  void Write(std::span<const uint8_t> labels, uint8_t* at) const;

 private:
  std::array<uint8_t, wire::kMaxNameBytes> suffix_;
  size_t size_ = 0;
};

// The zone at the end of a query's name, in the query's own case, and where it stands in a reply.
inline std::span<const uint8_t> ZoneAsAsked(const wire::Query& query, const wire::Zone& zone) {
  const size_t at = query.label_at[query.labels - zone.labels];
  return query.question.subspan(at, query.name_bytes - at);
}
inline uint16_t ZoneAt(const wire::Query& query, const wire::Zone& zone) {
  return wire::QuestionSuffix(query, query.labels - zone.labels);
}

// A record of the address' own type.
void AddAddress(wire::ReplyWriter& reply, wire::Section section, uint16_t owner_at, uint32_t ttl,
                const IpAddress& address);

// The same in the additional section, with an owner that is written in full.
void AddAddressOf(wire::ReplyWriter& reply, uint32_t ttl, const ServiceNames& names,
                  std::span<const uint8_t> labels, const IpAddress& address);

// The answer to a question for addresses of type `qtype`: those of that family, each once.
void AddAddresses(wire::ReplyWriter& reply, uint16_t owner_at, uint16_t qtype, uint32_t ttl,
                  const ClusterName& found);

// The answer to a question for SRV, with the addresses of its targets. Equal targets are merged,
// and the weight is 100 divided by the number of addresses and ports, as in CoreDNS. Targets are
// written in full (RFC 2782), so that their addresses can point at them.
void AddSrv(wire::ReplyWriter& reply, uint32_t ttl, const ClusterName& found, EndpointNaming naming,
            const ServiceNames& names);

// The same of a Service's own name.
void AddAddresses(wire::ReplyWriter& reply, uint16_t qtype, uint32_t ttl,
                  const ServiceTable::Entry& service);
// Of one with cluster IPs. False if it has no such port.
bool AddSrv(wire::ReplyWriter& reply, uint32_t ttl, const ServiceTable::Entry& service,
            const PortMatch& ports, const ServiceNames& names);

}  // namespace portolan::dns

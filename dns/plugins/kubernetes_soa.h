// The SOA record of a zone that `kubernetes` answers. RFC 1035 3.3.13. Any thread.
#pragma once

#include <cstdint>

#include "dns/cluster_data.h"
#include "dns/plugins/kubernetes_names.h"
#include "dns/wire/reply.h"

namespace portolan::dns {

// When what the zone holds last changed, in seconds since 1970.
inline uint32_t SerialOf(const ClusterData& data, const ServedZone& zone) {
  if (data.records == nullptr) return 1;
  return zone.holds == ServedZone::Holds::kServiceImports ? data.records->multicluster_serial()
                                                          : data.records->serial();
}

// `zone_at`: where the zone's name stands in the question. The record's own names end in a pointer
// to it, so they take the query's case, as CoreDNS's do.
void AddSoa(wire::ReplyWriter& reply, wire::Section section, uint16_t zone_at, uint32_t ttl,
            uint32_t serial);

}  // namespace portolan::dns

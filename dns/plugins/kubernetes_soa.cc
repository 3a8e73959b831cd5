#include "dns/plugins/kubernetes_soa.h"

#include <algorithm>

#include "dns/wire/bytes.h"

namespace portolan::dns {
namespace {

// CoreDNS: the SOA's own TTL follows `ttl` up to here; its minimum field follows it throughout.
constexpr uint32_t kMaxSoaTtl = 300;
constexpr char kSoaServer[] = "\2ns\3dns", kSoaMailbox[] = "\12hostmaster";

}  // namespace

void AddSoa(wire::ReplyWriter& reply, wire::Section section, uint16_t zone_at, uint32_t ttl,
            uint32_t serial) {
  constexpr size_t kServer = sizeof kSoaServer - 1, kMailbox = sizeof kSoaMailbox - 1;
  const auto rdata = reply.Add(section, zone_at, wire::type::kSoa, std::min(ttl, kMaxSoaTtl),
                               kServer + 2 + kMailbox + 2 + 20);
  if (rdata.empty()) return;
  uint8_t* at = std::copy_n(kSoaServer, kServer, rdata.data());
  wire::Store16(at, static_cast<uint16_t>(0xc000 | zone_at));
  at = std::copy_n(kSoaMailbox, kMailbox, at + 2);
  wire::Store16(at, static_cast<uint16_t>(0xc000 | zone_at));
  at += 2;
  for (const uint32_t value : {serial, 7200u, 1800u, 86400u, ttl}) {
    wire::Store32(at, value);
    at += 4;
  }
}

}  // namespace portolan::dns

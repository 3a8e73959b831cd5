// What an upstream's reply is to the directive `cache`: of which sort, for how long, and where its
// TTLs stand. Allocates nothing; any thread.
//
// The sorts and lifetimes are CoreDNS's (plugin/pkg/response, plugin/pkg/dnsutil).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "dns/plugins/cache_store.h"
#include "dns/upstream/message.h"
#include "dns/wire/query.h"

namespace portolan::dns {

enum class ReplySort : uint8_t {
  kNoError,
  kNoData,       // NOERROR without an answer, with an SOA record
  kNxDomain,     // with an SOA record
  kServerError,  // SERVFAIL or NOTIMP
  kDelegation,
  kOther,  // not to be stored; NXDOMAIN without SOA among them
};

struct CacheableReply {
  // Its message, whose OPT record stands behind section_end[2].
  upstream::Reply reply;
  ReplySort sort = ReplySort::kOther;
  // The lowest of its records, in seconds; 5 where there is nothing to go by, at most 3,600.
  uint32_t ttl = 0;
  // Not all if there are more.
  std::array<uint16_t, CacheStore::kMaxTtls> ttl_at;
  size_t ttls = 0;
  // Of the owner of the SOA record in its authority section; only for kNoData and kNxDomain.
  size_t soa_labels = 0;
  // ... where that is not the name asked nor above it.
  static constexpr size_t kElsewhere = wire::kMaxLabels + 1;

  // The denial is of the name itself and of all below (RFC 8020): not of what an alias leads to,
  // and said by a zone above. A server that denies its zone's own apex does not mean it.
  bool cuts(const wire::Query& query) const {
    return sort == ReplySort::kNxDomain && reply.counts[0] == 0 && soa_labels < query.labels;
  }
};

// Reads the reply to `query`. False if it is malformed or answers something else.
bool ReadForCache(std::span<const uint8_t> message, const wire::Query& query, CacheableReply& out);

// Sets the TTL of every record but OPT.
void SetTtls(std::span<uint8_t> message, uint32_t ttl);

// The denial of `query`, out of the stored `message` that denies a name above it: NXDOMAIN with
// that one's SOA record, `ttl` and `flags` (AA, RA). Returns the reply's length; 0 if there is no
// such record.
size_t WriteDenialBelow(std::span<const uint8_t> message, const wire::Query& query, uint32_t ttl,
                        uint16_t flags, std::span<uint8_t> room, size_t max_bytes);

}  // namespace portolan::dns

#include "dns/plugins/rr_text.h"

#include <memory>

#include "common/status.h"
#include "dns/wire/ldns.h"

namespace portolan::dns {
namespace {

constexpr uint32_t kDefaultTtl = 3600;

struct FreeRecord {
  void operator()(ldns_rr* record) const { ldns_rr_free(record); }
};
struct FreeBuffer {
  void operator()(ldns_buffer* buffer) const { ldns_buffer_free(buffer); }
};

}  // namespace

absl::StatusOr<ParsedRecord> ParseRecord(const char* text) {
  ldns_rr* parsed = nullptr;
  const ldns_status status = ldns_rr_new_frm_str(&parsed, text, kDefaultTtl, nullptr, nullptr);
  const std::unique_ptr<ldns_rr, FreeRecord> record(parsed);
  if (status != LDNS_STATUS_OK || record == nullptr) {
    return InvalidArgument("{}", ldns_get_errorstr_by_id(status));
  }
  const std::unique_ptr<ldns_buffer, FreeBuffer> buffer(ldns_buffer_new(LDNS_MAX_PACKETLEN));
  const ldns_rdf* owner = ldns_rr_owner(record.get());
  const uint8_t* owner_bytes = ldns_rdf_data(owner);
  ParsedRecord out;
  out.owner.assign(owner_bytes, owner_bytes + ldns_rdf_size(owner));
  out.type = static_cast<uint16_t>(ldns_rr_get_type(record.get()));
  out.ttl = ldns_rr_ttl(record.get());
  for (size_t i = 0; i < ldns_rr_rd_count(record.get()); ++i) {
    if (ldns_rdf2buffer_wire(buffer.get(), ldns_rr_rdf(record.get(), i)) != LDNS_STATUS_OK) {
      return InvalidArgument("the record is too long");
    }
  }
  const uint8_t* begin = ldns_buffer_begin(buffer.get());
  out.rdata.assign(begin, begin + ldns_buffer_position(buffer.get()));
  if (out.rdata.empty()) return InvalidArgument("the record has no data");
  return out;
}

}  // namespace portolan::dns

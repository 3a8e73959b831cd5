// Any bytes as the options of a query, and any reply to which an option is appended: found options
// lie within what was given, and a reply that was whole stays whole.
#include <algorithm>
#include <cstdlib>
#include <vector>

#include "dns/wire/bytes.h"
#include "dns/wire/edns.h"
#include "dns/wire/extended_error.h"
#include "dns/wire/message.h"

namespace {

using namespace portolan::dns::wire;  // NOLINT(google-build-using-namespace)

bool IsWhole(std::span<const uint8_t> reply) {
  MessageReader reader(reply);
  for (MessageRecord record; reader.Next(record);) {
  }
  return reader.ok() && reader.position() == reply.size();
}

void CheckFind(std::span<const uint8_t> options) {
  for (uint16_t code : {kNsidOption, kExtendedErrorOption, uint16_t{0}}) {
    const auto data = FindOption(options, code);
    if (!data.has_value()) continue;
    const auto* end = options.data() + options.size();
    if (data->data() < options.data() + 4 || data->data() + data->size() > end) std::abort();
    if (Load16(data->data() - 4) != code) std::abort();
  }
}

void CheckAppend(std::span<const uint8_t> reply) {
  const bool whole = IsWhole(reply);
  std::vector<uint8_t> room(reply.begin(), reply.end());
  room.resize(reply.size() + 64);
  const size_t bytes = AppendExtendedError(room, reply.size(), reply.size() + 32,
                                           ExtendedError::kStaleAnswer, "for the fuzzer");
  if (bytes < reply.size() || bytes > reply.size() + 32) std::abort();
  if (whole && !IsWhole(std::span(room).first(bytes))) std::abort();
  if (bytes == reply.size() && !std::equal(reply.begin(), reply.end(), room.begin())) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size > kMaxMessageBytes) return 0;
  CheckFind({data, size});
  CheckAppend({data, size});
  return 0;
}

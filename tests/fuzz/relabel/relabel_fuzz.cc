// Any bytes, as the reply to be made one to another question: what comes out is whole, within its
// bound, and says the same when it is read again.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <span>
#include <vector>

#include "dns/wire/message.h"
#include "dns/wire/name.h"
#include "dns/wire/relabel.h"
#include "tests/dns/question.h"

namespace portolan::dns::wire {
namespace {

void Check(bool holds) {
  if (!holds) std::abort();
}

// Longer by a label, as far as it can be.
void Lengthen(NameBuffer* name) {
  if (name == nullptr || size_t{name->size} + 2 > kMaxNameBytes) return;
  std::copy_backward(name->bytes.begin(), name->bytes.begin() + name->size,
                     name->bytes.begin() + name->size + 2);
  name->bytes[0] = 1;
  name->bytes[1] = 'x';
  name->size = static_cast<uint8_t>(name->size + 2);
}

// The new reply, in memory of exactly its room; empty if the old one is malformed.
std::vector<uint8_t> Made(std::span<const uint8_t> reply, const test::QueryShape& shape,
                          size_t max_bytes, bool lengthen) {
  const auto message = test::MakeQuery("Asked.example", type::kA, shape);
  Query query;
  Check(ParseQuery(message, query) == ParseOutcome::kQuery);
  const auto room = std::make_unique<uint8_t[]>(max_bytes);
  const auto relabel =
      std::make_unique<Relabel>(reply, query, std::span(room.get(), max_bytes), max_bytes);
  if (lengthen) relabel->AddCname(query.lower_name(), 1, query.lower_name());
  while (relabel->Next()) {
    if (lengthen) {
      Lengthen(&relabel->owner());
      Lengthen(relabel->value());
    }
    relabel->Keep();
  }
  const size_t bytes = relabel->Finish();
  Check(bytes <= max_bytes);
  if (bytes == 0) return {};
  const std::span<const uint8_t> made(room.get(), bytes);
  MessageReader reader(made);
  Check(reader.ok() && std::ranges::equal(reader.question(), query.question));
  NameBuffer name;
  for (MessageRecord record; reader.Next(record);) {
    Check(ReadName(made, record.owner_at, name) != 0);
  }
  Check(reader.ok() && reader.position() == bytes);
  return {made.begin(), made.end()};
}

}  // namespace
}  // namespace portolan::dns::wire

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using portolan::dns::wire::Check;
  using portolan::dns::wire::Made;
  const auto exact = std::make_unique<uint8_t[]>(size);
  std::copy_n(data, size, exact.get());
  const std::span<const uint8_t> bytes(exact.get(), size);
  for (const size_t max_bytes : {size_t{512}, size_t{1232}, size_t{65535}}) {
    const auto once = Made(bytes, {.edns_version = 0}, max_bytes, false);
    if (!once.empty()) Check(!Made(once, {.edns_version = 0}, max_bytes, false).empty());
    Made(bytes, {}, max_bytes, true);
  }
  return 0;
}

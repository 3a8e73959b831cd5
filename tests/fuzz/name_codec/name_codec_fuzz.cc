// Text to wire and back, and any bytes read as a name: what is a name stays the same name, and
// nothing leaves its buffer.
#include <array>
#include <cstdlib>
#include <string>
#include <string_view>

#include "dns/wire/name.h"

namespace {

using namespace portolan::dns::wire;  // NOLINT(google-build-using-namespace)

void CheckText(std::string_view text) {
  const auto wire = NameToWire(text);
  if (!wire.ok()) return;
  if (wire->size() > kMaxNameBytes || wire->back() != '\0') std::abort();
  const auto again = NameToWire(NameToText(*wire));
  if (!again.ok() || *again != *wire) std::abort();
}

void CheckMessage(std::span<const uint8_t> message, size_t at) {
  NameBuffer name;
  const size_t end = ReadName(message, at, name);
  if (end == 0) return;
  if (end != SkipName(message, at) || end > message.size()) std::abort();
  const std::string text = NameToText(name.view());
  if (text.size() > kMaxNameTextBytes) std::abort();
  const auto wire = NameToWire(text);
  const std::string_view read(reinterpret_cast<const char*>(name.bytes.data()), name.size);
  if (!wire.ok() || *wire != read) std::abort();
  Query query;
  SetName(name.view(), query);
  if (query.name_bytes != name.size || query.labels > kMaxLabels) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  CheckText({reinterpret_cast<const char*>(data), size});
  // Bytes that are no name have a text, too.
  const std::string text = NameToText({data, size});
  if (text.empty() && size > 0) std::abort();
  for (size_t at = 0; at < size; ++at) CheckMessage({data, size}, at);
  return 0;
}

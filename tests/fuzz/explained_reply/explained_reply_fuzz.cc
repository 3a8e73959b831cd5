// What the cluster DNS sends to explain: refused, or JSON of printable ASCII that can be relied on.
#include <cstdint>
#include <cstdlib>

#include "proxy/explain/question.h"

namespace portolan::proxy {
namespace {

void Require(bool holds) {
  if (!holds) std::abort();
}

void Read(std::span<const uint8_t> message) {
  const auto reply = ReadReply(message, IdOf(message));
  if (!reply.ok()) return;
  Require((*reply)["rcode"].is_string() && (*reply)["answers"].is_array());
  for (const auto& answer : (*reply)["answers"]) Require(answer.is_string());
  HasAnswer(*reply);
  for (const char c : reply->dump()) Require(c >= ' ' && c <= '~');
}

}  // namespace
}  // namespace portolan::proxy

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  portolan::proxy::Read({data, size});
  return 0;
}

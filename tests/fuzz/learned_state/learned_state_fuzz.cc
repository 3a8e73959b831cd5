// The file of learned addresses: the input as a file, and as the body of one that is sealed as it
// should be. What is read is taken up within the limits, and comes out of the next file the same.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "proxy/feed/saved_state.h"
#include "proxy/policy/learned_state.h"

namespace portolan::proxy {
namespace {

constexpr BothClocks kNow{absl::Seconds(1000), absl::FromUnixSeconds(1'800'000'000)};
constexpr absl::Duration kGrace = absl::Seconds(60);

void Check(bool holds) {
  if (!holds) std::abort();
}

void Read(std::string_view file) {
  const auto entries = DecodeLearned(file, kNow, kGrace);
  if (!entries.ok()) return;
  constexpr size_t kMost = 16;
  LearnedAddresses learned({.addresses = kMost, .per_name = 4});
  learned.Restore(*entries, kNow.monotonic);
  Check(learned.size() <= kMost);
  const auto listed = learned.List(kNow.monotonic);
  for (const auto& entry : listed) Check(entry.expires > kNow.monotonic && entry.live == 0);

  const auto again = DecodeLearned(EncodeLearned(listed, kNow), kNow, kGrace);
  Check(again.ok() && again->size() == listed.size());
  for (size_t i = 0; i < listed.size(); ++i) {
    Check((*again)[i].name == listed[i].name && (*again)[i].ip == listed[i].ip);
  }
}

}  // namespace
}  // namespace portolan::proxy

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  portolan::proxy::Read(bytes);
  portolan::proxy::Read(portolan::proxy::SealState(bytes));
  return 0;
}

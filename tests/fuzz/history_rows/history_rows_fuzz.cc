// Any bytes as what a file of the history holds: a key frame, then rows that are applied to it,
// each behind its length. Damaged, or a state that can be shown and kept again.
#include <zlib.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <utility>

#include "xds/history/state.h"

namespace portolan::xds {
namespace {

void Require(bool holds) {
  if (!holds) std::abort();
}

const ObjectName kName = {"default", "backend"};

// The next part of the input, up to 65535 bytes.
std::string_view Take(std::string_view& input) {
  if (input.size() < 2) return std::exchange(input, {});
  const size_t length = static_cast<uint8_t>(input[0]) | (static_cast<uint8_t>(input[1]) << 8);
  input.remove_prefix(2);
  const std::string_view part = input.substr(0, length);
  input.remove_prefix(part.size());
  return part;
}

// As Compress in state.cc, so that what is within is reached.
std::string Framed(std::string_view text) {
  uLongf size = compressBound(text.size());
  std::string out(4 + size, '\0');
  for (size_t i = 0; i < 4; ++i) out[i] = static_cast<char>(text.size() >> (8 * i));
  compress2(reinterpret_cast<Bytef*>(out.data() + 4), &size,
            reinterpret_cast<const Bytef*>(text.data()), text.size(), 1);
  out.resize(4 + size);
  return out;
}

void ShowAndKeep(NameState state) {
  const auto snapshot = SnapshotOf(std::move(state));
  const StateView view = StateIn(*snapshot, kName.ToString());
  if (view.service != nullptr) {
    (void)ServiceDetailJson(*snapshot, *view.service, "cluster.local").dump();
  }
  (void)SlicesJson(view.slices).dump();
  const auto again = DecodeState(kName, EncodeState(view));
  Require(again.ok());
  Require(again->slices.size() == (view.slices == nullptr ? 0 : view.slices->size()));
}

void Run(std::string_view input) {
  const bool framed = input.starts_with('f');
  input.remove_prefix(std::min<size_t>(1, input.size()));
  const std::string_view first = Take(input);
  auto state = framed ? DecodeState(kName, Framed(first)) : DecodeState(kName, first);
  if (!state.ok()) {
    Require(absl::IsInvalidArgument(state.status()));
    state = NameState();
  }
  while (input.size() > 2) {
    const auto cause = CauseOf(static_cast<uint8_t>(input[0]) % 12 + 1);
    const bool slice = (static_cast<uint8_t>(input[1]) & 1) != 0;
    input.remove_prefix(2);
    auto delta = DecodeDelta(Take(input));
    if (!delta.ok()) {
      Require(absl::IsInvalidArgument(delta.status()));
      continue;
    }
    Entry entry;
    entry.position = {1,
                      "7",
                      kName,
                      slice ? HistoryKind::kEndpointSlice : HistoryKind::kService,
                      slice ? "backend-a" : "",
                      *cause};
    entry.delta = *std::move(delta);
    Require(PositionOf(EntryJson(entry)).has_value());
    const absl::Status status = Apply(entry, *state);
    if (!status.ok()) return Require(absl::IsInvalidArgument(status));
  }
  ShowAndKeep(*std::move(state));
}

}  // namespace
}  // namespace portolan::xds

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  portolan::xds::Run({reinterpret_cast<const char*>(data), size});
  return 0;
}

// What a name is at a moment, as the history keeps it: whole, in a key frame, or as what each entry
// changed.
//
// A file's bytes are not trusted: whatever is read is checked, with errors of code InvalidArgument;
// fuzzed in tests/fuzz/history_rows. Pure functions; any thread.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "directory/directory.h"
#include "xds/history/entry.h"

namespace portolan::xds {

// A name in a snapshot. Null: there is none.
struct StateView {
  const Service* service = nullptr;
  const SliceSet* slices = nullptr;

  bool empty() const { return service == nullptr && (slices == nullptr || slices->empty()); }
};

StateView StateIn(const Snapshot& snapshot, const std::string& service_key);

// Of a directory's key, "namespace/name".
ObjectName NameOf(std::string_view service_key);

// A name that is read from the file, to be changed until it is as it was at the moment in question.
struct NameState {
  std::optional<Service> service;
  std::map<std::string, EndpointSlice> slices;  // by name

  bool empty() const { return !service.has_value() && slices.empty(); }
};

// A key frame: compressed.
std::string EncodeState(const StateView& state);
absl::StatusOr<NameState> DecodeState(const ObjectName& name, std::string_view bytes);

absl::StatusOr<history::Delta> DecodeDelta(std::string_view bytes);

// Takes the state from before the entry to after it. Not for kFirstSeen, which has a key frame.
absl::Status Apply(const Entry& entry, NameState& state);

// A snapshot of nothing but this name.
std::shared_ptr<const Snapshot> SnapshotOf(NameState state);

}  // namespace portolan::xds

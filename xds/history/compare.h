// What happened to a name between two of its states, and why: an entry for each object that is
// different.
//
// Endpoints are told apart by their addresses, across all slices that changed: one that moves from
// slice to slice is neither added nor removed. Of an object of which nothing that is kept here
// changed, there is no entry. Pure; any thread.
#pragma once

#include <vector>

#include "absl/time/time.h"
#include "xds/history/entry.h"
#include "xds/history/state.h"

namespace portolan::xds {

// `since`: when it happened, for what is gone; else the object says when its event arrived.
std::vector<Entry> Compare(const ObjectName& name, const StateView& before, const StateView& after,
                           absl::Time since);

// The entry of a name that was there when the program began. REQUIRES: it is not empty.
Entry FirstSeen(const ObjectName& name, const StateView& state, absl::Time since);

}  // namespace portolan::xds

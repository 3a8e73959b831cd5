// The same name as the control plane, a sidecar and the cluster DNS have it: where they differ, and
// what the likely cause is. What GET /api/v1/explain and `portolanctl explain` show.
//
// Pure; any thread. What a sidecar sent is untrusted: anything of another shape than expected
// counts as not said, as does whatever is beyond what an honest one says.
#pragma once

#include <cstddef>

#include <nlohmann/json.hpp>

namespace portolan::xds {

// Names that a resolver asks for in turn; a search list has six domains as a rule.
inline constexpr size_t kMostLookups = 32;
// Of one lookup: a DNS message of 64 KiB has room for fewer.
inline constexpr size_t kMostRecords = 4096;
// That one lookup is said to come from: the Service and its slices, of 100 endpoints each.
inline constexpr size_t kMostObjects = 200;

// `explanation` has
//   "sidecar"       what the sidecar's /explain says (proxy/explain/explainer.h); its "clusterDns"
//                   is the third side, where it is not there two are compared
//   "controlPlane"  {"lookups": [{"name", "rcode", "answers"}], "objects": [...]}: the same names,
//                   as far as they are the cluster's. Answers are {"name", "type", "ttl", "data"}
//                   or lines of master-file text; objects are as in a sidecar's lookup, and may be
//                   missing. One without "lookups" is {"name", "rcode", "records"}, of one name
//
// Gives [{"between": [SIDE, SIDE], "name", "kind", "what", "likely"}], empty where all agree. SIDE
// is "controlPlane", "sidecar" or "clusterDns". Neighbours are compared: control plane and sidecar,
// sidecar and cluster DNS. TTLs and the order of records do not count: they differ by design.
// Kinds:
//
//   rcode       one says that the name is there, the other that it is not
//   missing     the second side lacks records that the first has
//   extra       the second side has records that the first lacks
//   stale       the sidecar has an object in another version
//   unanswered  one side gave no answer
//   search      the resolver's search ends at different names
nlohmann::json Compare(const nlohmann::json& explanation);

}  // namespace portolan::xds

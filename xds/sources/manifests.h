// The objects in the text of a manifest file, as `kubectl apply -f` takes it: YAML, any number of
// documents, each an object or a List of objects.
//
// Any thread. All or nothing: one bad field makes the whole text an error, which reads
//   backend.yaml:12: Service default/backend: spec.ports[0].port: 70000 is not a port
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "xds/sources/objects.h"

namespace portolan::xds {

inline constexpr size_t kMaxManifestObjects = 100'000;

struct Manifest {
  ObjectId id;
  Object object;
  int line = 0;
  uint64_t digest = 0;  // as Value::digest
};

struct Manifests {
  std::vector<Manifest> objects;  // in the order of the text; an object may stand in it twice
  // What the text's author should know though it is no error: kinds left out, a Service without an
  // address. One line each, beginning like an error.
  std::vector<std::string> notes;
};

// `file` stands in messages; `arrived` becomes the objects' Origin.
absl::StatusOr<Manifests> ReadManifests(const std::string& file, const std::string& text,
                                        absl::Time arrived);

}  // namespace portolan::xds

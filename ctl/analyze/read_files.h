// Manifests on disk as Objects. Any thread.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "ctl/analyze/objects.h"

namespace portolan::ctl::analyze {

enum class Folders : uint8_t { kFlat, kDeep };

// Each of `paths` is a file, a folder (its *.yaml, *.yml and *.json; kDeep: of those within it too)
// or "-" for standard input. Gives the files; an error names a folder that holds none.
absl::StatusOr<std::vector<std::string>> ListManifests(const std::vector<std::string>& paths,
                                                       Folders folders);

// The objects of all of them. An error names the file and the line that cannot be read.
absl::StatusOr<Objects> ReadFiles(const std::vector<std::string>& paths, Folders folders);

// The objects of one text, which `file` is the name of.
absl::Status AddText(const std::string& file, const std::string& text, Objects& objects);

}  // namespace portolan::ctl::analyze

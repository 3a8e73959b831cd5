// The fixture's Kubernetes objects as a directory.
#pragma once

#include <nlohmann/json.hpp>

#include "directory/directory.h"

namespace portolan::dns::test {

// Objects of other kinds are left out.
void PutObjects(const nlohmann::json& objects, Directory& directory);

}  // namespace portolan::dns::test

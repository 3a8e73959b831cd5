// What of an API object is read: the fields that xds/sources/objects.h looks at, of all kinds in
// one tree. A field that a reader there begins to look at is added here; a test over recorded
// objects fails otherwise. Any thread.
#pragma once

#include <vector>

#include "common/document/json.h"

namespace portolan::xds {

const std::vector<WantedField>& ObjectFields();

}  // namespace portolan::xds

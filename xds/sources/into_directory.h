// Objects that a source has read, put into the directory it fills and taken out of it. On the
// directory's thread.
#pragma once

#include "directory/directory.h"
#include "xds/sources/objects.h"

namespace portolan::xds {

void Put(Directory& directory, Object object);
void Remove(Directory& directory, const ObjectId& id);

}  // namespace portolan::xds

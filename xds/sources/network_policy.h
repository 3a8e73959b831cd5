// A NetworkPolicy of the Kubernetes API as a value of the directory's model: defaults and
// validation as pkg/apis/networking/validation of Kubernetes has them. Any thread.
#pragma once

#include "common/document/value.h"
#include "directory/network_policy.h"

namespace portolan::xds {

// Errors go to the Field's FieldErrors, and the value is then not to be used.
NetworkPolicy ReadNetworkPolicy(const Field& object, const Origin& origin);

}  // namespace portolan::xds

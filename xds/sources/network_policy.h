// A NetworkPolicy of the Kubernetes API as a value of the directory's model: defaults and
// validation as pkg/apis/networking/validation of Kubernetes has them. Any thread.
#pragma once

#include "common/document/value.h"
#include "directory/network_policy.h"

namespace portolan::xds {

// Errors go to the Field's FieldErrors, and the value is then not to be used.
NetworkPolicy ReadNetworkPolicy(const Field& object, const Origin& origin);

// A LabelSelector (meta/v1); absent: everything.
ObjectSelector ReadSelector(const Field& field);
// What ends a range that begins with `port`, where there is one; 0 where not.
uint16_t ReadEndPort(const Field& end, uint16_t port);

}  // namespace portolan::xds

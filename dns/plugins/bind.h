// The directive `bind`: read and checked, without effect in a sidecar, whose own listen address
// serves all server blocks.
//
//   bind ADDRESS|INTERFACE... {
//       except ADDRESS|INTERFACE...
//   }
//
// https://coredns.io/plugins/bind/
#pragma once

#include "absl/status/status.h"
#include "dns/plugins/load_context.h"

namespace portolan::dns {

absl::Status LoadBind(const corefile::Directive& directive, LoadContext& context);

}  // namespace portolan::dns

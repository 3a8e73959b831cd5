// The directive `reload`: how often the program looks whether its Corefile has changed.
//
//   reload [INTERVAL] [JITTER]     default 30s and 15s; at least 2s and 1s
//
// https://coredns.io/plugins/reload/. No link of a chain: the program follows the file, and only
// one of its own; what the control plane sends is in force when it arrives. Errors are
// Token::Error.
#pragma once

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "dns/corefile/ast.h"

namespace portolan::dns {

class LoadContext;

struct ReloadSettings {
  absl::Duration interval = absl::Seconds(30);
  // The interval is longer or shorter by at most half of this, drawn anew at every load. At most
  // half of the interval.
  absl::Duration jitter = absl::Seconds(15);
};

absl::StatusOr<ReloadSettings> ParseReload(const corefile::Directive& directive);

// Into LoadContext::followed(). The first block that has it counts.
absl::Status LoadReload(const corefile::Directive& directive, LoadContext& context);

}  // namespace portolan::dns

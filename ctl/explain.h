// portolanctl explain: what becomes of a name that a pod's application looks up, as the pod's
// sidecar, the control plane and, where asked for, the cluster DNS have it.
#pragma once

#include "ctl/command.h"

namespace portolan::ctl {

// With --exit-code the exit status is 3 where they differ.
inline constexpr int kExitDifferent = 3;

Run AddExplain(CLI::App& command);

}  // namespace portolan::ctl

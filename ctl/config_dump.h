// portolanctl config-dump: a sidecar's Corefile and the state of its feed, as JSON.
#pragma once

#include "ctl/command.h"

namespace portolan::ctl {

Run AddConfigDump(CLI::App& command);

}  // namespace portolan::ctl

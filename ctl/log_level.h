// portolanctl log-level: sets a sidecar's log level.
#pragma once

#include "ctl/command.h"

namespace portolan::ctl {

Run AddLogLevel(CLI::App& command);

}  // namespace portolan::ctl

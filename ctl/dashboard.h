// portolanctl dashboard: opens the control plane's pages in a browser, and keeps the way to them
// open until Ctrl-C.
#pragma once

#include "ctl/command.h"

namespace portolan::ctl {

Run AddDashboard(CLI::App& command);

}  // namespace portolan::ctl

// portolanctl inject: pod templates of a file, with what the webhook puts into pods.
#pragma once

#include "ctl/command.h"

namespace portolan::ctl {

Run AddInject(CLI::App& command);

}  // namespace portolan::ctl

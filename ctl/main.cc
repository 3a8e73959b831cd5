// portolanctl: what the control plane knows and what sidecars say, for operators. docs: --help.
#include <curl/curl.h>

#include <string>
#include <utility>

#include "common/flags.h"
#include "ctl/command.h"
#include "ctl/config_dump.h"
#include "ctl/explain.h"
#include "ctl/inject_command.h"
#include "ctl/log_level.h"
#include "ctl/names.h"
#include "ctl/proxy_status.h"
#include "ctl/session.h"

namespace portolan::ctl {
namespace {

// In the order of --help.
const Command kCommands[] = {
    {"names", "the Services, their addresses and endpoints", AddNames},
    {"proxy-status", "the connected sidecars, and whether they hold what was sent to them",
     AddProxyStatus},
    {"explain", "what becomes of a name that a pod's application looks up", AddExplain},
    {"config-dump", "a sidecar's Corefile and the state of its feed", AddConfigDump},
    {"log-level", "set a sidecar's log level", AddLogLevel},
    {"inject", "pod templates of a file, with what the webhook puts into pods; to standard output",
     AddInject},
};

int Main(int argc, char** argv) {
  CLI::App app("What Portolan's control plane knows: names, and the sidecars that follow it",
               "portolanctl");
  AddCommonFlags(app, "portolanctl " PORTOLAN_VERSION);
  app.require_subcommand(1);
  Session session(app);
  Run run;
  for (const Command& command : kCommands) {
    CLI::App* subcommand = app.add_subcommand(command.name, command.help);
    subcommand->fallthrough();  // the flags of all commands may follow it
    subcommand->callback([&run, run_this = command.add(*subcommand)] { run = run_this; });
  }
  if (const auto exit = ParseFlags(app, argc, argv)) return *exit;
  return run(session);
}

}  // namespace
}  // namespace portolan::ctl

int main(int argc, char** argv) {
  curl_global_init(CURL_GLOBAL_DEFAULT);
  const int status = portolan::ctl::Main(argc, argv);
  curl_global_cleanup();
  return status;
}

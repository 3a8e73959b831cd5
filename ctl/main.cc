// portolanctl: what the control plane knows and what sidecars say, for operators.
// docs/portolanctl.md.
#include <curl/curl.h>

#include <string>
#include <string_view>
#include <utility>

#include "common/flags.h"
#include "ctl/analyze_command.h"
#include "ctl/command.h"
#include "ctl/completion.h"
#include "ctl/config_dump.h"
#include "ctl/dashboard.h"
#include "ctl/denials.h"
#include "ctl/diff.h"
#include "ctl/endpoints.h"
#include "ctl/explain.h"
#include "ctl/history.h"
#include "ctl/inject_command.h"
#include "ctl/log_level.h"
#include "ctl/names.h"
#include "ctl/policy_command.h"
#include "ctl/proxy_status.h"
#include "ctl/records.h"
#include "ctl/session.h"
#include "ctl/top.h"

namespace portolan::ctl {
namespace {

// In the order of --help.
const Command kCommands[] = {
    {"proxy-status", "the connected sidecars, and whether they hold what was sent to them",
     AddProxyStatus, Runs::kWatched},
    {"names", "the Services, their addresses and endpoints, and what is wrong with them", AddNames,
     Runs::kWatched},
    {"endpoints", "where a Service leads: its endpoints, with pod, node, zone and conditions",
     AddEndpoints, Runs::kWatched},
    {"records", "what a sidecar answers for a Service's names, as dig prints it", AddRecords,
     Runs::kWatched},
    {"explain", "what becomes of a name that a pod's application looks up", AddExplain,
     Runs::kWatched},
    {"history", "what changed where a name leads, or where it led at a moment", AddHistory,
     Runs::kWatched},
    {"top", "who wastes queries, which upstreams fail, which names are asked for most", AddTop,
     Runs::kWatched},
    {"denials", "what policy denied, and which rule came nearest to allowing it", AddDenials,
     Runs::kWatched},
    {"diff", "what a sidecar holds against what the control plane serves it", AddDiff},
    {"config-dump", "a sidecar's Corefile and the state of its feed", AddConfigDump,
     Runs::kWatched},
    {"log-level", "set a sidecar's log level", AddLogLevel},
    {"dashboard", "open the control plane's pages in a browser, until Ctrl-C", AddDashboard},
    {"analyze", "what is wrong with the names of a cluster, or of manifests", AddAnalyze},
    {"policy", "whether policies let a pod open a connection, now or by manifests", AddPolicy},
    {"inject", "pod templates of a file, with what the webhook puts into pods; to standard output",
     AddInject},
    {"completion", "what bash or zsh needs to complete the command line", AddCompletion},
    {"__complete", "", AddComplete},
};

// "kubectl portolan" where it was called as kubectl's plugin.
std::string NameOf(const char* argv0) {
  const std::string_view path = argv0 == nullptr ? "" : argv0;
  return path.substr(path.rfind('/') + 1) == "kubectl-portolan" ? "kubectl portolan"
                                                                : "portolanctl";
}

int Main(int argc, char** argv) {
  CLI::App app(
      "Which name leads where in the cluster, for whom, since when and why: what Portolan's\n"
      "control plane knows, and what sidecars say",
      NameOf(argv[0]));
  AddCommonFlags(app, "portolanctl " PORTOLAN_VERSION);
  app.require_subcommand(1);
  Session session(app);
  Run run;
  for (const Command& command : kCommands) {
    CLI::App* subcommand = app.add_subcommand(command.name, command.help);
    subcommand->fallthrough();  // the flags of all commands may follow it
    if (command.runs == Runs::kWatched) session.AddWatch(*subcommand);
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

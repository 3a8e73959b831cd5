#include "ctl/log_level.h"

#include <fmt/format.h>

#include <memory>

#include "common/flags.h"
#include "ctl/asked_sidecar.h"
#include "ctl/output.h"
#include "ctl/session.h"

namespace portolan::ctl {
namespace {

struct Flags {
  std::string level;
  AskedSidecar sidecar;
};

}  // namespace

Run AddLogLevel(CLI::App& command) {
  auto flags = std::make_shared<Flags>();
  command.add_option("LEVEL", flags->level, "how much is logged")
      ->check(CLI::IsMember({"debug", "info", "warn", "error"}))
      ->required();
  flags->sidecar.AddFlags(command, false);
  return [flags](Session& session) {
    const AskedSidecar& sidecar = flags->sidecar;
    if (const auto exit = WrongUsage(sidecar.Fault())) return *exit;
    const auto answer = session.Post(sidecar.PathOf("logging?level=" + EncodeQuery(flags->level)));
    if (!answer.ok()) return Fail(answer.status());
    return Print(fmt::format("{} logs at {}\n", sidecar.pod, flags->level));
  };
}

}  // namespace portolan::ctl

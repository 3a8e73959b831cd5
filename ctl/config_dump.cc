#include "ctl/config_dump.h"

#include <memory>

#include "common/flags.h"
#include "ctl/asked_sidecar.h"
#include "ctl/output.h"
#include "ctl/session.h"

namespace portolan::ctl {

Run AddConfigDump(CLI::App& command) {
  auto sidecar = std::make_shared<AskedSidecar>();
  sidecar->AddFlags(command, true);
  return [sidecar](Session& session) {
    if (const auto exit = WrongUsage(sidecar->Fault())) return *exit;
    return session.Show([&] { return sidecar->Ask(session, "config_dump"); },
                        [](const nlohmann::json& answer, const Look&) { return Json(answer); });
  };
}

}  // namespace portolan::ctl

#include "ctl/explain.h"

#include <fmt/format.h>

#include <memory>
#include <string>
#include <utility>

#include "common/flags.h"
#include "common/json_fields.h"
#include "ctl/asked_sidecar.h"
#include "ctl/explain_text.h"
#include "ctl/session.h"
#include "xds/dashboard/compare.h"

namespace portolan::ctl {
namespace {

using nlohmann::json;

struct Flags {
  std::string name;
  std::string type = "A";
  bool with_cluster_dns = false;
  bool exit_code = false;
  AskedSidecar sidecar;
};

// What the control plane answers; of a sidecar that is asked itself the same, without its part.
absl::StatusOr<json> Ask(const Flags& flags, Session& session) {
  const std::string question =
      fmt::format("name={}&type={}{}", EncodeQuery(flags.name), EncodeQuery(flags.type),
                  flags.with_cluster_dns ? "&clusterDns=true" : "");
  if (!flags.sidecar.direct) {
    return session.Get(
        fmt::format("/api/v1/explain?pod={}&{}", EncodeQuery(flags.sidecar.pod), question));
  }
  auto said = flags.sidecar.Ask(session, "explain?" + question);
  if (!said.ok()) return said.status();
  json answer = {{"sidecar", *std::move(said)}};
  answer["differences"] = xds::Compare(answer);
  return answer;
}

}  // namespace

Run AddExplain(CLI::App& command) {
  auto flags = std::make_shared<Flags>();
  command.add_option("NAME", flags->name, "as the application has it: backend, or backend.default")
      ->required();
  command.add_option("--type", flags->type, "A, AAAA, SRV, ...")->capture_default_str();
  command.add_flag("--with-cluster-dns", flags->with_cluster_dns,
                   "have the sidecar ask the pod's own nameservers as well");
  command.add_flag("--exit-code", flags->exit_code, "exit status 3 where the answers differ");
  flags->sidecar.AddFlags(command, true);
  return [flags](Session& session) {
    if (const auto exit = WrongUsage(flags->sidecar.Fault())) return *exit;
    bool differ = false;
    bool silent = false;
    const int status = session.Show(
        [&] {
          auto answer = Ask(*flags, session);
          differ = answer.ok() && !ListOf(*answer, "differences").empty();
          silent = answer.ok() && !TextOf(FieldOf(*answer, "sidecar"), "error").empty();
          return answer;
        },
        ExplainText);
    if (status == kExitOk && silent) return kExitFailed;
    return status == kExitOk && differ && flags->exit_code ? kExitDifferent : status;
  };
}

}  // namespace portolan::ctl

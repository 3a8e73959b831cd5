#include "ctl/explain.h"

#include <fmt/format.h>

#include <memory>
#include <utility>
#include <vector>

#include "common/flags.h"
#include "ctl/asked_sidecar.h"
#include "ctl/json_fields.h"
#include "ctl/session.h"
#include "ctl/terminal.h"

namespace portolan::ctl {
namespace {

using nlohmann::json;

struct Flags {
  std::string name;
  std::string type = "A";
  AskedSidecar sidecar;
};

}  // namespace

std::string ExplainText(const json& answer, const Look&) {
  Table table({"LOOKUP", "RESULT", "ANSWER"});
  std::string services;
  for (const json& lookup : ListOf(answer, "lookups")) {
    const std::string error = TextOf(lookup, "error");
    std::vector<Cell> row{TextOf(lookup, "name"), error.empty() ? TextOf(lookup, "rcode") : error,
                          ""};
    for (const json& record : ListOf(lookup, "answers")) {
      if (record.is_string()) row[2].text = record.get<std::string>();
      table.Add(std::exchange(row, {" ", " ", ""}));
    }
    if (ListOf(lookup, "answers").empty()) table.Add(row);
    const json& service = FieldOf(lookup, "service");
    if (!service.is_object()) continue;
    const json& endpoints = FieldOf(service, "endpoints");
    services += fmt::format(
        "Service {}/{}: {}, endpoints {}: {} ready, {} terminating\n",
        Printable(TextOf(service, "namespace")), Printable(TextOf(service, "name")),
        Printable(TextOf(service, "type")), Printable(TextOf(service, "endpointsState")),
        Printable(TextOf(endpoints, "ready")), Printable(TextOf(endpoints, "terminating")));
  }
  const json& feed = FieldOf(answer, "feed");
  return fmt::format("{}\n{}Feed: {}, age {}\n", table.ToString(), services,
                     FieldOf(feed, "inSync") == true ? "in sync" : "not in sync",
                     Printable(TextOf(feed, "age")));
}

Run AddExplain(CLI::App& command) {
  auto flags = std::make_shared<Flags>();
  command.add_option("NAME", flags->name, "as the application has it: backend, or backend.default")
      ->required();
  command.add_option("--type", flags->type, "A, AAAA, SRV, ...")->capture_default_str();
  flags->sidecar.AddFlags(command, true);
  return [flags](Session& session) {
    if (const auto exit = WrongUsage(flags->sidecar.Fault())) return *exit;
    const std::string page =
        fmt::format("explain?name={}&type={}", EncodeQuery(flags->name), EncodeQuery(flags->type));
    return session.Show([&] { return flags->sidecar.Ask(session, page); }, ExplainText);
  };
}

}  // namespace portolan::ctl

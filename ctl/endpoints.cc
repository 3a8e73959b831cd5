#include "ctl/endpoints.h"

#include <fmt/format.h>

#include <memory>
#include <vector>

#include "absl/time/clock.h"
#include "common/json_fields.h"
#include "ctl/output.h"
#include "ctl/service_name.h"
#include "ctl/session.h"

namespace portolan::ctl {
namespace {

using nlohmann::json;

struct Flags {
  std::string service;
  std::string ns = "default";
};

// In the word that decides: whether connections go there.
Cell ConditionOf(const json& endpoint) {
  const json& conditions = FieldOf(endpoint, "conditions");
  const bool serving = FieldOf(conditions, "serving") == true;
  if (FieldOf(conditions, "terminating") == true) {
    return {serving ? "terminating, serving" : "terminating", Tone::kWarning};
  }
  if (FieldOf(conditions, "ready") == true) return {"ready", Tone::kGood};
  return {serving ? "serving" : "not ready", Tone::kBad};
}

std::string PortsOf(const json& slice) {
  std::string out;
  for (const json& port : ListOf(slice, "ports")) {
    if (!out.empty()) out += ",";
    const std::string name = TextOf(port, "name");
    out += fmt::format("{}{}{}/{}", name, name.empty() ? "" : ":", TextOf(port, "port"),
                       TextOf(port, "protocol"));
  }
  return out;
}

std::string HintsOf(const json& endpoint) {
  const std::string zones = Joined(FieldOf(endpoint, "zoneHints"));
  const std::string nodes = Joined(FieldOf(endpoint, "nodeHints"));
  return zones.empty() || nodes.empty() ? zones + nodes : zones + " " + nodes;
}

std::string HeadOf(const json& answer, const Look& look, absl::Time now) {
  std::string addresses =
      FieldOf(answer, "headless") == true ? "headless" : Joined(ListOf(answer, "clusterIPs"));
  if (const std::string external = TextOf(answer, "externalName"); !external.empty()) {
    addresses = "leads to " + external;
  }
  const std::string changed =
      look.absolute_times ? std::string() : Age(TextOf(answer, "lastChange"), now);
  std::string out =
      Printable(fmt::format("{}/{}: {}{}{}", TextOf(answer, "namespace"), TextOf(answer, "name"),
                            TextOf(answer, "type"), addresses.empty() ? "" : ", " + addresses,
                            changed.empty() ? "" : fmt::format(", changed {} ago", changed)));
  out += "\n";
  for (const json& warning : ListOf(answer, "warnings")) {
    const std::string line =
        fmt::format("{}: {}", TextOf(warning, "code"), TextOf(warning, "message"));
    out += Styled(line, Tone::kWarning, look) + "\n";
  }
  return out + "\n";
}

std::string AskersOf(const json& answer, const Look& look, absl::Time now) {
  const json& asked = FieldOf(answer, "askedBy");
  Table table({"ASKED BY", "QUERIES", "LAST"});
  for (const json& pod : ListOf(asked, "byPod")) {
    table.Add(
        {TextOf(pod, "node"), TextOf(pod, "queries"), Age(TextOf(pod, "lastAsked"), now, look)});
  }
  if (table.empty()) return {};
  return "\n" + table.ToString(look);
}

}  // namespace

std::string EndpointsText(const json& answer, const Look& look, absl::Time now) {
  std::vector<std::string> heading{"ADDRESS", "PORTS", "CONDITION", "POD", "NODE", "ZONE"};
  if (look.wide) heading.insert(heading.end(), {"HOSTNAME", "HINTS", "SLICE", "ARRIVED"});
  Table table(heading);
  for (const json& slice : ListOf(answer, "endpointSlices")) {
    for (const json& endpoint : ListOf(slice, "endpoints")) {
      std::vector<Cell> row{Joined(FieldOf(endpoint, "addresses")),
                            PortsOf(slice),
                            ConditionOf(endpoint),
                            TextOf(endpoint, "pod"),
                            TextOf(endpoint, "nodeName"),
                            TextOf(endpoint, "zone")};
      if (look.wide) {
        row.insert(row.end(), {TextOf(endpoint, "hostname"), HintsOf(endpoint),
                               TextOf(slice, "name"), Age(TextOf(slice, "arrived"), now, look)});
      }
      table.Add(std::move(row));
    }
  }
  const bool external = !TextOf(answer, "externalName").empty();
  const std::string none = external ? "" : "No endpoints.\n";
  return HeadOf(answer, look, now) + (table.empty() ? none : table.ToString(look)) +
         AskersOf(answer, look, now) + ReplicaNotes(answer, look);
}

Run AddEndpoints(CLI::App& command) {
  auto flags = std::make_shared<Flags>();
  command
      .add_option("SERVICE", flags->service,
                  "backend, default/backend, backend.default.svc.cluster.local, or an address")
      ->required();
  command.add_option("-n,--namespace", flags->ns, "where SERVICE names none")
      ->capture_default_str();
  return [flags](Session& session) {
    return session.Show([&] { return FetchService(session, flags->service, flags->ns); },
                        [](const json& answer, const Look& look) {
                          return EndpointsText(answer, look, absl::Now());
                        });
  };
}

}  // namespace portolan::ctl

#include "ctl/names.h"

#include <fmt/format.h>

#include <memory>

#include "absl/time/clock.h"
#include "common/json_fields.h"
#include "ctl/output.h"
#include "ctl/session.h"

namespace portolan::ctl {
namespace {

using nlohmann::json;

struct Flags {
  std::string search;
  std::string ns;
  std::string label;
  bool warnings = false;
};

std::string Addresses(const json& name) {
  if (FieldOf(name, "headless") == true) return "None";
  if (std::string external = TextOf(name, "externalName"); !external.empty()) return external;
  return Joined(ListOf(name, "clusterIPs"));
}

std::string Ports(const json& name) {
  std::string out;
  for (const json& port : ListOf(name, "ports")) {
    if (!out.empty()) out += ",";
    out += fmt::format("{}/{}", TextOf(port, "port"), TextOf(port, "protocol"));
  }
  return out;
}

std::string Labels(const json& name) {
  std::string out;
  const json& labels = FieldOf(name, "labels");
  if (!labels.is_object()) return out;
  for (const auto& [key, value] : labels.items()) {
    if (!out.empty()) out += ",";
    out += fmt::format("{}={}", key, TextOf(value));
  }
  return out;
}

std::string Codes(const json& name) {
  std::string out;
  for (const json& warning : ListOf(name, "warnings")) {
    if (!out.empty()) out += ",";
    out += TextOf(warning, "code");
  }
  return out;
}

Tone ToneOfReady(const std::string& ready) { return ready == "0" ? Tone::kBad : Tone::kPlain; }

absl::StatusOr<json> Fetch(Session& session, const Flags& flags) {
  std::string path =
      fmt::format("/api/v1/names?limit=5000&namespace={}&search={}&label={}", EncodeQuery(flags.ns),
                  EncodeQuery(flags.search), EncodeQuery(flags.label));
  if (flags.warnings) path += "&warning=any";
  auto answer = session.GetAll(path, "names");
  if (!answer.ok() || !flags.warnings) return answer;
  json warned = json::array();
  for (json& name : (*answer)["names"]) {
    if (!ListOf(name, "warnings").empty()) warned.push_back(std::move(name));
  }
  (*answer)["names"] = std::move(warned);
  return answer;
}

}  // namespace

std::string NamesTable(const json& answer, const Look& look, absl::Time now) {
  std::vector<std::string> heading{"NAMESPACE", "NAME",        "TYPE",    "CLUSTER-IP", "PORTS",
                                   "READY",     "TERMINATING", "CHANGED", "WARNINGS"};
  if (look.wide) heading.insert(heading.end(), {"ASKED", "LABELS", "DNS"});
  Table table(heading);
  for (const json& name : ListOf(answer, "names")) {
    const json& endpoints = FieldOf(name, "endpoints");
    const std::string ready = TextOf(endpoints, "ready");
    std::vector<Cell> row{TextOf(name, "namespace"),
                          TextOf(name, "name"),
                          TextOf(name, "type"),
                          Addresses(name),
                          Ports(name),
                          {ready, ToneOfReady(ready)},
                          TextOf(endpoints, "terminating"),
                          Age(TextOf(name, "lastChange"), now, look),
                          {Codes(name), Tone::kWarning}};
    if (look.wide) {
      row.insert(row.end(), {TextOf(FieldOf(name, "askedBy"), "queries"), Labels(name),
                             TextOf(name, "dnsName")});
    }
    table.Add(std::move(row));
  }
  if (table.empty()) return "No names found.\n" + ReplicaNotes(answer, look);
  return table.ToString(look) + ReplicaNotes(answer, look);
}

std::string WarningsTable(const json& answer, const Look& look) {
  Table table({"NAMESPACE", "NAME", "WARNING", "WHAT"});
  for (const json& name : ListOf(answer, "names")) {
    for (const json& warning : ListOf(name, "warnings")) {
      table.Add({TextOf(name, "namespace"),
                 TextOf(name, "name"),
                 {TextOf(warning, "code"), Tone::kWarning},
                 TextOf(warning, "message")});
    }
  }
  return table.empty() ? "No name has a warning.\n" : table.ToString(look);
}

Run AddNames(CLI::App& command) {
  auto flags = std::make_shared<Flags>();
  command.add_option("SEARCH", flags->search,
                     "part of a name, an address (of the Service or of an endpoint), or key=value "
                     "of a label");
  command.add_option("-n,--namespace", flags->ns, "of this namespace only");
  command.add_option("-l,--label", flags->label, "with this label: key or key=value");
  command.add_flag("--warnings", flags->warnings, "what is wrong with which of them");
  return [flags](Session& session) {
    return session.Show([&] { return Fetch(session, *flags); },
                        [&](const json& answer, const Look& look) {
                          return flags->warnings ? WarningsTable(answer, look)
                                                 : NamesTable(answer, look, absl::Now());
                        });
  };
}

}  // namespace portolan::ctl

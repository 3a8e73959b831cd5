#include "ctl/names.h"

#include <fmt/format.h>

#include <memory>

#include "ctl/json_fields.h"
#include "ctl/session.h"
#include "ctl/terminal.h"

namespace portolan::ctl {
namespace {

using nlohmann::json;

struct Flags {
  std::string search;
  std::string ns;
};

std::string Addresses(const json& name) {
  if (FieldOf(name, "headless") == true) return "None";
  if (std::string external = TextOf(name, "externalName"); !external.empty()) return external;
  std::string out;
  for (const json& ip : ListOf(name, "clusterIPs")) {
    if (!ip.is_string()) continue;
    if (!out.empty()) out += ",";
    out += ip.get<std::string>();
  }
  return out;
}

std::string Ports(const json& name) {
  std::string out;
  for (const json& port : ListOf(name, "ports")) {
    if (!out.empty()) out += ",";
    out += fmt::format("{}/{}", TextOf(port, "port"), TextOf(port, "protocol"));
  }
  return out;
}

}  // namespace

std::string NamesTable(const json& answer, const Look&) {
  Table table({"NAMESPACE", "NAME", "TYPE", "CLUSTER-IP", "PORTS", "READY", "TERMINATING", "DNS"});
  for (const json& name : ListOf(answer, "names")) {
    const json& endpoints = FieldOf(name, "endpoints");
    table.Add({TextOf(name, "namespace"), TextOf(name, "name"), TextOf(name, "type"),
               Addresses(name), Ports(name), TextOf(endpoints, "ready"),
               TextOf(endpoints, "terminating"), TextOf(name, "dnsName")});
  }
  return table.empty() ? "No names found.\n" : table.ToString();
}

Run AddNames(CLI::App& command) {
  auto flags = std::make_shared<Flags>();
  command.add_option("SEARCH", flags->search, "part of a name or address");
  command.add_option("-n,--namespace", flags->ns, "of this namespace only");
  return [flags](Session& session) {
    const std::string path = fmt::format("/api/v1/names?limit=5000&namespace={}&search={}",
                                         EncodeQuery(flags->ns), EncodeQuery(flags->search));
    return session.Show([&] { return session.GetAll(path, "names"); }, NamesTable);
  };
}

}  // namespace portolan::ctl

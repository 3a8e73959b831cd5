#include "ctl/views.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>
#include <utility>
#include <vector>

#include "ctl/terminal.h"

namespace portolan::ctl {
namespace {

using nlohmann::json;

const json& Field(const json& object, std::string_view key) {
  static const json kNothing;
  if (!object.is_object()) return kNothing;
  const auto it = object.find(key);
  return it == object.end() ? kNothing : *it;
}

std::string Text(const json& object, std::string_view key) {
  const json& value = Field(object, key);
  if (value.is_string()) return value.get<std::string>();
  if (value.is_number_integer()) return std::to_string(value.get<int64_t>());
  return {};
}

// The array under `key`; empty for anything else.
const json& List(const json& object, std::string_view key) {
  static const json kEmpty = json::array();
  const json& value = Field(object, key);
  return value.is_array() ? value : kEmpty;
}

std::string Upper(std::string text) {
  for (char& c : text) {
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 32);
  }
  return text;
}

std::string Addresses(const json& name) {
  if (Field(name, "headless") == true) return "None";
  if (std::string external = Text(name, "externalName"); !external.empty()) return external;
  std::string out;
  for (const json& ip : List(name, "clusterIPs")) {
    if (!ip.is_string()) continue;
    if (!out.empty()) out += ",";
    out += ip.get<std::string>();
  }
  return out;
}

std::string Ports(const json& name) {
  std::string out;
  for (const json& port : List(name, "ports")) {
    if (!out.empty()) out += ",";
    out += fmt::format("{}/{}", Text(port, "port"), Text(port, "protocol"));
  }
  return out;
}

// "3m20s", "5h10m", "2d4h"; empty for a time that cannot be read.
std::string Age(const std::string& since, absl::Time now) {
  absl::Time time;
  if (!absl::ParseTime(absl::RFC3339_full, since, &time, nullptr)) return {};
  const int64_t s = std::max<int64_t>(0, absl::ToInt64Seconds(now - time));
  if (s < 60) return fmt::format("{}s", s);
  if (s < 3600) return fmt::format("{}m{}s", s / 60, s % 60);
  if (s < 86400) return fmt::format("{}h{}m", s / 3600, s % 3600 / 60);
  return fmt::format("{}d{}h", s / 86400, s % 86400 / 3600);
}

}  // namespace

std::string NamesTable(const json& answer) {
  Table table({"NAMESPACE", "NAME", "TYPE", "CLUSTER-IP", "PORTS", "READY", "TERMINATING", "DNS"});
  for (const json& name : List(answer, "names")) {
    const json& endpoints = Field(name, "endpoints");
    table.Add({Text(name, "namespace"), Text(name, "name"), Text(name, "type"), Addresses(name),
               Ports(name), Text(endpoints, "ready"), Text(endpoints, "terminating"),
               Text(name, "dnsName")});
  }
  return table.empty() ? "No names found.\n" : table.ToString();
}

std::string ProxyStatusTable(const json& answer, absl::Time now) {
  const json& sidecars = List(answer, "sidecars");
  // A column for each type that any of them subscribes to, in the order they appear.
  std::vector<std::string> types;
  for (const json& sidecar : sidecars) {
    for (const json& type : List(sidecar, "types")) {
      std::string word = Text(type, "type");
      if (std::find(types.begin(), types.end(), word) == types.end()) types.push_back(word);
    }
  }
  std::vector<std::string> heading{"NAME"};
  for (const std::string& type : types) heading.push_back(Upper(type));
  heading.insert(heading.end(), {"CONNECTED", "PEER", "VERSION"});

  Table table(heading);
  std::string refusals;
  for (const json& sidecar : sidecars) {
    std::vector<std::string> row{Text(sidecar, "node")};
    row.resize(1 + types.size());
    for (const json& type : List(sidecar, "types")) {
      const std::string word = Text(type, "type");
      const auto column = std::find(types.begin(), types.end(), word) - types.begin();
      row[1 + static_cast<size_t>(column)] = Text(type, "status");
      if (const std::string nack = Text(type, "lastNack"); !nack.empty()) {
        refusals += fmt::format("{} refuses {}: {}\n", Printable(Text(sidecar, "node")),
                                Printable(word), Printable(nack));
      }
    }
    row.push_back(Age(Text(sidecar, "connected"), now));
    row.push_back(Text(sidecar, "peer"));
    row.push_back(Text(sidecar, "version"));
    table.Add(std::move(row));
  }
  if (table.empty()) return "No sidecar is connected.\n";
  return refusals.empty() ? table.ToString() : table.ToString() + "\n" + refusals;
}

std::string ExplainText(const json& answer) {
  Table table({"LOOKUP", "RESULT", "ANSWER"});
  std::string services;
  for (const json& lookup : List(answer, "lookups")) {
    const std::string error = Text(lookup, "error");
    std::vector<std::string> row{Text(lookup, "name"),
                                 error.empty() ? Text(lookup, "rcode") : error, ""};
    for (const json& record : List(lookup, "answers")) {
      if (record.is_string()) row[2] = record.get<std::string>();
      table.Add(std::exchange(row, {" ", " ", ""}));
    }
    if (List(lookup, "answers").empty()) table.Add(row);
    const json& service = Field(lookup, "service");
    if (!service.is_object()) continue;
    const json& endpoints = Field(service, "endpoints");
    services +=
        fmt::format("Service {}/{}: {}, endpoints {}: {} ready, {} terminating\n",
                    Printable(Text(service, "namespace")), Printable(Text(service, "name")),
                    Printable(Text(service, "type")), Printable(Text(service, "endpointsState")),
                    Text(endpoints, "ready"), Text(endpoints, "terminating"));
  }
  const json& feed = Field(answer, "feed");
  return fmt::format("{}\n{}Feed: {}, age {}\n", table.ToString(), services,
                     Field(feed, "inSync") == true ? "in sync" : "not in sync",
                     Printable(Text(feed, "age")));
}

std::string Json(const json& answer) {
  return answer.dump(2, ' ', true, json::error_handler_t::replace) + "\n";
}

}  // namespace portolan::ctl

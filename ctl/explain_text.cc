#include "ctl/explain_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>
#include <utility>
#include <vector>

#include "common/json_fields.h"

namespace portolan::ctl {
namespace {

using nlohmann::json;

std::string Shown(const json& from, std::string_view key) { return Printable(TextOf(from, key)); }

bool IsTrue(const json& from, std::string_view key) { return FieldOf(from, key) == true; }

std::string Number(const json& value) {
  return value.is_number() ? fmt::format("{:g}", value.get<double>()) : "";
}

// The lines of `text`, each behind two blanks.
std::string Indented(const std::string& text) {
  std::string out;
  size_t at = 0;
  while (at < text.size()) {
    const size_t end = std::min(text.find('\n', at), text.size() - 1) + 1;
    out += "  " + text.substr(at, end - at);
    at = end;
  }
  return out;
}

// Of what is indented.
Look Inner(Look look) {
  if (look.width > 2) look.width -= 2;
  return look;
}

// The answers on one line, or what there is instead.
std::string ResultOf(const json& lookup, const char* records) {
  if (std::string error = TextOf(lookup, "error"); !error.empty()) return error;
  const std::string rcode = TextOf(lookup, "rcode");
  const json& answers = ListOf(lookup, records);
  if (answers.empty()) return rcode == "NOERROR" ? "NODATA" : rcode;
  std::string line;
  for (const json& answer : answers) {
    std::string data = TextOf(answer, "data");
    // Of "name ttl class type data" the last two.
    if (answer.is_string()) {
      data = answer.get<std::string>();
      for (int i = 0; i < 3; ++i) data.erase(0, data.find(' ') + 1);
    } else {
      data = TextOf(answer, "type") + " " + data;
    }
    line += (line.empty() ? "" : ", ") + data;
  }
  return line;
}

std::string StepsText(const json& lookup, const Look& look) {
  Table table({"STEP", "AT", "OUTCOME", "MS", "WHAT"});
  for (const json& step : ListOf(lookup, "steps")) {
    std::string what = TextOf(step, "says");
    if (const std::string asks = TextOf(step, "asks"); !asks.empty()) {
      what += (what.empty() ? "asks " : ": asks ") + asks;
    }
    if (const std::string zone = TextOf(step, "zone"); !zone.empty()) {
      what += fmt::format(" (zone {})", zone);
    }
    table.Add({TextOf(step, "plugin"), TextOf(step, "at"), TextOf(step, "outcome"),
               Number(FieldOf(step, "tookMs")), what});
  }
  return table.empty() ? "" : table.ToString(look);
}

std::string ObjectsText(const json& lookup) {
  std::string out;
  if (const json& service = FieldOf(lookup, "service"); service.is_object()) {
    const json& endpoints = FieldOf(service, "endpoints");
    out += fmt::format("Service {}/{}: {}{}, endpoints {}", Shown(service, "namespace"),
                       Shown(service, "name"), IsTrue(service, "headless") ? "headless " : "",
                       Shown(service, "type"), Shown(service, "endpointsState"));
    if (endpoints.is_object()) {
      out += fmt::format(": {} ready, {} terminating", Shown(endpoints, "ready"),
                         Shown(endpoints, "terminating"));
    }
    out += "\n";
  }
  for (const json& object : ListOf(lookup, "objects")) {
    const std::string version = Shown(object, "resourceVersion");
    const std::string arrived = Shown(object, "arrived");
    out += fmt::format("from {} {}/{}{}{}\n", Shown(object, "kind"), Shown(object, "namespace"),
                       Shown(object, "name"),
                       version.empty() ? "" : fmt::format(", resourceVersion {}", version),
                       arrived.empty() ? "" : fmt::format(", arrived {}", arrived));
  }
  return out;
}

std::string LookupText(size_t number, const json& lookup, const Look& look) {
  const std::string error = Shown(lookup, "error");
  std::string out = fmt::format("{}. {}   {}", number, Shown(lookup, "name"),
                                error.empty() ? Shown(lookup, "rcode") : error);
  if (const json& took = FieldOf(lookup, "tookMs"); took.is_number()) {
    out += fmt::format("   {} ms", Number(took));
  }
  out += "\n";
  std::string more;
  if (const std::string zone = Shown(lookup, "zone"); !zone.empty()) {
    const std::string plugin = Shown(lookup, "plugin");
    more += fmt::format("zone {}, answered by {}\n", zone, plugin.empty() ? "no link" : plugin);
  }
  more += StepsText(lookup, Inner(look));
  for (const json& record : ListOf(lookup, "answers")) more += Printable(TextOf(record)) + "\n";
  if (IsTrue(lookup, "truncated")) more += "(truncated: the rest comes over TCP)\n";
  for (const json& one : ListOf(lookup, "extendedErrors")) {
    more += fmt::format("extended error {}: {}\n", Shown(one, "code"), Shown(one, "text"));
  }
  if (const std::string why = Shown(lookup, "why"); !why.empty()) more += "why: " + why + "\n";
  for (const json& similar : ListOf(lookup, "similar")) {
    more += "perhaps: " + Printable(TextOf(similar)) + "\n";
  }
  more += ObjectsText(lookup);
  return out + Indented(more);
}

std::string EndpointsText(const json& connection, const Look& look) {
  Table table({"ENDPOINT", "POD", "NODE", "ZONE", "OPEN", "NEXT", "WHY NOT"});
  for (const json& endpoint : ListOf(connection, "endpoints")) {
    table.Add({TextOf(endpoint, "address"), TextOf(endpoint, "pod"), TextOf(endpoint, "node"),
               TextOf(endpoint, "zone"), TextOf(endpoint, "open"), TextOf(endpoint, "next"),
               TextOf(endpoint, "why")});
  }
  std::string out = table.empty() ? "" : table.ToString(look);
  if (const std::string more = Shown(connection, "more"); !more.empty()) {
    out += fmt::format("and {} more\n", more);
  }
  return out;
}

std::string ConnectionText(const json& connection, const Look& look) {
  std::string out = "Connection to " + Shown(connection, "address");
  if (const std::string service = Shown(connection, "service"); !service.empty()) {
    const std::string port = Shown(connection, "portName");
    out += fmt::format(", {} port {}{} of Service {}", Shown(connection, "protocol"),
                       Shown(connection, "port"), port.empty() ? "" : fmt::format(" ({})", port),
                       service);
  }
  const json& choice = FieldOf(connection, "choice");
  std::string more = fmt::format(
      "captured: {}\npolicy: {}, {}\n{}: {}\n", Shown(connection, "captured"),
      Shown(FieldOf(connection, "policy"), "verdict"), Shown(FieldOf(connection, "policy"), "says"),
      Shown(connection, "outcome"), Shown(connection, "says"));
  if (choice.is_object()) {
    more += fmt::format("choice: {}: {}\n", Shown(choice, "how"), Shown(choice, "says"));
  }
  return out + "\n" + Indented(more + EndpointsText(connection, Inner(look)));
}

std::string IngressText(const json& answer, const Look& look) {
  Table table({"LET IN AT", "POD", "VERDICT", "IN FORCE", "WHY"});
  for (const json& one : ListOf(answer, "ingress")) {
    const json& in_force = FieldOf(one, "inForce");
    const bool denied = TextOf(one, "verdict") == "denied";
    const std::string nearest = TextOf(one, "nearest");
    table.Add({TextOf(one, "at") + "/" + TextOf(one, "protocol"), TextOf(one, "pod"),
               Cell(TextOf(one, "verdict"), denied ? Tone::kBad : Tone::kGood),
               in_force.is_boolean() ? (in_force == true ? "yes" : "no") : "not known here",
               TextOf(one, "says") + (nearest.empty() ? "" : "; nearest: " + nearest)});
  }
  return table.empty() ? "" : table.ToString(look) + "\n";
}

std::string FeedText(const json& sidecar) {
  const json& feed = FieldOf(sidecar, "feed");
  if (!feed.is_object()) return "";
  std::string out = fmt::format(
      "Feed: {}, age {}", IsTrue(feed, "inSync") ? "in sync" : "not in sync", Shown(feed, "age"));
  if (const std::string source = Shown(feed, "source"); !source.empty()) {
    out += fmt::format(", from {}", source);
  }
  if (const std::string at = Shown(feed, "controlPlane"); !at.empty()) out += " " + at;
  if (const std::string generation = Shown(feed, "generation"); !generation.empty()) {
    out += fmt::format(", generation {}", generation);
  }
  if (const std::string failure = Shown(feed, "lastFailure"); !failure.empty()) {
    out += "; " + failure;
  }
  return out + "\n";
}

// What a side says of a name; nothing if it was not asked.
std::string SaidOf(const json& side, const std::string& name) {
  for (const json& lookup : ListOf(side, "lookups")) {
    if (TextOf(lookup, "name") == name) return ResultOf(lookup, "answers");
  }
  const bool alone = !FieldOf(side, "lookups").is_array();
  return alone && !TextOf(side, "rcode").empty() && TextOf(side, "name") == name
             ? ResultOf(side, "records")
             : "";
}

// What the three say of each name that any of them was asked.
std::string SidesText(const json& answer, const Look& look) {
  const json& sidecar = FieldOf(answer, "sidecar");
  const json& control = FieldOf(answer, "controlPlane");
  const json& cluster = FieldOf(sidecar, "clusterDns");
  if (!control.is_object() && !cluster.is_object()) return "";
  std::vector<std::string> heading{"NAME", "CONTROL PLANE", "SIDECAR"};
  if (cluster.is_object()) heading.emplace_back("CLUSTER DNS");
  Table table(std::move(heading));
  std::vector<std::string> names;
  for (const json* side : {&sidecar, &cluster, &control}) {
    for (const json& lookup : ListOf(*side, "lookups")) {
      std::string name = TextOf(lookup, "name");
      const bool known = std::find(names.begin(), names.end(), name) != names.end();
      if (!known) names.push_back(std::move(name));
    }
  }
  for (const std::string& name : names) {
    std::vector<Cell> row{name, SaidOf(control, name), SaidOf(sidecar, name)};
    if (cluster.is_object()) row.emplace_back(SaidOf(cluster, name));
    table.Add(std::move(row));
  }
  return table.empty() ? "" : table.ToString(look);
}

std::string DifferencesText(const json& answer, const Look& look) {
  const bool compared = TextOf(FieldOf(answer, "sidecar"), "error").empty();
  if (!compared || !FieldOf(answer, "differences").is_array()) return "";
  const json& differences = ListOf(answer, "differences");
  if (differences.empty()) return Styled("No difference.", Tone::kGood, look) + "\n";
  std::string out;
  for (const json& one : differences) {
    out += fmt::format("{}: {}: {}\n  likely: {}\n", Shown(one, "name"),
                       Styled(TextOf(one, "kind"), Tone::kWarning, look), Shown(one, "what"),
                       Shown(one, "likely"));
  }
  return out;
}

}  // namespace

std::string ExplainText(const json& answer, const Look& look) {
  const json& sidecar = FieldOf(answer, "sidecar");
  std::string out;
  if (const std::string error = Shown(sidecar, "error"); !error.empty()) {
    out += fmt::format("The sidecar gave no answer: {}\n", error);
  }
  size_t number = 0;
  for (const json& lookup : ListOf(sidecar, "lookups")) {
    out += LookupText(++number, lookup, look) + "\n";
  }
  for (const json& connection : ListOf(sidecar, "connections")) {
    out += ConnectionText(connection, look) + "\n";
  }
  out += IngressText(answer, look);
  out += FeedText(sidecar);
  if (const std::string sides = SidesText(answer, look); !sides.empty()) {
    const std::string differences = DifferencesText(answer, look);
    out += "\n" + sides + (differences.empty() ? "" : "\n") + differences;
  }
  return out.empty() ? "Nothing is known.\n" : out;
}

}  // namespace portolan::ctl

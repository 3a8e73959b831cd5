#include "ctl/records.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <memory>
#include <vector>

#include "common/json_fields.h"
#include "common/text.h"
#include "ctl/service_name.h"
#include "ctl/session.h"

namespace portolan::ctl {
namespace {

using nlohmann::json;

struct Flags {
  std::string name;
  std::string ns = "default";
  std::string type;
};

bool IsWanted(const json& record, const RecordFilter& filter) {
  if (!filter.type.empty() && Lower(TextOf(record, "type")) != Lower(filter.type)) return false;
  return filter.hostname.empty() ||
         Lower(TextOf(record, "name")).starts_with(Lower(filter.hostname) + ".");
}

}  // namespace

std::string RecordsText(const json& answer, const RecordFilter& filter) {
  std::vector<std::array<std::string, 4>> lines;
  size_t widest = 0;
  for (const json& record : ListOf(answer, "records")) {
    if (!IsWanted(record, filter)) continue;
    lines.push_back({Printable(TextOf(record, "name")), Printable(TextOf(record, "ttl")),
                     Printable(TextOf(record, "type")), Printable(TextOf(record, "data"))});
    widest = std::max(widest, lines.back()[0].size());
  }
  std::string out;
  for (const auto& [name, ttl, type, data] : lines) {
    out += fmt::format("{:<{}}  {:<5} IN  {:<5}  {}\n", name, widest, ttl, type, data);
  }
  for (const json& none : ListOf(answer, "noRecords")) {
    if (!IsWanted(none, filter)) continue;
    out += Printable(fmt::format(";; {} {}: {}: {}", TextOf(none, "name"), TextOf(none, "type"),
                                 TextOf(none, "answer"), TextOf(none, "why"))) +
           "\n";
  }
  if (FieldOf(answer, "recordsTruncated") == true) {
    out += ";; there are more: the answer is cut\n";
  }
  return out.empty() ? ";; no such record\n" : out;
}

Run AddRecords(CLI::App& command) {
  auto flags = std::make_shared<Flags>();
  command
      .add_option("NAME", flags->name,
                  "backend, default/backend, or a domain name of this cluster's")
      ->required();
  command.add_option("-n,--namespace", flags->ns, "where NAME names none")->capture_default_str();
  command.add_option("--type", flags->type, "A, AAAA, SRV, PTR or CNAME only");
  return [flags](Session& session) {
    const auto named = ParseServiceName(flags->name, flags->ns);
    const RecordFilter filter{flags->type, named.ok() ? named->hostname : std::string()};
    return session.Show(
        [&] { return FetchService(session, flags->name, flags->ns); },
        [&](const json& answer, const Look&) { return RecordsText(answer, filter); });
  };
}

}  // namespace portolan::ctl

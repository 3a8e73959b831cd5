#include "ctl/proxy_status.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "ctl/json_fields.h"
#include "ctl/output.h"
#include "ctl/session.h"
#include "ctl/terminal.h"

namespace portolan::ctl {
namespace {

using nlohmann::json;

std::string Upper(std::string text) {
  for (char& c : text) {
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 32);
  }
  return text;
}

}  // namespace

std::string ProxyStatusTable(const json& answer, const Look&, absl::Time now) {
  const json& sidecars = ListOf(answer, "sidecars");
  // A column for each type that any of them subscribes to, in the order they appear.
  std::vector<std::string> types;
  for (const json& sidecar : sidecars) {
    for (const json& type : ListOf(sidecar, "types")) {
      std::string word = TextOf(type, "type");
      if (std::find(types.begin(), types.end(), word) == types.end()) types.push_back(word);
    }
  }
  std::vector<std::string> heading{"NAME"};
  for (const std::string& type : types) heading.push_back(Upper(type));
  heading.insert(heading.end(), {"CONNECTED", "PEER", "VERSION"});

  Table table(heading);
  std::string refusals;
  for (const json& sidecar : sidecars) {
    std::vector<std::string> row{TextOf(sidecar, "node")};
    row.resize(1 + types.size());
    for (const json& type : ListOf(sidecar, "types")) {
      const std::string word = TextOf(type, "type");
      const auto column = std::find(types.begin(), types.end(), word) - types.begin();
      row[1 + static_cast<size_t>(column)] = TextOf(type, "status");
      if (const std::string nack = TextOf(type, "lastNack"); !nack.empty()) {
        refusals += fmt::format("{} refuses {}: {}\n", Printable(TextOf(sidecar, "node")),
                                Printable(word), Printable(nack));
      }
    }
    row.push_back(Age(TextOf(sidecar, "connected"), now));
    row.push_back(TextOf(sidecar, "peer"));
    row.push_back(TextOf(sidecar, "version"));
    table.Add(std::move(row));
  }
  if (table.empty()) return "No sidecar is connected.\n";
  return refusals.empty() ? table.ToString() : table.ToString() + "\n" + refusals;
}

Run AddProxyStatus(CLI::App&) {
  return [](Session& session) {
    return session.Show([&] { return session.GetAll("/api/v1/sidecars?limit=5000", "sidecars"); },
                        [](const json& answer, const Look& look) {
                          return ProxyStatusTable(answer, look, absl::Now());
                        });
  };
}

}  // namespace portolan::ctl

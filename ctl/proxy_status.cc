#include "ctl/proxy_status.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "common/json_fields.h"
#include "ctl/output.h"
#include "ctl/session.h"

namespace portolan::ctl {
namespace {

using nlohmann::json;

struct Flags {
  std::string search;
};

std::string Upper(std::string text) {
  for (char& c : text) {
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 32);
  }
  return text;
}

// The types that any of them subscribes to, in the order they appear.
std::vector<std::string> TypesOf(const json& sidecars) {
  std::vector<std::string> types;
  for (const json& sidecar : sidecars) {
    for (const json& type : ListOf(sidecar, "types")) {
      std::string word = TextOf(type, "type");
      if (std::find(types.begin(), types.end(), word) == types.end()) types.push_back(word);
    }
  }
  return types;
}

Tone ToneOfSync(std::string_view word) {
  if (word == "SYNCED") return Tone::kGood;
  if (word == "NACKED") return Tone::kBad;
  return word == "STALE" ? Tone::kWarning : Tone::kFaint;
}

// In order of how much it matters; what is not known stands in the middle.
int RankOf(std::string_view health) {
  constexpr std::string_view kWorstFirst[] = {"nacked", "not-reporting", "upstream-down", "stale"};
  const auto* found = std::find(std::begin(kWorstFirst), std::end(kWorstFirst), health);
  if (found != std::end(kWorstFirst)) return static_cast<int>(found - kWorstFirst);
  return health == "ok" ? 9 : 8;
}

Tone ToneOfHealth(std::string_view health) {
  const int rank = RankOf(health);
  if (rank == 0) return Tone::kBad;
  return rank < 8 ? Tone::kWarning : rank == 9 ? Tone::kGood : Tone::kPlain;
}

double LagOf(const json& sidecar) {
  const json& p99 = FieldOf(FieldOf(sidecar, "lag"), "p99Ms");
  return p99.is_number() ? p99.get<double>() : 0;
}

std::vector<const json*> WorstFirst(const json& sidecars) {
  std::vector<const json*> sorted;
  for (const json& sidecar : sidecars) sorted.push_back(&sidecar);
  const auto key = [](const json* sidecar) {
    return std::pair(RankOf(TextOf(*sidecar, "health")), -LagOf(*sidecar));
  };
  std::stable_sort(sorted.begin(), sorted.end(),
                   [&](const json* a, const json* b) { return key(a) < key(b); });
  return sorted;
}

std::string Milliseconds(const json& number) {
  return number.is_number() ? Short(number) + "ms" : std::string();
}

std::vector<Cell> RowOf(const json& sidecar, const std::vector<std::string>& types,
                        const Look& look, absl::Time now) {
  const std::string health = TextOf(sidecar, "health");
  std::vector<Cell> row{TextOf(sidecar, "node"), {health, ToneOfHealth(health)}};
  row.resize(2 + types.size(), "");
  for (const json& type : ListOf(sidecar, "types")) {
    const auto column = std::find(types.begin(), types.end(), TextOf(type, "type")) - types.begin();
    const std::string word = TextOf(type, "status");
    row[2 + static_cast<size_t>(column)] = {word, ToneOfSync(word)};
  }
  const json& rates = FieldOf(sidecar, "rates");
  row.insert(row.end(), {Milliseconds(FieldOf(FieldOf(sidecar, "lag"), "p99Ms")),
                         Short(FieldOf(rates, "queriesPerSecond")),
                         Age(TextOf(sidecar, "connected"), now, look), TextOf(sidecar, "version")});
  if (look.wide) {
    row.insert(
        row.end(),
        {Milliseconds(FieldOf(FieldOf(sidecar, "lag"), "p50Ms")),
         TextOf(FieldOf(sidecar, "lag"), "worstType"), Short(FieldOf(rates, "nxdomainPerSecond")),
         Percent(FieldOf(rates, "cacheHitRatio"), 0), Short(FieldOf(rates, "connectionsPerSecond")),
         TextOf(sidecar, "peer"), TextOf(sidecar, "replica")});
  }
  return row;
}

std::string FaultsOf(const json& sidecar, const Look& look) {
  std::string faults;
  const std::string health = TextOf(sidecar, "health");
  if (const std::string why = TextOf(sidecar, "healthWhy"); !why.empty() && health != "ok") {
    const std::string line = fmt::format("{} is {}: {}", TextOf(sidecar, "node"), health, why);
    faults += Styled(line, ToneOfHealth(health), look) + "\n";
  }
  for (const json& type : ListOf(sidecar, "types")) {
    const std::string nack = TextOf(type, "lastNack");
    if (nack.empty()) continue;
    const std::string line =
        fmt::format("{} refuses {}: {}", TextOf(sidecar, "node"), TextOf(type, "type"), nack);
    faults += Styled(line, Tone::kBad, look) + "\n";
  }
  return faults;
}

}  // namespace

std::string ProxyStatusTable(const json& answer, const Look& look, absl::Time now) {
  const json& sidecars = ListOf(answer, "sidecars");
  const std::vector<std::string> types = TypesOf(sidecars);
  std::vector<std::string> heading{"NAME", "HEALTH"};
  for (const std::string& type : types) heading.push_back(Upper(type));
  heading.insert(heading.end(), {"LAG-P99", "QPS", "CONNECTED", "VERSION"});
  if (look.wide) {
    heading.insert(heading.end(),
                   {"LAG-P50", "WORST", "NXDOMAIN/S", "CACHE", "CONN/S", "PEER", "REPLICA"});
  }
  Table table(heading);
  std::string faults;
  for (const json* sidecar : WorstFirst(sidecars)) {
    table.Add(RowOf(*sidecar, types, look, now));
    faults += FaultsOf(*sidecar, look);
  }
  if (table.empty()) return "No sidecar is connected.\n" + ReplicaNotes(answer, look);
  if (!faults.empty()) faults = "\n" + faults;
  return table.ToString(look) + faults + ReplicaNotes(answer, look);
}

Run AddProxyStatus(CLI::App& command) {
  auto flags = std::make_shared<Flags>();
  command.add_option("SEARCH", flags->search, "part of NAMESPACE/POD");
  return [flags](Session& session) {
    const std::string path =
        "/api/v1/sidecars?limit=5000&sort=lag&search=" + EncodeQuery(flags->search);
    return session.Show([&] { return session.GetAll(path, "sidecars"); },
                        [](const json& answer, const Look& look) {
                          return ProxyStatusTable(answer, look, absl::Now());
                        });
  };
}

}  // namespace portolan::ctl

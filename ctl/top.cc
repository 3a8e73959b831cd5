#include "ctl/top.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "common/json_fields.h"
#include "ctl/output.h"
#include "ctl/session.h"

namespace portolan::ctl {
namespace {

using nlohmann::json;

struct Flags {
  std::string what = "all";
  std::string sort = "wasted";
  size_t limit = 10;
};

double NumberOf(const json& object, std::string_view key) {
  const json& value = FieldOf(object, key);
  return value.is_number() ? value.get<double>() : 0;
}

// The `most` entries with the largest `key`.
json Largest(json list, std::string_view key, size_t most) {
  std::vector<json> sorted(std::make_move_iterator(list.begin()),
                           std::make_move_iterator(list.end()));
  std::stable_sort(sorted.begin(), sorted.end(), [&](const json& a, const json& b) {
    return NumberOf(a, key) > NumberOf(b, key);
  });
  sorted.resize(std::min(sorted.size(), most));
  return sorted;
}

std::string AmplifiersText(const json& amplifiers, const Look& look) {
  std::vector<std::string> heading{"POD",      "QUERIES", "NXDOMAIN",   "SEARCH-LIST",
                                   "WASTED/S", "WASTED",  "WORST NAME", "ADVICE"};
  if (look.wide) heading.insert(heading.end(), {"WORKLOAD", "UPSTREAM", "AUTOPATH", "DOT"});
  Table table(heading);
  for (const json& amplifier : amplifiers) {
    const json& names = ListOf(amplifier, "names");
    const json& worst = names.empty() ? FieldOf(amplifier, "") : names[0];
    std::vector<Cell> row{TextOf(amplifier, "node"),
                          Short(FieldOf(amplifier, "queries")),
                          Short(FieldOf(amplifier, "nxdomain")),
                          Short(FieldOf(amplifier, "searchListQueries")),
                          Short(FieldOf(amplifier, "wastedPerSecond")),
                          Percent(FieldOf(amplifier, "wastedRatio"), 1),
                          TextOf(worst, "name"),
                          TextOf(worst, "advice")};
    if (look.wide) {
      row.insert(row.end(),
                 {TextOf(amplifier, "workload"), Short(FieldOf(amplifier, "upstreamQueries")),
                  Short(FieldOf(amplifier, "savedByAutopath")),
                  Short(FieldOf(amplifier, "savedByTrailingDot"))});
    }
    table.Add(std::move(row));
  }
  return table.empty() ? "No pod wastes queries.\n" : table.ToString(look);
}

std::string UpstreamsText(const json& upstreams, const Look& look) {
  Table table({"UPSTREAM", "SIDECARS", "ANSWERS", "FAILURES", "FAILED", "FAILED-CHECKS"});
  for (const json& upstream : upstreams) {
    const Tone tone = NumberOf(upstream, "failedRatio") >= 0.01 ? Tone::kBad : Tone::kPlain;
    table.Add({TextOf(upstream, "address"),
               TextOf(upstream, "sidecars"),
               Short(FieldOf(upstream, "answers")),
               Short(FieldOf(upstream, "failures")),
               {Percent(FieldOf(upstream, "failedRatio"), 1), tone},
               Short(FieldOf(upstream, "failedProbes"))});
  }
  return table.empty() ? "No sidecar reports an upstream.\n" : table.ToString(look);
}

std::string NamesText(const json& names, const Look& look) {
  Table table({"NAMESPACE", "NAME", "QUERIES", "PODS", "READY"});
  for (const json& name : names) {
    const json& asked = FieldOf(name, "askedBy");
    table.Add({TextOf(name, "namespace"), TextOf(name, "name"), Short(FieldOf(asked, "queries")),
               TextOf(asked, "pods"), TextOf(FieldOf(name, "endpoints"), "ready")});
  }
  return table.empty() ? "No sidecar reports that a name was asked for.\n" : table.ToString(look);
}

absl::StatusOr<json> Fetch(Session& session, const Flags& flags) {
  const auto wants = [&](std::string_view what) {
    return flags.what == "all" || flags.what == what;
  };
  json top = json::object();
  // The lists are of the same replicas; the last one says which did not answer.
  const auto keep_replicas = [&](const json& answer) {
    if (answer.contains("replicas")) top["replicas"] = answer["replicas"];
  };
  if (wants("amplifiers")) {
    const auto answer =
        session.Get(fmt::format("/api/v1/amplifiers?sort={}&limit={}", flags.sort, flags.limit));
    if (!answer.ok()) return answer.status();
    top["amplifiers"] = ListOf(*answer, "amplifiers");
    keep_replicas(*answer);
  }
  if (wants("upstreams")) {
    const auto answer = session.GetAll("/api/v1/sidecars?limit=5000", "sidecars");
    if (!answer.ok()) return answer.status();
    top["upstreams"] = UpstreamsOf(ListOf(*answer, "sidecars"), flags.limit);
    keep_replicas(*answer);
  }
  if (wants("names")) {
    const auto answer = session.GetAll("/api/v1/names?limit=5000", "names");
    if (!answer.ok()) return answer.status();
    top["names"] = BusiestOf(ListOf(*answer, "names"), flags.limit);
    keep_replicas(*answer);
  }
  return top;
}

}  // namespace

json UpstreamsOf(const json& sidecars, size_t most) {
  struct Sum {
    size_t sidecars = 0;
    double answers = 0;
    double failures = 0;
    double failed_probes = 0;
  };
  std::map<std::string, Sum> sums;
  for (const json& sidecar : sidecars) {
    const json& dns = FieldOf(FieldOf(sidecar, "report"), "dns");
    for (const json& upstream : ListOf(dns, "upstreams")) {
      Sum& sum = sums[TextOf(upstream, "address")];
      ++sum.sidecars;
      sum.answers += NumberOf(upstream, "answers");
      sum.failures += NumberOf(upstream, "failures");
      sum.failed_probes += NumberOf(upstream, "failedProbes");
    }
  }
  json list = json::array();
  for (const auto& [address, sum] : sums) {
    const double asked = sum.answers + sum.failures;
    list.push_back({{"address", address},
                    {"sidecars", sum.sidecars},
                    {"answers", sum.answers},
                    {"failures", sum.failures},
                    {"failedRatio", asked > 0 ? sum.failures / asked : 0},
                    {"failedProbes", sum.failed_probes}});
  }
  return Largest(std::move(list), "failedRatio", most);
}

json BusiestOf(const json& names, size_t most) {
  json asked = json::array();
  for (const json& name : names) {
    const double queries = NumberOf(FieldOf(name, "askedBy"), "queries");
    if (queries <= 0) continue;
    asked.push_back({{"queries", queries}, {"name", name}});
  }
  json busiest = json::array();
  for (json& one : Largest(std::move(asked), "queries", most)) {
    busiest.push_back(std::move(one["name"]));
  }
  return busiest;
}

std::string TopText(const json& top, const Look& look) {
  std::string out;
  const auto add = [&](const char* key, const char* title, auto text) {
    if (!top.is_object() || !top.contains(key)) return;
    if (!out.empty()) out += "\n";
    out += fmt::format("{}\n{}", title, text(ListOf(top, key), look));
  };
  add("amplifiers", "Pods that waste queries", AmplifiersText);
  add("upstreams", "Upstreams", UpstreamsText);
  add("names", "Names asked for most", NamesText);
  return out + ReplicaNotes(top, look);
}

Run AddTop(CLI::App& command) {
  auto flags = std::make_shared<Flags>();
  command.add_option("WHAT", flags->what, "amplifiers, upstreams, names or all")
      ->check(CLI::IsMember({"amplifiers", "upstreams", "names", "all"}))
      ->capture_default_str();
  command.add_option("--sort", flags->sort, "amplifiers by: wasted (queries a second) or nxdomain")
      ->check(CLI::IsMember({"wasted", "nxdomain"}))
      ->capture_default_str();
  command.add_option("--limit", flags->limit, "so many of each")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  return [flags](Session& session) {
    return session.Show([&] { return Fetch(session, *flags); }, TopText);
  };
}

}  // namespace portolan::ctl

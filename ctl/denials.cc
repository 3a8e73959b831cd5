#include "ctl/denials.h"

#include <fmt/format.h>

#include <memory>
#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "common/json_fields.h"
#include "ctl/client.h"
#include "ctl/output.h"
#include "ctl/session.h"

namespace portolan::ctl {
namespace {

using nlohmann::json;

struct Flags {
  std::string search;
  std::string ns;
  std::string pod;
  std::string policy;
};

std::string What(const json& denial) {
  const std::string what = TextOf(denial, "what");
  if (what == "connection") return "TCP";
  return what == "flow" ? "UDP" : what;
}

std::string Address(const json& denial) {
  const std::string address = TextOf(denial, "address");
  if (address.empty()) return {};
  const std::string port = TextOf(denial, "port");
  const bool is_v6 = address.find(':') != std::string::npos;
  return is_v6 ? fmt::format("[{}]:{}", address, port) : fmt::format("{}:{}", address, port);
}

absl::StatusOr<json> Fetch(Session& session, const Flags& flags) {
  std::string ns = flags.ns;
  std::string pod = flags.pod;
  if (const size_t slash = pod.find('/'); slash != std::string::npos) {
    ns = pod.substr(0, slash);
    pod.erase(0, slash + 1);
  }
  return session.GetAll(
      fmt::format("/api/v1/denials?limit=1000&namespace={}&pod={}&policy={}&search={}",
                  EncodeQuery(ns), EncodeQuery(pod), EncodeQuery(flags.policy),
                  EncodeQuery(flags.search)),
      "denials");
}

}  // namespace

std::string DenialsTable(const json& answer, const Look& look, absl::Time now) {
  std::vector<std::string> heading{"POD",   "MODE", "WHAT",        "NAME",        "ADDRESS",
                                   "COUNT", "LAST", "ISOLATED BY", "NEAREST RULE"};
  if (look.wide) heading.push_back("WORKLOAD");
  Table table(heading);
  for (const json& denial : ListOf(answer, "denials")) {
    const std::string mode = TextOf(denial, "mode");
    std::vector<Cell> row{TextOf(denial, "node"),
                          {mode, mode == "audit" ? Tone::kWarning : Tone::kBad},
                          What(denial),
                          TextOf(denial, "name"),
                          Address(denial),
                          Short(FieldOf(denial, "count")),
                          Age(TextOf(denial, "last"), now, look),
                          TextOf(denial, "policies"),
                          TextOf(denial, "nearest")};
    if (look.wide) row.push_back(TextOf(denial, "workload"));
    table.Add(std::move(row));
  }
  if (table.empty()) return "No sidecar has reported a denial.\n" + ReplicaNotes(answer, look);
  return table.ToString(look) + ReplicaNotes(answer, look);
}

Run AddDenials(CLI::App& command) {
  auto flags = std::make_shared<Flags>();
  command.add_option("SEARCH", flags->search, "part of a pod, a name, an address or a policy");
  command.add_option("-n,--namespace", flags->ns, "of pods of this namespace only");
  command.add_option("--pod", flags->pod, "of this pod only: NAMESPACE/POD, or POD");
  command.add_option("--policy", flags->policy, "by this policy only, or part of its name");
  return [flags](Session& session) {
    return session.Show([&] { return Fetch(session, *flags); },
                        [](const json& answer, const Look& look) {
                          return DenialsTable(answer, look, absl::Now());
                        });
  };
}

}  // namespace portolan::ctl

#include "ctl/analyze_command.h"

#include <fmt/format.h>

#include <algorithm>
#include <iostream>
#include <memory>

#include "common/flags.h"
#include "common/json_fields.h"
#include "common/status.h"
#include "ctl/analyze/read_cluster.h"
#include "ctl/analyze/read_files.h"
#include "ctl/output.h"
#include "ctl/session.h"

namespace portolan::ctl {
namespace {

using analyze::Finding;
using analyze::Objects;
using nlohmann::json;

struct Flags {
  std::vector<std::string> files;
  bool recursive = false;
  std::string ns;
  std::string cluster_domain = "cluster.local";
  bool strict = false;
};

absl::StatusOr<Objects> ReadManifests(const Flags& flags) {
  auto objects =
      ReadFiles(flags.files, flags.recursive ? analyze::Folders::kDeep : analyze::Folders::kFlat);
  if (!objects.ok()) return objects;
  if (objects->read == 0) {
    return NotFound(
        "nothing that is looked at: Services, EndpointSlices, pods and what they are made from, "
        "NetworkPolicies, Namespaces\n"
        "Are they manifests of Kubernetes? Each has apiVersion and kind");
  }
  objects->cluster_domain = flags.cluster_domain;
  return objects;
}

absl::StatusOr<Objects> ReadObjects(const Session& session, const Flags& flags) {
  if (!flags.files.empty()) return ReadManifests(flags);
  auto read = analyze::ReadCluster({.kubeconfig = session.Kubeconfig(),
                                    .context = session.context(),
                                    .ns = flags.ns,
                                    .timeout = session.timeout(),
                                    .cluster_domain = flags.cluster_domain});
  if (!read.ok()) {
    return absl::Status(
        read.status().code(),
        fmt::format("{}\nWhich cluster: --kubeconfig, --context; manifests instead: "
                    "-f FILE",
                    Message(read.status())));
  }
  for (const std::string& missing : read->missing) {
    std::cerr << "Not read, so nothing is found there: " << Printable(missing) << "\n";
  }
  if (read->objects.read == 0 && !read->missing.empty()) {
    return absl::PermissionDeniedError(
        "nothing was read. What you may read is said by kubectl auth can-i --list; of one "
        "namespace alone: -n NAMESPACE");
  }
  return std::move(read->objects);
}

int AnalyzeAll(const Session& session, const Flags& flags) {
  const auto objects = ReadObjects(session, flags);
  if (!objects.ok()) return Fail(objects.status());
  const std::vector<Finding> findings = Analyze(*objects);
  const int exit = session.ShowOnce(FindingsJson(findings, objects->read), FindingsText);
  if (exit != kExitOk) return exit;
  const bool fails = std::any_of(findings.begin(), findings.end(), [&](const Finding& finding) {
    return flags.strict || finding.severity == analyze::Severity::kError;
  });
  return fails ? kExitFailed : kExitOk;
}

}  // namespace

json FindingsJson(const std::vector<Finding>& findings, int objects) {
  json list = json::array();
  for (const Finding& finding : findings) {
    list.push_back({{"code", finding.code},
                    {"severity", analyze::WordOf(finding.severity)},
                    {"object", finding.object},
                    {"what", finding.what},
                    {"advice", finding.advice}});
    if (finding.place.file.empty()) continue;
    list.back()["file"] = finding.place.file;
    list.back()["line"] = finding.place.line;
  }
  return {{"findings", std::move(list)}, {"objects", objects}};
}

std::string FindingsText(const json& findings, const Look& look) {
  std::string out;
  size_t errors = 0;
  for (const json& finding : ListOf(findings, "findings")) {
    const std::string severity = TextOf(finding, "severity");
    const bool error = severity == "error";
    errors += error ? 1 : 0;
    if (const std::string file = TextOf(finding, "file"); !file.empty()) {
      out += Printable(fmt::format("{}:{}: ", file, TextOf(finding, "line")));
    }
    out += Styled(severity, error ? Tone::kBad : Tone::kWarning, look);
    out += Printable(fmt::format(": {}: {} [{}]", TextOf(finding, "object"),
                                 TextOf(finding, "what"), TextOf(finding, "code")));
    out += "\n    " + Styled(TextOf(finding, "advice"), Tone::kFaint, look) + "\n";
  }
  const size_t count = ListOf(findings, "findings").size();
  return out + fmt::format("{}{} objects: {} errors, {} warnings\n", out.empty() ? "" : "\n",
                           TextOf(findings, "objects"), errors, count - errors);
}

Run AddAnalyze(CLI::App& command) {
  auto flags = std::make_shared<Flags>();
  command
      .add_option("-f,--filename", flags->files,
                  "manifests: a file, a folder, -: standard input; without: the cluster")
      ->allow_extra_args(false);
  command.add_flag("-R,--recursive", flags->recursive, "the folders in folders too");
  command.add_option("-n,--namespace", flags->ns, "of the cluster, this namespace only")
      ->excludes("--filename");
  command
      .add_option("--cluster-domain", flags->cluster_domain, "behind svc in the names of Services")
      ->capture_default_str();
  command.add_flag("--strict", flags->strict, "warnings make it fail (status 1) as errors do");
  return [flags](Session& session) { return AnalyzeAll(session, *flags); };
}

}  // namespace portolan::ctl

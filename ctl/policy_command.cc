#include "ctl/policy_command.h"

#include <fmt/format.h>

#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "common/flags.h"
#include "common/ip.h"
#include "common/json_fields.h"
#include "common/status.h"
#include "common/text.h"
#include "ctl/analyze/read_files.h"
#include "ctl/asked_sidecar.h"
#include "ctl/output.h"
#include "ctl/policy/connection.h"
#include "ctl/policy/manifest_cluster.h"
#include "ctl/session.h"
#include "directory/listing.h"
#include "dns/wire/name.h"

namespace portolan::ctl {
namespace {

using nlohmann::json;

struct Flags {
  std::string action;
  std::vector<std::string> files;
  bool recursive = false;
  std::string from;
  std::string to;
  std::string protocol = "tcp";
  std::string cluster_domain = "cluster.local";
  AskedSidecar sidecar;
};

// What nothing can look up is refused, else it would be judged as a name that leads nowhere.
absl::Status CheckName(const std::string& flag, const std::string& name) {
  if (name.find('/') != std::string::npos) {
    return InvalidArgument("{}: '{}' is no name that can be looked up", flag, name);
  }
  const auto wire = dns::wire::NameToWire(name);
  return wire.ok() ? absl::OkStatus() : InvalidArgument("{}: {}", flag, Message(wire.status()));
}

absl::Status ReadTo(const std::string& text, PolicyQuestion& question) {
  const size_t colon = text.rfind(':');
  int port = 0;
  const bool whole = colon != std::string::npos && colon > 0 &&
                     absl::SimpleAtoi(text.substr(colon + 1), &port) && port > 0 && port <= 65535;
  if (!whole) return InvalidArgument("--to: '{}' is not NAME:PORT or ADDRESS:PORT", text);
  question.port = static_cast<uint16_t>(port);
  question.to = Lower(text.substr(0, colon));
  const bool in_brackets = question.to.starts_with('[') && question.to.ends_with(']');
  if (in_brackets) question.to = question.to.substr(1, question.to.size() - 2);
  if (in_brackets && IpAddress::Parse(question.to).ok()) return absl::OkStatus();
  if (in_brackets || question.to.find(':') != std::string::npos) {
    return InvalidArgument("--to: '{}': an IPv6 address is written [ADDRESS]:PORT", text);
  }
  return CheckName("--to", question.to);
}

absl::StatusOr<PolicyQuestion> QuestionOf(const Flags& flags) {
  PolicyQuestion question;
  question.protocol = flags.protocol == "udp" ? Protocol::kUdp : Protocol::kTcp;
  const size_t slash = flags.from.find('/');
  if (slash == 0 || slash == std::string::npos || slash + 1 == flags.from.size() ||
      flags.from.find('/', slash + 1) != std::string::npos) {
    return InvalidArgument("--from: '{}' is not NAMESPACE/POD", flags.from);
  }
  question.from = {flags.from.substr(0, slash), flags.from.substr(slash + 1)};
  question.cluster_domain = Lower(flags.cluster_domain);
  absl::Status status = CheckName("--cluster-domain", question.cluster_domain);
  if (question.cluster_domain.ends_with('.')) question.cluster_domain.pop_back();
  if (status.ok()) status = ReadTo(flags.to, question);
  if (!status.ok()) return status;
  return question;
}

// Addresses that stand for pods are no use to a reader.
std::string Named(std::string text, const ManifestCluster& cluster) {
  for (const auto& [ip, pod] : cluster.stand_ins) {
    const std::string word = ip.ToString();
    for (size_t at = 0; (at = text.find(word, at)) != text.npos;) {
      const size_t end = at + word.size();
      const bool of_longer = end < text.size() && text[end] >= '0' && text[end] <= '9';
      if (!of_longer) text.replace(at, word.size(), pod);
      at += of_longer ? word.size() : pod.size();
    }
  }
  return text;
}

void NameStandIns(json& value, const ManifestCluster& cluster) {
  if (value.is_string()) value = Named(value.get<std::string>(), cluster);
  if (!value.is_structured()) return;
  for (json& part : value) NameStandIns(part, cluster);
}

absl::StatusOr<json> OfManifests(const Flags& flags, const PolicyQuestion& question) {
  const auto cluster = ReadManifestCluster(
      flags.files, flags.recursive ? analyze::Folders::kDeep : analyze::Folders::kFlat,
      question.from);
  if (!cluster.ok()) return cluster.status();
  json answer = AnswerOf(cluster->snapshot, question);
  NameStandIns(answer, *cluster);
  return answer;
}

// What its sidecar says.
absl::StatusOr<json> OfPod(Session& session, const Flags& flags, const PolicyQuestion& question) {
  auto answer = flags.sidecar.Ask(
      session, fmt::format("policy_test?to={}&port={}&protocol={}", EncodeQuery(question.to),
                           question.port, ProtocolWord(question.protocol)));
  if (answer.ok()) return answer;
  return absl::Status(answer.status().code(),
                      fmt::format("{}\nOf a pod without a sidecar that answers, ask manifests: -f "
                                  "FILE",
                                  Message(answer.status())));
}

int Test(Session& session, const Flags& flags) {
  const auto question = QuestionOf(flags);
  if (!question.ok()) return *WrongUsage(Message(question.status()));
  auto answer =
      flags.files.empty() ? OfPod(session, flags, *question) : OfManifests(flags, *question);
  // Neither allowed nor denied.
  if (!answer.ok()) {
    Fail(answer.status());
    return kExitUsage;
  }
  (*answer)["from"] = flags.from;
  (*answer)["to"] = fmt::format("{}/{}", flags.to, ProtocolWord(question->protocol));
  const int exit = session.ShowOnce(*answer, PolicyText);
  const std::string verdict = TextOf(*answer, "verdict");
  if (exit != kExitOk || (verdict != "allowed" && verdict != "denied")) return kExitUsage;
  return verdict == "allowed" ? kExitOk : kExitFailed;
}

// What is said beside the verdict, most of it by a sidecar alone.
std::string NotesText(const json& answer, const Look& look) {
  std::string out;
  if (FieldOf(answer, "learned") == false) {
    out += "  not learned yet: it is once the application has looked the name up\n";
  }
  if (const std::string besides = TextOf(answer, "besides"); !besides.empty()) {
    out += Styled(Printable("  besides: " + besides), Tone::kWarning, look) + "\n";
  }
  for (const json& one : ListOf(answer, "ingress")) {
    if (FieldOf(one, "inForce") != false) continue;
    out += Styled(Printable(fmt::format("  no sidecar enforces who may connect to {}",
                                        TextOf(one, "pod"))),
                  Tone::kWarning, look) +
           "\n";
  }
  if (TextOf(FieldOf(answer, "policy"), "enforced") == "PartlyEnforced") {
    out += Styled("  PartlyEnforced: not all that the pod sends passes its sidecar", Tone::kWarning,
                  look) +
           "\n";
  }
  return out;
}

}  // namespace

std::string PolicyText(const json& answer, const Look& look) {
  const std::string verdict = TextOf(answer, "verdict");
  std::string out = Styled(verdict, verdict == "allowed" ? Tone::kGood : Tone::kBad, look);
  out += Printable(fmt::format(": {} to {}: {}", TextOf(answer, "from"), TextOf(answer, "to"),
                               TextOf(answer, "says"))) +
         "\n";
  if (const std::string name = TextOf(answer, "name"); !name.empty()) {
    const std::string rcode = TextOf(answer, "rcode");
    out += Printable(fmt::format("  looked up as {}: {}", name,
                                 rcode.empty() ? TextOf(answer, "error") : rcode)) +
           "\n";
  }
  const std::string at = Joined(FieldOf(answer, "at"));
  if (!at.empty()) out += Printable("  leads to " + at) + "\n";
  if (const std::string nearest = TextOf(answer, "nearest"); !nearest.empty()) {
    out += Printable("  nearest: " + nearest) + "\n";
  }
  if (FieldOf(answer, "audited") == true) {
    out += Styled("  a policy in audit would deny it", Tone::kWarning, look) + "\n";
  }
  return out + NotesText(answer, look);
}

Run AddPolicy(CLI::App& command) {
  auto flags = std::make_shared<Flags>();
  command.add_option("ACTION", flags->action, "test: may the pod open that connection?")
      ->check(CLI::IsMember({"test"}))
      ->required();
  command.add_option("--from", flags->from, "NAMESPACE/POD")->required();
  command.add_option("--to", flags->to, "NAME:PORT, or ADDRESS:PORT")->required();
  command.add_option("--protocol", flags->protocol, "tcp or udp")
      ->check(CLI::IsMember({"tcp", "udp"}))
      ->capture_default_str();
  CLI::Option* files =
      command
          .add_option(
              "-f,--filename", flags->files,
              "manifests, instead of the pod's sidecar: a file, a folder, -: standard input")
          ->allow_extra_args(false);
  command.add_flag("-R,--recursive", flags->recursive, "the folders in folders too")->needs(files);
  command.add_option("--cluster-domain", flags->cluster_domain, "of the manifests")
      ->needs(files)
      ->capture_default_str();
  flags->sidecar.AddDirectFlags(command);
  command.get_option("--direct")->excludes(files);
  return [flags](Session& session) {
    flags->sidecar.pod = flags->from;
    return Test(session, *flags);
  };
}

}  // namespace portolan::ctl

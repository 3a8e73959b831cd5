#include "injector/template.h"

#include <algorithm>
#include <iterator>

#include "common/document/value.h"
#include "common/document/yaml.h"
#include "common/fnv1a.h"
#include "common/nearest.h"
#include "common/status.h"
#include "injector/setting_values.h"

namespace portolan::injector {
namespace {

std::string HashOf(std::string_view text) { return fmt::format("{:016x}", Fnv1a(text)); }

absl::Status ReadHostPort(std::string_view value, std::string& out) {
  const size_t colon = value.rfind(':');
  const std::string_view host = value.substr(0, colon);
  uint16_t port = 0;
  const bool good =
      SocketAddress::Parse(value).ok() ||
      (colon != value.npos && IsDnsSubdomain(host) && ReadPort(value.substr(colon + 1), port).ok());
  if (!good) return InvalidArgument("{} is not HOST:PORT", Quoted(value));
  out = value;
  return absl::OkStatus();
}

absl::Status ReadEndpoint(std::string_view value, SocketAddress& out) {
  auto address = SocketAddress::Parse(value);
  if (!address.ok()) return InvalidArgument("{} is not ADDRESS:PORT", Quoted(value));
  out = *address;
  return absl::OkStatus();
}

absl::Status ReadYesNo(std::string_view value, bool& out) {
  std::string word;
  if (auto status = ReadWord(value, {"true", "false"}, word); !status.ok()) return status;
  out = word == "true";
  return absl::OkStatus();
}

using T = Template;
using View = std::string_view;

struct TemplateRow {
  View name;
  absl::Status (*read)(View value, Template& out);
};

constexpr TemplateRow kRows[] = {
    {"image-pull-policy",
     [](View v, T& t) {
       return ReadWord(v, {"Always", "IfNotPresent", "Never"}, t.image_pull_policy);
     }},
    {"image-pull-secrets",
     [](View v, T& t) { return ReadList(v, ReadDnsName, t.image_pull_secrets); }},
    {"init-cpu-request", [](View v, T& t) { return ReadCpu(v, t.init_resources.cpu_request); }},
    {"init-cpu-limit", [](View v, T& t) { return ReadCpuLimit(v, t.init_resources.cpu_limit); }},
    {"init-memory-request",
     [](View v, T& t) { return ReadMemory(v, t.init_resources.memory_request); }},
    {"init-memory-limit",
     [](View v, T& t) { return ReadMemoryLimit(v, t.init_resources.memory_limit); }},
    {"state-size", [](View v, T& t) { return ReadMemory(v, t.state_size); }},
    {"control", [](View v, T& t) { return ReadList(v, ReadHostPort, t.control); }},
    {"control-server-name", [](View v, T& t) { return ReadDnsName(v, t.control_server_name); }},
    {"cluster-domain", [](View v, T& t) { return ReadDnsName(v, t.cluster_domain); }},
    {"service-cidrs", [](View v, T& t) { return ReadList(v, ReadCapturedCidr, t.service_cidrs); }},
    {"pod-cidrs", [](View v, T& t) { return ReadList(v, ReadCapturedCidr, t.pod_cidrs); }},
    {"cluster-dns", [](View v, T& t) { return ReadList(v, ReadEndpoint, t.cluster_dns); }},
    {"scrape", [](View v, T& t) { return ReadYesNo(v, t.scrape); }},
};

absl::Status UnknownKey(std::string_view key) {
  std::vector<std::string_view> known;
  for (const TemplateRow& row : kRows) known.push_back(row.name);
  for (const PodSettingRow& row : PodSettingRows()) known.push_back(row.name);
  return InvalidArgument("no such setting{}", DidYouMean(key, known));
}

absl::Status ReadSetting(std::string_view key, std::string_view value, Template& out) {
  if (const PodSettingRow* row = FindPodSetting(key)) return row->read(value, out.defaults);
  const auto* row = std::find_if(std::begin(kRows), std::end(kRows),
                                 [&](const TemplateRow& r) { return r.name == key; });
  return row == std::end(kRows) ? UnknownKey(key) : row->read(value, out);
}

// A scalar as it stands; the items of a list with commas between them.
std::string TextOf(const Field& field) {
  if (!field.present() || field.value()->kind != Value::Kind::kSequence) return field.String();
  std::string text;
  field.ForEachItem([&](const Field& item) {
    if (!text.empty()) text += ',';
    text += item.String();
  });
  return text;
}

// The first thing that is wrong goes into `errors`.
void ReadSettings(const Field& root, FieldErrors& errors, Template& out) {
  root.ForEachField([&](const std::string& key, const Field& field) {
    const std::string text = TextOf(field);
    if (!errors.ok()) return;
    const absl::Status status = ReadSetting(key, text, out);
    if (!status.ok()) field.Fail(std::string(Message(status)));
  });
}

}  // namespace

Template::Template() : hash(HashOf("")) {}

absl::StatusOr<Template> ParseTemplate(const std::string& text) {
  if (text.size() > kMaxTemplateBytes) {
    return InvalidArgument("1: {} bytes; at most {} are read", text.size(), kMaxTemplateBytes);
  }
  Template out;
  out.hash = HashOf(text);
  absl::Status read = ReadYaml(text, [&](const Value& document, int index) {
    if (index > 1) return InvalidArgument("{}: more than one document", document.line);
    FieldErrors errors;
    const Field root(document, errors);
    ReadSettings(root, errors, out);
    if (errors.ok()) return absl::OkStatus();
    const FieldError& error = errors.first();
    return InvalidArgument("{}: {}{}{}", error.line, error.path, error.path.empty() ? "" : ": ",
                           error.what);
  });
  if (!read.ok()) return read;
  if (const std::string conflict = Conflict(out.defaults); !conflict.empty()) {
    return InvalidArgument("1: {}", conflict);
  }
  return out;
}

}  // namespace portolan::injector

// portolanctl: what the control plane knows and what sidecars say, for operators. docs: --help.
#include <curl/curl.h>

#include <iostream>
#include <string>

#include "absl/time/clock.h"
#include "common/files.h"
#include "common/flags.h"
#include "ctl/client.h"
#include "ctl/inject.h"
#include "ctl/manifest.h"
#include "ctl/terminal.h"
#include "ctl/views.h"

namespace portolan::ctl {
namespace {

enum class Format { kTable, kJson };

struct Flags {
  std::string server = "http://127.0.0.1:15080";
  absl::Duration timeout = absl::Seconds(10);
  std::string format = "table";
  std::string search;
  std::string ns;
  std::string name;
  std::string type = "A";
  std::string pod;
  std::string level;
  bool direct = false;
  std::string admin = "http://127.0.0.1:15000";
};

// Of `inject`. What is given here goes before what the Template says.
struct InjectFlags {
  std::string file;
  std::string template_file;
  std::string ns = "default";
  std::string image;
  std::vector<Cidr> service_cidrs;
  std::vector<Cidr> pod_cidrs;
};

int Fail(const absl::Status& status) {
  // Line by line: a message may be of several, and may hold what a server sent.
  std::string_view rest = Message(status);
  std::cerr << "portolanctl: ";
  while (!rest.empty()) {
    const size_t end = rest.find('\n');
    std::cerr << Printable(rest.substr(0, end)) << "\n";
    rest = end == rest.npos ? std::string_view() : rest.substr(end + 1);
  }
  return kExitFailed;
}

int Print(const std::string& text) {
  std::cout << text << std::flush;
  return std::cout ? kExitOk : kExitFailed;
}

int Names(const Client& client, const Flags& flags, Format format) {
  const auto answer = client.GetAll(fmt::format("/api/v1/names?limit=5000&namespace={}&search={}",
                                                EncodeQuery(flags.ns), EncodeQuery(flags.search)),
                                    "names");
  if (!answer.ok()) return Fail(answer.status());
  return Print(format == Format::kJson ? Json(*answer) : NamesTable(*answer));
}

int ProxyStatus(const Client& client, Format format) {
  const auto answer = client.GetAll("/api/v1/sidecars?limit=5000", "sidecars");
  if (!answer.ok()) return Fail(answer.status());
  return Print(format == Format::kJson ? Json(*answer) : ProxyStatusTable(*answer, absl::Now()));
}

// "default/frontend-1" as the beginning of a path.
std::string PathOf(const std::string& pod) {
  const size_t slash = pod.find('/');
  return fmt::format("/api/v1/sidecars/{}/{}/", EncodeQuery(pod.substr(0, slash)),
                     EncodeQuery(pod.substr(slash + 1)));
}

// One of a sidecar's pages: of its own admin interface, or by way of the control plane.
absl::StatusOr<nlohmann::json> AskSidecar(const Flags& flags, const std::string& page) {
  if (flags.direct) {
    return Client({.server = flags.admin, .peer = Client::Peer::kSidecar, .timeout = flags.timeout})
        .Get("/" + page);
  }
  return Client({.server = flags.server, .timeout = flags.timeout}).Get(PathOf(flags.pod) + page);
}

int Explain(const Flags& flags, Format format) {
  const auto answer = AskSidecar(
      flags,
      fmt::format("explain?name={}&type={}", EncodeQuery(flags.name), EncodeQuery(flags.type)));
  if (!answer.ok()) return Fail(answer.status());
  return Print(format == Format::kJson ? Json(*answer) : ExplainText(*answer));
}

int ConfigDump(const Flags& flags) {
  const auto answer = AskSidecar(flags, "config_dump");
  if (!answer.ok()) return Fail(answer.status());
  return Print(Json(*answer));
}

int LogLevel(const Client& client, const Flags& flags) {
  const auto answer =
      client.Post(fmt::format("{}logging?level={}", PathOf(flags.pod), EncodeQuery(flags.level)));
  if (!answer.ok()) return Fail(answer.status());
  return Print(fmt::format("{} logs at {}\n", flags.pod, flags.level));
}

absl::StatusOr<std::string> ReadInput(const std::string& file) {
  if (file != "-") return ReadFile(file, kMaxManifestBytes);
  std::string text;
  char buffer[1 << 16];
  while (std::cin.read(buffer, sizeof buffer), std::cin.gcount() > 0) {
    text.append(buffer, static_cast<size_t>(std::cin.gcount()));
    if (text.size() > kMaxManifestBytes) break;  // which InjectManifest refuses
  }
  return text;
}

absl::StatusOr<injector::Template> TemplateOf(const InjectFlags& flags) {
  injector::Template settings;
  if (!flags.template_file.empty()) {
    const auto text = ReadFile(flags.template_file, injector::kMaxTemplateBytes);
    if (!text.ok()) return text.status();
    auto read = injector::ParseTemplate(*text);
    if (!read.ok()) return InvalidArgument("{}:{}", flags.template_file, Message(read.status()));
    settings = *std::move(read);
  }
  if (!flags.image.empty()) settings.defaults.image = flags.image;
  if (!flags.service_cidrs.empty()) settings.service_cidrs = flags.service_cidrs;
  if (!flags.pod_cidrs.empty()) settings.pod_cidrs = flags.pod_cidrs;
  return settings;
}

int Inject(const InjectFlags& flags) {
  const auto settings = TemplateOf(flags);
  if (!settings.ok()) return Fail(settings.status());
  const auto text = ReadInput(flags.file);
  if (!text.ok()) return Fail(text.status());
  const auto injected = InjectManifest(*text, *settings, flags.ns);
  const std::string file = flags.file == "-" ? "standard input" : flags.file;
  if (!injected.ok()) return Fail(InvalidArgument("{}:{}", file, Message(injected.status())));
  for (const std::string& note : injected->notes) std::cerr << Printable(note) << "\n";
  for (const std::string& denial : injected->denials) {
    std::cerr << Printable(fmt::format("{}:{}", file, denial)) << "\n";
  }
  return injected->denials.empty() ? Print(injected->text) : kExitFailed;
}

CLI::App* AddInject(CLI::App& app, InjectFlags& flags) {
  CLI::App* inject = app.add_subcommand(
      "inject",
      "pod templates of a file, with what the webhook puts into pods; to standard output");
  inject->add_option("-f,--filename", flags.file, "YAML or JSON; -: standard input")->required();
  inject->add_option("-n,--namespace", flags.ns, "of objects that name none")
      ->capture_default_str();
  inject->add_option("--template", flags.template_file,
                     "the injector's injection.yaml; default: an empty one");
  inject->add_option("--image", flags.image, "instead of the Template's");
  AddFlag(*inject, "--service-cidr", flags.service_cidrs,
          "Service range of the cluster, which a file cannot know")
      ->allow_extra_args(false);
  AddFlag(*inject, "--pod-cidr", flags.pod_cidrs, "pod range of the cluster")
      ->allow_extra_args(false);
  return inject;
}

// What is wrong with --pod, which only the sidecar's own admin interface can do without.
std::string PodFault(const Flags& flags) {
  if (flags.direct && flags.pod.empty()) return {};
  const size_t slash = flags.pod.find('/');
  const bool whole = slash != std::string::npos && slash > 0 && slash + 1 < flags.pod.size();
  return whole ? "" : "--pod: NAMESPACE/POD says whose sidecar is asked";
}

int Run(int argc, char** argv) {
  CLI::App app("What Portolan's control plane knows: names, and the sidecars that follow it",
               "portolanctl");
  Flags flags;
  AddCommonFlags(app, "portolanctl " PORTOLAN_VERSION);
  app.require_subcommand(1);
  app.fallthrough();
  app.add_option("--server", flags.server, "URL of portolan-control's --http-listen")
      ->capture_default_str();
  AddFlag(app, "--timeout", flags.timeout, "how long an answer may take");
  app.add_option("-o,--output", flags.format, "table or json")
      ->check(CLI::IsMember({"table", "json"}))
      ->capture_default_str();

  CLI::App* names = app.add_subcommand("names", "the Services, their addresses and endpoints");
  names->add_option("SEARCH", flags.search, "part of a name or address");
  names->add_option("-n,--namespace", flags.ns, "of this namespace only");
  CLI::App* status = app.add_subcommand(
      "proxy-status", "the connected sidecars, and whether they hold what was sent to them");
  CLI::App* explain =
      app.add_subcommand("explain", "what becomes of a name that a pod's application looks up");
  explain->add_option("NAME", flags.name, "as the application has it: backend, or backend.default")
      ->required();
  explain->add_option("--type", flags.type, "A, AAAA, SRV, ...")->capture_default_str();
  CLI::App* dump =
      app.add_subcommand("config-dump", "a sidecar's Corefile and the state of its feed");
  CLI::App* level = app.add_subcommand("log-level", "set a sidecar's log level");
  level->add_option("LEVEL", flags.level, "debug, info, warn, error")->required();
  for (CLI::App* command : {explain, dump, level}) {
    command->add_option("--pod", flags.pod, "NAMESPACE/POD whose sidecar is asked");
  }
  for (CLI::App* command : {explain, dump}) {
    command->add_flag("--direct", flags.direct,
                      "ask the sidecar's own admin interface instead of the control plane");
    command->add_option("--admin", flags.admin, "its URL, with --direct")->capture_default_str();
  }
  InjectFlags inject_flags;
  const CLI::App* inject = AddInject(app, inject_flags);
  for (CLI::App* command : {names, status, explain, dump, level}) command->fallthrough();

  if (const auto exit = ParseFlags(app, argc, argv)) return *exit;
  if (explain->parsed() || dump->parsed() || level->parsed()) {
    if (const auto exit = WrongUsage(PodFault(flags))) return *exit;
  }

  if (inject->parsed()) return Inject(inject_flags);

  const Client client({.server = flags.server, .timeout = flags.timeout});
  const Format format = flags.format == "json" ? Format::kJson : Format::kTable;
  if (names->parsed()) return Names(client, flags, format);
  if (explain->parsed()) return Explain(flags, format);
  if (dump->parsed()) return ConfigDump(flags);
  if (level->parsed()) return LogLevel(client, flags);
  return ProxyStatus(client, format);
}

}  // namespace
}  // namespace portolan::ctl

int main(int argc, char** argv) {
  curl_global_init(CURL_GLOBAL_DEFAULT);
  const int status = portolan::ctl::Run(argc, argv);
  curl_global_cleanup();
  return status;
}

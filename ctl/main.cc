// portolanctl: what the control plane knows and what sidecars say, for operators. docs: --help.
#include <curl/curl.h>

#include <iostream>
#include <string>

#include "absl/time/clock.h"
#include "common/flags.h"
#include "ctl/client.h"
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
  for (CLI::App* command : {names, status, explain, dump, level}) command->fallthrough();

  if (const auto exit = ParseFlags(app, argc, argv)) return *exit;
  if (explain->parsed() || dump->parsed() || level->parsed()) {
    if (const auto exit = WrongUsage(PodFault(flags))) return *exit;
  }

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

// portolanctl: what the control plane knows, for operators. docs: --help.
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
  for (CLI::App* command : {names, status}) command->fallthrough();

  if (const auto exit = ParseFlags(app, argc, argv)) return *exit;

  const Client client({.server = flags.server, .timeout = flags.timeout});
  const Format format = flags.format == "json" ? Format::kJson : Format::kTable;
  return names->parsed() ? Names(client, flags, format) : ProxyStatus(client, format);
}

}  // namespace
}  // namespace portolan::ctl

int main(int argc, char** argv) {
  curl_global_init(CURL_GLOBAL_DEFAULT);
  const int status = portolan::ctl::Run(argc, argv);
  curl_global_cleanup();
  return status;
}

#include "ctl/history.h"

#include <fmt/format.h>

#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "common/flags.h"
#include "common/json_fields.h"
#include "ctl/endpoints.h"
#include "ctl/moment.h"
#include "ctl/output.h"
#include "ctl/records.h"
#include "ctl/service_name.h"
#include "ctl/session.h"

namespace portolan::ctl {
namespace {

using nlohmann::json;

struct Flags {
  std::string name;
  std::string ns = "default";
  std::string at;
  std::string since;
  std::string until;
  std::string cause;
  size_t limit = 50;
};

std::string LocalTime(const std::string& text, absl::TimeZone zone) {
  absl::Time time;
  if (!absl::ParseTime(absl::RFC3339_full, text, &time, nullptr)) return {};
  return absl::FormatTime("%Y-%m-%d %H:%M:%E3S", time, zone);
}

Tone ToneOfCause(std::string_view cause) {
  if (cause == "pod-ready" || cause == "service-created" || cause == "scaled-up") {
    return Tone::kGood;
  }
  if (cause == "pod-not-ready" || cause == "service-deleted" || cause == "pod-terminating") {
    return Tone::kBad;
  }
  return Tone::kPlain;
}

// "+10.42.0.7 -10.42.0.8", and how many more.
std::string AddressesOf(const json& entry) {
  std::string out;
  const auto add = [&](std::string_view sign, const std::string& address) {
    out += fmt::format("{}{}{}", out.empty() ? "" : " ", sign, address);
  };
  for (const json& address : ListOf(entry, "added")) add("+", TextOf(address));
  for (const json& address : ListOf(entry, "removed")) add("-", TextOf(address));
  for (const json& change : ListOf(entry, "changed")) {
    add("", fmt::format("{}:{}>{}", TextOf(change, "address"), TextOf(change, "from"),
                        TextOf(change, "to")));
  }
  const std::string more = TextOf(entry, "more");
  if (!more.empty() && more != "0") out += fmt::format(" and {} more", more);
  return out;
}

std::string ObjectOf(const json& entry) {
  const json& object = FieldOf(entry, "object");
  const std::string version = TextOf(object, "resourceVersion");
  if (!object.is_object()) return {};
  return fmt::format("{} {}/{}{}{}", TextOf(object, "kind"), TextOf(object, "namespace"),
                     TextOf(object, "name"), version.empty() ? "" : " @", version);
}

// Where changes are not known.
std::string GapsText(const json& answer, const Look& look, absl::TimeZone zone) {
  std::string out;
  for (const json& gap : ListOf(answer, "gaps")) {
    const std::string changes = TextOf(gap, "changes");
    const std::string line =
        fmt::format("From {} to {} {} not kept: {}", LocalTime(TextOf(gap, "from"), zone),
                    LocalTime(TextOf(gap, "to"), zone),
                    changes.empty() || changes == "0" ? "changes were" : changes + " changes were",
                    TextOf(gap, "reason"));
    out += Styled(line, Tone::kWarning, look) + "\n";
  }
  return out;
}

// What it was then: as endpoints and records show what is now.
std::string ThenText(const json& answer, const Look& look, absl::TimeZone zone) {
  const json& entry = FieldOf(answer, "entry");
  absl::Time at;
  if (!absl::ParseTime(absl::RFC3339_full, TextOf(answer, "at"), &at, nullptr)) at = absl::Now();
  std::string out = Printable(fmt::format("At {}", LocalTime(TextOf(answer, "at"), zone)));
  if (entry.is_object()) {
    out += Printable(fmt::format(", since {}: {}", LocalTime(TextOf(entry, "time"), zone),
                                 TextOf(entry, "summary")));
  }
  out += "\n" + EndpointsText(answer, look, at);
  // The history keeps what records are made of, not the records.
  if (FieldOf(answer, "records").is_array()) out += "\n" + RecordsText(answer, {});
  return out;
}

int ShowThen(Session& session, const Flags& flags, absl::Time at) {
  const std::string query = "?at=" + EncodeQuery(ApiTime(at));
  return session.Show([&] { return FetchService(session, flags.name, flags.ns, query); },
                      [](const json& answer, const Look& look) {
                        return ThenText(answer, look, absl::LocalTimeZone());
                      });
}

int ShowChanges(Session& session, const Flags& flags, const std::string& range) {
  std::string path = fmt::format("/api/v1/history?limit={}{}", flags.limit, range);
  ServiceName named;
  if (!flags.name.empty()) {
    auto resolved = ResolveService(session, flags.name, flags.ns);
    if (!resolved.ok()) return Fail(resolved.status());
    named = *std::move(resolved);
    path += fmt::format("&namespace={}&name={}", EncodeQuery(named.ns), EncodeQuery(named.name));
  }
  if (!flags.cause.empty()) path += "&cause=" + EncodeQuery(flags.cause);
  std::string alike;  // of a name that nothing is known of
  return session.Show(
      [&] {
        auto answer = session.Get(path);
        const bool empty = answer.ok() && ListOf(*answer, "entries").empty();
        alike = empty && !named.name.empty() ? Alike(session, named) : std::string();
        return answer;
      },
      [&](const json& answer, const Look& look) {
        const std::string table = HistoryTable(answer, look, absl::LocalTimeZone());
        return alike.empty() ? table : table + Printable(alike) + "\n";
      });
}

int History(Session& session, const Flags& flags) {
  const absl::Time now = absl::Now();
  if (!flags.at.empty()) {
    const auto at = ParseMoment(flags.at, now, absl::LocalTimeZone());
    if (!at.ok()) return *WrongUsage(fmt::format("--at: {}", Message(at.status())));
    if (flags.name.empty()) return *WrongUsage("--at: NAME says of which Service");
    return ShowThen(session, flags, *at);
  }
  std::string range;
  for (const auto& [word, text] :
       {std::pair("since", &flags.since), std::pair("until", &flags.until)}) {
    if (text->empty()) continue;
    const auto moment = ParseMoment(*text, now, absl::LocalTimeZone());
    if (!moment.ok()) return *WrongUsage(fmt::format("--{}: {}", word, Message(moment.status())));
    range += fmt::format("&{}={}", word, EncodeQuery(ApiTime(*moment)));
  }
  return ShowChanges(session, flags, range);
}

}  // namespace

std::string HistoryTable(const json& answer, const Look& look, absl::TimeZone zone) {
  std::vector<std::string> heading{"TIME", "NAME", "CAUSE", "READY", "WHAT"};
  if (look.wide) heading.insert(heading.end(), {"SERVING", "TERMINATING", "ADDRESSES", "OBJECT"});
  Table table(heading);
  for (const json& entry : ListOf(answer, "entries")) {
    const std::string cause = TextOf(entry, "cause");
    const json& endpoints = FieldOf(entry, "endpoints");
    std::vector<Cell> row{LocalTime(TextOf(entry, "time"), zone),
                          fmt::format("{}/{}", TextOf(entry, "namespace"), TextOf(entry, "name")),
                          {cause, ToneOfCause(cause)},
                          TextOf(endpoints, "ready"),
                          TextOf(entry, "summary")};
    if (look.wide) {
      row.insert(row.end(), {TextOf(endpoints, "serving"), TextOf(endpoints, "terminating"),
                             AddressesOf(entry), ObjectOf(entry)});
    }
    table.Add(std::move(row));
  }
  const std::string since = LocalTime(TextOf(answer, "since"), zone);
  std::string out = table.empty() ? "Nothing changed in that time.\n" : table.ToString(look);
  out += GapsText(answer, look, zone);
  if (FieldOf(answer, "continue").is_string()) out += "There is more: --limit, or --until\n";
  if (!since.empty()) out += fmt::format("The kept history begins at {}.\n", since);
  return out + ReplicaNotes(answer, look);
}

Run AddHistory(CLI::App& command) {
  auto flags = std::make_shared<Flags>();
  command.add_option("NAME", flags->name,
                     "backend, default/backend, an address; without: of all names");
  command.add_option("-n,--namespace", flags->ns, "where NAME names none")->capture_default_str();
  CLI::Option* at = command.add_option(
      "--at", flags->at, "where it led then: 14:03:05 (today), 5m (ago), 2026-11-23T14:03:05Z");
  command.add_option("--since", flags->since, "changes from then on, written likewise")
      ->excludes(at);
  command.add_option("--until", flags->until, "changes before then")->excludes(at);
  command.add_option("--cause", flags->cause, "pod-ready, scaled-up, service-edited, ...")
      ->excludes(at);
  command.add_option("--limit", flags->limit, "so many of the newest")
      ->check(CLI::Range(1, 5000))
      ->capture_default_str();
  return [flags](Session& session) { return History(session, *flags); };
}

}  // namespace portolan::ctl

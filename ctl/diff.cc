#include "ctl/diff.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <memory>
#include <set>
#include <utility>

#include "absl/time/clock.h"
#include "common/flags.h"
#include "common/json_fields.h"
#include "common/status.h"
#include "ctl/asked_sidecar.h"
#include "ctl/output.h"
#include "ctl/session.h"

namespace portolan::ctl {
namespace {

using nlohmann::json;

// Addresses are made when they are asked for: there is no list of what could be.
constexpr std::array<std::string_view, 5> kTypes = {"ProxyConfig", "Namespace", "Service",
                                                    "ServiceImport", "Endpoints"};
constexpr int kMaxPages = 1000;
// A change takes milliseconds to the sidecar; what differs at two looks so far apart is no change
// on its way.
constexpr absl::Duration kSecondLook = absl::Seconds(2);

std::string_view ServiceOf(std::string_view endpoints) {
  const size_t slice = endpoints.find('/', endpoints.find('/') + 1);
  return endpoints.substr(0, slice);
}

// All pages of names and versions; ask(token) gives one, of `who`.
template <typename F>
absl::StatusOr<Versions> AllPages(std::string_view who, F&& ask) {
  Versions all;
  std::string token;
  for (int i = 0; i < kMaxPages; ++i) {
    const absl::StatusOr<json> page = ask(EncodeQuery(token));
    if (!page.ok()) return page.status();
    const json& resources = FieldOf(*page, "resources");
    if (!resources.is_object()) {
      return FailedPrecondition("{} does not list its resources: it is older than this portolanctl",
                                who);
    }
    for (const auto& [name, version] : resources.items()) all[name] = TextOf(version);
    token = TextOf(*page, "continue");
    if (token.empty()) return all;
  }
  return FailedPrecondition("{} gives no end of pages", who);
}

class Looker {
 public:
  Looker(Session& session, const AskedSidecar& sidecar, const json& dump)
      : session_(session),
        sidecar_(sidecar),
        on_demand_(TextOf(FieldOf(dump, "directory"), "endpoints") != "eager"),
        proxy_config_(TextOf(FieldOf(dump, "feed"), "proxyConfig")) {}

  absl::StatusOr<TypeDiff> LookAt(std::string_view type) {
    auto held = AllPages("the sidecar", [&](const std::string& token) {
      return sidecar_.Ask(session_, fmt::format("config_dump?type={}&continue={}", type, token));
    });
    if (!held.ok()) return held.status();
    const std::string ns = sidecar_.pod.substr(0, sidecar_.pod.find('/'));
    auto served = AllPages("the control plane", [&](const std::string& token) {
      return session_.Get(fmt::format("/debug/resources?type={}&namespace={}&continue={}", type,
                                      EncodeQuery(ns), token));
    });
    if (!served.ok()) return served.status();
    if (type == "Endpoints" && on_demand_) served = OfHeldServices(*served, *held);
    if (type == "ProxyConfig") {
      std::erase_if(*served, [&](const auto& config) { return config.first != proxy_config_; });
    }
    return Compare(type, *served, *held);
  }

 private:
  Session& session_;
  const AskedSidecar& sidecar_;
  const bool on_demand_;
  const std::string proxy_config_;
};

absl::StatusOr<json> Fetch(Session& session, const AskedSidecar& sidecar) {
  const auto dump = sidecar.Ask(session, "config_dump");
  if (!dump.ok()) return dump.status();
  Looker looker(session, sidecar, *dump);
  std::vector<TypeDiff> types;
  for (const std::string_view type : kTypes) {
    auto diff = looker.LookAt(type);
    if (!diff.ok()) return diff.status();
    types.push_back(*std::move(diff));
  }
  if (std::all_of(types.begin(), types.end(), [](const TypeDiff& one) { return one.empty(); })) {
    return DiffJson(sidecar.pod, FieldOf(*dump, "feed"), types);
  }
  absl::SleepFor(kSecondLook);
  for (TypeDiff& type : types) {
    if (type.empty()) continue;
    auto again = looker.LookAt(type.type);
    if (!again.ok()) return again.status();
    type = InBoth(type, *std::move(again));
  }
  return DiffJson(sidecar.pod, FieldOf(*dump, "feed"), types);
}

std::vector<std::string> Common(const std::vector<std::string>& a,
                                const std::vector<std::string>& b) {
  std::vector<std::string> both;
  std::set_intersection(a.begin(), a.end(), b.begin(), b.end(), std::back_inserter(both));
  return both;
}

json NamesJson(const std::vector<std::string>& names) {
  return std::vector<std::string>(
      names.begin(),
      names.begin() + static_cast<std::ptrdiff_t>(std::min(names.size(), kMostNames)));
}

bool Differs(const json& diff) {
  for (const json& type : ListOf(diff, "types")) {
    for (const char* list : {"missing", "extra", "stale"}) {
      if (!ListOf(type, list).empty()) return true;
    }
  }
  return false;
}

std::string NamesText(const json& type, const Look& look) {
  constexpr std::array<std::pair<const char*, const char*>, 3> kWords = {
      {{"missing", "is not held"},
       {"extra", "is not served any more"},
       {"stale", "is held in another version"}}};
  std::string out;
  for (const auto& [list, words] : kWords) {
    for (const json& name : ListOf(type, list)) {
      out += Styled(fmt::format("{} {} {}", TextOf(type, "type"), TextOf(name), words),
                    Tone::kWarning, look) +
             "\n";
    }
  }
  const std::string more = TextOf(type, "more");
  if (!more.empty()) out += Printable(fmt::format("and {} more\n", more));
  return out;
}

std::string FeedText(const json& feed, const Look& look) {
  const bool in_sync = FieldOf(feed, "inSync") == true;
  std::string out =
      Styled(fmt::format("Feed: {}, from {}",
                         in_sync ? "in sync" : "not in sync, age " + TextOf(feed, "age"),
                         TextOf(feed, "source")),
             in_sync ? Tone::kGood : Tone::kBad, look);
  out += "\n";
  const auto say = [&](std::string_view what, const std::string& words) {
    if (!words.empty()) out += Styled(fmt::format("{}: {}", what, words), Tone::kBad, look) + "\n";
  };
  say("Last failure", TextOf(feed, "lastFailure"));
  for (const json& type : ListOf(feed, "types")) {
    say("Refused " + TextOf(type, "typeUrl"), TextOf(type, "lastNack"));
  }
  return out;
}

}  // namespace

TypeDiff Compare(std::string_view type, const Versions& served, const Versions& held) {
  TypeDiff diff{.type = std::string(type),
                .served = served.size(),
                .held = held.size(),
                .missing = {},
                .extra = {},
                .stale = {}};
  for (const auto& [name, version] : served) {
    const auto found = held.find(name);
    if (found == held.end()) {
      diff.missing.push_back(name);
    } else if (found->second != version) {
      diff.stale.push_back(name);
    }
  }
  for (const auto& [name, version] : held) {
    if (served.count(name) == 0) diff.extra.push_back(name);
  }
  return diff;
}

Versions OfHeldServices(const Versions& served, const Versions& held) {
  std::set<std::string_view> services;
  for (const auto& [name, version] : held) services.insert(ServiceOf(name));
  Versions out;
  for (const auto& [name, version] : served) {
    if (services.count(ServiceOf(name)) > 0) out[name] = version;
  }
  return out;
}

TypeDiff InBoth(const TypeDiff& before, TypeDiff now) {
  now.missing = Common(before.missing, now.missing);
  now.extra = Common(before.extra, now.extra);
  now.stale = Common(before.stale, now.stale);
  return now;
}

json DiffJson(const std::string& pod, const json& feed, const std::vector<TypeDiff>& types) {
  json list = json::array();
  for (const TypeDiff& type : types) {
    list.push_back({{"type", type.type},
                    {"served", type.served},
                    {"held", type.held},
                    {"missing", NamesJson(type.missing)},
                    {"extra", NamesJson(type.extra)},
                    {"stale", NamesJson(type.stale)},
                    {"missingCount", type.missing.size()},
                    {"extraCount", type.extra.size()},
                    {"staleCount", type.stale.size()}});
    size_t more = 0;
    for (const auto* names : {&type.missing, &type.extra, &type.stale}) {
      more += names->size() - std::min(names->size(), kMostNames);
    }
    if (more > 0) list.back()["more"] = more;
  }
  return {{"pod", pod}, {"feed", feed}, {"types", std::move(list)}};
}

std::string DiffText(const json& diff, const Look& look) {
  Table table({"TYPE", "SERVED", "HELD", "MISSING", "EXTRA", "STALE"});
  std::string names;
  for (const json& type : ListOf(diff, "types")) {
    const auto count = [&](const char* key) {
      const std::string text = TextOf(type, key);
      return Cell(text, text == "0" ? Tone::kPlain : Tone::kBad);
    };
    table.Add({TextOf(type, "type"), TextOf(type, "served"), TextOf(type, "held"),
               count("missingCount"), count("extraCount"), count("staleCount")});
    names += NamesText(type, look);
  }
  if (!names.empty()) names = "\n" + names;
  return table.ToString(look) + names + "\n" + FeedText(FieldOf(diff, "feed"), look);
}

Run AddDiff(CLI::App& command) {
  auto sidecar = std::make_shared<AskedSidecar>();
  command.add_option("POD", sidecar->pod, "NAMESPACE/POD whose sidecar is compared")->required();
  return [sidecar](Session& session) {
    if (const auto exit = WrongUsage(sidecar->Fault("POD"))) return *exit;
    const auto diff = Fetch(session, *sidecar);
    if (!diff.ok()) return Fail(diff.status());
    const int exit = session.ShowOnce(*diff, DiffText);
    if (exit != kExitOk) return exit;
    return Differs(*diff) ? kExitFailed : kExitOk;
  };
}

}  // namespace portolan::ctl
